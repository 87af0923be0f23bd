"""Figures of a collection: one track, and how the genres differ in their features."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from recsys.audio import decode
from recsys.classifier.training.datasets import find_tracks
from recsys.errors import ModelError, RecsysError, require
from recsys.papers.feature_table import as_csv, compute_table, read_table
from recsys.papers.features import COLUMNS, Mfcc, Spectra
from recsys.reports.drawing import (
    EXTRA,
    PALETTE,
    Picture,
    check_ready,
    data_uri,
    legend_right,
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
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    import numpy.typing as npt
    from matplotlib.axes import Axes

    from recsys.classifier.training.datasets import LabelledFile
    from recsys.papers.feature_table import FeatureTable
    from recsys.types import FloatArray

    Values = npt.NDArray[np.float64]

# Figures of a table of features.


MEANS = tuple(name for name in COLUMNS if name.endswith("_mean"))
"""The columns of the heat map."""

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
"""Names of the columns of means; MFCC count from 1, as in the table."""

LEAST_ROWS = 3
"""Fewer tracks give no meaningful correlation or component."""

BOUNDARY_AXES = {
    "zero_crossing_rate_mean": "zero-crossing rate (share of samples)",
    "spectral_centroid_mean": "spectral centroid (Hz)",
}
"""The first two of the 36 features of Mălinescu and Giurgiu, in the order of their Table I."""

C = 100.0
"""Their best regularisation strength."""

MOST_ROWS = 3000
"""The time to fit grows with the square of the rows, and a figure shows no more of them."""

HATCHES = ("", "//", "..", "xx")
"""Over the areas of the first ten genres, of the next ten, and so on: colours repeat."""

GRID = 250
"""Classified points along each side of the plane."""


def feature_name(column: str) -> str:
    """Return the name of a column of means.

    Examples
    --------
    >>> feature_name("rms_mean"), feature_name("mfcc12_mean")
    ('RMS', 'MFCC 12')
    """
    stem = column.removesuffix("_mean")
    return NAMES.get(stem, stem.replace("mfcc", "MFCC "))


def correlation_picture(table: FeatureTable) -> Picture:
    """Draw the correlation of every mean feature with every other as a heat map."""
    _need_rows(table, "a correlation")
    correlation = table.frame[list(MEANS)].corr()
    names = [feature_name(name) for name in MEANS]
    figure = new_figure(10.0, 8.8)
    axes = figure.subplots()
    axes.set_facecolor("0.8")
    image = axes.imshow(correlation, cmap="RdBu_r", vmin=-1.0, vmax=1.0)
    name_ticks(axes, names, x=True)
    name_ticks(axes, names, x=False)
    n = len(table.frame)
    axes.set_title(f"Correlation of the mean features, {n} rows")
    figure.colorbar(image, ax=axes, label="Pearson correlation", shrink=0.8)
    # pandas gives NaN where a column has no variance.
    constant = [
        name for name, column in zip(names, MEANS, strict=True) if correlation[column].isna().all()
    ]
    grey = f" Grey, as it never changes here: {', '.join(constant)}." if constant else ""
    caption = f"Pearson correlation over {n} rows of {table.source}.{grey}"
    return Picture("correlation", "Correlation of the features", caption, figure)


def box_picture(table: FeatureTable, column: str, name: str, title: str, unit: str) -> Picture:
    """Draw how one feature is distributed in every genre, as a figure with a file name."""
    counts = table.counts
    groups = table.frame.groupby("label")[column]
    figure = new_figure(max(5.0, 2.0 + 0.75 * len(counts)), 4.8)
    axes = figure.subplots()
    drawn = axes.boxplot(
        [groups.get_group(genre) for genre in counts],
        positions=range(len(counts)),
        widths=0.6,
        patch_artist=True,
        medianprops={"color": "black"},
        flierprops={"marker": "o", "markersize": 3, "markeredgecolor": "0.4"},
        manage_ticks=False,
    )
    for box, look in zip(drawn["boxes"], styles(list(counts)).values(), strict=True):
        box.set_facecolor(look.colour)
    name_ticks(axes, [f"{genre} ({n})" for genre, n in counts.items()], x=True)
    axes.set_xlim(-0.6, len(counts) - 0.4)
    axes.set_ylabel(f"{title.lower()} ({unit})")
    axes.set_xlabel("genre (rows)")
    axes.set_title(f"{title} by genre")
    axes.grid(axis="y", alpha=0.3)
    caption = (
        "Box: the middle half, with its median; whiskers reach to the farthest row within 1.5 "
        f"times its height; circles lie beyond. {len(table.frame)} rows of {table.source}."
    )
    return Picture(name, f"{title} by genre", caption, figure)


def pca_picture(table: FeatureTable) -> Picture:
    """Draw all rows on the first two principal components of the standardised features."""
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    _need_rows(table, "a principal component")
    values = table.frame[list(COLUMNS)].to_numpy()
    if np.ptp(values, axis=0).max() == 0.0:
        raise ModelError(f"all {len(values)} rows are alike", "Give different tracks.")
    pca = PCA(n_components=2, svd_solver="full")
    points = pca.fit_transform(StandardScaler().fit_transform(values))
    shares = pca.explained_variance_ratio_
    figure = new_figure(9.0, 6.2)
    axes = figure.subplots()
    _scatter_genres(axes, table, points)
    for genre, look in styles(list(table.counts)).items():
        centre = points[table.frame["label"] == genre].mean(axis=0)
        axes.scatter(
            centre[0], centre[1], color=look.colour, marker=look.marker, s=130, edgecolor="black",
            linewidth=1.2, zorder=3,
        )  # fmt: skip
    axes.set_xlabel(f"component 1 ({shares[0]:.1%} of the variance)")
    axes.set_ylabel(f"component 2 ({shares[1]:.1%} of the variance)")
    axes.set_title("Genres on two principal components")
    axes.grid(alpha=0.3)
    legend_right(axes, len(table.counts), "genre (rows)")
    caption = (
        f"{len(COLUMNS)} standardised features of {len(points)} rows of {table.source}; the two "
        f"components explain {shares.sum():.1%} of their variance. The large marks are the means "
        "of the genres."
    )
    return Picture("pca", "Principal components", caption, figure)


def boundary_picture(table: FeatureTable, seed: int = 0) -> Picture:
    """Draw the decision regions of a support vector machine on two features.

    StandardScaler and SVC (RBF, C = 100) on the first two of the 36 features of I. Mălinescu and
    M. Giurgiu, fitted to all rows, as in their Fig. 3; of very many rows a sample with `seed`.
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    genres, n = list(table.counts), len(table.frame)
    if len(genres) < 2 or n < LEAST_ROWS:
        raise ModelError(
            f"a boundary needs two genres and three tracks, there are {len(genres)} and {n}",
            "Give more music.",
        )
    points = table.frame[list(BOUNDARY_AXES)].to_numpy()
    numbers = table.frame["label"].map(genres.index).to_numpy()
    rows = np.arange(n)
    if n > MOST_ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(n, MOST_ROWS, replace=False))
    model = make_pipeline(StandardScaler(), SVC(C=C, kernel="rbf"))
    model.fit(points[rows], numbers[rows])
    right = float(np.mean(model.predict(points[rows]) == numbers[rows]))
    figure = new_figure(9.0, 6.2)
    axes = figure.subplots()
    x, y = (_grid(column) for column in points.T)
    plane = model.predict(np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)).reshape(GRID, GRID)
    colours = [look.colour for look in styles(genres).values()]
    axes.pcolormesh(
        x, y, plane, vmin=-0.5, vmax=len(genres) - 0.5, alpha=0.5, shading="nearest",
        cmap=require("matplotlib.colors", EXTRA).ListedColormap(colours),
    )  # fmt: skip
    _hatch(axes, x, y, plane)
    _scatter_genres(axes, table, points)
    axes.set_xlim(x[0], x[-1])
    axes.set_ylim(y[0], y[-1])
    axes.set_xlabel(BOUNDARY_AXES["zero_crossing_rate_mean"])
    axes.set_ylabel(BOUNDARY_AXES["spectral_centroid_mean"])
    axes.set_title("Decision boundary of an SVM on two features")
    legend_right(axes, len(genres), "genre (rows)")
    chosen = "all" if len(rows) == n else f"{len(rows)} (drawn with seed {seed}) of"
    caption = (
        "Areas: the predicted genre of a point; marks: tracks, in the colour of "
        "their true genre. StandardScaler and SVC (RBF, C = 100) on the first two of the 36 "
        f"features, zero-crossing rate and spectral centroid, fitted to {chosen} {n} rows of "
        f"{table.source}. It predicts the genre of {right:.1%} of those same rows, which is no "
        "test of it."
    )
    if len(genres) > len(PALETTE):
        caption += " Hatched areas are those of the eleventh genre and later ones."
    return Picture("svm-boundary", "Decision boundary", caption, figure)


