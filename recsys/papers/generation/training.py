"""Training of generator and discriminator against each other: resumable, the same for one seed."""

from __future__ import annotations

import copy
import math
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from recsys.classifier.training.loop import NAN_HINT, SAVE_EVERY_S, PartialRun
from recsys.errors import ModelError
from recsys.memory import keep_freed_memory
from recsys.papers.generation.music import MusicGenerator
from recsys.papers.generation.networks import Discriminator, Generator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from recsys.classifier.training.datasets import SegmentSet
    from recsys.papers.generation.recipe import GeneratorRecipe
    from recsys.types import IdArray

FIRST_DECAY = 10
"""Steps after which the average of the weights reaches back further than those steps."""


@dataclass(frozen=True, slots=True)
class GanOptions:
    """How a recipe is trained here."""

    seed: int = 0
    device: str = "cpu"
    epochs: int | None = None  # instead of the recipe's
    partial: Path | None = None  # where the state is saved, and resumed from


@dataclass(frozen=True, slots=True)
class GanEpoch:
    """Figures of one epoch: means over its batches."""

    epoch: int  # from 1
    epochs: int
    generator_loss: float
    discriminator_loss: float  # ln 4 = 1.386 where it cannot tell
    real: float  # probability of being real that the discriminator gives real images
    generated: float  # and generated ones; 0.5 and 0.5 are the equilibrium
    seconds: float


