"""One indexing run of a library: lock, model, folders, index files; and watching folders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from recsys.classifier.calibrate import softmax
from recsys.classifier.card import ModelCard, embeddings_of, load_card
from recsys.classifier.inference import check_device, load_head, place_for_any_process
from recsys.errors import ModelError, RecsysError, shell
from recsys.index.sync import bring_up_to_date, index_is_current, required_model
from recsys.indexing.indexer import BATCH_TRACKS, Indexer, IndexOptions, IndexPlan
from recsys.indexing.roots import check_folder
from recsys.library import ScanRules
from recsys.mel import DEFAULT_EFFORT
from recsys.memory import check_address_space, keep_freed_memory
from recsys.store import LibraryLock, Store
from recsys.types import IndexEvent, IndexStatus, IndexSummary, MixKind, SlowFile
from recsys.workers import default_workers

if TYPE_CHECKING:
    from recsys.classifier.inference import Classifier
    from recsys.mix.run import MixEvent, MixPlan, MixSummary
    from recsys.types import FloatArray, ModelInfo

SessionEvent: TypeAlias = (
    "IndexEvent | IndexPlan | IndexSummary | SlowFile | MixEvent | MixPlan | MixSummary"
)
"""What :meth:`IndexSession.run` yields."""

MODEL_SHARE = 0.4
"""Share of the processors on which the model computes while others decode."""

SAVE_EVERY = 20_000
"""Stored tracks after which a long run writes the index files, so that queries stay fast."""

_CHANGE_THE_INDEX = (IndexStatus.INDEXED, IndexStatus.REMOVED)


@dataclass(frozen=True, slots=True)
class IndexSession:
    """A library, the model that analyses it, and how."""

    database: Path  # made if it is not there
    model: Path | None = None  # checkpoint; None for the library's own, or else the shipped one
    device: str = "auto"  # a recsys.classifier.inference.Device
    effort: str | None = None  # None for the library's own, or else recsys.mel.DEFAULT_EFFORT
    options: IndexOptions = field(default_factory=IndexOptions)

    def run(self, roots: Sequence[Path], *, watch: bool = False) -> Iterator[SessionEvent]:
        """Index, then watch the folders if wanted; see :meth:`recsys.api.Library.index_events`.

        Raises
        ------
        RecsysError
            If the library is busy, its model is another, or a folder cannot be indexed.
        """
        processors = default_workers()
        check_address_space(processors, self.options.workers or processors)
        # First: a missing device must not be noticed only after a scan.
        check_device(self.device)
        if self.options.also:
            from recsys.mix.run import check_kinds

            check_kinds(self._kinds)
        # A run that changes the library itself must not do so and then find no music.
        if not self.database.exists() or self.options.genres or self.options.reanalyse:
            for root in roots:
                if not root.is_file():
                    check_folder(root)
        _check_parent(self.database)
        with (
            LibraryLock(self.database, self.options.wait_s),
            Store.open(self.database, create=True) as store,
            ExitStack() as at_the_end,
        ):
            if self.options.journal is not None:
                store.set_journal(self.options.journal)
            card, checkpoint = self._settle_model(store)
            store.find_kinds()

            def load_classifier() -> Classifier:
                from recsys.classifier.inference import Classifier

                keep_freed_memory(large=False)
                classifier = Classifier.load(checkpoint, self.device, card.effort)
                at_the_end.enter_context(_sharing_processors())
                return classifier

            place = place_for_any_process(checkpoint, self.device, card.effort)
            indexer = Indexer(store, load_classifier, card.features, self.options, place)
            ahead = place is None
            for event in attended(store, indexer.run(roots), load_ahead=ahead):
                if isinstance(event, IndexSummary) and event.found:
                    event = _with_note_of_journal(store, event)
                yield event
            yield from self._measured(store, roots)
            if watch:
                yield from self._watch(roots, store, indexer, load_ahead=ahead)

    def _watch(
        self, roots: Sequence[Path], store: Store, indexer: Indexer, *, load_ahead: bool
    ) -> Iterator[SessionEvent]:
        """Index what changes, for ever; say what there is to say once."""
        from recsys.indexing.watching import QUIET_S, Watcher

        folders = [root for root in roots if not root.is_file()]
        named = ScanRules(named=frozenset((*store.roots(), *folders)))
        watcher, told = Watcher(folders, named), set[str]()
        for change in watcher:
            if change.note is not None:
                yield IndexSummary(notes=(change.note,))
            if not change.paths:
                continue
            if change.whole:
                events = indexer.run(change.paths, quiet_s=QUIET_S)
            else:
                events = indexer.follow(change.paths, quiet_s=QUIET_S)
            changes = attended(
                store, events, load_ahead=load_ahead, count_waiting=change.whole
            )  # counting takes longer than indexing a file
            for event in changes:
                if isinstance(event, IndexSummary):
                    if change.whole:
                        news = tuple(note for note in event.notes if note not in told)
                        told = set(event.notes)
                        event = replace(event, notes=news)
                    if not (event.notes or event.changes or not change.whole):
                        continue
                elif isinstance(event, IndexPlan) and not event.pending:
                    continue
                yield event
            yield from self._measured(store, change.paths, only_if_any=True)
            watcher.wait_for(indexer.young)

    @property
    def _kinds(self) -> tuple[MixKind, ...]:
        return tuple(MixKind(name) for name in self.options.also)

    def _measured(
        self, store: Store, places: Sequence[Path], *, only_if_any: bool = False
    ) -> Iterator[MixEvent | MixPlan | MixSummary | SlowFile]:
        """Measure what the options ask for, of the tracks in some folders and files."""
        if not self.options.also:
            return
        from recsys.mix.run import MixPlan, measure_library

        options = self.options
        events = measure_library(
            store,
            self._kinds,
            places,
            workers=options.workers,
            retry_failed=options.retry_failed,
        )
        for event in events:
            if only_if_any and isinstance(event, MixPlan) and not event.pending:
                return
            yield event

    def _settle_model(self, store: Store) -> tuple[ModelCard, Path | None]:
        """Return card and checkpoint of the one model that analyses the library."""
        options = self.options
        known = store.model()
        checkpoint = self.model or store.model_path()
        before = None if known is None else known.effort
        effort = self.effort or before or DEFAULT_EFFORT
        card = load_card(checkpoint).at_effort(effort)
        info = card.info()
        changed = known is None or known.identity != info.identity
        if known is not None and changed and not options.reanalyse:
            raise self._model_mismatch(known, info, store.roots())
        if changed or self.model is not None:
            change_model(store, card, checkpoint)
        store.compute_moods()
        if options.genres is not None and options.genres != store.genre_source():
            store.set_genre_source(options.genres)
        return card, checkpoint

    def _model_mismatch(
        self, known: ModelInfo, wanted: ModelInfo, roots: Sequence[Path]
    ) -> ModelError:
        """Return the error for a library of another model, or of another effort."""
        effort = ("--effort", self.effort) if self.effort else ()
        hint = shell("recsys", "index", "--reanalyse", *effort, *roots)
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


def _check_parent(database: Path) -> None:
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecsysError(
            f"cannot make the folder {database.parent}: {error.strerror}",
            "Choose another place for the library with --db.",
        ) from error


@contextmanager
def _sharing_processors() -> Iterator[None]:
    """Limit the threads of PyTorch, so that the decoding processes have most of the processors.

    Decoding costs about 1.5 times as much as inference, and threads of PyTorch that wait for a
    processor use up the time of another one.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(max(1, round(MODEL_SHARE * default_workers())))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def nothing_found(places: Iterable[str | Path], summary: IndexSummary) -> RecsysError:
    """Return the error for a run that found no audio in its folders, or at its URLs."""
    if summary.notes:
        return RecsysError("; ".join(summary.notes), "Nothing was changed.")
    passed = summary.passed_over
    seen = [text for text in (passed.files, passed.kinds, *passed.hints) if text]
    return RecsysError(
        f"no audio files under {', '.join(map(str, places))}",
        "Folders are searched for files such as .mp3, .flac, .ogg, .m4a; hidden ones are skipped."
        + (f" Passed over: {'; '.join(seen)}." if seen else ""),
    )


