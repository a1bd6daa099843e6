"""The OpenAPI document, and whether the gateway is what it says, whatever is sent to it."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance

from raycache.edge.gateway.openapi import document

OPERATIONS = [(method, path) for path, of in document()["paths"].items() for method in of if method != "parameters"]
#: All, as the document has them; and with what it does not allow, where there is anything that it does not.
CASES = [(*each, GenerationMode.POSITIVE) for each in OPERATIONS]
CASES += [(*each, GenerationMode.NEGATIVE) for each in OPERATIONS if each[1].startswith("/v1/groups/{group}/")]
EXAMPLES = settings(max_examples=15, phases=[Phase.generate], suppress_health_check=list(HealthCheck), database=None)


@pytest.mark.parametrize(("method", "path", "mode"), CASES)
def test_every_answer_is_one_that_the_document_tells_of(app, users, method, path, mode):
    """... of its status, media type and schema. What a type makes of a key's text no schema says: that may be 400."""
    operation = schemathesis.openapi.from_asgi("/openapi.json", app)[path][method]

    @EXAMPLES
    @given(case=operation.as_strategy(generation_mode=mode), known=st.booleans())
    def ask(case, known):
        if known and "group" in case.path_parameters:
            case.path_parameters["group"] = "users"
        response = case.call()
        case.validate_response(response, excluded_checks=[positive_data_acceptance, not_a_server_error])
        late = (503, 504) if "Request-Timeout" in (case.headers or {}) else ()  # it may be 0
        assert response.status_code in (*range(500), *late)

    ask()


def test_the_document_needs_no_cache_that_is_up(cache, ask):
    cache.destroy()

    assert ask("GET", "/openapi.json").json() == document()
