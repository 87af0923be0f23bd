"""``recsys papers judge``: how good the music of a generator is."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recsys.cli.options import FILE, NamedPath, json_option, seed_option, workers_option
from recsys.cli.output import console, print_json, progress, shown, table, warn
from recsys.cli.papers_generate import VOCODERS

if TYPE_CHECKING:
    from recsys.papers.generation.judge import GeneratorFigures, Recognition


@click.command("judge", short_help="Measure the music of a trained generator.")
@click.argument("model", metavar="GENERATOR", type=FILE)
@click.argument("directories", metavar="DATA...", nargs=-1, required=True, type=NamedPath())
@click.option(
    "--per-genre",
    type=click.IntRange(min=2),
    default=30,
    show_default=True,
    help="Windows of 3 s of each genre that are generated and analysed.",
)
@click.option("--vocoder", type=click.Choice(VOCODERS), default=VOCODERS[0], show_default=True)
@click.option("--plots", type=NamedPath(), metavar="FOLDER", help="Write the plots as PNG there.")
@seed_option("Random seed of the music and of the choice of real windows.")
@workers_option
@json_option("One line of JSON.")
def command(
    model: Path,
    directories: tuple[Path, ...],
    per_genre: int,
    vocoder: str,
    plots: Path | None,
    seed: int,
    workers: int | None,
    as_json: bool,
) -> None:
    """Measure GENERATOR on folders DATA/GENRE/track.

    How often the shipped model recognises the genre, how far the music is from real music in its
    embedding (Fréchet distance), and whether windows are copies of what was trained on. The real
    music is that of the tracks that were not trained on (train with --train-split), by artists that
    were not either.

    \b
    Examples:
      recsys papers train dcgan gtzan --train-split train.txt --out dcgan.safetensors
      recsys papers judge dcgan.safetensors gtzan --plots plots
    """
    from recsys.classifier.inference import Classifier
    from recsys.papers.data import find_music, load_segments
    from recsys.papers.generation.judge import JudgeOptions, judge
    from recsys.papers.generation.music import load_generator
    from recsys.papers.generation.pictures import curves_picture, grid_picture
    from recsys.papers.generation.sound import Vocoder
    from recsys.reports.drawing import check_ready, png, write_file
    from recsys.workers import default_workers

    generator = load_generator(model)
    if plots is not None:
        check_ready(plots, ("matplotlib.figure",))
    files = [file for file in find_music(directories) if file.genre in generator.labels]
    with progress("tracks", "Decoding") as bar:
        segments, skipped = load_segments(
            files,
            generator.features,
            workers=workers or default_workers(),
            on_file=lambda total: bar.update(total=total, advance=1),
        )
    for path, reason in skipped:
        warn(f"skipped {shown(path)}: {reason}")
    options = JudgeOptions(per_genre, seed, Vocoder(vocoder))
    with progress("windows", "Analysing") as bar:
        found = judge(
            generator,
            segments,
            Classifier.load(),
            options,
            on_window=lambda total: bar.update(total=total, advance=1),
        )
    if plots is not None:
        for picture in (curves_picture(generator), grid_picture(generator, segments, seed)):
            write_file(plots / picture.file_name, png(picture.figure))
    if as_json:
        print_json(asdict(found))
    else:
        _print(found)


def _print(found: GeneratorFigures) -> None:
    click.echo(f"Genre recognised: {_share(found.generated)} of the generated windows,")
    click.echo(f"  {_share(found.resynthesised)} of real ones by way of the spectrogram.")
    rows = table(
        *("Genre", "Recognised", "Fréchet: same genre", "other genres", "nearest", "real, real"),
        right=[1, 2, 3, 5],
    )
    for genre, far in found.distances.items():
        right = found.generated.per_genre.get(genre)
        rows.add_row(
            genre,
            "" if right is None else f"{right:.2f}",
            f"{far.same:.3f}",
            f"{far.others:.3f}",
            far.nearest,
            f"{far.real:.3f}",
        )
    console().print(rows)
    variety = found.variety
    click.echo(
        "Correlation of two spectrograms of one genre: generated"
        f" {variety.generated:.3f}, real {variety.real:.3f}"
    )
    copies = found.copies
    click.echo("Nearest window trained on, median and 95th percentile:")
    for what, generated, real in (
        ("cosine of the embeddings", copies.generated_embedding, copies.real_embedding),
        ("correlation of the spectrograms", copies.generated_image, copies.real_image),
    ):
        click.echo(
            f"  {what}: generated {generated[0]:.3f}, {generated[1]:.3f};"
            f" real, by other artists {real[0]:.3f}, {real[1]:.3f}"
        )


def _share(found: Recognition) -> str:
    low, high = found.interval
    return f"{found.right:.3f} ({low:.3f} to {high:.3f}, n = {found.n})"
