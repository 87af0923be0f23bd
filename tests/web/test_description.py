"""Requests made up from the description of the API, well-formed and not: Schemathesis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from recsys.api import Library
from recsys.web.rates import PER_MINUTE
from tests.web.conftest import API, DESCRIBED, make_music
from tests.web.live import listening

pytestmark = pytest.mark.slow

EXAMPLES = 20
"""Of each route, well-formed, and as many malformed."""

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]

SCHEMA = schemathesis.openapi.from_dict(DESCRIBED)

OPERATIONS = [
    (method, path)
    for path, operations in DESCRIBED["paths"].items()
    for method in operations
    if path != f"{API}/events"  # which never ends
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of a library of its own, whose files may be changed."""
    folder = tmp_path_factory.mktemp("described")
    make_music(folder / "music")
    with Library(folder / "library.db") as library:
        library.index([folder / "music"])
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        for what in PER_MINUTE:
            patched.setitem(PER_MINUTE, what, 10**9)
        with listening(folder / "library.db") as client:
            yield str(client.base_url)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=str)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_answer_is_as_described(
    address: str, method: str, path: str, mode: GenerationMode
) -> None:
    @settings(
        max_examples=EXAMPLES, derandomize=True, suppress_health_check=[*HealthCheck], database=None
    )
    @given(case=SCHEMA[path][method.upper()].as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case) -> None:
        response = case.call(base_url=address, timeout=120)
        case.validate_response(response, checks=CHECKS)
        if response.status_code >= 400:
            assert response.headers["content-type"] == ["application/problem+json"]
            assert response.json()["detail"]

    try:
        ask()
    except Unsatisfiable:
        pytest.skip("nothing of it can be malformed")
