"""A gallery of a collection: what its tracks look like, and how its genres differ."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from recsys.audio import decode
from recsys.classifier.log_mel import MEL
from recsys.classifier.training.datasets import find_tracks
from recsys.errors import ModelError, RecsysError, require
from recsys.papers.feature_table import Gathered, hear_features, read_table
from recsys.papers.features import COLUMNS
from recsys.reports.drawing import (
    EXTRA,
    PALETTE,
    Picture,
    check_ready,
    data_uri,
    legend_beside,
    literal,
    name_ticks,
    new_figure,
    png,
    remove_stale,
    render,
    styles,
    write_file,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from matplotlib.figure import Figure

    from recsys.classifier.training.datasets import LabelledFile
    from recsys.papers.feature_table import FeatureTable
    from recsys.types import FloatArray

# Folders of genre folders, as reports speak of them.


def empty_genre_folders(directory: Path, besides: Path | None = None) -> tuple[str, ...]:
    """Name the genre folders that hold no audio.

    Parameters
    ----------
    directory : Path
        Holds ``GENRE/track.ext``.
    besides : Path, optional
        A folder that is no genre: the report itself may lie here.

    Returns
    -------
    tuple of str
        Sorted.

    Raises
    ------
    ModelError
        If no genre folder holds audio.
    """
    full = {file.genre for file in find_tracks(directory, allow_empty=True)}
    own = besides.resolve() if besides else None
    folders = (path for path in directory.iterdir() if path.is_dir() and path.resolve() != own)
    names = {path.name for path in folders if not path.name.startswith(".")}
    return tuple(sorted(names - full))


# Pictures of a collection: how its features go together, and how they tell genres apart.


MEANS = tuple(name for name in COLUMNS if name.endswith("_mean"))
"""The columns of the heat map."""

FEW = 3
"""Tracks under which neither a correlation nor a component says anything."""

NAMES = {
    "chroma_stft": "chroma",
    "rms": "RMS",
    "spectral_centroid": "spectral centroid",
    "spectral_bandwidth": "spectral bandwidth",
    "rolloff": "spectral rolloff",
    "zero_crossing_rate": "zero-crossing rate",
    "harmony": "harmonic part",
    "perceptr": "percussive part",
}
"""What the columns of means are called in the field; MFCC count from 1, as in the table."""


def feature_name(column: str) -> str:
    """Return what a column of means is called.

    Examples
    --------
    >>> feature_name("rms_mean"), feature_name("mfcc12_mean")
    ('RMS', 'MFCC 12')
    """
    stem = column.removesuffix("_mean")
    return NAMES.get(stem, stem.replace("mfcc", "MFCC "))


def correlation_picture(table: FeatureTable) -> Picture:
    """Draw the correlation of every mean feature with every other as a heat map.

    Parameters
    ----------
    table : FeatureTable
        At least three rows.

    Returns
    -------
    Picture

    Raises
    ------
    ModelError
        If there are fewer rows.
    """
    _need_rows(table, "a correlation")
    values = np.column_stack([table.column(name) for name in MEANS])
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.asarray(np.corrcoef(values, rowvar=False))
    names = [feature_name(name) for name in MEANS]
    figure = new_figure(10.0, 8.8)
    axes = figure.subplots()
    axes.set_facecolor("0.8")
    image = axes.imshow(correlation, cmap="RdBu_r", vmin=-1.0, vmax=1.0)
    name_ticks(axes, names, x=True)
    name_ticks(axes, names, x=False)
    axes.set_title(f"Correlation of the mean features, {len(values)} rows")
    figure.colorbar(image, ax=axes, label="Pearson correlation", shrink=0.8)
    constant = [
        name for name, known in zip(names, np.isfinite(np.diagonal(correlation)), strict=True)
        if not known
    ]  # fmt: skip
    grey = f" Grey, as it never changes here: {', '.join(constant)}." if constant else ""
    caption = f"Pearson correlation over {len(values)} rows of {table.source}.{grey}"
    return Picture("correlation", "Correlation of the features", caption, figure)


def box_picture(table: FeatureTable, column: str, name: str, title: str, unit: str) -> Picture:
    """Draw how one feature is distributed in every genre.

    Parameters
    ----------
    table : FeatureTable
        Of any number of rows.
    column : str
        Its column.
    name : str
        Of the picture's file.
    title : str
        What the feature is called.
    unit : str
        Its unit.

    Returns
    -------
    Picture
    """
    counts = table.counts
    values = table.column(column)
    figure = new_figure(max(5.0, 2.0 + 0.75 * len(counts)), 4.8)
    axes = figure.subplots()
    drawn = axes.boxplot(
        [values[table.of_genre(genre)] for genre in counts],
        positions=range(len(counts)),
        widths=0.6,
        patch_artist=True,
        medianprops={"color": "black"},
        flierprops={"marker": "o", "markersize": 3, "markeredgecolor": "0.4"},
        manage_ticks=False,
    )
    looks = styles(list(counts))
    for box, genre in zip(drawn["boxes"], counts, strict=True):
        box.set_facecolor(looks[genre].colour)
    name_ticks(axes, [f"{genre} ({n})" for genre, n in counts.items()], x=True)
    axes.set_xlim(-0.6, len(counts) - 0.4)
    axes.set_ylabel(f"{title.lower()} ({unit})")
    axes.set_xlabel("genre (rows)")
    axes.set_title(f"{title} by genre")
    axes.grid(axis="y", alpha=0.3)
    caption = (
        "Box: the middle half, with its median; whiskers reach to the farthest row within 1.5 "
        f"times its height; circles lie beyond. {len(values)} rows of {table.source}."
    )
    return Picture(name, f"{title} by genre", caption, figure)


def pca_picture(table: FeatureTable) -> Picture:
    """Draw all rows on the first two principal components of the standardised features.

    Parameters
    ----------
    table : FeatureTable
        At least three rows.

    Returns
    -------
    Picture

    Raises
    ------
    ModelError
        If there are fewer rows, or all are alike.
    """
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    _need_rows(table, "a principal component")
    if np.ptp(table.values, axis=0).max() == 0.0:
        raise ModelError(f"all {len(table.values)} rows are alike", "Give different tracks.")
    scaled = StandardScaler().fit_transform(table.values)
    pca = PCA(n_components=2, svd_solver="full").fit(scaled)
    points = pca.transform(scaled)
    shares = pca.explained_variance_ratio_
    figure = new_figure(9.0, 6.2)
    axes = figure.subplots()
    scatter_genres(axes, table, points)
    for genre, look in styles(list(table.counts)).items():
        centre = points[table.of_genre(genre)].mean(axis=0)
        axes.scatter(
            centre[0], centre[1], color=look.colour, marker=look.marker, s=130, edgecolor="black",
            linewidth=1.2, zorder=3,
        )  # fmt: skip
    axes.set_xlabel(f"component 1 ({shares[0]:.1%} of the variance)")
    axes.set_ylabel(f"component 2 ({shares[1]:.1%} of the variance)")
    axes.set_title("Genres on two principal components")
    axes.grid(alpha=0.3)
    legend_beside(axes, len(table.counts), "genre (rows)")
    caption = (
        f"{len(COLUMNS)} standardised features of {len(points)} rows of {table.source}; the two "
        f"components explain {shares.sum():.1%} of their variance. The large marks are the means "
        "of the genres."
    )
    return Picture("pca", "Principal components", caption, figure)


def scatter_genres(axes: Axes, table: FeatureTable, points: npt.NDArray[np.float64]) -> None:
    """Draw rows with the colour and the marker of their genre, and name these for a legend.

    Parameters
    ----------
    axes : Axes
        Where to draw.
    table : FeatureTable
        Gives the genres.
    points : ndarray of float64, shape (n, 2)
        Where its rows lie.
    """
    counts = table.counts
    for genre, look in styles(list(counts)).items():
        own = points[table.of_genre(genre)]
        axes.scatter(
            own[:, 0], own[:, 1], color=look.colour, marker=look.marker, s=14, alpha=0.75,
            edgecolor="black", linewidth=0.25, label=literal(f"{genre} ({counts[genre]})"),
        )  # fmt: skip


def _need_rows(table: FeatureTable, what: str) -> None:
    if len(table.values) < FEW:
        raise ModelError(
            f"{what} needs at least {FEW} tracks, there are {len(table.values)}",
            "Give more music.",
        )


# The picture of a support vector machine that tells genres apart by two features.


AXES = (
    ("zero_crossing_rate_mean", "zero-crossing rate (share of samples)"),
    ("spectral_centroid_mean", "spectral centroid (Hz)"),
)
"""The first two of the 36 features of Mălinescu and Giurgiu, in the order of their Table I."""

C = 100.0
"""Their best regularisation strength."""

MOST_ROWS = 3000
"""Fitting takes time with the square of the rows, and more would not be seen in a picture."""

HATCHES = ("", "//", "..", "xx")
"""Over the ground of the first ten genres, of the next ten, and so on: colours repeat."""

GRID = 250
"""Points along each side of the plane that are given a genre."""


def boundary_picture(table: FeatureTable, seed: int = 0) -> Picture:
    """Draw which genre a support vector machine gives to every point of a plane of two features.

    StandardScaler and SVC (RBF, C = 100) on the first two of the 36 features of I. Mălinescu and
    M. Giurgiu, fitted to all rows, as in their Fig. 3.

    Parameters
    ----------
    table : FeatureTable
        At least three rows of at least two genres.
    seed : int
        For the choice of rows where there are very many.

    Returns
    -------
    Picture

    Raises
    ------
    ModelError
        If there is only one genre, or there are too few rows.
    """
    genres = list(table.counts)
    if len(genres) < 2 or len(table.values) < 3:
        raise ModelError(
            f"a boundary needs two genres and three tracks, there are {len(genres)} and "
            f"{len(table.values)}",
            "Give more music.",
        )
    points = np.column_stack([table.column(name) for name, _ in AXES])
    numbers = np.array([genres.index(genre) for genre in table.genres])
    rows = _choose(len(points), seed)
    model = _fit(points[rows], numbers[rows])
    right = float(np.mean(model.predict(points[rows]) == numbers[rows]))
    figure = new_figure(9.0, 6.2)
    axes = figure.subplots()
    x, y = (_grid(column) for column in points.T)
    plane = model.predict(np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2))
    colours = [look.colour for look in styles(genres).values()]
    axes.pcolormesh(
        x, y, plane.reshape(GRID, GRID), vmin=-0.5, vmax=len(genres) - 0.5, alpha=0.5,
        cmap=require("matplotlib.colors", EXTRA).ListedColormap(colours), shading="nearest",
    )  # fmt: skip
    _hatch(axes, x, y, plane.reshape(GRID, GRID))
    scatter_genres(axes, table, points)
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(y[0], y[-1])
    axes.set_xlabel(AXES[0][1])
    axes.set_ylabel(AXES[1][1])
    axes.set_title("Decision boundary of an SVM on two features")
    legend_beside(axes, len(genres), "genre (rows)")
    return Picture("svm-boundary", "Decision boundary", _caption(table, rows, right, seed), figure)


def _choose(n: int, seed: int) -> npt.NDArray[np.int64]:
    if n <= MOST_ROWS:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, MOST_ROWS, replace=False))


def _fit(points: npt.NDArray[np.float64], numbers: npt.NDArray[np.int64]) -> Any:  # noqa: ANN401
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    return make_pipeline(StandardScaler(), SVC(C=C, kernel="rbf")).fit(points, numbers)


def _grid(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    margin = 0.05 * float(np.ptp(values)) or 1.0
    return np.linspace(values.min() - margin, values.max() + margin, GRID)


def _hatch(
    axes: Axes,
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    plane: npt.NDArray[np.int64],
) -> None:
    """Hatch the ground of the genres whose colour an earlier one has already."""
    laps = plane // len(PALETTE)
    for lap in range(1, int(laps.max()) + 1):
        drawn = axes.contourf(
            x, y, (laps == lap).astype(float), levels=(0.5, 1.5), colors="none",
            hatches=[HATCHES[min(lap, len(HATCHES) - 1)]],
        )  # fmt: skip
        drawn.set(edgecolor=(0.0, 0.0, 0.0, 0.3), linewidth=0.0)


def _caption(table: FeatureTable, rows: npt.NDArray[np.int64], right: float, seed: int) -> str:
    n = len(table.values)
    chosen = "all" if len(rows) == n else f"{len(rows)} (drawn with seed {seed}) of"
    hatched = (
        " Hatched ground is that of the eleventh genre and those after it."
        if len(table.counts) > len(PALETTE)
        else ""
    )
    return (
        "Ground: the genre that the machine gives to a point; marks: tracks, in the colour of "
        "their true genre. StandardScaler and SVC (RBF, C = 100) on the first two of the 36 "
        f"features, zero-crossing rate and spectral centroid, fitted to {chosen} {n} rows of "
        f"{table.source}. It gives {right:.1%} of those same rows their genre, which is no test "
        f"of it.{hatched}"
    )


# Pictures of one track: waveform, chroma, MFCC and mel spectrogram.


SHOWN = replace(MEL, window_s=30.0, max_windows=1)
"""What is drawn of a track: 30 s from its middle."""

N_MFCC = 20
N_MELS = 128
FMAX_HZ = 8000.0
"""Upper end of the mel picture, as in the report of Mijares and Manua."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A piece of a track.

    Attributes
    ----------
    name : str
        Of the track, for people.
    samples : ndarray of float32, shape (n,)
        Mono, in [-1, 1].
    sample_rate : int
        Hz.
    offset_s : float
        Where in the track it begins.
    """

    name: str
    samples: FloatArray
    sample_rate: int
    offset_s: float


def read_excerpt(path: Path, name: str) -> Excerpt:
    """Read up to 30 s from the middle of a track.

    Parameters
    ----------
    path : Path
        Audio.
    name : str
        What to call it.

    Returns
    -------
    Excerpt
        As long as the track where that is shorter.

    Raises
    ------
    AudioError
        If there is nothing to hear in it.
    """
    sound = decode(path, SHOWN)
    length = round(min(sound.duration_s, SHOWN.window_s) * sound.sample_rate)
    return Excerpt(name, sound.windows[0, :length], sound.sample_rate, sound.offsets_s[0])


def track_pictures(excerpt: Excerpt) -> list[Picture]:
    """Draw the four pictures of a track.

    Parameters
    ----------
    excerpt : Excerpt
        What to draw.

    Returns
    -------
    list of Picture
        Waveform, chroma, MFCC, mel.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    seconds = len(excerpt.samples) / excerpt.sample_rate
    of = f"{seconds:.1f} s of {excerpt.name}, from {excerpt.offset_s:.1f} s on."
    frame = f"n_fft {SHOWN.n_fft}, hop {SHOWN.hop_length} samples at {excerpt.sample_rate} Hz."
    return [
        Picture("track-waveform", "Waveform", of, waveform_figure(excerpt)),
        Picture(
            "track-chroma",
            "Chroma",
            f"{of} Energy of the twelve pitch classes, in each frame relative to its strongest; "
            f"{frame}",
            chroma_figure(excerpt),
        ),
        Picture(
            "track-mfcc",
            "MFCC",
            f"{of} {N_MFCC} mel-frequency cepstral coefficients. The first, which follows the "
            f"loudness, is far larger than the others and goes beyond the colours; {frame}",
            mfcc_figure(excerpt),
        ),
        Picture(
            "track-mel",
            "Mel spectrogram",
            f"{of} {N_MELS} mel bands up to {FMAX_HZ:.0f} Hz, 80 dB below the loudest point; "
            f"{frame}",
            mel_figure(excerpt),
        ),
    ]


