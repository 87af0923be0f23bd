"""A genre head on the user's own genres, judged before anybody relies on it.

Every figure here comes from heads that learned from no track of the artist whose tracks they
judge. Beside them stand the present model, on the genres that both know, and the answer that is
right most often without listening at all.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from recsys.classifier.calibrate import (
    fit_temperature,
    fit_thresholds,
    smoothed_confusion,
    softmax,
)
from recsys.classifier.card import ModelCard, card_path, load_card, save_model
from recsys.classifier.inference import load_model
from recsys.classifier.track_head import REGULARISATION, LinearHead, fit_head, out_of_fold_logits
from recsys.classifier.training.architectures import TrackHead
from recsys.classifier.training.evaluate import (
    RESAMPLES,
    Evaluation,
    GroupBootstrap,
    Measured,
    as_dict,
    score,
)
from recsys.errors import ModelError, QueryError
from recsys.index.sync import bring_up_to_date
from recsys.names import MergedGenre, first_genre, labels_meant, merge_spellings, spelling_key
from recsys.store import LibraryLock, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from recsys.types import FloatArray, IdArray, ModelInfo, Track

# Whose genres a library has: tags or folders as labels, merged, counted, and grouped by artist.


Source = Literal["tags", "folders"]

LARGEST_ALBUM_FOLDER = 40
"""A folder of more tracks without artist and album is taken for a collection, not for an album."""


@dataclass(frozen=True, slots=True)
class LabelRules:
    """Which tracks and genres are learned from.

    Attributes
    ----------
    source : str
        ``tags``: the first name in the genre tag. ``folders``: the folder directly below a root.
    min_tracks, min_artists : int
        A genre with fewer is left out.
    most_per_genre : int
        Of a genre with more tracks, so many are drawn at random.
    seed : int
        Of that draw.
    """

    source: Source = "tags"
    min_tracks: int = 8
    min_artists: int = 3
    most_per_genre: int = 2000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A genre with too little to learn from."""

    genre: str
    tracks: int
    artists: int


@dataclass(frozen=True, slots=True)
class OwnLabels:
    """The tracks that a genre head can learn from, and how they came to be those.

    Attributes
    ----------
    tracks : tuple of Track
        Every sound once.
    targets : ndarray of int64, shape (n,)
        Their genres, as numbers of `labels`.
    labels : tuple of str
        Genres, in the order of the alphabet.
    groups : ndarray of int64, shape (n,)
        Tracks of one artist have one number.
    grouped_by : dict of str to int
        How many tracks are grouped by ``artist``, ``album``, ``folder`` or stand ``alone``.
    merged : tuple of MergedGenre
        The spellings of each genre in `labels`, before any draw; the largest genre first.
    left_out : tuple of LeftOut
        Genres with too few tracks or artists; the largest first.
    unlabelled : int
        Tracks without a genre.
    copies : int
        Tracks that are passed over because another one is the same sound.
    """

    tracks: tuple[Track, ...]
    targets: IdArray
    labels: tuple[str, ...]
    groups: IdArray
    grouped_by: dict[str, int]
    merged: tuple[MergedGenre, ...]
    left_out: tuple[LeftOut, ...]
    unlabelled: int
    copies: int

    @property
    def drawn(self) -> int:
        """Tracks that were left out by the draw from large genres."""
        return sum(genre.count for genre in self.merged) - len(self.tracks)


def gather_labels(
    tracks: Iterable[Track], roots: Sequence[Path], rules: LabelRules = LabelRules()
) -> OwnLabels:
    """Find the genres of a library's tracks and leave out those that cannot be learned.

    Parameters
    ----------
    tracks : iterable of Track
        In a fixed order; of several with the same sound the first counts.
    roots : sequence of Path
        Folders whose tracks take part; genre folders lie directly in them.
    rules : LabelRules

    Returns
    -------
    OwnLabels

    Raises
    ------
    ModelError
        If fewer than two genres are left.
    """
    sounds: dict[str, tuple[Track, str]] = {}
    copies = unlabelled = 0
    for track in tracks:
        name = _genre_name(track, roots, rules.source)
        if name is None:
            unlabelled += 1
        elif track.audio_hash in sounds:
            copies += 1
        else:
            sounds[track.audio_hash] = (track, name)
    names = [name for _, name in sounds.values()]
    merged = merge_spellings(names)
    keys = [spelling_key(name) for name in names]
    labelled = [track for track, _ in sounds.values()]
    groups, kinds = _group(labelled, rules.source)
    learned, left_out = _sort_out(merged, keys, groups, rules)
    _check_enough(learned, left_out, unlabelled, rules)
    numbers = {genre.key: n for n, genre in enumerate(sorted(learned, key=lambda g: g.name))}
    targets = np.asarray([numbers.get(key, -1) for key in keys], dtype=np.int64)
    places = _draw(targets, len(numbers), rules)
    return OwnLabels(
        tracks=tuple(labelled[place] for place in places),
        targets=targets[places],
        labels=tuple(sorted(genre.name for genre in learned)),
        groups=np.unique(groups[places], return_inverse=True)[1].astype(np.int64),
        grouped_by=dict(Counter(kinds[place] for place in places)),
        merged=learned,
        left_out=left_out,
        unlabelled=unlabelled,
        copies=copies,
    )


