"""The page about recommendations holds the measured figures, and only those."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

from recsys.reports.quality_page import write_quality_report
from tests.planted import PlantedLibrary
from tests.quality.labelled_libraries import figure, measured, scattered_sounds, two_clusters


def rows(page: str, table: str) -> dict[str, list[str]]:
    found = re.search(rf'<table id="{table}">.*?<tbody>(.*?)</tbody>', page, re.DOTALL)
    assert found
    cells = [
        [
            unescape(re.sub(r"<.*?>", " ", cell)).split()
            for cell in re.findall(r"<t[hd].*?</t[hd]>", row)
        ]
        for row in re.findall(r"<tr>(.*?)</tr>", found[1], re.DOTALL)
    ]
    return {" ".join(row[0]): [cell[0] if cell else "" for cell in row[1:]] for row in cells}


def test_the_page_has_the_figures(tmp_path: Path) -> None:
    quality = measured(PlantedLibrary(tmp_path, scattered_sounds(40, seed=6)), k=5)
    page = write_quality_report(quality, tmp_path / "q.html").read_text(encoding="utf-8")
    printed = rows(page, "figures")
    for title, name in (
        ("genre P@5, other artists", "genre_precision_artist_filtered"),
        ("hubness: skewness", "hubness_skewness"),
    ):
        wanted = [figure(quality, own.name, name) for own in quality.systems]
        assert printed[title] == [f"{value:.3f}" for value in wanted]
    assert page.count('<img src="data:image/png;base64,') == 4
    for note in quality.notes:
        assert note in unescape(page)
    hubs = re.findall(r'<tr><td class="number">(\d+)</td>', page)
    assert list(map(int, hubs)) == [hub.lists for hub in quality.hubs]


def test_without_labels_there_are_no_plots_of_them(tmp_path: Path) -> None:
    blues = [sound for sound in two_clusters(folders=False) if sound.genre == "blues"]
    quality = measured(PlantedLibrary(tmp_path, blues), k=5)
    page = write_quality_report(quality, tmp_path / "q.html").read_text(encoding="utf-8")
    assert page.count("<img ") == 1
    assert "There are no labels." in page
    printed = rows(page, "figures")
    assert "artist MAP@5" in printed
    assert not any(title.startswith("genre") for title in printed)


def test_names_are_escaped(tmp_path: Path) -> None:
    sounds = [
        sound.__class__(
            sound.genre, sound.embedding, artist="<b>Q&A</b>", title="$x$", path=sound.path
        )
        for sound in two_clusters()
    ]
    quality = measured(PlantedLibrary(tmp_path, sounds), k=5)
    page = write_quality_report(quality, tmp_path / "q.html").read_text(encoding="utf-8")
    assert "<b>Q&A</b>" not in page
    assert "&lt;b&gt;Q&amp;A&lt;/b&gt;" in page


def test_hostile_tags_are_text_and_nothing_else(tmp_path: Path) -> None:
    artist = "\"'><script>alert(1)</script>\x1b[2J\x00\x07"
    title = "</td></table><img src=x onerror=alert(2)>\r\n&amp;{{ 7 * 7 }}\u202e"
    sounds = [
        sound.__class__(sound.genre, sound.embedding, artist=artist, title=title, path=sound.path)
        for sound in two_clusters()
    ]
    quality = measured(PlantedLibrary(tmp_path, sounds), k=5)
    page = write_quality_report(quality, tmp_path / "q.html").read_text(encoding="utf-8")
    assert "alert(1)" in page
    assert not re.search(r"<script|<img src=x|onerror=[^&]*>", page)
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202e]", page)
    assert page.count("</table>") == page.count("<table")
    assert "&amp;amp;{{ 7 * 7 }}" in page
