"""A library's own genres: a genre head learned from tags or folders, evaluated before it is used.

The network stays as it is, so nothing is analysed again: the library holds the embedding of every
track. Every figure is cross-validated by artist, next to the present model on the genres that both
know, and to the baseline of always the commonest genre. Needs scikit-learn, and no torch.
"""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.bootstrap import RESAMPLES, bootstrap_interval
from recsys.classifier.calibrate import Calibration, calibrate, softmax
from recsys.classifier.card import (
    DEFAULT_MODEL,
    ModelCard,
    card_path,
    is_onnx,
    load_card,
    read_tensors,
    write_model,
)
from recsys.classifier.inference import NETWORK_PREFIX, LinearHead
from recsys.classifier.training.datasets import artist_folds
from recsys.classifier.training.evaluate import Evaluation, as_dict, score
from recsys.errors import ModelError, QueryError
from recsys.index.sync import bring_up_to_date
from recsys.names import MergedGenre, first_genre, labels_meant, merge_spellings, spelling_key
from recsys.store import LibraryLock, Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from recsys.types import FloatArray, IdArray, ModelInfo, Track

FOLDS = 5
"""Of the cross-validation by artist."""

LARGEST_ALBUM_FOLDER = 40
"""A folder of more tracks without artist and album is taken for a collection, not for an album."""

REGULARISATION = 0.1
"""``C`` of scikit-learn's logistic regression, on standardised embeddings.

Chosen by cross-validation by artist on GTZAN, over 135 clips that the network of that time had not
been trained on: accuracy and macro F1 0.78; three times smaller 0.78, three times larger 0.76, LDA
at its best shrinkage 0.75, a support vector machine with radial kernel (no linear head) 0.75."""

NEVER = -20.0
"""Logit of a genre without training tracks: a probability of about zero."""

# The labels: from tags or folders, spellings merged, grouped by artist.


class LabelOrigin(StrEnum):
    """Where the genres of the tracks come from."""

    TAGS = "tags"
    FOLDERS = "folders"


@dataclass(frozen=True, slots=True)
class OwnGenreOptions:
    """Which tracks and genres are learned from.

    Attributes
    ----------
    source : LabelOrigin
        ``tags``: the first name in the genre tag. ``folders``: the folder directly below a root.
    folders : tuple of Path
        Only tracks in these; all if empty. With ``folders`` as the source, the genre folders are
        directly below them.
    min_tracks, min_artists : int
        A genre with fewer is left out.
    most_per_genre : int
        A genre with more tracks is sampled at random.
    seed : int
        Of that sample, of the folds and of the intervals.
    """

    source: LabelOrigin = LabelOrigin.TAGS
    folders: tuple[Path, ...] = ()
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
    """The tracks that a genre head can learn from, and how they were selected.

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
    def n_artists(self) -> int:
        """Number of groups."""
        return len(np.unique(self.groups))

    @property
    def drawn(self) -> int:
        """Tracks that were left out when large genres were sampled."""
        return sum(genre.count for genre in self.merged) - len(self.tracks)


def gather_labels(
    tracks: Iterable[Track], roots: Sequence[Path], options: OwnGenreOptions
) -> OwnLabels:
    """Find the genres of a library's tracks and leave out those that cannot be learned.

    Parameters
    ----------
    tracks : iterable of Track
        In a fixed order; of several with the same sound the first counts.
    roots : sequence of Path
        Folders whose tracks take part; genre folders lie directly in them.
    options : OwnGenreOptions

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
        name = _genre_name(track, roots, options.source)
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
    groups, kinds = _group(labelled, options.source)
    learned, left_out = _sort_out(merged, keys, groups, options)
    _check_enough(learned, left_out, unlabelled, options)
    numbers = {genre.key: n for n, genre in enumerate(sorted(learned, key=lambda g: g.name))}
    targets = np.asarray([numbers.get(key, -1) for key in keys], dtype=np.int64)
    places = _draw(targets, len(numbers), options)
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


def _genre_name(track: Track, roots: Sequence[Path], source: LabelOrigin) -> str | None:
    """Return the genre of a track as it was written; None where nobody wrote one."""
    root = next((root for root in roots if track.path.is_relative_to(root)), None)
    if root is None:
        return None
    if source == LabelOrigin.TAGS:
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


