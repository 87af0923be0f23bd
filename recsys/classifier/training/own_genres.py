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
from recsys.errors import ModelError, QueryError, library_is_empty
from recsys.index.sync import bring_up_to_date
from recsys.learned import is_learned, track_key, training_keys
from recsys.names import MergedGenre, first_genre, labels_meant, merge_spellings, spelling_key
from recsys.store import LibraryLock, Store
from recsys.store.search import storable_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    import numpy.typing as npt

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

LEAST_COMPARED = 20
"""With fewer tracks two models are not compared: the interval would span everything."""

NEVER = -20.0
"""Logit of a genre without training tracks: a probability of about zero."""

# The labels: from tags or folders, spellings merged, grouped by artist.


class LabelOrigin(StrEnum):
    """Source of the genres: the first name in the tag, or the folder directly below a root."""

    TAGS = "tags"
    FOLDERS = "folders"


@dataclass(frozen=True, slots=True)
class OwnGenreOptions:
    """Which tracks and genres to learn from."""

    source: LabelOrigin = LabelOrigin.TAGS
    folders: tuple[Path, ...] = ()  # to take tracks from, genre folders directly below; empty: all
    min_tracks: int = 8  # a genre with fewer tracks or artists is left out
    min_artists: int = 3
    most_per_genre: int = 2000  # a genre with more tracks is sampled at random
    seed: int = 0  # of that sample, of the folds and of the intervals


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A genre with too little to learn from."""

    genre: str
    tracks: int
    artists: int


@dataclass(frozen=True, slots=True)
class OwnLabels:
    """The tracks that a genre head can learn from, and how they were selected."""

    tracks: tuple[Track, ...]  # every recording once
    targets: IdArray  # (n,): rows of `labels`
    labels: tuple[str, ...]  # sorted
    groups: IdArray  # (n,): one id per artist
    grouped_by: dict[str, int]  # tracks grouped by artist, album or folder, or alone
    merged: tuple[MergedGenre, ...]  # spellings of each genre before any sampling, largest first
    left_out: tuple[LeftOut, ...]  # genres with too few tracks or artists, largest first
    unlabelled: int  # tracks without a genre
    copies: int  # tracks skipped as copies of a recording

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
    """Collect the genres of a library's tracks and leave out those that cannot be learned.

    Only tracks below the roots take part; of several with one recording the first path counts.
    Raises ModelError if fewer than two genres are left.
    """
    sounds: dict[str, tuple[Track, str]] = {}
    copies = unlabelled = 0
    # By path, because ids follow the order in which files were decoded, which differs between runs.
    for track in sorted(tracks, key=lambda track: track.path):
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
    # Sampled last, so that the counts above are of the whole library.
    numbers = {genre.key: n for n, genre in enumerate(sorted(learned, key=lambda g: g.name))}
    targets = np.asarray([numbers.get(key, -1) for key in keys], dtype=np.int64)
    rows = _draw(targets, len(numbers), options)
    return OwnLabels(
        tracks=tuple(labelled[row] for row in rows),
        targets=targets[rows],
        labels=tuple(sorted(genre.name for genre in learned)),
        groups=np.unique(groups[rows], return_inverse=True)[1].astype(np.int64),
        grouped_by=dict(Counter(kinds[row] for row in rows)),
        merged=learned,
        left_out=left_out,
        unlabelled=unlabelled,
        copies=copies,
    )


def _genre_name(track: Track, roots: Sequence[Path], source: LabelOrigin) -> str | None:
    """Return the genre of a track as it is written, if it has one."""
    root = next((root for root in roots if track.path.is_relative_to(root)), None)
    if root is None:
        return None
    if source == LabelOrigin.TAGS:
        return first_genre(track.tags.genre_tag)
    below = track.path.relative_to(root).parts
    return storable_text(below[0]) if len(below) > 1 and spelling_key(below[0]) else None


def _group(tracks: Sequence[Track], source: LabelOrigin) -> tuple[IdArray, list[str]]:
    """Give tracks of one artist one id, and name what each track is grouped by."""
    tagged = [_tagged_group(track) for track in tracks]
    untagged = Counter(
        track.path.parent for track, group in zip(tracks, tagged, strict=True) if group is None
    )
    named = [
        group or _folder_group(track, source, untagged)
        for track, group in zip(tracks, tagged, strict=True)
    ]
    numbers: dict[tuple[str, str], int] = {}
    groups = [numbers.setdefault((kind, name.casefold()), len(numbers)) for kind, name in named]
    return np.asarray(groups, dtype=np.int64), [kind for kind, _ in named]


def _tagged_group(track: Track) -> tuple[str, str] | None:
    for kind, name in (("artist", track.artist), ("album", track.tags.album)):
        if name and name.strip():
            return kind, " ".join(name.split())
    return None


def _folder_group(track: Track, source: LabelOrigin, untagged: Counter[Path]) -> tuple[str, str]:
    folder = track.path.parent
    # The folder of a genre is no album, and would keep the whole genre on one side.
    if source == LabelOrigin.TAGS and 1 < untagged[folder] <= LARGEST_ALBUM_FOLDER:
        return "folder", str(folder)
    return "alone", str(track.path)


def _sort_out(
    merged: Sequence[MergedGenre], keys: Sequence[str], groups: IdArray, options: OwnGenreOptions
) -> tuple[tuple[MergedGenre, ...], tuple[LeftOut, ...]]:
    """Separate the genres that can be learned from those with too few tracks or artists."""
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
    """Return the rows of the tracks to learn from, in order, at most so many of a genre."""
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
class ClassifierFigures:
    """Accuracy and macro F1 of a classifier, with intervals from resampling whole artists."""

    name: str  # ``new head``, ``present model`` or ``always GENRE``
    accuracy: Estimate
    macro_f1: Estimate


@dataclass(frozen=True, slots=True)
class Comparison:
    """New head and present model, on the tracks whose own genre means one label of the model.

    Only on tracks from which the present model did not learn: it knows the answers of the others,
    and would seem better than a head that is evaluated out of fold.
    """

    labels: tuple[str, ...]  # of the present model, among own genres
    n: int
    new: ClassifierFigures
    present: ClassifierFigures
    gain_accuracy: Estimate  # new less present, over the same resamples
    gain_macro_f1: Estimate


@dataclass(frozen=True, slots=True)
class FittedGenres:
    """A genre head and its evaluation by cross-validation."""

    head: LinearHead  # fitted to all tracks
    calibration: Calibration  # of out-of-fold logits
    evaluation: Evaluation  # out of fold, over all tracks and genres
    new: ClassifierFigures
    majority: ClassifierFigures  # always the commonest genre
    comparison: Comparison | None  # None where fewer than LEAST_COMPARED tracks can be compared
    folds: int
    shared: int = 0  # tracks whose own genre means one label of the present model
    known: int = 0  # of those, from which the present model learned


def fit_head(embeddings: FloatArray, targets: IdArray, n_genres: int) -> LinearHead:
    """Fit a multinomial logistic regression to unit embeddings (n, d), all genres weighted alike.

    The standardisation of the embeddings is part of its weights. A genre without tracks gets the
    logit :data:`NEVER`.
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
        slopes = np.concatenate([-slopes, slopes]) / 2
        offsets = np.concatenate([-offsets, offsets]) / 2
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

    Raises ValueError if there are fewer groups than folds.
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
    learned: npt.NDArray[np.bool_] | None = None,
    seed: int = 0,
    on_fold: Callable[[], None] | None = None,
) -> FittedGenres:
    """Fit a head to unit embeddings (n, d) and evaluate it by cross-validation by artist.

    `present` (n,) holds each track's genre by the present model, as rows of `present_labels`, and
    `learned` (n,) marks the tracks from which that model learned; None for none. `on_fold` is
    called after each fit.
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
    counts = _counts(own.groups, targets, given)
    always = _counts(own.groups, targets, np.full_like(given, commonest))
    truth = _by_present_labels(own, present_labels)[targets]
    shared = truth >= 0
    unseen = shared if learned is None else shared & ~learned
    return FittedGenres(
        head=head,
        calibration=calibration,
        evaluation=score(calibration.probabilities, targets, own.labels, own.groups),
        new=ClassifierFigures("new head", *_estimates(counts, seed)),
        majority=ClassifierFigures(f"always {own.labels[commonest]}", *_estimates(always, seed)),
        comparison=_compare(own, given, present, present_labels, np.flatnonzero(unseen), seed),
        folds=folds,
        shared=int(shared.sum()),
        known=int((shared & ~unseen).sum()),
    )


def _counts(groups: IdArray, targets: IdArray, given: IdArray) -> IdArray:
    """Count true, given and right tracks per artist, shape (n_groups, 3, n_genres)."""
    artist = np.unique(groups, return_inverse=True)[1]
    counts = np.zeros((1 + artist.max(), 3, 1 + max(given.max(), targets.max())), np.int64)
    known, right = given >= 0, given == targets
    np.add.at(counts[:, 0], (artist, targets), 1)
    np.add.at(counts[:, 1], (artist[known], given[known]), 1)
    np.add.at(counts[:, 2], (artist[right], targets[right]), 1)
    return counts


def _estimates(
    counts: IdArray, seed: int, baseline: IdArray | None = None
) -> tuple[Estimate, Estimate]:
    """Return accuracy and macro F1, or their gains over a baseline, with artists resampled."""
    artists = np.arange(len(counts))

    def estimate(figure: Callable[[IdArray], float]) -> Estimate:
        def value(rows: IdArray) -> float:
            found = figure(counts[rows].sum(axis=0))
            return found if baseline is None else found - figure(baseline[rows].sum(axis=0))

        return Estimate(value(artists), *bootstrap_interval(value, artists, RESAMPLES, seed))

    return estimate(_accuracy), estimate(_macro_f1)


def _accuracy(counts: IdArray) -> float:
    true, _, right = counts
    return float(right.sum() / true.sum())


def _macro_f1(counts: IdArray) -> float:
    """Return the mean F1 over the genres that have tracks."""
    true, given, right = counts
    f1 = 2 * right / np.maximum(true + given, 1)
    return float(f1[true > 0].mean())


def _by_present_labels(own: OwnLabels, present_labels: Sequence[str]) -> IdArray:
    """Return the label of the present model that each own genre means, -1 for none."""
    return np.asarray([_meant(label, present_labels) for label in own.labels], dtype=np.int64)


def _compare(
    own: OwnLabels,
    given: IdArray,
    present: IdArray,
    present_labels: Sequence[str],
    shared: IdArray,
    seed: int,
) -> Comparison | None:
    """Evaluate both by the labels of the present model, on these tracks."""
    if len(shared) < LEAST_COMPARED:
        return None
    meaning = _by_present_labels(own, present_labels)
    new, old, truth = meaning[given[shared]], present[shared], meaning[own.targets[shared]]
    groups = own.groups[shared]
    new_counts, old_counts = _counts(groups, truth, new), _counts(groups, truth, old)
    gain_accuracy, gain_macro_f1 = _estimates(new_counts, seed, old_counts)
    return Comparison(
        labels=tuple(present_labels[number] for number in np.unique(truth)),
        n=len(shared),
        new=ClassifierFigures("new head", *_estimates(new_counts, seed)),
        present=ClassifierFigures("present model", *_estimates(old_counts, seed)),
        gain_accuracy=gain_accuracy,
        gain_macro_f1=gain_macro_f1,
    )


def _meant(name: str, labels: Sequence[str]) -> int:
    """Return the row of the one label that a genre means, -1 for none or several."""
    meant = labels_meant(name, labels)
    return labels.index(meant[0]) if len(meant) == 1 else -1


# In a library: proposed, saved, used.


@dataclass(frozen=True, slots=True)
class Proposal:
    """Own genres that a library could use."""

    database: Path  # of the library
    options: OwnGenreOptions
    own: OwnLabels  # the training tracks
    found: FittedGenres  # the head and its evaluation
    trunk: Path | None  # the library's present model; None for the shipped one
    present: ModelCard  # its card
    notes: tuple[str, ...]  # reservations about the figures


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
        Of an indexed library.
    options : OwnGenreOptions
    on_fold : callable, optional
        Called after every fit, for a progress bar.

    Raises
    ------
    RecsysError
        If the library is empty, holds too few labels, or its model is gone.
    """
    with Store.open(database, read_only=True) as store:
        info, trunk = store.model(), store.model_path()
        if info is None or not store.genre_counts():
            raise library_is_empty(database)
        present = _card_of(trunk, info)
        own = gather_labels(store.all_tracks(), options.folders or store.roots(), options)
        embeddings, genres = _stored(store, own, info)
    keys = training_keys(present.training)
    learned = np.asarray([is_learned(keys, track.path) for track in own.tracks])
    found = learn_own_genres(
        own, embeddings, genres, info.labels, learned=learned, seed=options.seed, on_fold=on_fold
    )
    seen = None if keys is None else int(learned.sum())
    return Proposal(database, options, own, found, trunk, present, _notes(own, found, seen))


