"""Paths as they were sent, whatever the server."""

from __future__ import annotations

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raycache.edge.gateway.paths import BadRequest, below, unescaped


@given(st.binary())
def test_what_was_escaped_comes_back(data):
    text = unescaped(quote(data, safe="").encode())

    assert text.encode("utf-8", "surrogateescape") == data


@pytest.mark.parametrize("sent", [b"%", b"a%2", b"%zz", b"%%41", b"%4\xff"])
def test_a_bad_escape_is_refused(sent):
    with pytest.raises(BadRequest, match="is no escape"):
        unescaped(sent)


@pytest.mark.parametrize("root", ["", "/mounted", "/a b"])
@pytest.mark.parametrize("stripped", [False, True])
@pytest.mark.parametrize("asked", ["a", "a/b", "/a", "//", "a%2Fb", "%2F", "a%252Fb", "v1/x", "%20", "a%0A", "%FF", ""])
def test_what_was_sent_does_not_depend_on_the_server(root, stripped, asked):
    """Some leave in `path` what they were mounted under, some take it away; in `raw_path` it stays."""
    path = f"/v1/{unquote(asked)}" if stripped else f"{root}/v1/{unquote(asked)}"
    scope = {"path": path, "root_path": root, "raw_path": f"{quote(root)}/v1/{asked}".encode()}

    assert below(scope, "/v1/") == asked.encode()


@pytest.mark.parametrize("raw", [{}, {"raw_path": None}, {"raw_path": b"/else"}])
def test_a_server_without_raw_paths_will_do(raw):
    assert below({"path": "/v1/a b\n", **raw}, "/v1/") == b"a%20b%0A"
