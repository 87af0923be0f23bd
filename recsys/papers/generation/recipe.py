"""Recipes of generators: TOML files, as those of the classifiers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from recsys.errors import ModelError
from recsys.papers.generation.sound import MelImage, n_doublings
from recsys.papers.recipe import GENERATOR_NAMES, Count, RecipeBase, checked, read_recipe
from recsys.toml_tables import Table


class GeneratorTable(Table):
    """``[generator]``: the two networks and their training."""

    channels: Count = 32  # of the largest maps; up to eight times as many of the smallest
    latent: Annotated[int, Field(ge=1, le=10_000)] = 100  # values drawn per image
    epochs: Count  # as many images each as there are, every genre as often
    batch: Annotated[int, Field(ge=2)] = 32
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.5  # the first constant of Adam
    real_label: Annotated[float, Field(gt=0.5, le=1)] = 0.9  # what real images are labelled
    average_decay: Annotated[float, Field(gt=0, lt=1)] = 0.99  # of the mean of the weights


class GeneratorRecipe(RecipeBase):
    """One published generator of music."""

    features: MelImage
    generator: GeneratorTable

    @model_validator(mode="after")
    def _square_images(self) -> GeneratorRecipe:
        """Refuse sizes that no doubling reaches."""
        if self.features.n_mels != self.features.frames:
            raise ValueError("n_mels and frames must be the same")
        n_doublings(self.features.frames)
        return self


def load_generator_recipe(name: str) -> GeneratorRecipe:
    """Read and check the recipe of a generator; see :func:`recsys.papers.recipe.load_recipe`."""
    table = read_recipe(name)
    if "generator" not in table:
        raise ModelError(
            f"the recipe {name} is no generator", f"Generators are {', '.join(GENERATOR_NAMES)}."
        )
    return checked(GeneratorRecipe, name, table)


def is_generator(name: str) -> bool:
    """Return whether a name or TOML file is the recipe of a generator; raises as reading it."""
    return "generator" in read_recipe(name)
