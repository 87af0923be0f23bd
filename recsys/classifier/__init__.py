"""The genre classifier: model cards, inference, calibration; training and ONNX are wings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recsys.classifier.log_mel import predict_mel

__all__ = ["predict_mel"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 (the type of the attribute)
    """Load inference only when it is asked for: reading a card must stay quick."""
    if name in __all__:
        from recsys.classifier import log_mel

        return getattr(log_mel, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Name what is loaded on demand too."""
    return sorted({*globals(), *__all__})
