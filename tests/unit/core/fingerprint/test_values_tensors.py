"""torch: what a tensor holds counts, and not how it lies in memory."""

from __future__ import annotations

import importlib
import itertools
import math
import sys
from typing import Any

import numpy as np
import pytest

from raycache.core.fingerprint.values import describe, fingerprint

if sys.version_info[:2] == (3, 11):  # for which it is among what the tests need
    torch: Any = importlib.import_module("torch")
else:
    torch = pytest.importorskip("torch", reason="torch is not installed for this Python")

#: In each row, all are different from each other.
DIFFERENT: list[list[Any]] = [
    [torch.zeros(2), torch.zeros(2, dtype=torch.float64), torch.zeros(2, dtype=torch.int32), torch.zeros(1, 2)],
    [
        torch.zeros(2),
        torch.zeros(2, requires_grad=True),
        torch.zeros(3),
        torch.nn.Parameter(torch.zeros(2)),
        np.zeros(2, "f4"),
    ],
    [torch.arange(4).reshape(2, 2), torch.arange(4).reshape(2, 2).T, torch.arange(4), torch.arange(1, 5)],
    [torch.tensor([1 + 1j]), torch.tensor([1 + 1j]).conj(), torch.tensor([0.0]), torch.tensor([-0.0])],
    [torch.zeros(0, 3), torch.zeros(3, 0), torch.zeros(0), torch.tensor(0.0)],
    [torch.float32, torch.float64, torch.Size([2]), (2,), torch.device("cpu"), torch.device("cuda:0")],
    [torch.arange(20_000), torch.arange(1, 20_001), torch.arange(20_000).flip(0)],
]

#: Pairs of equals.
SAME: list[tuple[Any, Any]] = [
    (torch.arange(4).reshape(2, 2).T, torch.arange(4).reshape(2, 2).T.contiguous()),
    (torch.arange(8)[::2], torch.tensor([0, 2, 4, 6])),
    (torch.arange(8)[2:4], torch.tensor([2, 3])),
    (torch.tensor([1 - 1j]), torch.tensor([1 + 1j]).conj()),
    (torch.tensor([math.nan, 1]), -torch.tensor([math.nan, -1])),
    (torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.tensor([1.0, 1.0]))),
    (torch.ones(2, dtype=torch.bfloat16), torch.tensor([1, 1]).to(torch.bfloat16)),
    (torch.zeros(5).expand(3, 5), torch.zeros(3, 5)),
]


@pytest.mark.parametrize("number", range(len(DIFFERENT)))
def test_different_tensors_have_different_fingerprints(number):
    for one, other in itertools.combinations(DIFFERENT[number], 2):
        assert fingerprint(one) != fingerprint(other), f"{one!r:.200} and {other!r:.200}"


@pytest.mark.parametrize(("one", "other"), SAME, ids=range(len(SAME)))
def test_equal_tensors_have_one_fingerprint(one, other):
    assert fingerprint(one) == fingerprint(other)


def test_a_model_counts_with_its_weights():
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())
    before = fingerprint(model)

    assert fingerprint(model) == before

    with torch.no_grad():
        model[0].weight[0, 0] += 1

    assert fingerprint(model) != before


@pytest.mark.parametrize(
    ("value", "text"),
    [(torch.zeros(2, 3), "Tensor torch.float32, shape (2, 3)"), (torch.float32, "dtype torch.float32")],
    ids=["tensor", "dtype"],
)
def test_a_tensor_is_described(value, text):
    assert describe(value) == text
