"""The networks: built, trained, exported to ONNX, and run on a scan (``predict``, which needs no torch).

``load_model`` reads a model that scores. Training, export and fine-tuning are jobs of the command line (``ctacal
train``, ``export``, ``finetune``) and need the extra ``train``.
"""

from typing import TYPE_CHECKING

from ctacal.public_names import imported_on_use

if TYPE_CHECKING:
    from ctacal.nn.annotated import cache_annotated
    from ctacal.nn.card import onnx_bytes
    from ctacal.nn.config import NetworkConfig
    from ctacal.nn.predict import Model, load_locator, load_model
    from ctacal.nn.samples import Sample, make_sample, read_sample, write_sample

__all__ = [
    "Model",
    "NetworkConfig",
    "Sample",
    "cache_annotated",
    "load_locator",
    "load_model",
    "make_sample",
    "onnx_bytes",
    "read_sample",
    "write_sample",
]

_NAMES = {
    "card": ("onnx_bytes",),
    "predict": (
        "Model",
        "load_locator",
        "load_model",
    ),
    "samples": (
        "Sample",
        "make_sample",
        "read_sample",
        "write_sample",
    ),
    "annotated": ("cache_annotated",),
    "config": ("NetworkConfig",),
}
"""Public names of each module."""

__getattr__ = imported_on_use(__name__, _NAMES)


def __dir__() -> list[str]:
    return list(__all__)