def _genre_name(track: Track, roots: Sequence[Path], source: Source) -> str | None:
    """Return the genre of a track as it was written; None where nobody wrote one."""
    root = next((root for root in roots if track.path.is_relative_to(root)), None)
    if root is None:
        return None
    if source == "tags":
        return first_genre(track.tags.genre_tag)
    below = track.path.relative_to(root).parts
    return text_of(below[0]) if len(below) > 1 and spelling_key(below[0]) else None


def text_of(name: str) -> str:
    r"""Return the name of a file as text that every file can hold.

    Examples
    --------
    >>> text_of("Caf\udce9")
    'Caf\\udce9'
    """
    return name.encode("utf-8", "backslashreplace").decode()


def _group(tracks: Sequence[Track], source: Source) -> tuple[IdArray, list[str]]:
    """Give tracks of one artist one number, and say what stood for the artist."""
    folders = Counter(track.path.parent for track in tracks if not _named(track))
    named = [_group_of(track, source, folders) for track in tracks]
    numbers: dict[tuple[str, str], int] = {}
    groups = [numbers.setdefault((kind, name.casefold()), len(numbers)) for kind, name in named]
    return np.asarray(groups, dtype=np.int64), [kind for kind, _ in named]


def _group_of(track: Track, source: Source, folders: Counter[Path]) -> tuple[str, str]:
    if track.artist and track.artist.strip():
        return "artist", " ".join(track.artist.split())
    if track.tags.album and track.tags.album.strip():
        return "album", " ".join(track.tags.album.split())
    folder = track.path.parent
    # The folder of a genre is no album, and would keep the whole genre on one side.
    if source == "tags" and 1 < folders[folder] <= LARGEST_ALBUM_FOLDER:
        return "folder", str(folder)
    return "alone", str(track.path)


def _named(track: Track) -> bool:
    return bool((track.artist or "").strip() or (track.tags.album or "").strip())


def _sort_out(
    merged: Sequence[MergedGenre], keys: Sequence[str], groups: IdArray, rules: LabelRules
) -> tuple[tuple[MergedGenre, ...], tuple[LeftOut, ...]]:
    """Part the genres that can be learned from those with too few tracks or artists."""
    artists: dict[str, set[int]] = {}
    for key, group in zip(keys, groups.tolist(), strict=True):
        artists.setdefault(key, set()).add(group)
    learned, left_out = [], []
    for genre in merged:
        count = len(artists[genre.key])
        if genre.count < rules.min_tracks or count < rules.min_artists:
            left_out.append(LeftOut(genre.name, genre.count, count))
        else:
            learned.append(genre)
    return tuple(learned), tuple(left_out)


def _check_enough(
    learned: Sequence[MergedGenre],
    left_out: Sequence[LeftOut],
    unlabelled: int,
    rules: LabelRules,
) -> None:
    if len(learned) >= 2:
        return
    if not learned and not left_out:
        where = "genre tag" if rules.source == "tags" else "genre folder"
        raise ModelError(
            f"not one of the library's {unlabelled} tracks has a {where}",
            "Genres come from tags (--from-tags), or from the folders directly below the indexed "
            "ones (--from-folders, which also takes the folder of the genre folders).",
        )
    found = [f"{genre.name} ({genre.count} tracks)" for genre in learned]
    found += [f"{g.genre} ({g.tracks} tracks, {g.artists} artists)" for g in left_out[:5]]
    raise ModelError(
        f"{len(learned)} genres can be learned, and two are the least: {', '.join(found)}"
        + (f" and {len(left_out) - 5} more" if len(left_out) > 5 else ""),
        f"A genre needs {rules.min_tracks} tracks by {rules.min_artists} artists;"
        " see --min-tracks and --min-artists.",
    )


def _draw(targets: IdArray, n_genres: int, rules: LabelRules) -> list[int]:
    """Return the places of the tracks to learn from, in order, at most so many of a genre."""
    rng = np.random.default_rng(rules.seed)
    chosen: list[int] = []
    for genre in range(n_genres):
        members = np.flatnonzero(targets == genre)
        if len(members) > rules.most_per_genre:
            members = rng.choice(members, rules.most_per_genre, replace=False)
        chosen += members.tolist()
    return sorted(chosen)


