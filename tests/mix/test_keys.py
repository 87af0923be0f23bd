from __future__ import annotations

from recsys.keys import KEYS, camelot, compatible, key_of


def test_the_wheel_is_the_circle_of_fifths() -> None:
    """Every place holds one key, and a fifth up is the next number."""
    places = {camelot(key): key for key in KEYS}
    assert len(places) == 24
    assert (places["8B"], places["8A"], places["12B"]) == ("C major", "A minor", "E major")
    for number, key in enumerate(KEYS):
        fifth = KEYS[(number % 12 + 7) % 12 + number // 12 * 12]
        assert int(camelot(fifth)[:-1]) % 12 == (int(camelot(key)[:-1]) + 1) % 12


def test_a_key_goes_with_its_neighbours_on_the_wheel() -> None:
    for key in KEYS:
        place, letter = int(camelot(key)[:-1]), camelot(key)[-1]
        other = "A" if letter == "B" else "B"
        expected = {
            f"{place}{letter}",
            f"{place}{other}",
            f"{place % 12 + 1}{letter}",
            f"{(place - 2) % 12 + 1}{letter}",
        }
        assert {camelot(each) for each in compatible(key)} == expected
        assert all(key in compatible(each) for each in compatible(key))


def test_every_name_and_code_of_a_key_is_read() -> None:
    for key in KEYS:
        assert key_of(key) == key_of(key.replace(" minor", "m").replace(" major", "")) == key
        assert key_of(camelot(key)) == key
    assert key_of("A# minor") == key_of("bbm") == "Bb minor"
    assert [key_of(text) for text in ("", "?", "13A", "H", "all")] == [None] * 5
