from __future__ import annotations

import json

from tests.results import CARD, PAGE, render


def test_the_figures_of_the_model_are_those_of_its_card() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(json.loads(CARD.read_text(encoding="utf-8")))