def _group(tracks: Sequence[Track], source: LabelOrigin) -> tuple[IdArray, list[str]]:
    """Give tracks of one artist one number, and say what stood for the artist."""
    folders = Counter(track.path.parent for track in tracks if not _named(track))
    named = [_group_of(track, source, folders) for track in tracks]
    numbers: dict[tuple[str, str], int] = {}
    groups = [numbers.setdefault((kind, name.casefold()), len(numbers)) for kind, name in named]
    return np.asarray(groups, dtype=np.int64), [kind for kind, _ in named]


def _group_of(track: Track, source: LabelOrigin, folders: Counter[Path]) -> tuple[str, str]:
    if track.artist and track.artist.strip():
        return "artist", " ".join(track.artist.split())
    if track.tags.album and track.tags.album.strip():
        return "album", " ".join(track.tags.album.split())
    folder = track.path.parent
    # The folder of a genre is no album, and would keep the whole genre on one side.
    if source == LabelOrigin.TAGS and 1 < folders[folder] <= LARGEST_ALBUM_FOLDER:
        return "folder", str(folder)
    return "alone", str(track.path)


def _named(track: Track) -> bool:
    return bool((track.artist or "").strip() or (track.tags.album or "").strip())


def _sort_out(
    merged: Sequence[MergedGenre], keys: Sequence[str], groups: IdArray, options: OwnGenreOptions
) -> tuple[tuple[MergedGenre, ...], tuple[LeftOut, ...]]:
    """Part the genres that can be learned from those with too few tracks or artists."""
    artists: dict[str, set[int]] = {}
    for key, group in zip(keys, groups.tolist(), strict=True):
        artists.setdefault(key, set()).add(group)
    learned, left_out = [], []
    for genre in merged:
        count = len(artists[genre.key])
        if genre.count < options.min_tracks or count < options.min_artists:
            left_out.append(LeftOut(genre.name, genre.count, count))
        else:
            learned.append(genre)
    return tuple(learned), tuple(left_out)


def _check_enough(
    learned: Sequence[MergedGenre],
    left_out: Sequence[LeftOut],
    unlabelled: int,
    options: OwnGenreOptions,
) -> None:
    if len(learned) >= 2:
        return
    if not learned and not left_out:
        where = "genre tag" if options.source == LabelOrigin.TAGS else "genre folder"
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
        f"A genre needs {options.min_tracks} tracks by {options.min_artists} artists;"
        " see --min-tracks and --min-artists.",
    )


def _draw(targets: IdArray, n_genres: int, options: OwnGenreOptions) -> list[int]:
    """Return the places of the tracks to learn from, in order, at most so many of a genre."""
    rng = np.random.default_rng(options.seed)
    chosen: list[int] = []
    for genre in range(n_genres):
        members = np.flatnonzero(targets == genre)
        if len(members) > options.most_per_genre:
            members = rng.choice(members, options.most_per_genre, replace=False)
        chosen += members.tolist()
    return sorted(chosen)


# The head: fitted, and evaluated by cross-validation by artist.


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Contender:
    """How often a classifier finds the genre.

    Attributes
    ----------
    name : str
        ``new head``, ``present model`` or ``always GENRE``.
    accuracy, macro_f1 : Estimate
        With intervals from resampling whole artists.
    """

    name: str
    accuracy: Estimate
    macro_f1: Estimate


@dataclass(frozen=True, slots=True)
class Comparison:
    """New head and present model on the same tracks.

    Attributes
    ----------
    labels : tuple of str
        Genres of the present model that own genres mean; both are evaluated by these.
    n : int
        Tracks whose own genre means exactly one of the model's labels.
    new, present : Contender
    gain_accuracy, gain_macro_f1 : Estimate
        Differences, new less present, over the same resamples.
    """

    labels: tuple[str, ...]
    n: int
    new: Contender
    present: Contender
    gain_accuracy: Estimate
    gain_macro_f1: Estimate


