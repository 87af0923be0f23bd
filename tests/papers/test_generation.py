"""Generators: spectrograms to sound and back, training that resumes, pieces, figures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from recsys.classifier.inference import Classifier
from recsys.classifier.training.datasets import LabelledTrack, SegmentSet
from recsys.errors import MissingExtraError, ModelError, QueryError
from recsys.papers.generation import music as music_module
from recsys.papers.generation import sound as sound_module
from recsys.papers.generation.judge import JudgeOptions, frechet_distance, judge
from recsys.papers.generation.music import (
    MusicGenerator,
    PieceOptions,
    analysed,
    crossfaded,
    generate,
    load_generator,
    save_generator,
)
from recsys.papers.generation.networks import Discriminator, Generator
from recsys.papers.generation.pictures import curves_picture, grid_picture
from recsys.papers.generation.recipe import GeneratorRecipe, is_generator, load_generator_recipe
from recsys.papers.generation.sound import MelImage, Vocoder, n_doublings, power_of, to_sound
from recsys.papers.generation.training import Adversaries, GanOptions, balanced_batches
from recsys.papers.recipe import GENERATOR_NAMES, load_recipe, variant_names
from recsys.types import FloatArray

SMALL = MelImage(n_mels=16, frames=16, n_fft=1024)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small_recipe(**changes: Any) -> GeneratorRecipe:
    settings = {"channels": 2, "latent": 4, "epochs": 2, "batch": 8, **changes}
    shipped = load_generator_recipe("dcgan").model_dump()
    return GeneratorRecipe.model_validate({**shipped, "features": SMALL, "generator": settings})


def stripes(genre: int, seed: int) -> FloatArray:
    """Low bands for one genre, high ones for the other, and noise that the seed decides."""
    image = np.random.default_rng([genre, seed]).uniform(-1.0, -0.6, (16, 16)).astype(np.float32)
    image[8 * genre : 8 * genre + 8] += 1.2
    return image


def planted(tracks: int = 12) -> SegmentSet:
    """Two genres, a window and an artist for each track."""
    genres = ["blues", "metal"] * (tracks // 2)
    rows = [LabelledTrack(f"{g}/{n}", g, f"artist {n}") for n, g in enumerate(genres)]
    images = np.stack([stripes(n % 2, n) for n in range(tracks)])
    return SegmentSet(tuple(rows), images, np.arange(tracks), ("blues", "metal"))


def trained(**options: Any) -> MusicGenerator:
    run = Adversaries(small_recipe(), planted(), GanOptions(**options))
    list(run.epochs())
    return run.trained()


# Spectrograms and sound.


def tone(hz: float, seconds: float = 3.0) -> FloatArray:
    time = np.arange(round(seconds * 16_000)) / 16_000
    return (0.3 * np.sin(2 * np.pi * hz * time)).astype(np.float32)


def test_an_image_holds_decibels_below_the_loudest_value() -> None:
    settings = MelImage()
    loud, quiet = tone(440.0), tone(440.0) / 100
    images = settings.compute(np.stack([loud, quiet]))
    assert images.shape == (2, 64, 64)
    assert images.max() == pytest.approx(1.0)
    assert images.min() == -1.0
    # 40 dB are half of the range.
    assert images[0, :, 32].max() - images[1, :, 32].max() == pytest.approx(1.0, abs=1e-3)
    assert np.all(settings.compute(np.zeros((1, 48_000), dtype=np.float32)) == -1.0)
    power = power_of(images[0])
    assert power.max() == pytest.approx(1.0)
    assert power.min() == pytest.approx(1e-8)


def test_a_tone_comes_back_from_its_image_with_its_pitch() -> None:
    settings = MelImage()
    image = settings.compute(tone(1000.0)[np.newaxis])[0]
    back = to_sound(image, settings, Vocoder.GRIFFIN_LIM, 0)
    assert len(back) == 48_000
    assert np.sqrt(np.mean(back**2)) == pytest.approx(0.1, abs=0.02)
    spectrum = np.abs(np.fft.rfft(back[8_000:40_000] * np.hanning(32_000)))
    peak = np.argmax(spectrum) * 16_000 / 32_000
    assert abs(peak - 1000.0) < 100.0
    again = settings.compute(back[np.newaxis])[0]
    assert int(again[:, 10:50].mean(axis=1).argmax()) == int(image[:, 10:50].mean(axis=1).argmax())
    assert np.array_equal(back, to_sound(image, settings, Vocoder.GRIFFIN_LIM, 0))


def test_silence_stays_silent() -> None:
    settings = MelImage()
    image = np.full((64, 64), -1.0, dtype=np.float32)
    image[:, :32] = 0.0
    back = to_sound(image, settings, Vocoder.GRIFFIN_LIM, 0)
    loud, quiet = np.std(back[6_000:15_000]), np.std(back[36_000:])
    assert quiet < 0.05 * loud


def test_a_vocoder_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    sound_module._hifi_gan_network.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    image = np.zeros((16, 16), dtype=np.float32)
    with pytest.raises(MissingExtraError, match="hifi-gan") as caught:
        to_sound(image, SMALL, Vocoder.HIFI_GAN, 0)
    assert "pip install" in caught.value.hint


# Networks and recipes.


@pytest.mark.parametrize("size", [16, 64, 128])
def test_networks_of_any_size_fit_each_other(size: int) -> None:
    generator, discriminator = Generator(size, 3, 2, 5), Discriminator(size, 3, 2)
    genres = torch.tensor([0, 2])
    images = generator(torch.zeros(2, 5), genres)
    assert images.shape == (2, 1, size, size)
    assert images.abs().max() <= 1.0
    assert discriminator(images, genres).shape == (2,)


@pytest.mark.parametrize("size", [8, 48, 65])
def test_sizes_that_no_doubling_reaches(size: int) -> None:
    with pytest.raises(ValueError, match=str(size)):
        n_doublings(size)


def test_the_recipe_says_what_the_report_leaves_open() -> None:
    assert variant_names("dcgan") == ("dcgan:large",)
    for name, size in (("dcgan", 64), ("dcgan:large", 128)):
        recipe = load_generator_recipe(name)
        assert recipe.name == name
        assert recipe.features.shape == (size, size)
        assert recipe.features.window_s == 3.0
        assert "Dawra" in recipe.report
        assert any("Griffin" in reading for reading in recipe.readings)


def test_a_generator_is_no_classifier(tmp_path: Path) -> None:
    assert all(map(is_generator, GENERATOR_NAMES))
    assert not is_generator("mlp")
    with pytest.raises(ModelError, match="generates music"):
        load_recipe("dcgan")
    with pytest.raises(ModelError, match="no generator"):
        load_generator_recipe("mlp")
    text = 'title = "t"\nsummary = "s"\nreport = "r"\nsource = "x"\n'
    path = tmp_path / "mine.toml"
    for settings, fault in (("n_mels = 48\nframes = 48", "side"), ("n_mels = 32", "the same")):
        path.write_text(f"{text}[features]\n{settings}\n[generator]\nepochs = 1\n")
        with pytest.raises(ModelError, match=fault):
            load_generator_recipe(str(path))


# Training.


def test_every_genre_is_drawn_as_often_as_any_other() -> None:
    genres = np.array([0] * 40 + [1] * 8)
    rows = np.concatenate(list(balanced_batches(genres, 8, np.random.default_rng(0))))
    assert np.bincount(genres[rows]).tolist() == [24, 24]
    # No row comes back before all of its genre have been drawn.
    assert np.bincount(rows)[:40].max() == 1
    assert np.bincount(rows)[40:].tolist() == [3] * 8


def test_one_seed_gives_one_generator_and_the_figures_are_bounded() -> None:
    one, same, other = trained(), trained(), trained(seed=1)
    for name, value in one.network.state_dict().items():
        assert torch.equal(value, same.network.state_dict()[name])
    assert not torch.equal(one.network.first.weight, other.network.first.weight)
    assert one.training["history"] != other.training["history"]
    for epoch in one.training["history"]:
        assert 0.0 < epoch["generated"] < 1.0
        assert 0.0 < epoch["real"] < 1.0
        assert math.isfinite(epoch["generator_loss"])
    assert one.training["tracks"] == [track.key for track in planted().tracks]


def test_an_interrupted_run_ends_where_an_undisturbed_one_does(tmp_path: Path) -> None:
    partial = tmp_path / "run.pt"
    options = GanOptions(epochs=3, partial=partial)
    begun = Adversaries(small_recipe(), planted(), options)
    next(begun.epochs())
    resumed = Adversaries(small_recipe(), planted(), options)
    assert len(resumed.history) == 1
    assert [result.epoch for result in resumed.epochs()] == [2, 3]
    undisturbed = trained(epochs=3)
    for name, value in resumed.trained().network.state_dict().items():
        assert torch.equal(value, undisturbed.network.state_dict()[name]), name
    with pytest.raises(ModelError, match="other settings"):
        Adversaries(small_recipe(), planted(), replace(options, seed=1))
    with pytest.raises(ModelError, match="other settings"):
        Adversaries(small_recipe(channels=4), planted(), options)
    # More epochs are no other run.
    longer = Adversaries(small_recipe(), planted(), replace(options, epochs=4))
    assert [result.epoch for result in longer.epochs()] == [4]


@pytest.mark.slow
def test_the_generator_learns_where_the_sound_of_a_genre_lies() -> None:
    run = Adversaries(small_recipe(channels=8, epochs=150), planted(64), GanOptions())
    list(run.epochs())
    latent = np.random.default_rng(0).standard_normal((16, 4)).astype(np.float32)
    for genre in (0, 1):
        bands = run.trained().windows(latent, [genre] * 16).mean(axis=(0, 2))
        assert bands[8 * genre : 8 * genre + 8].mean() > bands[8 - 8 * genre :][:8].mean() + 0.5


# Files.


def test_a_file_holds_the_whole_generator(tmp_path: Path) -> None:
    path, made = tmp_path / "g.safetensors", trained()
    save_generator(path, made)
    read = load_generator(path)
    latent = np.ones((2, 4), dtype=np.float32)
    assert np.array_equal(read.windows(latent, [0, 1]), made.windows(latent, [0, 1]))
    assert (read.recipe, read.features, read.labels) == ("dcgan", SMALL, ("blues", "metal"))
    assert read.training == made.training
    save_generator(path, made)  # a generator may be replaced


def test_files_that_are_no_generator(tmp_path: Path) -> None:
    path = tmp_path / "g.safetensors"
    with pytest.raises(ModelError, match="no generator") as caught:
        load_generator(path)
    assert "recsys papers train dcgan" in caught.value.hint
    path.write_bytes(b"text")
    with pytest.raises(ModelError, match="is no generator"):
        load_generator(path)
    with pytest.raises(QueryError, match="left as it is"):
        save_generator(path, trained())
    path.unlink()
    save_file({"a": np.zeros(2, dtype=np.float32)}, path)
    with pytest.raises(ModelError, match="is no generator"):
        load_generator(path)


# Pieces.


def test_windows_fade_into_each_other() -> None:
    windows = np.stack([np.full((2, 8), value, dtype=np.float32) for value in (0.0, 1.0)])
    joined = crossfaded(windows, 6)
    assert joined.shape == (2, 14)
    assert np.array_equal(joined[0, :6], np.zeros(6))
    assert np.array_equal(joined[0, 8:], np.ones(6))
    assert joined[0, 6:8] == pytest.approx([1 / 3, 2 / 3])
    same = crossfaded(np.ones((5, 2, 8), dtype=np.float32), 6)
    assert same == pytest.approx(np.ones((2, 32)))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rounds of Griffin and Lim, and no text model: neither is what is tested."""
    monkeypatch.setattr(sound_module, "GRIFFIN_LIM_ROUNDS", 2)
    monkeypatch.setattr(music_module, "guess", lambda *_: None)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("seconds", [1.0, 4.5])
