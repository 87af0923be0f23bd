"""Plugin for beets: genres, moods and tag strengths as fields, similar tracks and playlists.

beets' library is the list of files: ``beet recsys index`` analyses them, and an import what it
brought. Answers come from the recsys library, the same that ``recsys`` itself uses unless ``db``
of the configuration names another.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib.resources import files
from optparse import Values
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beets.dbcore import types
from beets.dbcore.query import PathQuery
from beets.exceptions import UserError
from beets.plugins import BeetsPlugin
from beets.ui import Subcommand, print_, should_write

from recsys.errors import RecsysError, StoreError

if TYPE_CHECKING:
    from beets.library import Item
    from beets.library import Library as BeetsLibrary

    from recsys.api import Library
    from recsys.indexing import IndexPlan
    from recsys.types import IndexEvent, Playlist, Range, Track

USAGE = "recsys index|similar|playlist [QUERY]"

NUMBERS = ("energy", "valence", "danceability", "acousticness", "instrumentalness", "vocals")
"""Numbers of a track in [0, 1] that become fields."""

TOLD_EVERY = 100
"""Files after which a long analysis tells its progress."""

NAMED = 3
"""Files that are named in a message of many."""


class RecsysPlugin(BeetsPlugin):
    """``beet recsys``, its fields, and the analysis of what is imported."""

    def __init__(self) -> None:
        super().__init__()
        self.config.add({"auto": True, "genres": False, "db": ""})
        self._imported: list[int] = []  # ids of items
        # Not an import stage: beets moves the files after those.
        self.register_listener("import_task_files", self._note_imported)
        self.register_listener("import", self._index_imported)

    @cached_property
    def item_types(self) -> dict[str, types.Type[Any, Any]]:
        """The fields that recsys sets; numbers can be asked for by ranges."""
        numbers = [*NUMBERS, *map(field_name, self._tag_names())]
        texts = {"recsys_genre": types.STRING, "recsys_mood": types.STRING}
        return {**{f"recsys_{name}": types.Float(2) for name in numbers}, **texts}

    def _tag_names(self) -> list[str]:
        """Return the tags of the library's model, or of the one that comes with recsys."""
        # Every command of beets asks: this loads neither NumPy nor the library.
        from recsys.store.completion import tag_names

        try:
            return tag_names(self._database)
        except (RecsysError, OSError, LookupError):  # no library yet, or nothing in it
            card = files("recsys.data").joinpath("genre-model.json").read_text("utf-8")
            names: list[str] = json.loads(card)["tags"]
            return names

    @property
    def _database(self) -> Path:
        """The recsys library: of the configuration, of the environment, or the user's."""
        from recsys.store.connection import default_database

        named = self.config["db"].get(str) or os.environ.get("RECSYS_DB")
        if not named:
            return default_database()
        # A relative path of the configuration begins at its folder, as beets has it.
        return Path(self.config["db"].as_filename() if self.config["db"].get(str) else named)

    def commands(self) -> list[Subcommand]:
        """Return ``beet recsys``."""
        command = Subcommand("recsys", help="analyse music, find similar tracks, make playlists")
        parser = command.parser
        parser.usage = f"%prog {USAGE}"
        parser.add_option("-k", "--count", type="int", default=20, help="number of similar tracks")
        parser.add_option("-l", "--length", type="int", default=30, help="tracks of a playlist")
        parser.add_option("-o", "--output", metavar="FILE", help="write the playlist to this file")
        parser.add_option(
            "-g",
            "--genres",
            action="store_true",
            help="index: also set genres of items that have none",
        )
        parser.add_format_option()
        parser.add_path_option()
        command.func = self._run
        return [command]

    def _run(self, lib: BeetsLibrary, opts: Values, args: list[str]) -> None:
        verbs = {"index": self._index, "similar": self._similar, "playlist": self._playlist}
        if not args or args[0] not in verbs:
            raise UserError(f"usage: beet {USAGE}")
        if opts.count < 1 or opts.length < 1:
            raise UserError("--count and --length are numbers from 1")
        with _in_words():
            verbs[args[0]](lib, opts, args[1:])

    @contextmanager
    def _library(self) -> Iterator[Library]:
        from recsys.api import Library

        with Library(self._database) as library:
            yield library

    # Analysis

    def _index(self, lib: BeetsLibrary, opts: Values, query: list[str]) -> None:
        """Analyse items, and set their fields."""
        items = _matching(lib, query)
        paths = self._there(items)
        genres = opts.genres or self.config["genres"].get(bool)
        with self._library() as library:
            summary = library.index(paths, on_event=_progress())
            for text in summary.notes:
                print_(text)
            changed = self._set_fields(lib, library, items, genres=genres)
        failed = f", {summary.failed} that cannot be analysed" if summary.failed else ""
        print_(f"{len(paths)} files: {summary.indexed} analysed{failed}; {changed} items changed")

    def _there(self, items: Sequence[Item]) -> list[Path]:
        """Return the files of items that are there; UserError if that is none of them."""
        paths = [item.filepath for item in items]
        there = [path for path in paths if path.is_file()]
        if len(there) < len(paths):
            missing = sorted(set(paths).difference(there))
            named = ", ".join(map(str, missing[:NAMED])) + (", ..." if missing[NAMED:] else "")
            text = (
                f"{len(missing)} of {len(paths)} files are not where beets has them: {named}. "
                "Mount their disk, or set directory in the configuration of beets to where they "
                "are now; beet update forgets files that are gone"
            )
            if not there:
                raise UserError(text)
            self._log.warning("{}", text)
        return there

    def _note_imported(self, session: object, task: Any) -> None:  # noqa: ANN401, ARG002
        if self.config["auto"].get(bool):
            self._imported += [item.id for item in task.imported_items()]

    def _index_imported(self, lib: BeetsLibrary, paths: object) -> None:
        """Analyse what an import brought; its end is not the time to fail."""
        items = [item for item in map(lib.get_item, self._imported) if item is not None]
        self._imported = []
        paths = [item.filepath for item in items if item.filepath.is_file()]
        if not paths:
            return
        try:
            with self._library() as library:
                library.index(paths)
                self._set_fields(lib, library, items, genres=self.config["genres"].get(bool))
        except RecsysError as error:
            self._log.warning("not analysed: {}. {}", error.message, error.hint)

    def _set_fields(
        self, lib: BeetsLibrary, library: Library, items: Iterable[Item], *, genres: bool
    ) -> int:
        """Set the fields of items from the recsys library; return how many items changed."""
        found = ((item, library.store.track_by_path(item.filepath)) for item in items)
        known = [(item, track) for item, track in found if track is not None]
        if not known:  # an empty library has no model
            return 0
        strengths = library.tag_strengths(track.id for _, track in known)
        moods = library.moods()
        changed = 0
        with lib.transaction():
            for item, track in known:
                fields = fields_of(track, strengths.get(track.id, {}), moods)
                has_changed = any(item.get(name) != value for name, value in fields.items())
                item.update(fields)
                tells_genre = genres and not item.genres and is_music(track)
                if tells_genre:
                    item.genres = [track.genre_group.title()]
                if has_changed or tells_genre:
                    item.store()
                    changed += 1
                if tells_genre and should_write():
                    item.try_write()
        return changed

    # Answers

    def _similar(self, lib: BeetsLibrary, opts: Values, query: list[str]) -> None:
        """Print tracks similar to the items of a query, the most similar first."""
        with self._library() as library:
            answer = library.similar(self._seeds(lib, query), k=opts.count)
            self._print(lib, [row.track for row in answer.results])
        for text in answer.notes:
            self._log.info("{}", _in_beets(text))

    def _playlist(self, lib: BeetsLibrary, opts: Values, query: list[str]) -> None:
        """Print a playlist from the items of a query, or write it to a file."""
        from recsys.playlists import PlaylistOptions

        options = PlaylistOptions(length=opts.length)
        with self._library() as library:
            playlist: Playlist = library.playlist(self._seeds(lib, query), options)
            if opts.output:
                playlist.save(opts.output)
                print_(f"{opts.output}: {len(playlist.tracks)} tracks")
            else:
                self._print(lib, playlist.tracks)
        if playlist.note:
            self._log.info("{}", _in_beets(playlist.note))

    def _seeds(self, lib: BeetsLibrary, query: list[str]) -> list[Path]:
        if not query:
            raise UserError("name the items to start from: beet recsys similar QUERY")
        return self._there(_matching(lib, query))

    def _print(self, lib: BeetsLibrary, tracks: Iterable[Track]) -> None:
        """Print tracks as beets does; those that it does not have as paths."""
        for track in tracks:
            item = lib.items(PathQuery("path", os.fsencode(track.path))).get()
            print_(os.fspath(track.path) if item is None else format(item))


