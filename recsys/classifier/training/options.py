"""What ``recsys train`` is given, and the progress that it reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from recsys.classifier.training.distil import DistilSettings
from recsys.classifier.training.tune import TuneSettings

if TYPE_CHECKING:
    from pathlib import Path

    from recsys.classifier.training.datasets import DataSources, LabelledMusic


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """Everything that ``recsys train`` is given."""

    sources: DataSources
    out: Path  # the ``.safetensors`` file to write
    settings: TuneSettings = field(default_factory=TuneSettings)
    # folder of MusiCNN's published weights; None: the installed package
    weights: Path | None = None
    # folders of music without genres, of which YAMNet teaches more units and tags
    unlabelled: tuple[Path, ...] = ()
    not_music: tuple[Path, ...] = ()  # folders of recordings that are no music: out of distribution
    yamnet: Path | None = None  # folder of YAMNet; None: the installed package
    distil: DistilSettings = field(default_factory=DistilSettings)
    workers: int = 2  # processes that decode


class TrainProgress:
    """Receives progress; does nothing by default."""

    def file_decoded(self, total: int) -> None:
        """Count one of `total` files, decoded or failed."""

    def music_loaded(self, music: LabelledMusic) -> None:
        """Receive the tracks that were found."""

    def track_augmented(self, total: int) -> None:
        """Count one of `total` tracks that the front end ran on, copies included."""

    def file_taught(self, total: int) -> None:
        """Count one of `total` files that the second teacher ran on."""

    def epoch_trained(self, total: int) -> None:
        """Count one of `total` epochs, over all networks."""