def test_a_piece_is_as_long_as_asked_for_and_the_seed_decides_it(seconds: float) -> None:
    made, classifier = trained(), Classifier.load()
    options = PieceOptions("metal", seconds=seconds)
    piece = generate(made, options, classifier)
    assert len(piece.samples) == round(seconds * 16_000)
    assert piece.sample_rate == 16_000
    assert np.abs(piece.samples).max() <= 1.0
    assert (piece.genre, piece.score, piece.candidates) == ("metal", None, 1)
    assert np.array_equal(piece.samples, generate(made, options, classifier).samples)
    other = generate(made, replace(options, seed=1), classifier)
    assert not np.array_equal(piece.samples, other.samples)


@pytest.mark.usefixtures("quick")
def test_impossible_pieces() -> None:
    for options, fault in (
        ({}, "neither a genre nor words"),
        ({"genre": "blues", "seconds": 0.0}, "0 s"),
        ({"genre": "blues", "seconds": 601.0}, "601 s"),
        ({"words": "sad", "tries": 0}, "0 tries"),
    ):
        with pytest.raises(QueryError, match=fault):
            PieceOptions(**options)  # type: ignore[arg-type]  # on purpose
    made, classifier = trained(), Classifier.load()
    with pytest.raises(QueryError, match="no genre 'polka'") as caught:
        generate(made, PieceOptions("polka"), classifier)
    assert "blues, metal" in caught.value.hint
    with pytest.raises(QueryError, match="nothing was understood"):
        generate(made, PieceOptions(words="xyzzy plugh"), classifier)