@dataclass(frozen=True, slots=True)
class FittedGenres:
    """A genre head and its evaluation.

    Attributes
    ----------
    labels : tuple of str
        Genres, in the order of the logits.
    head : LinearHead
        Fitted to all tracks.
    calibration : Calibration
        From out-of-fold logits.
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
    calibration: Calibration
    evaluation: Evaluation
    new: Contender
    majority: Contender
    comparison: Comparison | None
    folds: int
    seed: int


def fit_head(embeddings: FloatArray, targets: IdArray, n_genres: int) -> LinearHead:
    """Fit a multinomial logistic regression in which every genre weighs the same.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (n, d)
        Of whole tracks, unit length: the head is applied to such ones.
    targets : ndarray of int64, shape (n,)
        Genres, from 0 on.
    n_genres : int
        A genre without tracks gets the logit :data:`NEVER`.

    Returns
    -------
    LinearHead
        The standardisation of the embeddings is part of its weights.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    weight = np.zeros((n_genres, embeddings.shape[1]))
    bias = np.full(n_genres, NEVER)
    if len(np.unique(targets)) == 1:  # a fold of very few artists: there is nothing to separate
        bias[targets[0]] = 0.0
        return LinearHead(weight.astype(np.float32), bias.astype(np.float32))
    mean = embeddings.mean(axis=0, dtype=np.float64)
    deviation = np.maximum(embeddings.std(axis=0, dtype=np.float64), 1e-6)
    regression = LogisticRegression(C=REGULARISATION, class_weight="balanced", max_iter=500)
    with warnings.catch_warnings():
        # After 500 steps only the last digits of the weights change.
        warnings.simplefilter("ignore", ConvergenceWarning)
        regression.fit((embeddings - mean) / deviation, targets)
    slopes, offsets = regression.coef_, regression.intercept_
    if len(slopes) == 1:  # scikit-learn's two-class case: a single row, and a softmax needs two
        slopes, offsets = (
            np.concatenate([-slopes, slopes]) / 2,
            np.concatenate([-offsets, offsets]) / 2,
        )
    weight[regression.classes_] = slopes / deviation
    bias[regression.classes_] = offsets - (slopes / deviation) @ mean
    return LinearHead(weight.astype(np.float32), bias.astype(np.float32))


def out_of_fold_logits(
    embeddings: FloatArray,
    targets: IdArray,
    groups: IdArray,
    n_genres: int,
    *,
    folds: int = FOLDS,
    seed: int = 0,
    on_fold: Callable[[], None] | None = None,
) -> FloatArray:
    """Return logits (n, n_genres) of every track by a head that was fitted without its group.

    Raises
    ------
    ValueError
        If there are fewer groups than folds.
    """
    logits = np.zeros((len(targets), n_genres), dtype=np.float32)
    for test in artist_folds(targets, groups, folds, seed):
        train = np.setdiff1d(np.arange(len(targets)), test)
        head = fit_head(embeddings[train], targets[train], n_genres)
        logits[test] = head.logits(embeddings[test])
        if on_fold is not None:
            on_fold()
    return logits


def learn_own_genres(
    own: OwnLabels,
    embeddings: FloatArray,
    present: IdArray,
    present_labels: Sequence[str],
    *,
    seed: int = 0,
    on_fold: Callable[[], None] | None = None,
) -> FittedGenres:
    """Fit a head, and evaluate it by cross-validation by artist.

    Parameters
    ----------
    own : OwnLabels
        Tracks, genres and groups.
    embeddings : ndarray of float32, shape (n, d)
        Of those tracks, unit length.
    present : ndarray of int64, shape (n,)
        Genre of each track by the present model, as numbers of `present_labels`.
    present_labels : sequence of str
        The genres of the present model.
    seed : int
        Of folds and resamples.
    on_fold : callable, optional
        Called after each of the fits, for a progress bar.

    Returns
    -------
    FittedGenres
    """
    n_genres, targets = len(own.labels), own.targets
    folds = min(FOLDS, len(np.unique(own.groups)), int(np.bincount(targets).max()))
    logits = out_of_fold_logits(
        embeddings, targets, own.groups, n_genres, folds=folds, seed=seed, on_fold=on_fold
    )
    head = fit_head(embeddings, targets, n_genres)
    if on_fold is not None:
        on_fold()
    calibration = calibrate(logits, targets)
    given = calibration.probabilities.argmax(axis=1)
    commonest = int(np.bincount(targets).argmax())
    figures = _Figures(own.groups, targets, seed)
    return FittedGenres(
        labels=own.labels,
        head=head,
        calibration=calibration,
        evaluation=score(calibration.probabilities, targets, own.labels),
        new=figures.of("new head", given),
        majority=figures.of(f"always {own.labels[commonest]}", np.full_like(given, commonest)),
        comparison=_compare(own, given, present, present_labels, seed),
        folds=folds,
        seed=seed,
    )


