"""The JSON that docs/scripting.md promises."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "scripting.md"


def documented(command: str) -> list[dict[str, Any]]:
    """Return the objects under the heading that begins with this command."""
    _, _, below = PAGE.read_text().partition(f"## `recsys {command}")
    match = re.search(r"```json\n(.*?)```", below.partition("\n## ")[0], re.DOTALL)
    assert match is not None, f"{PAGE} has nothing on {command}"
    text, decoder, found = match[1].strip(), json.JSONDecoder(), []
    while text:
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:].strip()
    return found
