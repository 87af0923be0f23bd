"""``recsys papers list``: the published systems that can be reproduced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from recsys.cli.options import completed_by, json_option, unused_db_option
from recsys.cli.output import console, print_json, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recsys.papers.generation.recipe import GeneratorRecipe
    from recsys.papers.recipe import Recipe

    AnyRecipe = Recipe | GeneratorRecipe


@click.command(short_help="List the published systems that can be reproduced.")
@click.argument("name", metavar="[NAME]", required=False, shell_complete=completed_by("recipes"))
@json_option("One line of JSON per recipe.")
@unused_db_option
def command(name: str | None, as_json: bool) -> None:
    """List the recipes: systems of published reports, each with its published accuracy.

    With NAME, show one recipe: its source, its settings and figures, and the decisions taken where
    the report is silent or contradicts itself. NAME can also be the path of your own TOML file.
    Train one with recsys papers train, measure them all with recsys papers reproduce.

    \b
    Examples:
      recsys papers list
      recsys papers list lstm-mfcc
      recsys papers list --json
    """
    from recsys.papers.recipe import GENERATOR_NAMES, RECIPE_NAMES, variant_names

    names = [name] if name else [*RECIPE_NAMES, *GENERATOR_NAMES]
    recipes = [(_load(one), variant_names(one)) for one in names]
    if as_json:
        for recipe, variants in recipes:
            plain = recipe.model_dump(mode="json", exclude={"features"})
            features = recipe.features.as_dict()
            print_json({**plain, "features": features, "variants": variants})
    elif name:
        _print_one(*recipes[0])
    else:
        _print_table(recipes)


def _load(name: str) -> AnyRecipe:
    from recsys.papers.generation.recipe import is_generator, load_generator_recipe
    from recsys.papers.recipe import load_recipe

    return load_generator_recipe(name) if is_generator(name) else load_recipe(name)


def _print_table(recipes: list[tuple[AnyRecipe, tuple[str, ...]]]) -> None:
    from recsys.papers.recipe import Recipe

    shown = table("Recipe", "System", "Published", "Report", right=[2])
    for recipe, variants in recipes:
        # The first author identifies a report, and keeps its row on one line.
        author = recipe.report.partition(",")[0].partition(" and ")[0]
        name = f"{recipe.name} (+{len(variants)})" if variants else recipe.name
        published = recipe.published.test if isinstance(recipe, Recipe) else None
        shown.add_row(name, recipe.title, _figure(published), author)
    console().print(shown)
    click.echo("Published: test accuracy. (+2): two more variants.")
    click.echo("recsys papers list NAME shows one; recsys papers train NAME trains it.")


def _print_one(recipe: AnyRecipe, variants: tuple[str, ...]) -> None:
    from recsys.papers.recipe import Recipe

    click.echo(f"{recipe.name}: {recipe.title}")
    click.echo(f"  {recipe.summary}")
    click.echo(f"Report: {recipe.report}; {recipe.source}")
    if isinstance(recipe, Recipe):
        _print_classifier(recipe)
    else:
        click.echo(f"Features: {_settings(recipe.features.as_dict())}")
        click.echo(f"Generator: {_settings(recipe.generator.model_dump())}")
    for reading in recipe.readings:
        click.echo(f"- {reading}")
    if variants:
        click.echo(f"Variants: {', '.join(variants)}")


def _print_classifier(recipe: Recipe) -> None:
    published = recipe.published
    figures = {"test": published.test, "train": published.train, "valid": published.valid}
    words = [f"{part} {_figure(value)}" for part, value in figures.items() if value is not None]
    if published.loss is not None:
        words.append(f"test loss {published.loss}")
    click.echo(f"Published: {', '.join([*words, *published.also]) or 'no figure'}")
    click.echo(f"Features: {_settings(recipe.features.as_dict())}")
    if recipe.network is not None and recipe.training is not None:
        click.echo(f"Network: {recipe.network.architecture} {_settings(recipe.network.config)}")
        trained = recipe.training.model_dump(exclude_none=True)
        click.echo(f"Training: {_settings(trained)}")
    if recipe.search is not None:
        tried = _settings(recipe.search.network | recipe.search.training)
        click.echo(f"Search: {tried}, for {recipe.search.epochs} epochs each")
    if recipe.estimator is not None:
        settings = _settings(recipe.estimator.settings | recipe.estimator.grid)
        click.echo(f"Model: {recipe.estimator.name} {settings}".rstrip())
    click.echo(f"Protocol: {_settings(recipe.protocol.model_dump(exclude_none=True))}")
    if recipe.unmeasured:
        click.echo(f"Not measured: {recipe.unmeasured}")


def _settings(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