class _Figures:
    """Accuracy and macro F1 of predictions, with intervals from resampling whole artists."""

    def __init__(self, groups: IdArray, targets: IdArray, seed: int) -> None:
        self._group: IdArray = np.unique(groups, return_inverse=True)[1].astype(np.int64)
        self._targets = targets
        self._seed = seed

    def of(self, name: str, given: IdArray) -> Contender:
        """Return both figures of one classifier."""
        counts = self._counts(given)

        def estimate(figure: Callable[[IdArray], float]) -> Estimate:
            return self._estimate(lambda rows: figure(counts[rows].sum(axis=0)), len(counts))

        return Contender(name, estimate(_accuracy), estimate(_macro_f1))

    def gains(self, new: IdArray, old: IdArray) -> tuple[Estimate, Estimate]:
        """Return the differences of both figures between two classifiers."""
        mine, theirs = self._counts(new), self._counts(old)

        def estimate(figure: Callable[[IdArray], float]) -> Estimate:
            def gain(rows: IdArray) -> float:
                return figure(mine[rows].sum(axis=0)) - figure(theirs[rows].sum(axis=0))

            return self._estimate(gain, len(mine))

        return estimate(_accuracy), estimate(_macro_f1)

    def _estimate(self, figure: Callable[[IdArray], float], n_groups: int) -> Estimate:
        groups = np.arange(n_groups)
        low, high = bootstrap_interval(figure, groups, RESAMPLES, self._seed)
        return Estimate(figure(groups), low, high)

    def _counts(self, given: IdArray) -> IdArray:
        """Count true, given and right tracks per artist, shape (n_groups, 3, n_genres)."""
        targets = self._targets
        counts = np.zeros((1 + self._group.max(), 3, 1 + max(given.max(), targets.max())), np.int64)
        known, right = given >= 0, given == targets
        np.add.at(counts[:, 0], (self._group, targets), 1)
        np.add.at(counts[:, 1], (self._group[known], given[known]), 1)
        np.add.at(counts[:, 2], (self._group[right], targets[right]), 1)
        return counts


def _accuracy(counts: IdArray) -> float:
    true, _, right = counts
    return float(right.sum() / true.sum())


def _macro_f1(counts: IdArray) -> float:
    """Return the mean F1 over the genres that have tracks."""
    true, given, right = counts
    f1 = 2 * right / np.maximum(true + given, 1)
    return float(f1[true > 0].mean())


def _compare(
    own: OwnLabels, given: IdArray, present: IdArray, present_labels: Sequence[str], seed: int
) -> Comparison | None:
    """Evaluate both by the labels of the present model, where own genres mean one of them."""
    meaning = np.asarray([_meant(label, present_labels) for label in own.labels], dtype=np.int64)
    truth = meaning[own.targets]
    shared = np.flatnonzero(truth >= 0)
    if len(shared) == 0:
        return None
    new, old, truth = meaning[given[shared]], present[shared], truth[shared]
    figures = _Figures(own.groups[shared], truth, seed)
    gain_accuracy, gain_macro_f1 = figures.gains(new, old)
    return Comparison(
        labels=tuple(present_labels[number] for number in np.unique(truth)),
        n=len(shared),
        new=figures.of("new head", new),
        present=figures.of("present model", old),
        gain_accuracy=gain_accuracy,
        gain_macro_f1=gain_macro_f1,
    )


def _meant(name: str, labels: Sequence[str]) -> int:
    """Return the number of the one label that a genre means, -1 for none or several."""
    meant = labels_meant(name, labels)
    return labels.index(meant[0]) if len(meant) == 1 else -1


# The model file: the tensors of the network as they are, and those of the head.


