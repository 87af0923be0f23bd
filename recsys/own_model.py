"""A library's own genres: learned from its tags or folders, shown, and then perhaps used.

No audio is read. The embeddings that the library holds are all that a head is fitted on, and when
it becomes the library's own, all that its probabilities are made from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from recsys.classifier.calibrate import softmax
from recsys.classifier.checkpoint import ModelCard, card_path, load_card
from recsys.classifier.own_genres import OwnGenres, learn_own_genres
from recsys.classifier.own_labels import LabelRules, OwnLabels, gather_labels
from recsys.errors import ModelError, QueryError
from recsys.index_sync import bring_up_to_date
from recsys.store import LibraryLock, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from recsys.types import FloatArray, IdArray, ModelInfo


@dataclass(frozen=True, slots=True)
class Proposal:
    """What could become a library's own genres.

    Attributes
    ----------
    database : Path
        The library.
    rules : LabelRules
        How its labels were gathered.
    own : OwnLabels
        What was learned from.
    found : OwnGenres
        The head, and how good it is.
    trunk : Path or None
        The library's present model; None for the shipped one.
    present : ModelCard
        Of that model.
    notes : tuple of str
        What a reader of the figures must know.
    """

    database: Path
    rules: LabelRules
    own: OwnLabels
    found: OwnGenres
    trunk: Path | None
    present: ModelCard
    notes: tuple[str, ...]


def propose(
    database: Path,
    rules: LabelRules,
    folders: Sequence[Path] = (),
    *,
    on_fold: Callable[[], None] | None = None,
) -> Proposal:
    """Learn a library's own genres; nothing is changed.

    Parameters
    ----------
    database : Path
        An indexed library.
    rules : LabelRules
        Which tracks and genres to learn from; its seed is that of the folds too.
    folders : sequence of Path
        Learn only from tracks in these; by default from all. With folders as the source, the
        genre folders lie directly in them.
    on_fold : callable, optional
        Called after every fit, for a progress bar.

    Returns
    -------
    Proposal

    Raises
    ------
    RecsysError
        If the library is empty, holds too few labels, or its model is not to be found any more.
    """
    with Store.open(database, read_only=True) as store:
        info, trunk = store.model(), store.model_path()
        if info is None or not store.genre_counts():
            raise QueryError(
                f"the library {database} holds no tracks yet",
                "Index a folder first: recsys index ~/Music",
            )
        present = _card_of(trunk, info)
        own = gather_labels(store.all_tracks(), folders or store.roots(), rules)
        embeddings, genres = _heard(store, own, info)
    found = learn_own_genres(own, embeddings, genres, info.labels, seed=rules.seed, on_fold=on_fold)
    return Proposal(database, rules, own, found, trunk, present, _notes(own, found, present))


def _card_of(trunk: Path | None, info: ModelInfo) -> ModelCard:
    """Return the card of the library's model, and raise if the file is another one by now."""
    card = load_card(trunk).at_effort(info.effort)
    if card.info().identity != info.identity:
        where = f"the file {trunk}" if trunk else "the model that comes with recsys"
        raise ModelError(
            f"the library was analysed with the model {info.name} ({info.fingerprint}), and {where}"
            f" is another one by now ({card.fingerprint})",
            "Analyse the library with it first: recsys index --reanalyse FOLDER",
        )
    return card


def _heard(store: Store, own: OwnLabels, info: ModelInfo) -> tuple[FloatArray, IdArray]:
    """Return the embeddings of the tracks, and what the present model takes them for."""
    embeddings = np.empty((len(own.tracks), info.dimension), dtype=np.float32)
    genres = np.empty(len(own.tracks), dtype=np.int64)
    for place, track in enumerate(own.tracks):
        analysis = store.analysis(track.id)
        if analysis is None:
            raise QueryError(
                f"{track.path} was taken out of the library meanwhile", "Give the command again."
            )
        embeddings[place] = analysis.embedding
        genres[place] = analysis.probabilities.argmax()
    return embeddings, genres


def _notes(own: OwnLabels, found: OwnGenres, present: ModelCard) -> tuple[str, ...]:
    notes = []
    if "own_genres" in present.training:
        notes.append(
            "the present model learned its genres from tracks of this library; its figures are"
            " too good, because it is judged by what it learned"
        )
    if found.folds < 3:
        notes.append(f"with {found.folds} artists in all, the figures say little")
    without = {kind: count for kind, count in own.grouped_by.items() if kind != "artist"}
    if without:
        words = ", ".join(f"{count} {_GROUPED[kind]}" for kind, count in sorted(without.items()))
        notes.append(
            f"tracks without an artist tag: {words}; where that parts an artist, figures are"
            " too good"
        )
    return tuple(notes)


_GROUPED = {
    "album": "kept together by album",
    "folder": "kept together by folder",
    "alone": "each on its own",
}


def save_proposal(proposal: Proposal, out: Path) -> ModelCard:
    """Write the model, the library's network with the new head, as a checkpoint.

    Parameters
    ----------
    proposal : Proposal
    out : Path
        Ends in ``.safetensors``.

    Returns
    -------
    ModelCard
        As written.

    Raises
    ------
    ModelError
        If it cannot be written, or `out` is the model that the library uses now.
    """
    from recsys.classifier.own_checkpoint import save_own_genres

    if proposal.trunk is not None and out.exists() and out.samefile(proposal.trunk):
        raise ModelError(
            f"--out {out} is the model that the library uses now",
            "Choose another name; it is needed until another one takes its place.",
        )
    return save_own_genres(out, proposal.trunk, proposal.own, proposal.found, proposal.rules)


def place_beside(database: Path) -> Path:
    """Return a name that is free for a model of a library: ``library.genres-1.safetensors``."""
    number = 1
    while True:
        place = database.with_name(f"{database.stem}.genres-{number}.safetensors")
        if not place.exists() and not card_path(place).exists():
            return place
        number += 1


def use_proposal(proposal: Proposal, model: Path, card: ModelCard) -> int:
    """Make a saved proposal the library's model: probabilities, genres and the index follow.

    Parameters
    ----------
    proposal : Proposal
    model : Path
        Where :func:`save_proposal` wrote it.
    card : ModelCard
        What that returned.

    Returns
    -------
    int
        Sounds whose probabilities were computed again, from their embeddings.

    Raises
    ------
    StoreError
        If another process is writing to the library, or its model was changed meanwhile. Then
        nothing has changed.
    """
    head, temperature = proposal.found.head, card.temperature
    card = card.at_effort(proposal.present.effort)

    def probabilities_of(embeddings: FloatArray) -> FloatArray:
        return softmax(head.logits(embeddings), temperature).astype(np.float32)

    with LibraryLock(proposal.database, 0.0), Store.open(proposal.database) as store:
        count = store.change_head(
            card.info(),
            card.to_json(),
            model,
            probabilities_of,
            before=proposal.present.info(),
        )
        bring_up_to_date(store)
    return count
