"""The state of an interrupted training run, beside the model to be."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from recsys.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

PARTIAL_VERSION = 2


class PartialRun:
    """A file from which training goes on where it was interrupted.

    Parameters
    ----------
    path : Path or None
        Where the state is kept; None keeps nothing.
    identity : JSON-like
        Everything that decides the outcome, save the sound itself. A state with another identity
        belongs to another run.
    """

    def __init__(self, path: Path | None, identity: object) -> None:
        self._path = path
        text = json.dumps(identity, sort_keys=True, default=_plain)
        self._signature = hashlib.sha256(text.encode()).hexdigest()

    def read(self, device: torch.device) -> dict[str, Any] | None:
        """Return the state that an earlier run left.

        Parameters
        ----------
        device : torch.device
            Where its tensors go.

        Returns
        -------
        dict or None
            None where there is nothing to go on from.

        Raises
        ------
        ModelError
            If the file is damaged, or belongs to another run.
        """
        if self._path is None or not self._path.exists():
            return None
        hint = f"Delete {self._path} to begin again."
        try:
            state: dict[str, Any] = torch.load(self._path, map_location=device, weights_only=True)
            known = state.pop("version"), state.pop("signature")
        except (
            *(OSError, RuntimeError, pickle.UnpicklingError),
            *(EOFError, KeyError, TypeError, AttributeError),
        ) as error:
            raise ModelError(f"the interrupted training {self._path} is damaged", hint) from error
        if known != (PARTIAL_VERSION, self._signature):
            raise ModelError(
                f"{self._path} was begun with other settings or other tracks",
                f"Use the same ones to go on. {hint}",
            )
        return state

    def write(self, state: Mapping[str, Any]) -> None:
        """Keep a state, in one step: a kill leaves the earlier one.

        Parameters
        ----------
        state : mapping
            Tensors and plain values.

        Raises
        ------
        ModelError
            If it cannot be written.
        """
        if self._path is None:
            return
        whole = {**state, "version": PARTIAL_VERSION, "signature": self._signature}
        try:
            torch.save(whole, _temporary(self._path))
            _temporary(self._path).replace(self._path)
        except (OSError, RuntimeError) as error:
            raise ModelError(
                f"the state of the training cannot be written to {self._path}: {error}",
                "Make room, or choose a folder that you may write to.",
            ) from error

    def forget(self) -> None:
        """Delete the state: the run is complete."""
        if self._path is not None:
            for path in (self._path, _temporary(self._path)):
                path.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    return path.with_name(path.name + ".tmp")


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else str(value)
