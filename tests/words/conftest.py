from __future__ import annotations

import pytest

from recsys.words import text_model


@pytest.fixture(autouse=True)
def no_text_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let answers be the same with the extra and without it."""
    monkeypatch.setattr(text_model, "_installed", lambda: None)
