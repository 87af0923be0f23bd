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
    base, _ = split_name(name)
    return tuple(f"{base}:{variant}" for variant in _variants(base, _read(base)))


def split_name(name: str) -> tuple[str, str | None]:
    """Take the name of a variant from that of its recipe.

    Parameters
    ----------
    name : str
        As :func:`load_recipe` takes it. Paths may hold colons.

    Returns
    -------
    base : str
    variant : str or None
        None where no variant is named.

    Examples
    --------
    >>> split_name("table-1:svm"), split_name("C:/mine.toml")
    (('table-1', 'svm'), ('C:/mine.toml', None))
    """
    path, mark, variant = name.rpartition(".toml:")
    if mark:
        return f"{path}.toml", variant
    if name.endswith(".toml"):
        return name, None
    base, mark, variant = name.partition(":")
    return base, variant if mark else None


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
    base, variant = split_name(name)
    table = _read(base)
    variants = _variants(base, table)
    table.pop("variants", None)
    if "name" in table:
        raise _unusable(name, ["unknown key 'name': the file's name is the recipe's"])
    if variant is not None:
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
        raise _unusable(name, faults_of(error)) from error


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
            f"Known are {', '.join(ORDER)}; or give the path of a .toml file. The model that ships"
            " is made by recsys train --recipe default alone.",
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
    readings = base.get("readings", []), changes.get("readings", [])
    if all(isinstance(some, list) for some in readings):
        varied["readings"] = [*readings[0], *readings[1]]
    return varied


def _variants(name: str, table: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the tables of a recipe's variants."""
    variants = table.get("variants", {})
    if not isinstance(variants, dict):
        raise _unusable(name, [f"variants: a table is needed, got {variants!r}"])
    for variant, changes in variants.items():
        if not isinstance(changes, dict):
            raise _unusable(name, [f"variants.{variant}: a table is needed, got {changes!r}"])
    return variants


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Lay tables over tables; what is no table replaces."""
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        tables = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = _merge(old, value) if tables else value  # type: ignore[arg-type]
    return merged


def faults_of(error: ValidationError) -> list[str]:
    """Say what is wrong with a file, and where."""
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
    return faults


def _unusable(name: str, faults: list[str]) -> ModelError:
    return ModelError(
        f"the recipe {name} cannot be used: {'; '.join(faults)}",
        "Correct the file at that place.",
    )
