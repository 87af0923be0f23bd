"""Pictures of a collection: how its features go together, and how they tell genres apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recsys.errors import ModelError
from recsys.features.public_table import COLUMNS
from recsys.reports.drawing import (
    Picture,
    legend_beside,
    literal,
    name_ticks,
    new_figure,
    styles,
)

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes

    from recsys.reports.feature_table import FeatureTable

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