def save_own_genres(
    out: Path, trunk: Path | None, own: OwnLabels, found: FittedGenres, options: OwnGenreOptions
) -> ModelCard:
    """Write the network of another model with a head on own genres.

    Parameters
    ----------
    out : Path
        Ends in ``.safetensors``.
    trunk : Path or None
        The model whose embeddings the head was fitted to; None for the shipped one. A head on own
        genres that it has already is replaced.
    own : OwnLabels
        The training tracks.
    found : FittedGenres
        The head and its evaluation.
    options : OwnGenreOptions
        How the tracks were selected.

    Returns
    -------
    ModelCard
        As written.

    Raises
    ------
    ModelError
        If `trunk` cannot be read or `out` cannot be written.
    """
    trunk = trunk or DEFAULT_MODEL
    card = load_card(trunk)
    tensors = {} if is_onnx(trunk) else read_tensors(trunk, card)
    if "track_head" in card.config:
        sizes = card.config["track_head"]
    else:
        tensors = {f"{NETWORK_PREFIX}{name}": value for name, value in tensors.items()}
        sizes = {
            "dimension": card.dimension,
            "network_genres": len(card.labels),
            "embeddings_of": card.fingerprint,
        }
    head = {"genres.weight": found.head.weight, "genres.bias": found.head.bias}
    calibration = found.calibration
    return write_model(
        out,
        {**tensors, **head},
        replace(
            card,
            name=out.stem,
            config={**card.config, "track_head": sizes},
            labels=found.labels,
            temperature=calibration.temperature,
            thresholds=calibration.thresholds,
            confusion=calibration.confusion,
            training=_training(card, own, options),
            metrics=_metrics(found),
            # Those of the network's own genres do not apply.
            limits={},
            created=datetime.now(UTC).date().isoformat(),
        ),
    )


def is_own(card: ModelCard) -> bool:
    """Return whether a model has a head that was learned from a library's own genres."""
    return "own_genres" in card.training


def _training(card: ModelCard, own: OwnLabels, options: OwnGenreOptions) -> dict[str, Any]:
    """Describe the head; the description of the network is kept."""
    below = card.training["network"] if is_own(card) else {"name": card.name, **card.training}
    rules = asdict(options)
    del rules["folders"]
    return {
        "own_genres": {
            "how": "multinomial logistic regression on unit embeddings of whole tracks, every "
            f"genre with the same weight, C = {REGULARISATION}; the network was not changed",
            "rules": rules,
            "tracks": {
                label: int((own.targets == number).sum()) for number, label in enumerate(own.labels)
            },
            "artists": own.n_artists,
            "grouped_by": own.grouped_by,
            "spellings": {genre.name: dict(genre.spellings) for genre in own.merged},
            "left_out": [asdict(genre) for genre in own.left_out],
        },
        "network": below,
        "keys": _keys(own, below.get("keys", {})),
    }


def _keys(own: OwnLabels, below: dict[str, list[str]]) -> dict[str, list[str]]:
    """Name the training tracks of head and network, so that an evaluation on them is noticed."""
    learned = {text_of(f"{track.path.parent.name}/{track.path.stem}") for track in own.tracks}
    return {
        "train": sorted(learned | set(below.get("train", []))),
        "valid": sorted(below.get("valid", [])),
    }


def _metrics(found: FittedGenres) -> dict[str, Any]:
    return {
        "note": f"Cross-validated by artist, {found.folds} folds, seed {found.seed}; temperature,"
        " thresholds and confusion are of the same predictions.",
        "cross_validation": as_dict(found.evaluation),
        "always_the_commonest": asdict(found.majority),
        "with_artists_resampled": {"resamples": RESAMPLES, **asdict(found.new)},
        "compared_with_the_model_before": found.comparison and asdict(found.comparison),
    }


# In a library: proposed, saved, used.


@dataclass(frozen=True, slots=True)
class Proposal:
    """Own genres that a library could use.

    Attributes
    ----------
    database : Path
        The library.
    options : OwnGenreOptions
    own : OwnLabels
        The training tracks.
    found : FittedGenres
        The head and its evaluation.
    trunk : Path or None
        The library's present model; None for the shipped one.
    present : ModelCard
        Of that model.
    notes : tuple of str
        Reservations about the figures.
    """

    database: Path
    options: OwnGenreOptions
    own: OwnLabels
    found: FittedGenres
    trunk: Path | None
    present: ModelCard
    notes: tuple[str, ...]


