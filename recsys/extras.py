"""Libraries that only some users install: found, or asked for in words."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from recsys.errors import MissingExtraError

if TYPE_CHECKING:
    from types import ModuleType


def require(module: str, extra: str) -> ModuleType:
    """Import a library that belongs to an extra.

    Parameters
    ----------
    module : str
        Full name of the module, ``"matplotlib.pyplot"`` say.
    extra : str
        Name of the extra in pyproject.toml that brings it.

    Returns
    -------
    module

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"this needs {error.name}, which is not installed",
            f"Install it with: pip install 'recsys[{extra}]'",
        ) from error