@pytest.mark.usefixtures("quick")
@pytest.mark.slow
def test_words_choose_the_piece_that_fits_best() -> None:
    made, classifier = trained(), Classifier.load()
    asked = PieceOptions(words="ambient", seconds=3.0, tries=2)
    best = generate(made, asked, classifier)
    assert best.candidates == 4
    assert str(best.reading) == "ambient"
    assert best.score is not None
    strengths = [
        _strength("ambient", generate(made, replace(asked, genre=g, tries=n), classifier))
        for g in ("blues", "metal")
        for n in (1, 2)
    ]
    assert _strength("ambient", best) == pytest.approx(max(strengths))
    # A genre that the words name is the one that is generated.
    assert generate(made, replace(asked, words="ambient metal"), classifier).genre == "metal"


def _strength(tag: str, piece: Any) -> float:
    classifier = Classifier.load()
    analysis = analysed(piece.samples, piece.sample_rate, classifier)
    info = classifier.info
    return float(info.tag_strengths(analysis.tags)[info.tags.index(tag)])


# Figures.


def test_the_frechet_distance_of_known_gaussians() -> None:
    rng = np.random.default_rng(0)
    points = rng.standard_normal((500, 3)).astype(np.float32)
    assert frechet_distance(points, points) == pytest.approx(0.0, abs=1e-6)
    assert frechet_distance(points, points + 2.0) == pytest.approx(12.0, rel=1e-4)
    # Twice as wide: the trace of the covariance once, (2 - 1) squared.
    wide = points.mean(axis=0) + 2.0 * (points - points.mean(axis=0))
    trace = float(np.trace(np.cov(points, rowvar=False)))
    assert frechet_distance(points, wide) == pytest.approx(trace, rel=1e-4)
    few = points[:2]  # of a lower rank than there are dimensions
    assert math.isfinite(frechet_distance(few, points))


