"""Three tracks that all sound like rock, with other tags or none, in an indexed folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mutagen

from recsys.audit import AuditOptions, Retagger, RetagOutcome, audit, undo_run
from recsys.audit.genre_field import read_genre_field, write_genre_field
from recsys.library import audio_hash, read_tags
from recsys.store import Store, TrackRecord
from recsys.types import Analysis, TrackFile
from tests.audit.tagged_files import make_sound
from tests.audit.test_disagreements import INFO, probabilities
from tests.stored import axis

OLD = {"1.flac": ("Jazz",), "2.mp3": ("Jazz", "Blues"), "3.ogg": None}
NEW = dict.fromkeys(OLD, ("Rock",))


class Music:
    """The folder, its library, and what a test needs to ask about them."""

    def __init__(self, folder: Path, identify: Callable[[Path], str] = audio_hash) -> None:
        self.identify = identify
        self.folder = folder / "music"
        self.database = folder / "library.db"
        self.folder.mkdir()
        self.paths = [
            self.track("1.flac", ("Jazz",)),
            self.track("2.mp3", ("Jazz", "Blues")),
            self.track("3.ogg", None),
        ]
        self.index()

    def track(self, name: str, genres: tuple[str, ...] | None) -> Path:
        path = make_sound(self.folder, f"a.{name[2:]}").rename(self.folder / name)
        file = mutagen.File(path, easy=True)
        if file.tags is None:
            file.add_tags()
        file["title"] = name
        file.save()
        write_genre_field(path, genres)
        return path

    def index(self) -> None:
        """Store the files as they are."""
        analysis = Analysis(probabilities(rock=0.95, jazz=0.01), axis(0), INFO.fingerprint)
        with Store.open(self.database, create=True) as store:
            store.set_model(INFO, "{}")
            for path in self.paths:
                if path.exists():
                    state = path.stat()
                    file = TrackFile(path, state.st_size, state.st_mtime_ns)
                    sound = self.identify(path)
                    tags = read_tags(path)
                    store.write([TrackRecord(file, tags, sound, 1.5, None, analysis)])

    def accept_all(self, retagger: Retagger | None = None) -> dict[str, RetagOutcome]:
        with Store.open(self.database, read_only=True) as store:
            findings = audit(store, AuditOptions(missing=True)).findings
        writer = retagger or Retagger(self.database)
        return {outcome.path.name: outcome for outcome in writer.write(findings)}

    def undo(self, number: int | None = None, *paths: Path) -> dict[str, RetagOutcome]:
        _, outcomes = undo_run(self.database, number, paths)
        return {outcome.path.name: outcome for outcome in outcomes}

    def genres(self) -> dict[str, tuple[str, ...] | None]:
        return {p.name: read_genre_field(p).values for p in self.paths if p.exists()}

    def is_settled(self) -> bool:
        """Whether the next indexing would find nothing to do."""
        with Store.open(self.database, read_only=True) as store:
            for path in filter(Path.exists, self.paths):
                known, state = store.lookup(path), path.stat()
                assert known is not None
                if (known.size, known.mtime_ns) != (state.st_size, state.st_mtime_ns):
                    return False
                if known.genre is None or known.failure is not None:
                    return False
        return True