def _card_of(trunk: Path | None, info: ModelInfo) -> ModelCard:
    """Return the card of the library's model; raise ModelError if the file is another model now."""
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
    """Return the stored embeddings (n, d) and most probable genres (n,) of the tracks."""
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


def _notes(own: OwnLabels, found: FittedGenres, learned: int | None) -> tuple[str, ...]:
    notes = []
    if learned is None:
        notes.append(
            "the card of the present model does not list its training tracks; where it learned"
            " from these, its figures are too good"
        )
    elif learned:
        notes.append(
            f"the present model, whose embeddings these are, learned from {learned} of the"
            f" {len(own.tracks)} tracks: the figures of the new head are too good as well"
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

    A head on own genres that the network has already is replaced.

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
        If a model cannot be read or written, or `out` is the model that the library uses now.
    """
    if proposal.trunk is not None and out.exists() and out.samefile(proposal.trunk):
        raise ModelError(
            f"--out {out} is the model that the library uses now",
            "Choose another name; it is needed until another one takes its place.",
        )
    trunk = proposal.trunk or DEFAULT_MODEL
    card = load_card(trunk)
    # An ONNX file stays where it is; the card of the head refers to it.
    tensors = {} if is_onnx(trunk) else read_tensors(trunk, card)
    sizes = card.config.get("track_head")
    if sizes is None:
        tensors = {f"{NETWORK_PREFIX}{name}": value for name, value in tensors.items()}
        sizes = {
            "dimension": card.dimension,
            "network_genres": len(card.labels),
            "embeddings_of": card.fingerprint,
        }
    head, calibration = proposal.found.head, proposal.found.calibration
    return write_model(
        out,
        {**tensors, "genres.weight": head.weight, "genres.bias": head.bias},
        replace(
            card,
            name=out.stem,
            config={**card.config, "track_head": sizes},
            labels=proposal.own.labels,
            temperature=calibration.temperature,
            temperatures=(),  # of the stored embedding, whatever its windows
            thresholds=calibration.thresholds,
            confusion=calibration.confusion,
            training=_training(card, proposal.own, proposal.options),
            metrics=_metrics(proposal.found, proposal.options.seed),
            limits={},  # those of the network's own genres do not apply
            created=datetime.now(UTC).date().isoformat(),
        ),
    )


def is_own(card: ModelCard) -> bool:
    """Return whether a model has a head on a library's own genres."""
    return "own_genres" in card.training


def _training(card: ModelCard, own: OwnLabels, options: OwnGenreOptions) -> dict[str, Any]:
    """Describe the head; the description of the network is kept."""
    below = card.training["network"] if is_own(card) else {"name": card.name, **card.training}
    keys = below.get("keys", {})
    learned = {track_key(track.path) for track in own.tracks}
    rules = asdict(options)
    del rules["folders"]  # paths of this machine do not belong in a model file
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
        # Of head and network, so that an evaluation on these tracks is noticed.
        "keys": {
            "train": sorted(learned | set(keys.get("train", []))),
            "valid": sorted(keys.get("valid", [])),
        },
    }


def _metrics(found: FittedGenres, seed: int) -> dict[str, Any]:
    return {
        "note": f"Cross-validated by artist, {found.folds} folds, seed {seed}; temperature,"
        " thresholds and confusion are of the same predictions.",
        "cross_validation": as_dict(found.evaluation),
        "always_the_commonest": asdict(found.majority),
        "with_artists_resampled": {"resamples": RESAMPLES, **asdict(found.new)},
        "compared_with_the_model_before": found.comparison and asdict(found.comparison),
    }


def free_model_path(database: Path) -> Path:
    """Return a free name for a model of a library: ``library.genres-1.safetensors``."""
    number = 1
    while True:
        path = database.with_name(f"{database.stem}.genres-{number}.safetensors")
        if not path.exists() and not card_path(path).exists():
            return path
        number += 1


def use_proposal(proposal: Proposal, model: Path, card: ModelCard) -> int:
    """Make a saved proposal the library's model; probabilities, genres and the index follow.

    Parameters
    ----------
    proposal : Proposal
    model : Path
        Written by :func:`save_proposal`.
    card : ModelCard
        Returned by it.

    Returns
    -------
    int
        Tracks whose probabilities were recomputed from their embeddings.

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
