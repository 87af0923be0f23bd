"""TOML files that people write, recipes and descriptions of ONNX models, read by pydantic."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError

from recsys.errors import ModelError
from recsys.mel import Features, check_size, feature_kind


class Table(BaseModel):
    """A table of a TOML file: frozen, and without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


def _parse_features(value: object) -> object:
    """Read a ``[features]`` table as the dataclass of its kind."""
    if not isinstance(value, dict):
        return value
    settings = dict(value)
    kind = settings.pop("kind", None)
    cls = feature_kind(kind)
    unknown = sorted(set(settings) - {field.name for field in fields(cls)})
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r} in features of kind {kind!r}")
    try:
        features = TypeAdapter(cls).validate_python(settings)
        check_size(features)
    except ModelError as error:
        # Reported with every other fault of the file, and with its name.
        raise ValueError(error.message) from error
    return features


AnyFeatures = Annotated[Features, BeforeValidator(_parse_features)]
"""A ``[features]`` table: the settings of one kind."""


def faults_of(error: ValidationError) -> list[str]:
    """List the faults of a file, each with its place."""
    faults = []
    for fault in error.errors():
        place = ".".join(str(part) for part in fault["loc"] if not str(part).startswith("function"))
        if fault["type"] == "extra_forbidden":
            faults.append(f"unknown key {place!r}")
        elif fault["type"] == "missing":
            faults.append(f"{place!r} is missing")
        else:
            message = fault["msg"].removeprefix("Value error, ")
            faults.append(f"{place or 'the whole'}: {message}")
    return faults
