"""How a track is cut into windows, and what of each window a model is shown."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from recsys.types import FloatArray


@dataclass(frozen=True, kw_only=True)
class Features(ABC):
    """Everything that decides what a model sees of a track.

    Every kind of features is a frozen dataclass of its own, so that a model card can say which
    one a model was trained on, and inference can do the same again.

    Attributes
    ----------
    kind : str
        Name of the kind in model cards and recipes; the same for all instances.
    half_precision : bool
        Half precision is fine enough for the values, and wide enough. The same for all instances.
    uses_librosa : bool
        Computing them loads librosa, which processes do best once for all of them. The same for
        all instances.
    sample_rate : int
        Hz.
    window_s : float
        Length of a window, seconds.
    max_windows : int
        Windows of a track at most, spread evenly over it.
    overlap : float
        Share of a window that it has in common with the next where a track is short, in [0, 1).
    """

    kind: ClassVar[str]
    half_precision: ClassVar[bool] = True
    uses_librosa: ClassVar[bool] = True

    sample_rate: int = 22_050
    window_s: float = 3.0
    max_windows: int = 10
    overlap: float = 0.0

    @property
    def window_length(self) -> int:
        """Samples in a window."""
        return round(self.window_s * self.sample_rate)

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Of what a model is shown of one window."""

    @abstractmethod
    def compute(self, samples: FloatArray) -> FloatArray:
        """Turn sound into what a model looks at.

        Parameters
        ----------
        samples : ndarray of float32, shape (n_windows, window_length)
            Windows of one track, nominally in [-1, 1], at ``sample_rate``.

        Returns
        -------
        ndarray of float32, shape (n_windows, *shape)
        """

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as they stand in a model card."""
        return {"kind": self.kind, **asdict(self)}
