"""Finding and reading recipes."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from recsys.classifier.recipes.recipe import Recipe
from recsys.errors import ModelError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

ORDER = (
    *("svm-36", "cnn-elbir", "dense-mfcc", "dense-dropout"),
    *("table-1", "mlp", "mlp-reg", "cnn-mfcc", "lstm-mfcc"),
    *("cnn-mel-base", "cnn-mel-tuned", "vgg16-transfer", "multi-genre"),
    *("knn", "cnn-stft", "prcnn", "cnn-mel-35"),
    *("ann", "cnn-simple", "alexnet-transfer"),
)
"""The recipes that come with recsys, report by report."""


def recipe_names() -> tuple[str, ...]:
    """Return the names of the recipes that come with recsys, report by report."""
    return ORDER


def variant_names(name: str) -> tuple[str, ...]:
    """Return the full names of a recipe's variants.

    Parameters
    ----------
    name : str
        Of a recipe that comes with recsys, or the path of a TOML file.

    Returns
    -------
    tuple of str
        ``name:variant`` each; empty if there are none.

    Raises
    ------
    ModelError
        As :func:`load_recipe`.
    """
    return tuple(f"{name}:{variant}" for variant in _read(name).get("variants", {}))


def load_recipe(name: str) -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    name : str
        ``name`` or ``name:variant`` of a recipe that comes with recsys, or the path of a file
        that ends in ``.toml``, again with ``:variant`` after it or not.

    Returns
    -------
    Recipe

    Raises
    ------
    ModelError
        If there is no such recipe or variant, or the file has an unknown key or a value that
        cannot be.
    """
    base, _, variant = name.partition(":")
    table = _read(base)
    variants = table.pop("variants", {})
    if variant:
        if variant not in variants:
            raise ModelError(
                f"the recipe {base} has no variant {variant!r}",
                f"It has {', '.join(variants)}." if variants else "It has none.",
            )
        table = _vary(table, variants[variant])
    shown = name if base in ORDER else f"{Path(base).stem}{name[len(base) :]}"
    try:
        return Recipe.model_validate({**table, "name": shown})
    except ValidationError as error:
        raise ModelError(_describe(name, error), "Compare with docs/papers.md.") from error


def _read(name: str) -> dict[str, Any]:
    """Return the TOML of a recipe as it stands."""
    source: Traversable | Path
    if name in ORDER:
        source = files(__package__) / f"{name}.toml"
    elif name.endswith(".toml"):
        source = Path(name)
    else:
        raise ModelError(
            f"unknown recipe {name!r}",
            f"Known are {', '.join(ORDER)}; or give the path of a .toml file.",
        )
    try:
        return tomllib.loads(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(
            f"the recipe {name} cannot be read: {error.strerror or error}", "Check the path."
        ) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelError(
            f"the recipe {name} is not TOML: {error}", "Correct the file at that place."
        ) from error


def _vary(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return a variant; figures are its own, and what was read into the report adds up."""
    varied = _merge(base, changes)
    varied["published"] = changes.get("published", {})
    varied["readings"] = [*base.get("readings", ()), *changes.get("readings", ())]
    return varied


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Lay tables over tables; what is no table replaces."""
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        tables = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = _merge(old, value) if tables else value  # type: ignore[arg-type]
    return merged


def _describe(name: str, error: ValidationError) -> str:
    """Say in one line what is wrong with a recipe, and where."""
    faults = []
    for fault in error.errors():
        place = ".".join(str(part) for part in fault["loc"] if not str(part).startswith("function"))
        if fault["type"] == "extra_forbidden":
            faults.append(f"unknown key {place!r}")
        elif fault["type"] == "missing":
            faults.append(f"{place!r} is missing")
        else:
            said = fault["msg"].removeprefix("Value error, ")
            faults.append(f"{place or 'the whole'}: {said}")
    return f"the recipe {name} cannot be used: {'; '.join(faults)}"