# Events of a run, with the index files kept up to date


def attended(
    store: Store,
    events: Iterator[IndexEvent | IndexPlan | IndexSummary | SlowFile],
    *,
    load_ahead: bool,
    count_waiting: bool = True,
) -> Iterator[IndexEvent | IndexPlan | IndexSummary | SlowFile]:
    """Pass events on; load the model ahead, and save the index every so often and at the end.

    A note tells how many tracks wait for analysis, unless they are not to be counted.
    """
    stored = 0
    try:
        for event in events:
            if load_ahead and isinstance(event, IndexPlan) and event.pending >= BATCH_TRACKS:
                _load_ahead()
            stored += isinstance(event, IndexEvent) and event.status in _CHANGE_THE_INDEX
            if isinstance(event, IndexSummary) or stored >= SAVE_EVERY:
                stored = 0
                _save_if_behind(store)
            if isinstance(event, IndexSummary):
                event = _with_note_of_unanalysed(store, event) if count_waiting else event
                store.check_in_place()  # else all of it would be lost
            yield event
    except (KeyboardInterrupt, GeneratorExit):
        # Else the next query would have to bring the index up to date in memory.
        if stored:
            _save_if_behind(store)
        raise


def _load_ahead() -> None:
    """Load PyTorch while the first batch is decoded; both take about as long."""

    def load() -> None:
        # A failure here repeats where the module is needed, unless the program is ending.
        with suppress(Exception):
            import_module("recsys.classifier.training.architectures")

    Thread(target=load, daemon=True).start()


