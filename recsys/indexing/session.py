"""One process at a time brings a library up to date: lock, model, folders, index files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from recsys.classifier.checkpoint import ModelCard, load_card
from recsys.classifier.devices import is_processor
from recsys.classifier.loading import place_for_any_process
from recsys.errors import ModelError, RecsysError, StoreError
from recsys.features.effort import DEFAULT_EFFORT, effort_of, with_effort
from recsys.index_sync import bring_up_to_date, index_is_current
from recsys.indexing.change_model import change_model
from recsys.indexing.indexer import BATCH_TRACKS, Indexer, IndexOptions, IndexPlan
from recsys.indexing.roots import check_folder
from recsys.memory import keep_freed_memory
from recsys.store import Store
from recsys.store.lock import LibraryLock
from recsys.tag_names import LEAST_STYLES, check_has_tags, style_columns
from recsys.types import TIME_LIMIT_S, IndexEvent, IndexSummary
from recsys.workers import default_workers

if TYPE_CHECKING:
    from recsys.classifier.inference import Classifier
    from recsys.types import ModelInfo

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
        Which labels sort the library from now on, one of :data:`recsys.types.GENRE_SOURCES`; None
        leaves it as it is.
    effort : str or None
        How much of a track is heard, one of :data:`recsys.features.effort.EFFORTS`; None for the
        library's own, or else :data:`recsys.features.effort.DEFAULT_EFFORT`.
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
        is_processor(self.device)
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
                effort = effort_of(card.fingerprint)
                classifier = Classifier.load(checkpoint, self.device, effort)
                at_the_end.enter_context(_sharing_processors())
                return classifier

            options = IndexOptions(self.workers, self.keep_missing, self.time_limit_s)
            place = place_for_any_process(checkpoint, self.device, effort_of(card.fingerprint))
            indexer = Indexer(store, load_classifier, card.features, options, place)
            yield from _attended(store, indexer.run(roots), load_ahead=place is None)
            if watch:
                from recsys.indexing.watching import changed_folders

                for folders in changed_folders(roots):
                    events = indexer.run(folders, whole_roots=False)
                    yield from _attended(store, events, load_ahead=place is None)

    def _settle_model(self, store: Store) -> tuple[ModelCard, Path | None]:
        """Make sure that one model analyses the library; return its card and checkpoint."""
        known = store.model()
        checkpoint = self.model or store.model_path()
        before = None if known is None else effort_of(known.fingerprint)
        effort = self.effort or before or DEFAULT_EFFORT
        card = load_card(checkpoint).at_effort(effort)
        info = card.info()
        if (self.genres or store.genre_source()) == "tags":
            _check_has_styles(info)
        changed = known is None or known.fingerprint != info.fingerprint
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
        """Return the error for a library that another model heard, or the same one elsewhere."""
        before, now = effort_of(known.fingerprint), effort_of(wanted.fingerprint)
        hearing = f" --effort {self.effort}" if self.effort else ""
        hint = f"recsys index --reanalyse{hearing} {' '.join(map(str, roots))}"
        if with_effort(known.fingerprint, now) == wanted.fingerprint:
            return ModelError(
                f"{self.database} was heard with effort {before}, not {now}; what was heard in "
                "more places and in fewer does not mix",
                f"To hear all of it again: {hint}",
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
            "Choose a model with tags with --model, or give --genres gtzan or --genres own.",
        )


def sort_library(database: Path, source: str) -> dict[str, int]:
    """Sort a library by other labels, and make its index follow; nothing is listened to.

    Parameters
    ----------
    database : Path
        The library.
    source : str
        One of :data:`recsys.types.GENRE_SOURCES`.

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
    """Say so when tracks are missing from the results because another model heard them."""
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


def _attended(
    store: Store, events: Iterator[IndexEvent | IndexPlan | IndexSummary], *, load_ahead: bool
) -> Iterator[IndexEvent | IndexPlan | IndexSummary]:
    """Pass events on, and see to it that model and index files are there when they are needed."""
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
            import_module("recsys.classifier.torch_network")

    Thread(target=load, daemon=True).start()


def _save_if_behind(store: Store) -> None:
    if not index_is_current(store):
        bring_up_to_date(store)