# A head on own genres as a model file: the network that made the embeddings, and the head.


def save_own_genres(
    out: Path, trunk: Path | None, own: OwnLabels, found: OwnGenres, rules: LabelRules
) -> ModelCard:
    """Write a model that hears as another one does and speaks of own genres.

    Parameters
    ----------
    out : Path
        Ends in ``.safetensors``.
    trunk : Path or None
        The model whose embeddings the head was fitted on; None for the shipped one. A head on
        own genres that it has already is replaced.
    own : OwnLabels
        What was learned from.
    found : OwnGenres
        The head and what is known of it.
    rules : LabelRules
        How the labels were gathered.

    Returns
    -------
    ModelCard
        As written.

    Raises
    ------
    ModelError
        If `trunk` cannot be loaded or `out` cannot be written.
    """
    model, card = load_model(trunk)
    network = model
    sizes: dict[str, Any] = {
        "dimension": card.dimension,
        "network_genres": len(card.labels),
        "embeddings_of": card.fingerprint,
    }
    if isinstance(model, TrackHead):
        network, sizes = model.network, card.config["track_head"]
    whole = TrackHead(network, card.dimension, len(found.labels))
    with torch.no_grad():
        whole.genres.weight.copy_(torch.from_numpy(found.head.weight))
        whole.genres.bias.copy_(torch.from_numpy(found.head.bias))
    return save_model(
        out,
        whole,
        replace(
            card,
            name=out.stem,
            config={**card.config, "track_head": sizes},
            labels=found.labels,
            temperature=found.temperature,
            thresholds=found.thresholds,
            confusion=found.confusion,
            training=_training(card, own, rules),
            metrics=_metrics(found),
            # Those of the network's own genres.
            limits={},
            created=datetime.now(UTC).date().isoformat(),
        ),
    )


def is_own(card: ModelCard) -> bool:
    """Return whether a model's genres were learned from the tracks of somebody's library."""
    return "own_genres" in card.training


def _training(card: ModelCard, own: OwnLabels, rules: LabelRules) -> dict[str, Any]:
    """Say how the head was made; what is known of the network below it is kept as it was."""
    below = card.training["network"] if is_own(card) else {"name": card.name, **card.training}
    return {
        "own_genres": {
            "how": "multinomial logistic regression on unit embeddings of whole tracks, every "
            f"genre with the same weight, C = {REGULARISATION}; the network was not changed",
            "rules": asdict(rules),
            "tracks": {
                label: int((own.targets == number).sum()) for number, label in enumerate(own.labels)
            },
            "artists": len(set(own.groups.tolist())),
            "grouped_by": own.grouped_by,
            "spellings": {genre.name: dict(genre.spellings) for genre in own.merged},
            "left_out": [asdict(genre) for genre in own.left_out],
        },
        "network": below,
        "keys": _keys(own, below.get("keys", {})),
    }


def _keys(own: OwnLabels, below: dict[str, list[str]]) -> dict[str, list[str]]:
    """Name what head and network were made with, so that evaluating on it can be told."""
    learned = {text_of(f"{track.path.parent.name}/{track.path.stem}") for track in own.tracks}
    return {
        "train": sorted(learned | set(below.get("train", []))),
        "valid": sorted(below.get("valid", [])),
    }


def _metrics(found: OwnGenres) -> dict[str, Any]:
    return {
        "note": f"Cross-validated by artist, {found.folds} folds, seed {found.seed}; temperature,"
        " thresholds and confusion are of the same predictions.",
        "cross_validation": as_dict(found.evaluation),
        "always_the_commonest": asdict(found.majority),
        "with_artists_resampled": {"resamples": RESAMPLES, **asdict(found.new)},
        "compared_with_the_model_before": found.comparison and asdict(found.comparison),
    }


# ----------------------------------------------------------------------


FOLDS = 5


@dataclass(frozen=True, slots=True)
class Contender:
    """How often someone finds the genre.

    Attributes
    ----------
    name : str
        ``new head``, ``present model`` or ``always GENRE``.
    accuracy, macro_f1 : Measured
        With 95% intervals from resampling whole artists.
    """

    name: str
    accuracy: Measured
    macro_f1: Measured


@dataclass(frozen=True, slots=True)
class Comparison:
    """New head and present model on the same tracks.

    Attributes
    ----------
    labels : tuple of str
        Genres of the present model that own genres mean; both are judged by these.
    n : int
        Tracks whose own genre means exactly one of the model's labels.
    new, present : Contender
    gain_accuracy, gain_macro_f1 : Measured
        Differences, new less present, over the same resamples.
    """

    labels: tuple[str, ...]
    n: int
    new: Contender
    present: Contender
    gain_accuracy: Measured
    gain_macro_f1: Measured


