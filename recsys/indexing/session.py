"""One process at a time brings a library up to date: lock, model, folders, index files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import numpy as np

from recsys.classifier.calibrate import softmax
from recsys.classifier.card import ModelCard, embeddings_of, load_card
from recsys.classifier.inference import check_device, load_head, place_for_any_process
from recsys.errors import ModelError, RecsysError, StoreError
from recsys.index.sync import bring_up_to_date, index_is_current
from recsys.indexing.indexer import BATCH_TRACKS, Indexer, IndexOptions, IndexPlan, check_folder
from recsys.library import AUDIO_SUFFIXES
from recsys.mel import DEFAULT_EFFORT
from recsys.memory import keep_freed_memory
from recsys.names import LEAST_STYLES, check_has_tags, style_columns
from recsys.store import LibraryLock, Store
from recsys.types import TIME_LIMIT_S, IndexEvent, IndexSummary
from recsys.workers import default_workers

if TYPE_CHECKING:
    from watchfiles import Change

    from recsys.classifier.inference import Classifier
    from recsys.types import FloatArray, ModelInfo

# Another model for a library: analysed again, or only relabelled where embeddings stay


def change_model(store: Store, card: ModelCard, checkpoint: Path | None) -> None:
    """Make a model the library's own.

    A head for whole tracks over the embeddings that the library holds already needs nothing
    else: its genres are computed at once. With any other model every track waits for analysis.

    Parameters
    ----------
    store : Store
        Open for writing; the caller holds the library's lock.
    card : ModelCard
        Of the model.
    checkpoint : Path or None
        Where it lies; None for the model that comes with recsys.

    Raises
    ------
    RecsysError
        If the checkpoint cannot be read or the database not be written.
    """
    present = _present_card(store)
    if checkpoint is None or present is None or not _names_again(card, present):
        store.set_model(card.info(), card.to_json(), checkpoint)
        return
    head = load_head(checkpoint, load_card(checkpoint))

    def probabilities_of(embeddings: FloatArray) -> FloatArray:
        return softmax(head.logits(embeddings), card.temperature).astype(np.float32)

    store.change_head(
        card.info(),
        card.to_json(),
        checkpoint,
        probabilities_of,
        before=present.info(),
    )


def _present_card(store: Store) -> ModelCard | None:
    text = store.model_card()
    try:
        return None if text is None else ModelCard.from_json(text)
    except ModelError:  # of another version: what its embeddings are is not known
        return None


def _names_again(card: ModelCard, present: ModelCard) -> bool:
    """Return whether a model only reads other genres off the embeddings of the present one."""
    same = embeddings_of(card) == embeddings_of(present)
    return "track_head" in card.config and same and card.info().identity != present.info().identity


# Following folders: which of their parts changed, as the operating system tells it.


def changed_folders(roots: Sequence[Path]) -> Iterator[list[Path]]:
    """Yield, whenever something settles, the folders in which audio files may have changed.

    Parameters
    ----------
    roots : sequence of Path
        What to follow, with everything below. Those that are not there are left out.

    Yields
    ------
    list of Path
        Existing folders, none inside another. A burst of changes comes as one list. The first
        list has all roots, for what changed before the system began to report.
    """
    from watchfiles import watch

    present = [root for root in roots if root.is_dir()]
    if not present:  # with nothing to follow, watchfiles would wait for ever
        return

    def concerns_audio(_: Change, name: str) -> bool:
        return _may_be_audio(Path(name), present)

    following = watch(
        *present, watch_filter=concerns_audio, yield_on_timeout=True, raise_interrupt=True
    )
    next(following)  # returns once the system reports changes
    yield present
    for changes in following:
        if not changes:
            continue
        folders = {_nearest_folder(Path(name), present) for _, name in changes}
        folders.discard(None)
        found = sorted(folder for folder in folders if folder is not None)
        yield [
            folder
            for folder in found
            if not any(folder != other and folder.is_relative_to(other) for other in found)
        ]


def _may_be_audio(changed: Path, roots: Sequence[Path]) -> bool:
    """Let audio files through, and what may be a folder that came, went or was renamed."""
    root = next(root for root in roots if changed.is_relative_to(root))
    if any(part.startswith(".") for part in changed.relative_to(root).parts):
        return False
    suffix = changed.suffix.lower()
    return suffix in AUDIO_SUFFIXES or not suffix or changed.is_dir()


def _nearest_folder(changed: Path, roots: Sequence[Path]) -> Path | None:
    """Return the folder to look into: the changed one, or the nearest that still exists."""
    for folder in (changed, *changed.parents):
        if folder.is_dir():
            inside = any(folder.is_relative_to(root) for root in roots)
            return folder if inside else None
    return None


# ----------------------------------------------------------------------


MODEL_SHARE = 0.4
"""Part of the processors on which the model computes while others decode."""

SAVE_EVERY = 20_000
"""Stored tracks after which a long run writes the index files, so that queries stay quick."""


@dataclass(frozen=True, slots=True)
class IndexSession:
    """Everything one indexing run depends on.

    Attributes
    ----------
    database : Path
        Made if it is not there.
    model : Path or None
        Checkpoint; None for the library's own, or else the shipped one.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    workers : int or None
        Decoding processes; None for one per processor.
    keep_missing : bool
        Keep tracks whose files are gone.
    reanalyse : bool
        Allow another model than the one that analysed the library.
    genres : str or None
        Which labels sort the library from now on, a :class:`recsys.types.GenreSource`; None leaves
        it as it is.
    effort : str or None
        How many windows of a track are analysed, a :class:`recsys.types.Effort`; None for the
        library's own, or else :data:`recsys.mel.DEFAULT_EFFORT`.
    time_limit_s : float
        For the analysis of one file, seconds.
    """

    database: Path
    model: Path | None = None
    device: str = "auto"
    workers: int | None = None
    keep_missing: bool = False
    reanalyse: bool = False
    genres: str | None = None
    effort: str | None = None
    time_limit_s: float = TIME_LIMIT_S

    def run(
        self, roots: Sequence[Path], *, wait_s: float | None = 0.0, watch: bool = False
    ) -> Iterator[IndexEvent | IndexPlan | IndexSummary]:
        """Index, and go on watching if that is wanted; see :meth:`recsys.api.Library.index_events`.

        Raises
        ------
        RecsysError
            If the library is busy, its model is another, or a folder cannot be indexed.
        """
        # Before anything is done: a device that is not there must not be noticed after a scan.
        check_device(self.device)
        # A command that changes the library itself must not do that and then find no music.
        if not self.database.exists() or self.genres or self.reanalyse:
            for root in roots:
                check_folder(root)
        _check_parent(self.database)
        with (
            LibraryLock(self.database, wait_s),
            Store.open(self.database, create=True) as store,
            ExitStack() as at_the_end,
        ):
            card, checkpoint = self._settle_model(store)

            def load_classifier() -> Classifier:
                from recsys.classifier.inference import Classifier

                keep_freed_memory(large=False)
                classifier = Classifier.load(checkpoint, self.device, card.effort)
                at_the_end.enter_context(_sharing_processors())
                return classifier

            options = IndexOptions(self.workers, self.keep_missing, self.time_limit_s)
            place = place_for_any_process(checkpoint, self.device, card.effort)
            indexer = Indexer(store, load_classifier, card.features, options, place)
            yield from attended(store, indexer.run(roots), load_ahead=place is None)
            if watch:
                for folders in changed_folders(roots):
                    events = indexer.run(folders, whole_roots=False)
                    yield from attended(store, events, load_ahead=place is None)

    def _settle_model(self, store: Store) -> tuple[ModelCard, Path | None]:
        """Make sure that one model analyses the library; return its card and checkpoint."""
        known = store.model()
        checkpoint = self.model or store.model_path()
        before = None if known is None else known.effort
        effort = self.effort or before or DEFAULT_EFFORT
        card = load_card(checkpoint).at_effort(effort)
        info = card.info()
        if (self.genres or store.genre_source()) == "tags":
            _check_has_styles(info)
        changed = known is None or known.identity != info.identity
        if known is not None and changed and not self.reanalyse:
            raise self._does_not_mix(known, info, store.roots())
        if changed or self.model is not None:
            change_model(store, card, checkpoint)
        if self.genres is not None and self.genres != store.genre_source():
            store.set_genre_source(self.genres)
        return card, checkpoint

    def _does_not_mix(
        self, known: ModelInfo, wanted: ModelInfo, roots: Sequence[Path]
    ) -> ModelError:
        """Return the error for a library of another model or effort."""
        effort = f" --effort {self.effort}" if self.effort else ""
        hint = f"recsys index --reanalyse{effort} {' '.join(map(str, roots))}"
        if known.fingerprint == wanted.fingerprint:
            return ModelError(
                f"{self.database} was analysed with effort {known.effort}, not {wanted.effort}; "
                "embeddings of different efforts are not comparable",
                f"To analyse all of it again: {hint}",
            )
        return ModelError(
            f"{self.database} was analysed with model {known.name} ({known.fingerprint}), "
            f"not with {wanted.name} ({wanted.fingerprint}); results of two models do not mix",
            f"To analyse the library again with the new model: {hint}",
        )


def _check_has_styles(info: ModelInfo) -> None:
    """Make sure that a model can sort a library by the styles among its tags."""
    if len(style_columns(info)) < LEAST_STYLES:
        raise ModelError(
            f"the library is to be sorted by tags, and the model {info.name} ({info.fingerprint}) "
            f"has {len(info.tags)} tags, {len(style_columns(info))} of them styles",
            "Choose a model with tags with --model, or give --genres model or --genres own.",
        )


def sort_library(database: Path, source: str) -> dict[str, int]:
    """Sort a library by other labels, and update its index; nothing is analysed.

    Parameters
    ----------
    database : Path
        The library.
    source : str
        One of :class:`recsys.types.GenreSource`.

    Returns
    -------
    dict of str to int
        Tracks in each part.

    Raises
    ------
    RecsysError
        The library is busy, or is empty, or its model has no styles.
    """
    with LibraryLock(database, 0.0), Store.open(database) as store:
        info = store.model()
        if info is None:
            raise StoreError(
                f"The library {database} is empty: nothing was analysed yet.",
                "Fill it with `recsys index FOLDER`.",
            )
        if source == "tags":
            check_has_tags(info, store.roots(), LEAST_STYLES)
        store.set_genre_source(source)
        bring_up_to_date(store)
        return store.genre_counts()


def _with_note_of_unanalysed(store: Store, summary: IndexSummary) -> IndexSummary:
    """Add a note when tracks wait for analysis by the current model."""
    waiting = store.counts()["unanalysed"]
    if not waiting:
        return summary
    note = (
        f"{waiting} tracks wait for analysis by the library's present model and are in no answer "
        f"till then: recsys index {' '.join(map(str, store.roots()))}"
    )
    return replace(summary, notes=(*summary.notes, note))


@contextmanager
def _sharing_processors() -> Iterator[None]:
    """Leave the decoding processes most of the processors.

    Decoding a track costs about one and a half times as much as the model, and threads of the
    model that wait for a processor burn the time of another one meanwhile.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(max(1, round(MODEL_SHARE * default_workers())))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def nothing_found(places: Iterable[str | Path], summary: IndexSummary) -> RecsysError:
    """Return the error for a run that met no audio at all in its folders, or at its URLs."""
    if summary.notes:
        return RecsysError("; ".join(summary.notes), "Nothing was changed.")
    return RecsysError(
        f"no audio files under {', '.join(map(str, places))}",
        "Folders are searched for files such as .mp3, .flac, .ogg, .m4a; hidden ones are skipped.",
    )