def waveform_figure(excerpt: Excerpt) -> Figure:
    """Draw amplitude over time."""
    figure, axes = _canvas(excerpt, "Waveform", 3.2)
    require("librosa.display", EXTRA).waveshow(
        excerpt.samples,
        sr=excerpt.sample_rate,
        offset=excerpt.offset_s,
        ax=axes,
        color=PALETTE[0],
        axis=None,
    )
    peak = max(float(np.abs(excerpt.samples).max()), 1e-6)
    axes.set_ylim(-1.05 * peak, 1.05 * peak)
    _show_seconds(axes)
    axes.set_xlim(excerpt.offset_s, excerpt.offset_s + len(excerpt.samples) / excerpt.sample_rate)
    axes.set_ylabel("amplitude (full scale = 1)")
    axes.grid(alpha=0.3)
    return figure


def chroma_figure(excerpt: Excerpt) -> Figure:
    """Draw the strength of the pitch classes over time."""
    from recsys.one_librosa import librosa

    with warnings.catch_warnings():
        # Sound without a pitch gives librosa nothing to tune by; it then takes A = 440 Hz.
        warnings.filterwarnings("ignore", message="Trying to estimate tuning")
        chroma = librosa.feature.chroma_stft(
            y=excerpt.samples,
            sr=excerpt.sample_rate,
            n_fft=SHOWN.n_fft,
            hop_length=SHOWN.hop_length,
        )
    figure, axes = _canvas(excerpt, "Chroma", 3.6)
    image = _show(axes, excerpt, chroma, y_axis="chroma", cmap="magma", vmin=0.0, vmax=1.0)
    axes.set_yticks(range(12), ["C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B"])
    axes.set_ylabel("pitch class")
    figure.colorbar(image, ax=axes, label="strength (strongest = 1)")
    return figure


