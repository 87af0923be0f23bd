"""What is not the file's own fault is never held against it, nor taken for its sound."""

from __future__ import annotations

import errno
import io
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from recsys.audio import decode, decode_whole, files, open_container
from recsys.audio.files import AudioFile, Stretch
from recsys.classifier.log_mel import MEL
from recsys.errors import AudioError, PassingError
from tests.sounds import encode, noise, staircase, write

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class FailingDisk(io.FileIO):
    """Reads until a place, and then has an error of the disk."""

    place = 0
    errors_left = 10**9

    def _fail(self) -> None:
        if self.tell() >= type(self).place and type(self).errors_left > 0:
            type(self).errors_left -= 1
            raise OSError(errno.EIO, "Input/output error")

    def read(self, size: int | None = -1, /) -> bytes:
        self._fail()
        return super().read(-1 if size is None else size)

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        self._fail()
        return super().readinto(buffer)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> type[FailingDisk]:
    failing = type("Disk", (FailingDisk,), {})
    monkeypatch.setattr(files, "AudioFile", type("Failing", (AudioFile, failing), {}))
    return failing


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.aiff", "a.m4a", "a.opus", "a.mka"])
@pytest.mark.parametrize("place", [0, 4096, 70_000])
@pytest.mark.parametrize("read", [decode, decode_whole])
def test_an_error_of_the_disk_is_passing_whatever_was_read_before(
    tmp_path: Path, disk: type[FailingDisk], name: str, place: int, read: type
) -> None:
    codecs = {".m4a": "aac", ".opus": "libopus", ".mka": "aac"}
    path = tmp_path / name
    if codec := codecs.get(path.suffix):
        encode(path, noise(20, 48_000), codec, 48_000)
    else:
        write(path, noise(20))
    assert path.stat().st_size > 80_000
    disk.place = place
    arguments = (path, MEL) if read is decode else (path,)
    with pytest.raises(PassingError, match="cannot be read now: Input/output error"):
        read(*arguments)


def test_one_error_that_passes_is_enough(tmp_path: Path, disk: type[FailingDisk]) -> None:
    path = write(tmp_path / "a.flac", noise(20))
    disk.place, disk.errors_left = 70_000, 1
    with pytest.raises(PassingError):
        decode(path, MEL)
    assert decode(path, MEL).warning is None


def test_packets_of_a_failing_disk_are_no_identity(tmp_path: Path, disk: type[FailingDisk]) -> None:
    path = write(tmp_path / "a.flac", noise(20))
    disk.place = 70_000
    with pytest.raises(PassingError), open_container(path) as container:
        assert sum(1 for packet in container.demux(audio=0)) > 0


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("gcc"), reason="needs gcc")
@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3"])
@pytest.mark.parametrize("place", [4096, 70_000])
def test_an_error_of_the_system_call_is_passing(tmp_path: Path, name: str, place: int) -> None:
    source = tmp_path / "eio.c"
    source.write_text(
        """
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <unistd.h>
        #include <errno.h>
        #include <stdio.h>
        #include <string.h>
        #include <stdlib.h>
        static int bad(int fd) {
            char link[64], name[4096];
            snprintf(link, 64, "/proc/self/fd/%d", fd);
            ssize_t length = readlink(link, name, 4095);
            if (length <= 0) return 0;
            name[length] = 0;
            return strstr(name, "/nas/") && lseek(fd, 0, SEEK_CUR) >= atol(getenv("EIO_AFTER"));
        }
        ssize_t read(int fd, void *to, size_t count) {
            static ssize_t (*real)(int, void *, size_t);
            if (!real) real = dlsym(RTLD_NEXT, "read");
            if (bad(fd)) { errno = EIO; return -1; }
            return real(fd, to, count);
        }
        """
    )
    library = tmp_path / "eio.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    path = write(tmp_path / "nas" / name, noise(20, 44_100), 44_100)
    script = (
        "import sys; from pathlib import Path; from recsys.audio import decode;"
        "from recsys.classifier.log_mel import MEL; from recsys.errors import PassingError\n"
        "try: print(decode(Path(sys.argv[1]), MEL).warning)\n"
        "except PassingError as error: print(error.message)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, path],
        env={**os.environ, "LD_PRELOAD": str(library), "EIO_AFTER": str(place)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "cannot be read now: Input/output error\n"


@pytest.mark.parametrize("name", ["a.wav", "a.m4a", "a.mp3"])
def test_a_file_that_grows_while_it_is_read_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / name
    if name == "a.m4a":
        encode(path, noise(10, 44_100), "aac")
    else:
        write(path, noise(10))
    check = AudioFile.check

    def written_meanwhile(file: AudioFile) -> None:
        with path.open("ab") as more:
            more.write(b"more")
        check(file)

    monkeypatch.setattr(AudioFile, "check", written_meanwhile)
    with pytest.raises(PassingError, match="is being written"):
        decode(path, MEL)


def test_a_file_that_is_replaced_while_it_is_read_was_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "a.flac", staircase(10))
    other = write(tmp_path / "b.flac", noise(10))
    with open_container(path) as container:
        other.replace(path)
        assert sum(packet.size for packet in container.demux(audio=0)) > 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs FIFOs")
def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    fifo, link = tmp_path / "f.mp3", tmp_path / "l.mp3"
    os.mkfifo(fifo)
    link.symlink_to(fifo)
    listener = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    try:
        os.chdir(tmp_path)  # the names of sockets are short
        listener.bind("s.mp3")
    finally:
        os.chdir(here)
    for path in (fifo, link, tmp_path / "s.mp3", Path("/dev/zero")):
        with pytest.raises(AudioError, match="not a regular file") as caught:
            decode(path, MEL)
        assert not isinstance(caught.value, PassingError)
    listener.close()


def test_a_part_of_a_file_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(range(100)))
    with AudioFile(path) as file:
        part = Stretch(file, 10, 20, b"head")
        assert part.read() == b"head" + bytes(range(10, 20))
        assert part.seek(-2, os.SEEK_END) == 12
        assert part.read(5) == bytes([18, 19])
        assert part.read(5) == b""
        part.seek(2)
        buffer = bytearray(4)
        assert part.readinto(buffer) == 4
        assert buffer == b"ad" + bytes([10, 11])
