"""``recsys show``: what the library knows about one track."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli.choosing import ask_until_clear
from recsys.cli.options import completed_by, db_option, device_option, json_option
from recsys.cli.output import (
    console,
    escape,
    human_size,
    print_json,
    shown,
    table,
)
from recsys.fields import details_fields, time_of
from recsys.notebook import clock

if TYPE_CHECKING:
    from recsys.listing import TrackDetails
    from recsys.types import DeviceName, Mix, Track

SHOWN_GENRES = 3


@click.command(name="show", short_help="Show what the library knows about a track.")
@click.argument("track", metavar="TRACK", shell_complete=completed_by("tracks"))
@click.option(
    "--k",
    "-k",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Number of nearest tracks.",
)
@json_option("One JSON object.")
@db_option
@device_option
def command(track: str, k: int, as_json: bool, db: Path | None, device: DeviceName) -> None:
    """Show what the library knows about TRACK: file, genres, tags, feedback, nearest tracks.

    TRACK is a path, an id or a text, as in recsys similar. The nearest tracks are those by
    similarity alone, whatever their genre.

    \b
    Examples:
      recsys show song.mp3
      recsys show 42 -k 10
      recsys show "miles davis so what" --json
    """
    from recsys.api import Library

    with Library(db, device=device) as library:
        details = ask_until_clear(
            [track], lambda given: library.show(given[0], k=k), may_ask=not as_json
        )
    if as_json:
        print_json(details_fields(details))
    else:
        _print(details)


def _print(details: TrackDetails) -> None:
    for name, value in _rows(details):
        click.echo(f"{name + ':':<10} {value}")
    screen = console()
    nearest = table("Id", "Nearest", "Length", "Genre", "Similarity", right=(0, 2, 4))
    for row in details.neighbours:
        nearest.add_row(
            str(row.track.id),
            escape(shown(row.track.display_name)),
            clock(row.track.duration_s),
            escape(row.track.genre_group),
            f"{row.similarity:.3f}",
        )
    if details.neighbours:
        screen.print(nearest)


def _rows(details: TrackDetails) -> list[tuple[str, str]]:
    """Return what is known, by name; what is not known has no row."""
    from recsys.recommender.presence import is_there
    from recsys.types import NOT_MUSIC

    track = details.track
    tags = track.tags
    ranked = list(details.probabilities.items())[:SHOWN_GENRES]
    genres = [f"{genre} {p:.0%}" for genre, p in ranked if p >= 0.01]
    sorted_as = f" (sorted as {track.genre_group})" if track.genre_group != track.genre else ""
    from_album = ", ".join(str(part) for part in (tags.album, tags.year) if part is not None)
    added = time_of(track.added_s)
    rows = {
        "Track": track.display_name,
        "Id": str(track.id),
        "Album": from_album,
        "Length": clock(track.duration_s),
        "Kind": _kind(track),
        "Genre": str(track.kind) if track.kind in NOT_MUSIC else ", ".join(genres) + sorted_as,
        "Genre tag": tags.genre_tag or "",
        "Tempo": _tempo(track.mix),
        "Key": _key(track.mix),
        "Loudness": _loudness(track.mix),
        "Tags": ", ".join(f"{tag} {strength:+.1f}" for tag, strength in details.tags.items()),
        "Numbers": _numbers(track),
        "File": str(track.path) + ("" if is_there(track.path) else " (missing)"),
        "Size": _size(details),
        "Copies": ", ".join(map(str, details.copies)),
        "Warning": track.warning or "",
        "Feedback": _feedback(details),
        "Banned": "" if details.ban is None else f"by the ban on {details.ban}",
        "Added": added or "",
        "Model": f"{details.model} ({details.fingerprint}), effort {details.effort}",
        "Windows": _windows(details),
    }
    return [(name, shown(value)) for name, value in rows.items() if value]


def _numbers(track: Track) -> str:
    from recsys.types import MOOD_NUMBERS

    numbers = {name: getattr(track, name) for name in MOOD_NUMBERS}
    return ", ".join(f"{name} {v:.2f}" for name, v in numbers.items() if v is not None)


def _tempo(mix: Mix) -> str:
    if mix.tempo is None:
        return "none found" if mix.tempo_by else ""
    return f"{mix.tempo:g} bpm{_by(mix.tempo_by, mix.tempo_confidence)}"


def _key(mix: Mix) -> str:
    from recsys.keys import camelot

    if mix.key is None:
        return "none found" if mix.key_by else ""
    return f"{mix.key}, {camelot(mix.key)}{_by(mix.key_by, mix.key_confidence)}"


def _by(found_by: str | None, confidence: float | None) -> str:
    from recsys.types import CERTAIN_FROM

    if confidence is None:
        return " (the file's tag)"
    use = "" if confidence >= CERTAIN_FROM else ": too uncertain for lists"
    return f" ({found_by}, confidence {confidence:.2f}{use})"


def _loudness(mix: Mix) -> str:
    if mix.loudness is None or mix.replay_gain is None:
        return "silent" if mix.loudness_by else ""
    peak = "" if mix.true_peak is None else f", true peak {mix.true_peak:+.1f} dBTP"
    return f"{mix.loudness:.1f} LUFS{peak}, ReplayGain {mix.replay_gain:+.2f} dB"


def _kind(track: Track) -> str:
    if track.kind is None or track.kind_probability is None:
        return ""
    sung = "" if track.vocals is None else f", {track.vocals:.0%} of it sung"
    return f"{track.kind} ({track.kind_probability:.0%}){sung}"


def _feedback(details: TrackDetails) -> str:
    counts: dict[str, int] = {}
    for event in details.feedback:
        what = f"{event.kind} of {'it' if event.subject == 'track' else event}"
        counts[what] = counts.get(what, 0) + 1
    return ", ".join(what if n == 1 else f"{n} x {what}" for what, n in counts.items())


def _size(details: TrackDetails) -> str:
    if details.size is None:
        return ""
    return f"{human_size(details.size)}, changed {time_of(details.modified_s)}"


def _windows(details: TrackDetails) -> str:
    if details.windows is None:
        return ""
    starts = ", ".join(_clock(start) for start in details.windows.starts_s)
    return f"{len(details.windows.starts_s)} of {details.windows.length_s:g} s, from {starts}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}:{rest:04.1f}"
