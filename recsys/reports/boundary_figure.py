"""The picture of a support vector machine that tells genres apart by two features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recsys.errors import ModelError
from recsys.extras import require
from recsys.reports.collection_figures import scatter_genres
from recsys.reports.drawing import PALETTE, Picture, legend_beside, new_figure, styles
from recsys.reports.output import EXTRA

if TYPE_CHECKING:
    from typing import Any

    import numpy.typing as npt
    from matplotlib.axes import Axes

    from recsys.reports.feature_table import FeatureTable

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
