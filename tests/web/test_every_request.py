"""Whatever the description of the API allows, and more, is answered or refused in words."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.web.conftest import API, Indexed
from tests.web.live import listening

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = 25
"""Requests of each kind, as described and otherwise."""

APART = {f"{API}/events", f"{API}/runs", f"{API}/login"}
"""Routes that do not end, start processes, or refuse after some tries."""


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_every_request_is_answered_or_refused(indexed: Indexed, tmp_path: Path) -> None:
    schemathesis = pytest.importorskip("schemathesis")
    for path in indexed.database.parent.glob("library.*"):
        target = tmp_path / path.name
        shutil.copytree(path, target) if path.is_dir() else shutil.copy(path, target)
    failed: list[str] = []
    with listening(tmp_path / "library.db") as client:
        schema = schemathesis.openapi.from_url(
            f"{str(client.base_url).rstrip('/')}/api/v1/openapi.json"
        )
        modes = schemathesis.GenerationMode
        for found in schema.get_all_operations():
            operation = found.ok()
            if operation.path in APART:
                continue
            for mode in (modes.POSITIVE, modes.NEGATIVE):

                @settings(
                    max_examples=EXAMPLES,
                    deadline=None,
                    derandomize=True,
                    database=None,
                    phases=[Phase.generate],
                    suppress_health_check=list(HealthCheck),
                )
                @given(case=operation.as_strategy(generation_mode=mode))
                def ask(case: object) -> None:
                    sent = case.call(timeout=120)  # type: ignore[attr-defined]
                    kind = sent.headers.get("content-type", [""])[0]
                    refused = sent.status_code >= 400
                    if sent.status_code == 500 or (refused and "problem+json" not in kind):
                        failed.append(
                            f"{sent.status_code} {kind}: {case.as_curl_command()}"  # type: ignore[attr-defined]
                            f" {sent.text[:300]}"
                        )

                try:
                    ask()
                except Exception as error:
                    if type(error).__name__ not in ("Unsatisfiable", "SkipTest", "Skipped"):
                        raise
    assert not failed, "\n".join(failed[:10])
