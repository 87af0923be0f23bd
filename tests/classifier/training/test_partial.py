"""The state of an interrupted training: written atomically, resumed by its own run alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recsys.classifier.training.loop import PartialRun, forget_partial, partial_path
from recsys.errors import ModelError

CPU = torch.device("cpu")


def test_what_was_kept_is_read(tmp_path: Path) -> None:
    state = {"model": {"a": torch.arange(3.0)}, "history": [{"epoch": 1, "loss": 0.5}]}
    PartialRun(tmp_path / "run.pt", {"seed": 1}).write(state)
    read = PartialRun(tmp_path / "run.pt", {"seed": 1}).read(CPU)
    assert read is not None
    assert torch.equal(read["model"]["a"], torch.arange(3.0))
    assert read["history"] == state["history"]
    assert set(read) == set(state)


def test_nothing_is_read_where_nothing_was_kept(tmp_path: Path) -> None:
    assert PartialRun(tmp_path / "run.pt", 1).read(CPU) is None
    nowhere = PartialRun(None, 1)
    nowhere.write({"a": 1})
    assert nowhere.read(CPU) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"seed": 1}, {"seed": 2}),
        ([0, [1, 2]], [0, [2, 1]]),
        ({"path": Path("a")}, {"path": Path("b")}),
    ],
)
def test_the_state_of_another_run_is_refused(one: object, other: object, tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    PartialRun(path, one).write({"a": 1})
    with pytest.raises(ModelError, match="other settings or other tracks") as caught:
        PartialRun(path, other).read(CPU)
    assert str(path) in caught.value.hint
    assert PartialRun(path, one).read(CPU) == {"a": 1}


def test_the_order_of_keys_makes_no_other_run(tmp_path: Path) -> None:
    PartialRun(tmp_path / "run.pt", {"a": 1, "b": 2}).write({"a": 1})
    assert PartialRun(tmp_path / "run.pt", {"b": 2, "a": 1}).read(CPU) == {"a": 1}


@pytest.mark.parametrize("content", [b"", b"nothing", b"PK\x03\x04 cut off"])
def test_damage_is_an_error_that_names_the_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"run\.pt is damaged") as caught:
        PartialRun(path, 1).read(CPU)
    assert "Delete" in caught.value.hint


def test_a_file_of_torch_that_is_no_state_is_damaged(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "run.pt")
    with pytest.raises(ModelError, match="is damaged"):
        PartialRun(tmp_path / "run.pt", 1).read(CPU)


class Deadly:
    """Something whose loading would run code."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("boom",)


def test_a_file_that_would_run_code_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"version": 2, "signature": "x", "a": Deadly()}, tmp_path / "run.pt")
    with pytest.raises(ModelError, match="is damaged"):
        PartialRun(tmp_path / "run.pt", 1).read(CPU)
    assert capsys.readouterr().out == ""


def test_a_write_that_is_cut_off_leaves_the_earlier_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = PartialRun(tmp_path / "run.pt", 1)
    run.write({"epoch": 1})

    def cut_off(state: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", cut_off)
    with pytest.raises(KeyboardInterrupt):
        run.write({"epoch": 2})
    assert run.read(CPU) == {"epoch": 1}


def test_a_state_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be written"):
        PartialRun(tmp_path / "none" / "run.pt", 1).write({"a": 1})


def test_forgetting_leaves_nothing_and_is_no_error_twice(tmp_path: Path) -> None:
    out = tmp_path / "mine.safetensors"
    for number in (0, 1):
        PartialRun(partial_path(out, number), 1).write({"a": 1})
    partial_path(out).with_name(f"{partial_path(out).name}.tmp").write_bytes(b"cut off")
    forget_partial(out)
    forget_partial(out)
    assert list(tmp_path.iterdir()) == []