def _save_if_behind(store: Store) -> None:
    if not index_is_current(store):
        bring_up_to_date(store)


def _with_note_of_journal(store: Store, summary: IndexSummary) -> IndexSummary:
    problem = store.journal_problem()
    return summary if problem is None else replace(summary, notes=(*summary.notes, problem))


def _with_note_of_unanalysed(store: Store, summary: IndexSummary) -> IndexSummary:
    """Add a note if tracks without an analysis by the present model are missing from results."""
    waiting = store.unanalysed()
    if not waiting:
        return summary
    tracks = "track waits" if waiting == 1 else "tracks wait"
    note = (
        f"{waiting} {tracks} for analysis by the library's present model, in no answer till then: "
        f"{shell('recsys', 'index', *store.roots())}"
    )
    return replace(summary, notes=(*summary.notes, note))


# Another model or other labels for a library


def change_model(store: Store, card: ModelCard, checkpoint: Path | None) -> None:
    """Make a model the library's own; the caller holds the library's lock.

    A track head over the same embeddings is applied to the stored embeddings at once. With any
    other model, every track waits for analysis. No checkpoint means the shipped model.
    """
    present = _present_card(store)
    if checkpoint is None or present is None or not _only_head_differs(card, present):
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
    except ModelError:  # a card of another version: its embeddings are unknown
        return None


def _only_head_differs(card: ModelCard, present: ModelCard) -> bool:
    """Return whether a model is another track head over the embeddings of the present one."""
    same = embeddings_of(card) == embeddings_of(present)
    return "track_head" in card.config and same and card.info().identity != present.info().identity


def sort_library(database: Path, source: str) -> dict[str, int]:
    """Sort a library by other labels and update its index, without any analysis.

    `source` is a :class:`recsys.types.GenreSource`. Returns the number of tracks in each genre
    group. RecsysError if the library is busy or empty.
    """
    with LibraryLock(database, 0.0), Store.open(database) as store:
        required_model(store)
        store.set_genre_source(source)
        bring_up_to_date(store)
        return store.genre_counts()
