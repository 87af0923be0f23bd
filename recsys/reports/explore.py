"""A gallery of a collection: what its tracks look like, and how its genres differ."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from recsys.classifier.datasets import find_tracks
from recsys.errors import ModelError, RecsysError
from recsys.reports.boundary_figure import boundary_picture
from recsys.reports.collection_figures import box_picture, correlation_picture, pca_picture
from recsys.reports.drawing import png
from recsys.reports.feature_table import Gathered, hear_features, read_table
from recsys.reports.genres import empty_genre_folders
from recsys.reports.output import check_ready, remove_stale, write_file
from recsys.reports.pages import data_uri, render
from recsys.reports.track_figures import Excerpt, read_excerpt, track_pictures

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from recsys.classifier.datasets import LabelledFile
    from recsys.reports.drawing import Picture
    from recsys.reports.feature_table import FeatureTable

LIBRARIES = ("matplotlib.figure", "jinja2", "librosa.display")

TRACK_PICTURES = ("track-waveform", "track-chroma", "track-mfcc", "track-mel")

COLLECTION: Mapping[str, Callable[[FeatureTable], Picture]] = {
    "correlation": correlation_picture,
    "tempo": partial(
        box_picture, column="tempo", name="tempo", title="Tempo", unit="beats per minute"
    ),
    "spectral-centroid": partial(
        box_picture,
        column="spectral_centroid_mean",
        name="spectral-centroid",
        title="Spectral centroid",
        unit="Hz",
    ),
    "pca": pca_picture,
    "svm-boundary": boundary_picture,
}
"""The pictures of a collection, by the name of their file."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What a gallery is made from; `data` or `table` must be there.

    Attributes
    ----------
    data : Path or None
        Folder of genre folders.
    table : Path or None
        Table of features, to be read instead of hearing all of `data`.
    track : Path or None
        The track that is drawn; by default the first of `data` that can be read.
    """

    data: Path | None
    table: Path | None = None
    track: Path | None = None


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture that was written: its file, its heading and its caption."""

    file: str
    title: str
    caption: str


@dataclass(slots=True)
class Gallery:
    """What became of every picture.

    Attributes
    ----------
    page : Path
        ``index.html``.
    source : str
        Where the features come from.
    genres : dict
        Genre to the number of its rows.
    pictures : list of Drawn
        In the order of the page.
    skipped : list of (str, str)
        Pictures that could not be drawn, and why.
    failed : dict
        Files that could not be heard, and why.
    notes : list of str
        What else a reader should know.
    """

    page: Path
    source: str = ""
    genres: dict[str, int] = field(default_factory=dict)
    pictures: list[Drawn] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    failed: dict[Path, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def explore(
    sources: Sources,
    out: Path,
    *,
    workers: int | None = None,
    on_start: Callable[[int], None] | None = None,
    on_file: Callable[[bool], None] | None = None,
) -> Gallery:
    """Draw a collection, and write the pictures and a page of them into a folder.

    Where the features had to be computed they are written too, as ``features.csv``, so that the
    next time they can be read.

    Parameters
    ----------
    sources : Sources
        What to draw.
    out : Path
        A folder, there or not yet.
    workers : int, optional
        Processes that decode; by default as many as there are processors.
    on_start : callable, optional
        Called with the number of files before they are heard.
    on_file : callable, optional
        Called once per file, with whether it failed.

    Returns
    -------
    Gallery

    Raises
    ------
    RecsysError
        If `out` cannot be written, a library is missing, `sources.track` cannot be read, or
        there is neither a usable folder nor a usable table.
    """
    check_ready(out, LIBRARIES if sources.table is None else (*LIBRARIES, "pandas"))
    gallery = Gallery(out / "index.html")
    files = [] if sources.data is None else find_tracks(sources.data, allow_empty=True)
    excerpt = _excerpt(sources.track, files, gallery)
    if sources.table is None:
        if on_start is not None:
            on_start(len(files))
        source = f"30 s of every track in {sources.data}"
        gathered = hear_features(files, source, workers=workers, on_file=on_file)
        write_file(out / "features.csv", gathered.table.to_csv())
    else:
        gathered = read_table(sources.table)
    _note(sources, gathered, gallery)
    images = [
        *_draw_track(excerpt, out, gallery),
        *_draw_collection(gathered.table, out, gallery),
    ]
    write_file(gallery.page, render("gallery.html", _values(gallery, images)))
    return gallery


def _excerpt(track: Path | None, files: Sequence[LabelledFile], gallery: Gallery) -> Excerpt | None:
    """Read the track that is wanted, or the first that can be read."""
    if track is not None:
        return read_excerpt(track, track.name)
    for file in files:
        try:
            return read_excerpt(file.path, f"{file.genre}/{file.path.name}")
        except RecsysError as error:
            gallery.failed[file.path] = error.message
    return None


def _note(sources: Sources, gathered: Gathered, gallery: Gallery) -> None:
    gallery.source = gathered.table.source
    gallery.genres = gathered.table.counts
    gallery.failed.update(gathered.failed)
    gallery.notes += gathered.notes
    if sources.data is not None:
        gallery.notes += [
            f"the genre folder {genre!r} holds no audio"
            for genre in empty_genre_folders(sources.data, gallery.page.parent)
        ]
    counts = gathered.table.counts
    if len(counts) > 1 and max(counts.values()) > 2 * min(counts.values()):
        least, most = (choose(counts, key=counts.__getitem__) for choose in (min, max))
        gallery.notes.append(
            f"the genres are of unequal size: {counts[least]} of {least}, {counts[most]} of {most}"
        )


def _draw_track(excerpt: Excerpt | None, out: Path, gallery: Gallery) -> list[bytes]:
    if excerpt is None:
        why = "no track was given that can be heard"
        gallery.skipped += [(name, why) for name in TRACK_PICTURES]
        remove_stale(out, TRACK_PICTURES)
        return []
    return [_save(picture, out, gallery) for picture in track_pictures(excerpt)]


def _draw_collection(table: FeatureTable, out: Path, gallery: Gallery) -> list[bytes]:
    images = []
    for name, draw in COLLECTION.items():
        try:
            images.append(_save(draw(table), out, gallery))
        except ModelError as error:
            gallery.skipped.append((name, error.message))
            remove_stale(out, [name])
    return images


def _save(picture: Picture, out: Path, gallery: Gallery) -> bytes:
    content = png(picture.figure)
    write_file(out / picture.file_name, content)
    gallery.pictures.append(Drawn(picture.file_name, picture.title, picture.caption))
    return content


def _values(gallery: Gallery, images: Sequence[bytes]) -> dict[str, object]:
    return {
        "title": "What the collection looks like",
        "created": f"{datetime.now(UTC):%d %B %Y, %H:%M %Z}",
        "gallery": gallery,
        "pictures": [
            {"title": own.title, "caption": own.caption, "source": data_uri(image)}
            for own, image in zip(gallery.pictures, images, strict=True)
        ],
    }