def _progress() -> Callable[[IndexEvent | IndexPlan], None]:
    """Return what tells the progress of a long analysis."""
    from recsys.types import IndexEvent, IndexStatus

    pending = done = 0

    def tell(event: IndexEvent | IndexPlan) -> None:
        nonlocal pending, done
        if not isinstance(event, IndexEvent):
            pending = event.pending
        elif event.status in (IndexStatus.INDEXED, IndexStatus.FAILED):
            done += 1
            if done % TOLD_EVERY == 0:
                print_(f"{done} of {pending} files analysed")

    return tell


def _matching(lib: BeetsLibrary, query: list[str]) -> list[Item]:
    """Return the items of a query; UserError if there is none."""
    items = list(lib.items(query))
    if not items and not query:
        raise UserError("beets has no items yet: beet import FOLDER")
    if not items:
        raise UserError("no item of beets matches: " + " ".join(query))
    return items


def field_name(tag: str) -> str:
    """Return the end of the field of a tag.

    Examples
    --------
    >>> field_name("Hip-Hop"), field_name("female vocalists"), field_name("80s")
    ('hip_hop', 'female_vocalists', '80s')
    """
    return re.sub(r"\W+", "_", tag.lower()).strip("_")


def fields_of(
    track: Track, strengths: dict[str, float], moods: dict[str, dict[str, Range]]
) -> dict[str, str | float]:
    """Return the fields of an item."""
    from recsys.recommender.filters import moods_of

    numbers = {name: getattr(track, name) for name in NUMBERS}
    values = {**{field_name(tag): value for tag, value in strengths.items()}, **numbers}
    return {
        **{f"recsys_{name}": round(v, 3) for name, v in values.items() if v is not None},
        "recsys_genre": track.genre_group,
        "recsys_mood": "; ".join(moods_of(track, moods)),
    }


def is_music(track: Track) -> bool:
    """Return whether a track has a genre that may be written."""
    from recsys.types import NOT_MUSIC, UNKNOWN

    return track.kind not in NOT_MUSIC and track.genre_group != UNKNOWN


def _in_beets(note: str) -> str:
    """Return a note without its command: beet recsys index is another, and tells what helps."""
    return note.replace(": run recsys index", "")


@contextmanager
def _in_words() -> Iterator[None]:
    """Turn errors of recsys into those of beets, which prints them without a traceback."""
    try:
        yield
    except RecsysError as error:
        text = error.message.rstrip(".")
        if isinstance(error, StoreError) and "no library" in text:
            raise UserError(f"{text}; make one with: beet recsys index") from error
        raise UserError(f"{text}. {error.hint}".strip()) from error