@pytest.mark.usefixtures("quick")
@pytest.mark.slow
def test_a_generator_that_copies_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    segments = planted(16)
    made = replace(trained(), training={"tracks": [t.key for t in segments.tracks[:8]]})
    learned = segments.inputs[:8].astype(np.float32)

    def copy(_: MusicGenerator, latent: FloatArray, genres: Any) -> FloatArray:
        rows = [list(range(genre, 8, 2)) for genre in genres]
        return np.stack([learned[row[n % 4]] for n, row in enumerate(rows)])

    calls: list[int] = []
    options = JudgeOptions(per_genre=4)
    honest = judge(made, segments, Classifier.load(), options, on_window=calls.append)
    assert honest.held_out_tracks == 8
    assert calls == [24] * 24
    assert honest.generated.n == honest.resynthesised.n == 8
    assert set(honest.distances) == {"blues", "metal"}
    assert honest.copies.generated_image[0] < 0.999
    monkeypatch.setattr(MusicGenerator, "windows", copy)
    copied = judge(made, segments, Classifier.load(), options)
    assert copied.copies.generated_image[0] == pytest.approx(1.0, abs=1e-5)
    assert copied.copies.generated_embedding[0] > copied.copies.real_embedding[0]
    assert copied.copies.real_image == honest.copies.real_image
    # Every genre is four images in turn.
    assert copied.variety.generated < 1.0
    monkeypatch.setattr(
        MusicGenerator, "windows", lambda *given: np.stack([learned[g] for g in given[2]])
    )
    assert judge(made, segments, Classifier.load(), options).variety.generated == pytest.approx(1)
    assert copied.distances["blues"].same < honest.distances["blues"].same


def test_without_music_that_was_held_out_nothing_is_judged() -> None:
    segments, made = planted(), trained()
    with pytest.raises(ModelError, match="no tracks by others"):
        judge(made, segments, Classifier.load())
    foreign = replace(made, training={"tracks": ["blues/other"]})
    with pytest.raises(ModelError, match="no tracks that it was trained on"):
        judge(foreign, segments, Classifier.load())


def test_the_plots_show_every_epoch_and_genre() -> None:
    made = trained()
    curves, grid = curves_picture(made), grid_picture(made, planted(), 0)
    assert [line.get_xdata().tolist() for line in curves.figure.axes[0].lines[:2]] == [[1, 2]] * 2
    assert len(grid.figure.axes) == 8
    assert [axes.get_title() for axes in grid.figure.axes[:4]] == ["real"] * 2 + ["generated"] * 2
