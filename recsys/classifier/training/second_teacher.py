"""The second teacher at work: music without genres, and what YAMNet says of all tracks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.classifier.training.agreement import TagAgreement, measure_agreement
from recsys.classifier.training.datasets import decode_tracks, find_tracks, load_for_two
from recsys.classifier.training.distil import DistilSettings, TaughtTrack, distil
from recsys.classifier.training.tune import Unlabelled, penultimate, responses_to, ridge
from recsys.classifier.training.yamnet import (
    SOUNDS,
    Yamnet,
    YamnetPatches,
    describe,
    find_yamnet,
)
from recsys.errors import ModelError, RecsysError
from recsys.indexing.roots import check_folder
from recsys.library import scan
from recsys.mel import CompressedMel

if TYPE_CHECKING:
    from pathlib import Path

    from recsys.classifier.training.datasets import HalfArray, LabelledMusic
    from recsys.classifier.training.musicnn_torch import MusiCNN
    from recsys.classifier.training.options import TrainOptions, TrainProgress
    from recsys.types import FloatArray, IdArray

WINDOWS = 18
"""Of an unlabelled track: long tracks, and no labels that would be wrong in parts of them."""

LABELLED = "labelled"

LEAST_UNLABELLED = 20


@dataclass(frozen=True, slots=True, eq=False)
class SecondTeaching:
    """What a second teacher says of all tracks."""

    tags: tuple[str, ...]  # the second teacher's
    tracks: tuple[TaughtTrack, ...]  # unlabelled, music and other
    labelled: tuple[TaughtTrack | None, ...]  # None without audio
    columns: tuple[int, ...]  # of the tags among the classes
    agreement: dict[str, TagAgreement]  # of a network taught by the other half of the tracks
    settings: DistilSettings
    description: dict[str, Any]  # for the model card

    def widened(self, network: MusiCNN, rows: IdArray) -> MusiCNN:
        """Return a network with units that learned from this music, and some labelled tracks."""
        labelled = (self.labelled[row] for row in rows)
        return distil(network, [*self.tracks, *filter(None, labelled)], self.settings)

    def labelled_logits(self, number: int, n_windows: int) -> FloatArray:
        """Return the tag logits of a labelled track, NaN where it has no audio."""
        known = self.labelled[number]
        if known is not None and len(known.logits) == n_windows:
            return known.logits[:, self.columns]
        return np.full((n_windows, len(self.tags)), np.nan, dtype=np.float32)

    @property
    def not_music(self) -> tuple[HalfArray, ...]:
        """Responses to the recordings that are no music."""
        return tuple(track.responses for track in self.tracks if not track.is_music)

    def unlabelled(self, teacher: MusiCNN) -> Unlabelled:
        """Return the music among the tracks, with the tags of both teachers."""
        music = [track for track in self.tracks if track.is_music]
        units = penultimate(teacher, [track.responses for track in music])
        own = [_tags_of(teacher, rows) for rows in units]
        both = [
            np.concatenate([rows, track.logits[:, self.columns]], axis=1)
            for rows, track in zip(own, music, strict=True)
        ]
        return Unlabelled([track.responses for track in music], both, self.settings.units)


def _tags_of(teacher: MusiCNN, units: FloatArray) -> FloatArray:
    import torch

    with torch.inference_mode():
        logits: FloatArray = teacher.tags(torch.from_numpy(units)).numpy()
    return logits


def check_second_teacher(options: TrainOptions) -> None:
    """Raise RecsysError, before any work, for YAMNet or a folder that is missing or holds little.

    A folder without sound would pass unseen among others.
    """
    find_yamnet(options.yamnet)
    counts = {}
    for folder in (*options.unlabelled, *options.not_music):
        check_folder(folder)
        counts[folder] = sum(1 for _ in scan(folder))
        if not counts[folder]:
            raise ModelError(f"no audio file in {folder}", "Name a folder of recordings.")
    _check_enough(sum(counts[folder] for folder in options.unlabelled))


def _check_enough(count: int) -> None:
    if count < LEAST_UNLABELLED:
        raise ModelError(
            f"{count} tracks without genres are too few to learn from",
            f"Give folders with {LEAST_UNLABELLED} at least; some hundreds are useful.",
        )


def second_teaching(
    teacher: MusiCNN, music: LabelledMusic, options: TrainOptions, watcher: TrainProgress
) -> SecondTeaching:
    """Run YAMNet over all tracks, and measure which of its classes can be learned as tags.

    Raises ModelError if YAMNet is missing or the folders hold too little music.
    """
    folder = find_yamnet(options.yamnet)
    yamnet = Yamnet(folder)
    tracks = [
        *_taught(options.unlabelled, True, teacher, yamnet, options.workers, watcher),
        *_taught(options.not_music, False, teacher, yamnet, options.workers, watcher),
    ]
    _check_enough(sum(track.is_music for track in tracks))
    labelled = _labelled(music, options, teacher, yamnet)
    everything = [*tracks, *(track for track in labelled if track is not None)]
    columns = tuple(yamnet.classes.index(name) for name in SOUNDS)
    tags = tuple(SOUNDS.values())
    artists = dict(zip(map(id, labelled), music.groups.tolist(), strict=True))
    half = _halves(everything, artists)
    return SecondTeaching(
        tags=tags,
        tracks=tuple(tracks),
        labelled=tuple(labelled),
        columns=columns,
        agreement=_agreement(teacher, everything, half, columns, tags, options.distil),
        settings=options.distil,
        description=describe(folder)
        | {
            "unlabelled": {path.name: _count(tracks, path) for path in options.unlabelled},
            "not_music": {path.name: _count(tracks, path) for path in options.not_music},
        },
    )


def _count(tracks: Sequence[TaughtTrack], folder: Path) -> int:
    return sum(track.group == folder.name for track in tracks)


def _taught(
    folders: Sequence[Path],
    is_music: bool,
    teacher: MusiCNN,
    yamnet: Yamnet,
    workers: int,
    watcher: TrainProgress,
) -> list[TaughtTrack]:
    """Decode the files of folders and run both networks on them; unreadable files are left out."""
    files = [(folder, path) for folder in folders for path in (file.path for file in scan(folder))]
    paths = [path for _, path in files]
    found = []
    kinds = CompressedMel(max_windows=WINDOWS), YamnetPatches(max_windows=WINDOWS)
    for (folder, _), inputs in zip(files, load_for_two(paths, workers, *kinds), strict=True):
        watcher.file_taught(len(files))
        if isinstance(inputs, RecsysError):
            continue
        mel, patches = inputs
        found.append(_track(folder.name, is_music, responses_to(teacher, mel), patches, yamnet))
    return found


def _track(
    group: str,
    is_music: bool,
    responses: HalfArray,
    patches: FloatArray | HalfArray,
    yamnet: Yamnet,
) -> TaughtTrack:
    return TaughtTrack(group, is_music, responses, *yamnet.outputs(patches.astype(np.uint8)))


def _labelled(
    music: LabelledMusic, options: TrainOptions, teacher: MusiCNN, yamnet: Yamnet
) -> list[TaughtTrack | None]:
    """Return the labelled tracks without their labels, None for one without audio."""
    wanted = {track.key for track in music.tracks if track.audio is not None}
    files = [
        file
        for directory in options.sources.directories
        for file in find_tracks(directory)
        if file.key in wanted
    ]
    patches, _ = decode_tracks(files, YamnetPatches(), options.workers, None)
    return [
        None
        if track.audio is None or track.key not in patches
        else _track(
            LABELLED,
            True,
            responses_to(teacher, track.audio.astype(np.float32)),
            patches[track.key],
            yamnet,
        )
        for track in music.tracks
    ]


def _halves(tracks: Sequence[TaughtTrack], artists: dict[int, int]) -> list[bool]:
    """Divide tracks into halves; no folder, and no artist of the labelled ones, is in both."""
    folders = sorted({track.group for track in tracks})
    return [bool(artists.get(id(track), folders.index(track.group)) % 2) for track in tracks]


def _agreement(
    teacher: MusiCNN,
    tracks: Sequence[TaughtTrack],
    half: Sequence[bool],
    columns: tuple[int, ...],
    tags: tuple[str, ...],
    settings: DistilSettings,
) -> dict[str, TagAgreement]:
    """Teach a network half of the tracks, and compare its tags with the teacher's on the others."""
    learned = [track for track, first in zip(tracks, half, strict=True) if first]
    others = [track for track, first in zip(tracks, half, strict=True) if not first]
    network = distil(teacher, learned, settings)
    windows = np.concatenate(penultimate(network, [track.responses for track in learned]))
    weight, bias = ridge(windows, np.concatenate([t.logits[:, columns] for t in learned]))
    units = penultimate(network, [track.responses for track in others])
    mine = np.stack([rows.mean(axis=0) @ weight.T + bias for rows in units])
    theirs = np.stack([track.logits[:, columns].mean(axis=0) for track in others])
    return measure_agreement(mine, theirs, tags)
