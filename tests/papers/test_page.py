"""docs/results/papers.md has a row for every recipe, with the figure that its report published."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recsys.papers.recipe import RECIPE_NAMES, load_recipe, variant_names

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "papers.md").read_text(encoding="utf-8")
RESULTS = (DOCS / "results" / "papers.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [n for one in RECIPE_NAMES for n in (one, *variant_names(one))])
def test_every_recipe_has_its_row(name: str) -> None:
    rows = re.findall(rf"^\| `{re.escape(name)}`[^|]*\|[^|]*\| ([\d.]*) \|", RESULTS, re.MULTILINE)
    published = load_recipe(name).published.test
    expected = "" if published is None else f"{published:.3f}"
    assert rows
    assert set(rows) == {expected}


def test_the_recipe_shown_can_be_used(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    assert load_recipe(str(path)).network is not None
