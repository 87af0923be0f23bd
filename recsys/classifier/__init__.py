"""The genre model: datasets, training, evaluation, inference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recsys.classifier.log_mel import predict_mel

__all__ = ["predict_mel"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 (whatever is asked for)
    """Load what needs PyTorch only when it is asked for."""
    if name in __all__:
        from recsys.classifier import mel_input

        return getattr(mel_input, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