def _grid(values: Values) -> Values:
    margin = 0.05 * float(np.ptp(values)) or 1.0
    return np.linspace(values.min() - margin, values.max() + margin, GRID)


def _hatch(axes: Axes, x: Values, y: Values, plane: npt.NDArray[np.int64]) -> None:
    """Hatch the areas of genres that share the colour of an earlier one."""
    laps = plane // len(PALETTE)
    for lap in range(1, int(laps.max()) + 1):
        drawn = axes.contourf(
            x, y, (laps == lap).astype(float), levels=(0.5, 1.5), colors="none",
            hatches=[HATCHES[min(lap, len(HATCHES) - 1)]],
        )  # fmt: skip
        drawn.set(edgecolor=(0.0, 0.0, 0.0, 0.3), linewidth=0.0)


def _scatter_genres(axes: Axes, table: FeatureTable, points: Values) -> None:
    """Draw rows with the colour and the marker of their genre, with labels for a legend."""
    counts = table.counts
    for genre, look in styles(list(counts)).items():
        own = points[table.frame["label"] == genre]
        axes.scatter(
            own[:, 0], own[:, 1], color=look.colour, marker=look.marker, s=14, alpha=0.75,
            edgecolor="black", linewidth=0.25, label=literal(f"{genre} ({counts[genre]})"),
        )  # fmt: skip


