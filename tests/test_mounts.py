"""The table of mounts that Linux gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys import mounts

TABLE = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /mnt/nas rw,nosuid shared:9 - nfs4 server:/music rw,vers=4.2
31 22 0:41 / /mnt/my\\040disk rw - fuse.sshfs me@host:/ rw
32 30 8:2 / /mnt/nas/local rw - ext4 /dev/sdb1 rw
33 22 0:42 / /mnt/over rw - ext4 /dev/sdc1 rw
34 22 0:43 / /mnt/over rw - cifs //nas/music rw
"""


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mountinfo"
    path.write_text(TABLE)
    monkeypatch.setattr(mounts, "_TABLE", path)


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/me/library.db", None),
        ("/mnt/nas/not/there.db", "nfs4"),
        ("/mnt/nas-other/a.db", None),
        ("/mnt/my disk/a.db", "fuse.sshfs"),
        ("/mnt/nas/local/a.db", None),
        ("/mnt/over/a.db", "cifs"),
    ],
)
def test_the_file_system_of_a_path(path: str, kind: str | None) -> None:
    assert mounts.network_file_system(Path(path)) == kind


@pytest.mark.usefixtures("table")
def test_what_is_mounted_below_a_folder() -> None:
    assert mounts.mounted_under([Path("/mnt/nas")]) == {"/mnt/nas", "/mnt/nas/local"}
    assert mounts.mounted_under([Path("/home")]) == set()


def test_without_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mounts, "_TABLE", Path("/nowhere"))
    assert mounts.network_file_system(Path("/")) is None
    assert mounts.mounted_under([Path("/")]) == set()