def _check_parent(database: Path) -> None:
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecsysError(
            f"cannot make the folder {database.parent}: {error.strerror}",
            "Choose another place for the library with --db.",
        ) from error


def attended(
    store: Store, events: Iterator[IndexEvent | IndexPlan | IndexSummary], *, load_ahead: bool
) -> Iterator[IndexEvent | IndexPlan | IndexSummary]:
    """Pass events on, and have model and index files ready when they are needed."""
    stored = 0
    try:
        for event in events:
            if load_ahead and isinstance(event, IndexPlan) and event.pending >= BATCH_TRACKS:
                _load_ahead()
            stored += isinstance(event, IndexEvent) and event.status in ("indexed", "removed")
            if isinstance(event, IndexSummary) or stored >= SAVE_EVERY:
                stored = 0
                _save_if_behind(store)
            if isinstance(event, IndexSummary):
                event = _with_note_of_unanalysed(store, event)
            yield event
    except (KeyboardInterrupt, GeneratorExit):
        if stored:
            _save_if_behind(store)
        raise


def _load_ahead() -> None:
    """Load PyTorch, which takes as long as decoding the first batch, while that goes on."""

    def load() -> None:
        # What goes wrong here goes wrong again where it is needed, or else the program is ending.
        with suppress(Exception):
            import_module("recsys.classifier.training.architectures")

    Thread(target=load, daemon=True).start()


def _save_if_behind(store: Store) -> None:
    if not index_is_current(store):
        bring_up_to_date(store)