def _need_rows(table: FeatureTable, purpose: str) -> None:
    if len(table.frame) < LEAST_ROWS:
        raise ModelError(
            f"{purpose} needs at least {LEAST_ROWS} tracks, there are {len(table.frame)}",
            "Give more music.",
        )


# Figures of one track.


SHOWN = Mfcc(window_s=30.0, max_windows=1, n_mfcc=20)
"""Excerpt of a track: 30 s from its middle."""

N_MELS = 128
FMAX_HZ = 8000
"""Upper end of the mel spectrogram, as in the report of Mijares and Manua."""

PITCH_CLASSES = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A piece of a track."""

    name: str  # of the track, for people
    samples: FloatArray  # float32 (n,), mono, in [-1, 1]
    sample_rate: int
    offset_s: float  # of its start in the track

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate


def read_excerpt(path: Path, name: str) -> Excerpt:
    """Read up to 30 s from the middle of a track; raises AudioError if it cannot be read."""
    sound = decode(path, SHOWN)
    # Decoding repeats a track that is shorter than a window: cut the repetitions off.
    length = round(min(sound.duration_s, SHOWN.window_s) * sound.sample_rate)
    return Excerpt(name, sound.windows[0, :length], sound.sample_rate, sound.offsets_s[0])


def track_pictures(excerpt: Excerpt) -> list[Picture]:
    """Draw waveform, chroma, MFCC, mel spectrogram and spectral centroid of a track."""
    spectra = Spectra(excerpt.samples, excerpt.sample_rate, SHOWN.n_fft, SHOWN.hop_length)
    mfcc = spectra.mfcc(SHOWN.n_mfcc)
    # Not the first coefficient: it would leave the others without colour.
    widest = max(float(np.percentile(np.abs(mfcc[1:]), 99)), 1e-6)
    mel = _mel_decibels(spectra, excerpt.sample_rate)
    return [
        _waveform(excerpt),
        _image(
            excerpt, "track-chroma", "Chroma", spectra.chroma(), 3.6,
            note="Energy of the twelve pitch classes, in each frame relative to its strongest;",
            label="pitch class",
            ticks=(range(12), PITCH_CLASSES),
            colours={"label": "strength (strongest = 1)"},
            options={"y_axis": "chroma", "cmap": "magma", "vmin": 0.0, "vmax": 1.0},
        ),
        _image(
            excerpt, "track-mfcc", "MFCC", mfcc, 3.6,
            note=f"{SHOWN.n_mfcc} mel-frequency cepstral coefficients. The first, which follows"
            " the loudness, is far larger than the others and exceeds the colour scale;",
            label="coefficient",
            ticks=(range(0, SHOWN.n_mfcc, 3), range(1, SHOWN.n_mfcc + 1, 3)),
            colours={"label": "value", "extend": "both"},
            options={"cmap": "RdBu_r", "vmin": -widest, "vmax": widest},
        ),
        _image(
            excerpt, "track-mel", "Mel spectrogram",
            mel, 4.0,
            note=f"{N_MELS} mel bands up to {FMAX_HZ} Hz, 80 dB below the loudest point;",
            label="frequency (Hz, mel scale)",
            ticks=([0, *(256 * 2**n for n in range(5)), FMAX_HZ],) * 2,
            colours={"label": "level (dB, loudest = 0)"},
            options={"y_axis": "mel", "fmax": FMAX_HZ, "cmap": "magma", "vmin": -80.0, "vmax": 0.0},
        ),
        _centroid(excerpt, spectra),
    ]  # fmt: skip


def _mel_decibels(spectra: Spectra, sample_rate: int) -> FloatArray:
    """Return the mel spectrogram (N_MELS, frames), dB below its loudest point."""
    from recsys.one_librosa import librosa

    mel = librosa.feature.melspectrogram(
        S=spectra.power, sr=sample_rate, n_mels=N_MELS, fmax=FMAX_HZ
    )
    decibels: FloatArray = librosa.power_to_db(mel, ref=np.max, amin=1e-20)
    return decibels


def _centroid(excerpt: Excerpt, spectra: Spectra) -> Picture:
    """Draw the spectral centroid over time; silence has none."""
    values = np.where(spectra.power.sum(axis=0) > 0, spectra.centroid()[0], np.nan)
    times = excerpt.offset_s + np.arange(len(values)) * SHOWN.hop_length / excerpt.sample_rate
    figure = new_figure(9.0, 3.2)
    axes = figure.subplots()
    axes.plot(times, values, color=PALETTE[0], linewidth=0.8)
    axes.fill_between(times, values, color=PALETTE[0], alpha=0.25, linewidth=0)
    _label_time(axes, excerpt, "Spectral centroid")
    axes.set_xlim(excerpt.offset_s, excerpt.offset_s + excerpt.duration_s)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("frequency (Hz)")
    axes.grid(alpha=0.3)
    note = "The centre of mass of the magnitudes of each frame: how bright it sounds."
    return Picture("track-centroid", "Spectral centroid", f"{_extent(excerpt)} {note}", figure)


PAIRS = (("country", "rock"), ("classical", "blues"))
"""Genres whose spectrograms Becker et al. set side by side: like each other, and unlike."""


def pairs_picture(excerpts: Mapping[str, Excerpt]) -> Picture:
    """Draw mel spectrograms of pairs of genres side by side, on one scale of levels.

    The pairs are PAIRS where `excerpts` has the genres, else the first two genres.
    """
    if len(excerpts) < 2:
        raise ModelError("a pair needs tracks of two genres that can be read", "Give --data.")
    pairs = [pair for pair in PAIRS if set(pair) <= set(excerpts)]
    pairs = pairs or [(first, second) for first, second in [tuple(sorted(excerpts))[:2]]]
    figure = new_figure(10.0, 0.6 + 2.8 * len(pairs))
    grid = figure.subplots(len(pairs), 2, squeeze=False)
    for axes, genre in zip(grid.ravel(), (genre for pair in pairs for genre in pair), strict=True):
        own = excerpts[genre]
        spectra = Spectra(own.samples, own.sample_rate, SHOWN.n_fft, SHOWN.hop_length)
        image = require("librosa.display", EXTRA).specshow(
            _mel_decibels(spectra, own.sample_rate), sr=own.sample_rate, ax=axes, cmap="magma",
            hop_length=SHOWN.hop_length, y_axis="mel", fmax=FMAX_HZ, vmin=-80.0, vmax=0.0,
        )  # fmt: skip
        axes.set_title(literal(own.name))
        axes.set_ylabel("frequency (Hz)")
        axes.set_xlabel(f"time ({own.duration_s:.0f} s from the middle)")
    figure.colorbar(image, ax=grid, label="level (dB, loudest = 0)")
    caption = f"{N_MELS} mel bands up to {FMAX_HZ} Hz. One track of a genre shows no more than it."
    return Picture("spectrogram-pairs", "Pairs of spectrograms", caption, figure)


def _waveform(excerpt: Excerpt) -> Picture:
    figure = new_figure(9.0, 3.2)
    axes = figure.subplots()
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
    _label_time(axes, excerpt, "Waveform")
    axes.set_xlim(excerpt.offset_s, excerpt.offset_s + excerpt.duration_s)
    axes.set_ylabel("amplitude (full scale = 1)")
    axes.grid(alpha=0.3)
    return Picture("track-waveform", "Waveform", _extent(excerpt), figure)


def _image(
    excerpt: Excerpt,
    name: str,
    title: str,
    values: FloatArray,
    height: float,
    *,
    note: str,
    label: str,
    ticks: tuple[Iterable[int], Iterable[object]],
    colours: Mapping[str, Any],
    options: Mapping[str, object],
) -> Picture:
    """Draw values (rows, frames) over the seconds of the track, rows labelled at `ticks`."""
    figure = new_figure(9.0, height)
    axes = figure.subplots()
    centres = np.arange(values.shape[1]) * SHOWN.hop_length / excerpt.sample_rate
    image = require("librosa.display", EXTRA).specshow(
        values, x_coords=excerpt.offset_s + centres, sr=excerpt.sample_rate, ax=axes, **options
    )
    _label_time(axes, excerpt, title)
    axes.set_yticks(list(ticks[0]), [str(text) for text in ticks[1]])
    axes.set_ylabel(label)
    figure.colorbar(image, ax=axes, **colours)
    framing = f"n_fft {SHOWN.n_fft}, hop {SHOWN.hop_length} samples at {excerpt.sample_rate} Hz."
    return Picture(name, title, f"{_extent(excerpt)} {note} {framing}", figure)


def _extent(excerpt: Excerpt) -> str:
    return f"{excerpt.duration_s:.1f} s of {excerpt.name}, from {excerpt.offset_s:.1f} s on."


def _label_time(axes: Axes, excerpt: Excerpt, title: str) -> None:
    """Label x in seconds, where librosa would write minutes or nothing."""
    ticker = require("matplotlib.ticker", EXTRA)
    axes.xaxis.set_major_locator(ticker.AutoLocator())
    axes.xaxis.set_major_formatter(ticker.ScalarFormatter())
    axes.set_xlabel("time in the track (s)")
    axes.set_title(f"{title}: {literal(excerpt.name)}")


# The page.


LIBRARIES = ("matplotlib.figure", "jinja2", "librosa.display", "pandas")

TRACK_PICTURES = (*("track-waveform", "track-chroma", "track-mfcc", "track-mel", "track-centroid"),)

COLLECTION: Mapping[str, Callable[[FeatureTable], Picture]] = {
    "correlation": correlation_picture,
    "tempo": lambda table: box_picture(table, "tempo", "tempo", "Tempo", "beats per minute"),
    "spectral-centroid": lambda table: box_picture(
        table, "spectral_centroid_mean", "spectral-centroid", "Spectral centroid", "Hz"
    ),
    "pca": pca_picture,
    "svm-boundary": boundary_picture,
}
"""The figures of a collection, by the name of their file."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Input of a gallery; `data` or `table` is needed."""

    data: Path | None  # folder of genre folders
    table: Path | None = None  # of features; else they are computed from `data`
    track: Path | None = None  # by default the first readable one of `data`