@dataclass(frozen=True, slots=True)
class OwnGenres:
    """A genre head and what is known of it.

    Attributes
    ----------
    labels : tuple of str
        Genres, in the order of the scores.
    head : LinearHead
        Fitted on all tracks.
    temperature, thresholds, confusion
        As a model card has them, from out-of-fold scores.
    evaluation : Evaluation
        Out of fold, over all tracks and genres.
    new, majority : Contender
        Over all tracks and genres.
    comparison : Comparison or None
        With the present model; None where no own genre means one of its labels.
    folds, seed : int
        Of the cross-validation.
    """

    labels: tuple[str, ...]
    head: LinearHead
    temperature: float
    thresholds: tuple[float, ...]
    confusion: tuple[tuple[float, ...], ...]
    evaluation: Evaluation
    new: Contender
    majority: Contender
    comparison: Comparison | None
    folds: int
    seed: int


def learn_own_genres(
    own: OwnLabels,
    embeddings: FloatArray,
    present: IdArray,
    present_labels: Sequence[str],
    *,
    seed: int = 0,
    on_fold: Callable[[], None] | None = None,
) -> OwnGenres:
    """Fit a head, and judge it by cross-validation by artist.

    Parameters
    ----------
    own : OwnLabels
        Tracks, genres and groups.
    embeddings : ndarray of float32, shape (n, d)
        Of those tracks, unit length.
    present : ndarray of int64, shape (n,)
        What the present model takes each of them for, as numbers of `present_labels`.
    present_labels : sequence of str
        The genres of the present model.
    seed : int
        Of folds and resamples.
    on_fold : callable, optional
        Called :data:`FOLDS` + 1 times, for a progress bar.

    Returns
    -------
    OwnGenres
    """
    n_genres = len(own.labels)
    largest = int(np.bincount(own.targets).max())
    folds = min(FOLDS, len(np.unique(own.groups)), largest)
    logits = out_of_fold_logits(
        embeddings, own.targets, own.groups, n_genres, folds=folds, seed=seed, on_fold=on_fold
    )
    head = fit_head(embeddings, own.targets, n_genres)
    if on_fold is not None:
        on_fold()
    temperature = fit_temperature(logits, own.targets)
    probabilities = softmax(logits, temperature)
    given = probabilities.argmax(axis=1)
    bootstrap = GroupBootstrap(own.groups, seed)
    commonest = int(np.bincount(own.targets).argmax())
    return OwnGenres(
        labels=own.labels,
        head=head,
        temperature=temperature,
        thresholds=fit_thresholds(probabilities, own.targets),
        confusion=tuple(map(tuple, smoothed_confusion(given, own.targets, n_genres).tolist())),
        evaluation=score(probabilities, own.targets, own.labels),
        new=_contender("new head", bootstrap, given, own.targets),
        majority=_contender(
            f"always {own.labels[commonest]}",
            bootstrap,
            np.full_like(given, commonest),
            own.targets,
        ),
        comparison=_compare(own, given, present, present_labels, seed),
        folds=folds,
        seed=seed,
    )


def _contender(name: str, bootstrap: GroupBootstrap, given: IdArray, targets: IdArray) -> Contender:
    accuracy, macro_f1 = bootstrap.measure(given, targets)
    return Contender(name, accuracy.summary(), macro_f1.summary())


def _compare(
    own: OwnLabels, given: IdArray, present: IdArray, present_labels: Sequence[str], seed: int
) -> Comparison | None:
    """Judge both by the labels of the present model, where the own genres mean just one of them."""
    meaning = np.asarray([_meant(label, present_labels) for label in own.labels], dtype=np.int64)
    truth = meaning[own.targets]
    shared = np.flatnonzero(truth >= 0)
    if len(shared) == 0:
        return None
    bootstrap = GroupBootstrap(own.groups[shared], seed)
    new = bootstrap.measure(meaning[given[shared]], truth[shared])
    old = bootstrap.measure(present[shared], truth[shared])
    gains = [mine.less(theirs) for mine, theirs in zip(new, old, strict=True)]
    return Comparison(
        labels=tuple(present_labels[number] for number in np.unique(truth[shared])),
        n=len(shared),
        new=Contender("new head", new[0].summary(), new[1].summary()),
        present=Contender("present model", old[0].summary(), old[1].summary()),
        gain_accuracy=gains[0].summary(),
        gain_macro_f1=gains[1].summary(),
    )


def _meant(name: str, labels: Sequence[str]) -> int:
    """Return the number of the one label that a genre means, -1 for none or several."""
    meant = labels_meant(name, labels)
    return labels.index(meant[0]) if len(meant) == 1 else -1


# A library's own genres: learned from its tags or folders, shown, and then perhaps used.


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
