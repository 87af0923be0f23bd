"""Answers as plain values: the same in the JSON of the commands and of the server.

What makes them is imported where it is used: `recsys similar` needs neither lists nor decoders.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recsys.audit import RetagOutcome
    from recsys.audit.retagging import Run
    from recsys.classify import Classification
    from recsys.library_status import FailureGroup, LibraryStatus
    from recsys.listing import TrackDetails
    from recsys.playlists.radio import RadioAnswer, RadioTrack
    from recsys.recommender import Answer
    from recsys.types import Recommendation
    from recsys.words import PhraseReading, TextReading

EXAMPLES = 2
"""Files that are named of each kind of failure."""


def time_of(seconds: float | None) -> str | None:
    """Return a time in seconds since the epoch as ISO 8601, in the zone of this machine."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")


# Similar tracks


def words_of(answer: Answer) -> PhraseReading | TextReading | None:
    """Return how words for sound were read; None where there were none."""
    return getattr(answer, "reading", None)


def answer_fields(answer: Answer, results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return an answer, with its results as the caller shows them: :func:`result_fields`."""
    query = answer.query
    seeds = [
        {
            "path": os.fspath(seed.track.path),
            "track_id": seed.track.id if seed.in_library else None,
            "artist": seed.track.artist,
            "title": seed.track.title,
            "genre_tag": seed.track.tags.genre_tag,
        }
        for seed in query.seeds
    ]
    words = words_of(answer)
    return {
        "query": {
            **(seeds[0] if seeds else {}),
            "genre": query.genre,
            "label": answer.genre_group,
            "probabilities": {g: round(p, 6) for g, p in answer.probabilities.items()},
            "seeds": seeds,
            "readings": [reading.fields() for reading in query.readings],
            **({} if words is None else {"words": words.fields()}),
        },
        "genres": [{"genre": genre, "score": round(s, 6)} for genre, s in answer.genre_scores],
        "tiers": [
            {"tier": tier.number, "kind": tier.kind, "genres": list(tier.genres)}
            for tier in answer.tiers
        ],
        "results": list(results),
        "filtered": dict(answer.filtered),
        "notes": list(answer.notes),
    }


def result_fields(row: Recommendation, *, explain: bool) -> dict[str, Any]:
    """Return one result of an answer."""
    track = row.track
    result: dict[str, Any] = {
        "rank": row.rank,
        "track_id": track.id,
        "path": os.fspath(track.path),
        "artist": track.artist,
        "title": track.title,
        "album": track.tags.album,
        "duration_s": round(track.duration_s, 3),
        "genre": track.genre,
        "label": track.genre_group,
        "genre_tag": track.tags.genre_tag,
        **track.numbers,
        "tier": row.tier,
        "genre_score": round(row.genre_score, 6),
        "similarity": round(row.similarity, 6),
    }
    if row.score is not None:
        result["score"] = row.score
    if row.taste:
        result["taste"] = round(row.taste, 6)
    if explain:
        result["reasons"] = list(row.reasons)
    return result


# Radio


def radio_fields(answer: RadioAnswer, results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the next tracks of a session, as the caller shows them: :func:`radio_row_fields`."""
    from recsys.playlists.files import track_fields

    return {
        "session": answer.session,
        "seeds": [track_fields(track) for track in answer.seeds],
        "words": answer.words,
        "results": list(results),
        "notes": list(answer.notes),
    }


def radio_row_fields(row: RadioTrack) -> dict[str, Any]:
    """Return one track of a session."""
    from recsys.playlists.files import track_fields

    return {
        "position": row.position,
        **track_fields(row.track),
        "similarity": round(row.similarity, 6),
        "artist_spacing": row.spacing.artist,
        "album_spacing": row.spacing.album,
    }


# One track, and files


def details_fields(details: TrackDetails) -> dict[str, Any]:
    """Return what a library knows of a track."""
    from recsys.listing import track_dict

    windows = details.windows
    return {
        **track_dict(details.track),
        "tempo_by": details.track.mix.tempo_by,
        "key_by": details.track.mix.key_by,
        "loudness_by": details.track.mix.loudness_by,
        "album_artist": details.track.tags.album_artist,
        "track_number": details.track.tags.track_number,
        "size": details.size,
        "modified": time_of(details.modified_s),
        "audio_hash": details.track.audio_hash,
        "warning": details.track.warning,
        "copies": [str(path) for path in details.copies],
        "feedback": [event.fields() for event in details.feedback],
        "banned_by": None if details.ban is None else details.ban.fields(),
        "probabilities": {genre: round(p, 6) for genre, p in details.probabilities.items()},
        "tags": {tag: round(strength, 3) for tag, strength in details.tags.items()},
        "analysis": {
            "model": details.model,
            "fingerprint": details.fingerprint,
            "effort": details.effort,
            "windows": None if windows is None else [round(s, 3) for s in windows.starts_s],
            "window_s": None if windows is None else windows.length_s,
        },
        "neighbours": [
            {**track_dict(row.track), "similarity": round(row.similarity, 6)}
            for row in details.neighbours
        ],
    }


def classification_fields(result: Classification) -> dict[str, Any]:
    """Return what a file was classified as, or why it could not be."""
    from recsys.listing import kind_fields

    path = os.fspath(result.path)
    if result.error is not None:
        hint = {"hint": result.hint} if result.hint else {}
        return {"path": path, "error": result.error} | hint
    line: dict[str, Any] = {
        "path": path,
        "genre": result.genre,
        "genres": list(result.genres),
        "label": result.label,
        "probabilities": {genre: round(p, 6) for genre, p in result.probabilities.items()},
        "tags": {
            tag: {"score": round(scored.score, 6), "strength": round(scored.strength, 3)}
            for tag, scored in result.tags.items()
        },
    }
    line |= kind_fields(result)
    if result.warning:
        line["warning"] = result.warning
    return line


# Genre tags of files


def tag_run_fields(run: Run) -> dict[str, Any]:
    """Return a run that wrote genre tags, with what it replaced."""
    return {
        "run": run.number,
        "time": run.time,
        "changes": [
            {
                "path": os.fspath(change.path),
                "old": None if change.old is None else list(change.old),
                "new": list(change.new),
            }
            for change in run.changes
        ],
    }


def tag_outcome_fields(outcome: RetagOutcome) -> dict[str, Any]:
    """Return what became of the genre tag of a file."""
    return {
        "path": os.fspath(outcome.path),
        "status": str(outcome.status),
        "genre": None if outcome.genre is None else list(outcome.genre),
        "reason": outcome.reason,
    }


# The library


def status_fields(status: LibraryStatus) -> dict[str, object]:
    """Return the figures of a library."""
    return {
        "database": os.fspath(status.database),
        "database_bytes": status.database_bytes,
        "index_bytes": status.index_bytes,
        "model": {"name": status.model, "fingerprint": status.fingerprint},
        "effort": status.effort,
        "tracks": status.tracks,
        "genres_from": status.genre_source,
        "genres": status.genres,
        "nearest_genres": {name: list(near) for name, near in status.nearest_genres.items()},
        "kinds": status.kinds,
        "tags": list(status.tags),
        "failures": status.failures,
        "missing": status.missing,
        "unanalysed": status.unanalysed,
        "roots": [
            {"path": os.fspath(root), "available": there} for root, there in status.roots.items()
        ],
        "index": {
            "fresh": not status.index_problems,
            "problems": list(status.index_problems),
            "recall_at_20": status.recall_at_20,
        },
        "passed_over": asdict(status.passed_over),
        "exclude": list(status.exclude),
        "video": status.video,
        "preferences": status.preferences.asked(),
        "numbers": status.numbers,
        "numbers_from": status.numbers_from,
        **({"feedback": status.feedback} if status.feedback else {}),
    }


def failure_group_fields(groups: Sequence[FailureGroup]) -> list[dict[str, object]]:
    """Return the kinds of failure, each with its first files."""
    return [
        {
            "reason": group.reason,
            "files": len(group.files),
            "retried": group.retried,
            "examples": [os.fspath(file.file.path) for file in group.files[:EXAMPLES]],
            "hint": group.hint,
        }
        for group in groups
    ]