@dataclass(slots=True)
class Gallery:
    """A page of figures, and those left out."""

    page: Path
    source: str = ""  # of the features
    genres: dict[str, int] = field(default_factory=dict)  # genre to rows
    pictures: list[Picture] = field(default_factory=list)  # in the order of the page
    skipped: list[tuple[str, str]] = field(default_factory=list)  # figure and reason
    failed: dict[Path, str] = field(default_factory=dict)  # file and reason
    notes: list[str] = field(default_factory=list)


def explore(
    sources: Sources,
    out: Path,
    *,
    workers: int | None = None,
    on_start: Callable[[int], None] | None = None,
    on_file: Callable[[bool], None] | None = None,
) -> Gallery:
    """Draw a collection, and write the figures and a page of them into a folder.

    Computed features are written too, as ``features.csv``, to be given as a table next time.

    Parameters
    ----------
    sources : Sources
    out : Path
        A folder, made if it does not exist.
    workers : int, optional
        Processes that decode; by default as many as there are processors.
    on_start : callable, optional
        Called with the number of files before they are analysed.
    on_file : callable, optional
        Called once per file, with whether it failed.

    Raises
    ------
    RecsysError
        If `out` cannot be written, a library is missing, `sources.track` cannot be read, or
        there is neither a usable folder nor a usable table.
    """
    check_ready(out, LIBRARIES)
    gallery = Gallery(out / "index.html")
    files = [] if sources.data is None else find_tracks(sources.data, allow_empty=True)
    excerpt = _excerpt(sources.track, files, gallery)
    if sources.table is None:
        if on_start is not None:
            on_start(len(files))
        source = f"30 s of every track in {sources.data}"
        table = compute_table(files, source, workers=workers, on_file=on_file)
        write_file(out / "features.csv", as_csv(table.frame))
    else:
        table = read_table(sources.table)
    gallery.source, gallery.genres = table.source, table.counts
    gallery.failed.update(table.failed)
    gallery.notes += [*table.notes, *_about_genres(sources, table, out)]
    _draw(gallery, excerpt, table)
    try:
        gallery.pictures.append(pairs_picture(_one_of_each(files)))
    except ModelError as error:
        gallery.skipped.append(("spectrogram-pairs", error.message))
    remove_stale(out, [name for name, _ in gallery.skipped])
    shown = []
    for picture in gallery.pictures:
        image = png(picture.figure)
        write_file(out / picture.file_name, image)
        shown.append(
            {"title": picture.title, "caption": picture.caption, "source": data_uri(image)}
        )
    values = {
        "title": "What the collection looks like",
        "created": f"{datetime.now(UTC):%d %B %Y, %H:%M %Z}",
        "gallery": gallery,
        "pictures": shown,
    }
    write_file(gallery.page, render("gallery.html", values))
    return gallery