class Adversaries:
    """A run that trains the two networks of a recipe.

    Parameters
    ----------
    recipe : GeneratorRecipe
    segments : SegmentSet
        Images (n, size, size) in [-1, 1], and the genres of their tracks.
    options : GanOptions

    Raises
    ------
    ModelError
        If the saved state is damaged or belongs to another run.
    """

    def __init__(self, recipe: GeneratorRecipe, segments: SegmentSet, options: GanOptions) -> None:
        settings = recipe.generator
        self._recipe, self._settings, self._seed = recipe, settings, options.seed
        self._segments = segments
        self._epochs = options.epochs or settings.epochs
        self._device = torch.device(options.device)
        self._images, self._genres = segments.inputs, segments.targets
        if self._device.type == "cpu":
            keep_freed_memory()
        size, n_genres = recipe.features.frames, len(segments.labels)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            generator = Generator(size, n_genres, settings.channels, settings.latent)
            discriminator = Discriminator(size, n_genres, settings.channels)
        self._generator: Any = generator.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._discriminator: Any = discriminator.to(  # type: ignore[call-overload]
            self._device, memory_format=torch.channels_last
        )
        self._average = copy.deepcopy(self._generator)
        self._optimisers = [
            torch.optim.Adam(
                network.parameters(), settings.learning_rate, (settings.momentum, 0.999)
            )
            for network in (self._generator, self._discriminator)
        ]
        self._history: list[GanEpoch] = []
        self._steps = 0
        identity = {
            "features": recipe.features.as_dict(),
            "generator": settings.model_dump(exclude={"epochs"}),
            "seed": options.seed,
            "labels": segments.labels,
            "tracks": [track.key for track in segments.tracks],
            "segments": len(segments.inputs),
        }
        self._partial = PartialRun(options.partial, identity)
        if (state := self._partial.read(self._device)) is not None:
            self._resume(state)

    @property
    def history(self) -> tuple[GanEpoch, ...]:
        """Results of all epochs so far, those before an interruption too."""
        return tuple(self._history)

    def epochs(self) -> Iterator[GanEpoch]:
        """Train, and yield the result of each epoch; ModelError if a loss is not finite."""
        saved = -math.inf
        while len(self._history) < self._epochs:
            started = time.monotonic()
            generator_loss, loss, real, generated = self._epoch(len(self._history))
            result = GanEpoch(
                epoch=len(self._history) + 1,
                epochs=self._epochs,
                generator_loss=generator_loss,
                discriminator_loss=loss,
                real=real,
                generated=generated,
                seconds=time.monotonic() - started,
            )
            self._history.append(result)
            if time.monotonic() - saved >= SAVE_EVERY_S or len(self._history) == self._epochs:
                self._save()
                saved = time.monotonic()
            # Only now: the caller may stop here, and resume from the state just saved.
            yield result

    def trained(self) -> MusicGenerator:
        """Return the generator with the mean of its weights over the last steps, on the CPU."""
        training = {
            "seed": self._seed,
            "tracks": [track.key for track in self._segments.tracks],
            "segments": self._segments.n_segments,
            "history": [asdict(result) for result in self._history],
        }
        return MusicGenerator(
            network=copy.deepcopy(self._average).cpu().eval(),
            recipe=self._recipe.name,
            features=self._recipe.features,
            labels=self._segments.labels,
            channels=self._settings.channels,
            training=training,
        )

    def _epoch(self, epoch: int) -> list[float]:
        """Return the means of losses and probabilities over the steps of one epoch."""
        # Seeds of its own, so that a resumed run draws what an uninterrupted one would have drawn.
        rng = np.random.default_rng([self._seed, epoch])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        self._generator.train()
        self._discriminator.train()
        rows = [
            self._step(self._real(chosen), generator)
            for chosen in balanced_batches(self._genres, self._settings.batch, rng)
        ]
        figures = [float(value) for value in np.mean(rows, axis=0)]
        if not all(map(math.isfinite, figures)):
            raise ModelError(f"a loss became {figures[0]} in epoch {epoch + 1}", NAN_HINT)
        return figures

    def _real(self, chosen: IdArray) -> tuple[Tensor, Tensor]:
        images = torch.from_numpy(self._images[chosen]).float()[:, None]
        genres = torch.from_numpy(self._genres[chosen])
        return images.to(self._device), genres.to(self._device)

    def _step(self, real: tuple[Tensor, Tensor], drawn: torch.Generator) -> list[float]:
        images, genres = real
        for_generator, for_discriminator = self._optimisers
        latent = torch.randn(len(images), self._settings.latent, generator=drawn)
        fake = self._generator(latent.to(self._device), genres)

        for_discriminator.zero_grad(set_to_none=True)
        of_real = self._discriminator(images, genres)
        of_fake = self._discriminator(fake.detach(), genres)
        # One-sided smoothing keeps the discriminator from certainty, and its gradient alive.
        loss = _loss(of_real, self._settings.real_label) + _loss(of_fake, 0.0)
        torch.autograd.backward(loss)
        for_discriminator.step()

        for_generator.zero_grad(set_to_none=True)
        deceived = _loss(self._discriminator(fake, genres), 1.0)
        torch.autograd.backward(deceived)
        for_generator.step()
        self._steps += 1
        self._follow()
        with torch.no_grad():
            probabilities = [float(torch.sigmoid(x).mean()) for x in (of_real, of_fake)]
        return [float(deceived.detach()), float(loss.detach()), *probabilities]

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the average of the weights towards them, over a shorter past at first."""
        decay = min(self._settings.average_decay, (1 + self._steps) / (FIRST_DECAY + self._steps))
        present = self._generator.state_dict()
        for name, mean in self._average.state_dict().items():
            if mean.dtype.is_floating_point:
                mean.lerp_(present[name], 1.0 - decay)
            else:
                mean.copy_(present[name])

    def _save(self) -> None:
        self._partial.write(
            {
                "generator": self._generator.state_dict(),
                "discriminator": self._discriminator.state_dict(),
                "average": self._average.state_dict(),
                "optimisers": [optimiser.state_dict() for optimiser in self._optimisers],
                "history": [asdict(result) for result in self._history],
                "steps": self._steps,
            }
        )

    def _resume(self, state: Mapping[str, Any]) -> None:
        self._generator.load_state_dict(state["generator"])
        self._discriminator.load_state_dict(state["discriminator"])
        self._average.load_state_dict(state["average"])
        for optimiser, its_state in zip(self._optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(its_state)
        self._history = [GanEpoch(**entry) for entry in state["history"]]
        self._steps = state["steps"]


def _loss(logits: Tensor, label: float) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def balanced_batches(genres: IdArray, batch: int, rng: np.random.Generator) -> Iterator[IdArray]:
    """Yield rows in batches, as many in all as there are, every genre as often as any other.

    Rows of a genre are drawn without repetition until all have been drawn.
    """
    of_genre = [np.flatnonzero(genres == genre) for genre in np.unique(genres)]
    each = max(1, len(genres) // len(of_genre))
    drawn = [
        np.concatenate([rng.permutation(rows) for _ in range(-(-each // len(rows)))])[:each]
        for rows in of_genre
    ]
    order = rng.permutation(np.concatenate(drawn))
    for start in range(0, len(order), batch):
        # Batch normalisation cannot train on one image.
        if len(order) - start > 1:
            yield order[start : start + batch]