def propose(
    database: Path,
    options: OwnGenreOptions,
    *,
    on_fold: Callable[[], None] | None = None,
) -> Proposal:
    """Learn a library's own genres; nothing is changed.

    Parameters
    ----------
    database : Path
        An indexed library.
    options : OwnGenreOptions
    on_fold : callable, optional
        Called after every fit, for a progress bar.

    Returns
    -------
    Proposal

    Raises
    ------
    RecsysError
        If the library is empty, holds too few labels, or its model is gone.
    """
    with Store.open(database, read_only=True) as store:
        info, trunk = store.model(), store.model_path()
        if info is None or not store.genre_counts():
            raise QueryError(
                f"the library {database} holds no tracks yet",
                "Index a folder first: recsys index ~/Music",
            )
        present = _card_of(trunk, info)
        own = gather_labels(store.all_tracks(), options.folders or store.roots(), options)
        embeddings, genres = _stored(store, own, info)
    found = learn_own_genres(
        own, embeddings, genres, info.labels, seed=options.seed, on_fold=on_fold
    )
    return Proposal(database, options, own, found, trunk, present, _notes(own, found, present))


def _card_of(trunk: Path | None, info: ModelInfo) -> ModelCard:
    """Return the card of the library's model, and raise if the file is another one now."""
    card = load_card(trunk).at_effort(info.effort)
    if card.info().identity != info.identity:
        where = f"the file {trunk}" if trunk else "the model that comes with recsys"
        raise ModelError(
            f"the library was analysed with the model {info.name} ({info.fingerprint}), and {where}"
            f" is another one now ({card.fingerprint})",
            "Analyse the library with it first: recsys index --reanalyse FOLDER",
        )
    return card


def _stored(store: Store, own: OwnLabels, info: ModelInfo) -> tuple[FloatArray, IdArray]:
    """Return embeddings and present genres of the tracks."""
    embeddings = np.empty((len(own.tracks), info.dimension), dtype=np.float32)
    genres = np.empty(len(own.tracks), dtype=np.int64)
    for row, track in enumerate(own.tracks):
        analysis = store.analysis(track.id)
        if analysis is None:
            raise QueryError(
                f"{track.path} was removed from the library meanwhile", "Run the command again."
            )
        embeddings[row] = analysis.embedding
        genres[row] = analysis.probabilities.argmax()
    return embeddings, genres


_GROUPED = {
    "album": "grouped by album",
    "folder": "grouped by folder",
    "alone": "each on its own",
}


def _notes(own: OwnLabels, found: FittedGenres, present: ModelCard) -> tuple[str, ...]:
    notes = []
    if is_own(present):
        notes.append(
            "the present model learned its genres from tracks of this library; its figures are"
            " too good, because it is evaluated on its training tracks"
        )
    if found.folds < 3:
        notes.append(f"{found.folds} artists in all: the figures mean little")
    without = {kind: count for kind, count in own.grouped_by.items() if kind != "artist"}
    if without:
        words = ", ".join(f"{count} {_GROUPED[kind]}" for kind, count in sorted(without.items()))
        notes.append(
            f"tracks without an artist tag: {words}; where that splits an artist, figures are"
            " too good"
        )
    return tuple(notes)


def save_proposal(proposal: Proposal, out: Path) -> ModelCard:
    """Write the library's network with the new head as a checkpoint.

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
    return save_own_genres(out, proposal.trunk, proposal.own, proposal.found, proposal.options)


def free_model_path(database: Path) -> Path:
    """Return a free name for a model of a library: ``library.genres-1.safetensors``."""
    number = 1
    while True:
        path = database.with_name(f"{database.stem}.genres-{number}.safetensors")
        if not path.exists() and not card_path(path).exists():
            return path
        number += 1


def use_proposal(proposal: Proposal, model: Path, card: ModelCard) -> int:
    """Make a saved proposal the library's model: probabilities, genres and the index follow.

    Parameters
    ----------
    proposal : Proposal
    model : Path
        From :func:`save_proposal`,
    card : ModelCard
        as is its card.

    Returns
    -------
    int
        Tracks whose probabilities were computed again, from their embeddings.

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