def _draw(gallery: Gallery, excerpt: Excerpt | None, table: FeatureTable) -> None:
    """Draw what the data allows, and note the figures that it does not."""
    if excerpt is None:
        reason = "no track was given that can be read"
        gallery.skipped += [(name, reason) for name in TRACK_PICTURES]
    else:
        gallery.pictures += track_pictures(excerpt)
    for name, draw in COLLECTION.items():
        try:
            gallery.pictures.append(draw(table))
        except ModelError as error:
            gallery.skipped.append((name, error.message))


def _excerpt(track: Path | None, files: Sequence[LabelledFile], gallery: Gallery) -> Excerpt | None:
    """Read the given track, or else the first readable file; note the files that are not."""
    if track is not None:
        return read_excerpt(track, track.name)
    for file in files:
        try:
            return read_excerpt(file.path, f"{file.genre}/{file.path.name}")
        except RecsysError as error:
            gallery.failed[file.path] = error.message
    return None


def _one_of_each(files: Sequence[LabelledFile]) -> dict[str, Excerpt]:
    """Read the first readable track of each genre that a pair may be of."""
    genres = sorted({file.genre for file in files})
    paired = [genre for pair in PAIRS if set(pair) <= set(genres) for genre in pair]
    found: dict[str, Excerpt] = {}
    for file in files:
        if file.genre in (paired or genres[:2]) and file.genre not in found:
            with contextlib.suppress(RecsysError):  # told when the features were computed
                found[file.genre] = read_excerpt(file.path, f"{file.genre}/{file.path.name}")
    return found


def _about_genres(sources: Sources, table: FeatureTable, out: Path) -> list[str]:
    notes = []
    if sources.data is not None:
        empty = empty_genre_folders(sources.data, out)
        notes += [f"the genre folder {genre!r} holds no audio" for genre in empty]
    counts = table.counts
    least, most = (choose(counts, key=counts.__getitem__) for choose in (min, max))
    if counts[most] > 2 * counts[least]:
        notes.append(
            f"the genres are of unequal size: {counts[least]} of {least}, {counts[most]} of {most}"
        )
    return notes


def empty_genre_folders(directory: Path, out: Path | None = None) -> tuple[str, ...]:
    """Name the genre folders of DIR/GENRE/track.ext that hold no audio, sorted.

    `out` is the folder of a report, which may be in `directory` and is no genre. Raises ModelError
    if no genre folder holds audio.
    """
    full = {file.genre for file in find_tracks(directory, allow_empty=True)}
    own = out.resolve() if out else None
    folders = (path for path in directory.iterdir() if path.is_dir() and path.resolve() != own)
    names = {path.name for path in folders if not path.name.startswith(".")}
    return tuple(sorted(names - full))