def mfcc_figure(excerpt: Excerpt) -> Figure:
    """Draw the MFCC over time."""
    from recsys.one_librosa import librosa

    mfcc = librosa.feature.mfcc(
        y=excerpt.samples,
        sr=excerpt.sample_rate,
        n_mfcc=N_MFCC,
        n_fft=SHOWN.n_fft,
        hop_length=SHOWN.hop_length,
    )
    widest = max(float(np.percentile(np.abs(mfcc[1:]), 99)), 1e-6)
    figure, axes = _canvas(excerpt, "MFCC", 3.6)
    image = _show(axes, excerpt, mfcc, cmap="RdBu_r", vmin=-widest, vmax=widest)
    axes.set_yticks(range(0, N_MFCC, 3), [str(number + 1) for number in range(0, N_MFCC, 3)])
    axes.set_ylabel("coefficient")
    figure.colorbar(image, ax=axes, label="value", extend="both")
    return figure


def mel_figure(excerpt: Excerpt) -> Figure:
    """Draw the mel spectrogram in decibels."""
    from recsys.one_librosa import librosa

    power = librosa.feature.melspectrogram(
        y=excerpt.samples,
        sr=excerpt.sample_rate,
        n_fft=SHOWN.n_fft,
        hop_length=SHOWN.hop_length,
        n_mels=N_MELS,
        fmax=FMAX_HZ,
    )
    decibels = librosa.power_to_db(power, ref=np.max, amin=1e-20)
    figure, axes = _canvas(excerpt, "Mel spectrogram", 4.0)
    image = _show(
        axes, excerpt, decibels, y_axis="mel", fmax=FMAX_HZ, cmap="magma", vmin=-80.0, vmax=0.0
    )
    ticks = [0, 256, 512, 1024, 2048, 4096, int(FMAX_HZ)]
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.set_ylabel("frequency (Hz, mel scale)")
    figure.colorbar(image, ax=axes, label="level (dB, loudest = 0)")
    return figure


def _canvas(excerpt: Excerpt, what: str, height: float) -> tuple[Figure, Axes]:
    figure = new_figure(9.0, height)
    axes = figure.subplots()
    axes.set_title(f"{what}: {literal(excerpt.name)}")
    return figure, axes


def _show(axes: Axes, excerpt: Excerpt, picture: FloatArray, **options: object) -> QuadMesh:
    """Draw a picture with time along x, in seconds of the track."""
    centres = np.arange(picture.shape[1]) * SHOWN.hop_length / excerpt.sample_rate
    image: QuadMesh = require("librosa.display", EXTRA).specshow(
        picture, x_coords=excerpt.offset_s + centres, sr=excerpt.sample_rate, ax=axes, **options
    )
    _show_seconds(axes)
    return image


def _show_seconds(axes: Axes) -> None:
    """Write plain seconds along x, where librosa would write minutes or nothing."""
    ticker = require("matplotlib.ticker", EXTRA)
    axes.xaxis.set_major_locator(ticker.AutoLocator())
    axes.xaxis.set_major_formatter(ticker.ScalarFormatter())
    axes.set_xlabel("time in the track (s)")


# ----------------------------------------------------------------------


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
