"""Tokens are those of BERT's own tokenizer; the numbers were taken from `tokenizers` 0.22."""

from __future__ import annotations

import pytest

from recsys.words.text_model import token_ids

TOKENS = {
    "": [101, 102],
    "hello world": [101, 7592, 2088, 102],
    "Déjà-Vu!": [101, 2139, 3900, 1011, 24728, 999, 102],
    "dusty late-night jazz": [101, 12727, 2397, 1011, 2305, 4166, 102],
    "zither": [101, 1062, 8939, 2121, 102],
    "糸 funk": [101, 100, 11962, 102],
    "a" * 101: [101, 100, 102],
    "rock'n'roll & r&b": [101, 2600, 1005, 1050, 1005, 4897, 1004, 1054, 1004, 1038, 102],
}


@pytest.mark.parametrize("text", TOKENS)
def test_tokens(text: str) -> None:
    assert token_ids(text) == TOKENS[text]
