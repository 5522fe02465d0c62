"""What finds the calcium in a job: the networks, the baseline without training, or a reader's label file."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from ctacal.dicom.objects.seg import referenced_series_uid
from ctacal.errors import Refusal, UsageError
from ctacal.heart import HeartMask
from ctacal.prediction import ModelInfo, Predictor
from ctacal.study import (
    heart_if_any,
    label_file_info,
    locate_labels,
    model_without_file,
    predict_from_file,
    predict_threshold,
)
from ctacal.volume import Volume
from ctacal.whole_body import Locate, heart_slices

Runtime = Literal["onnxruntime", "openvino", "openvino-bf16"]


@dataclass(frozen=True, eq=False, slots=True)
class Finder:
    """A predictor and its identity.

    Example:
        >>> finder = Finder(predict_threshold, model_without_file("threshold"))  # or a predictor of your own
        >>> finder.model.name
        'threshold'
    """

    predict: Predictor
    model: ModelInfo
    locate: Locate | None = heart_slices
    """Finds the part to read of a scan that is too large to be read whole; None: it is read whole."""
    series_uid: str | None = None
    """The series that a reader's DICOM SEG was drawn on; None if any series will do."""
    made_by: "Callable[[], Finder] | None" = None
    """Makes the finder again in another process, where networks cannot be sent to."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Let another process make it again (pickle), which raises ``UsageError`` if the model has changed."""
        if self.made_by is None:
            raise TypeError(f"the finder {self.model.name} cannot be sent to another process")
        return _made_again, (self.made_by, self.model)


def _made_again(made_by: "Callable[[], Finder]", model: ModelInfo) -> "Finder":
    finder = made_by()
    if finder.model.digest != model.digest:
        raise UsageError(f"the model {model.name} has changed since this run began; start it again")
    return finder


def networks(folder: Path | None = None, runtime: Runtime | None = None) -> Finder:
    """Return the networks of a model folder, by default the model that ships with ctacal, and the fastest runtime.

    Args:
        folder: A model folder; None: the model that ships with ctacal.
        runtime: Name of a runtime; None: the fastest that is installed.

    Returns:
        The finder.

    Raises:
        UsageError: The runtime is not installed, or the folder holds no model.

    Example:
        >>> networks().model.name
        'ctacal-simulated'
    """
    if runtime and find_spec(package := runtime.partition("-")[0]) is None:
        raise UsageError(f"--runtime {runtime} is not installed: pip install {package}")
    from ctacal.nn.predict import WEIGHTS, load_model

    model = load_model(folder or WEIGHTS, runtime=runtime)
    return Finder(model, model.info, model.heart_slices, made_by=partial(networks, folder, runtime))


def baseline() -> Finder:
    """Return the baseline without training (``ctacal.threshold``).

    Returns:
        The finder; it needs no files.

    Example:
        >>> baseline().model.name
        'threshold'
    """
    return Finder(predict_threshold, model_without_file("threshold"), made_by=baseline)


def reader_labels(path: Path) -> Finder:
    """Return a reader's label file (NIfTI or DICOM SEG).

    Args:
        path: A NIfTI or DICOM SEG file with ``Calcium`` values.

    Returns:
        The finder, for the one scan on which the labels were drawn.

    Raises:
        UsageError: There is no such file.

    Example:
        >>> import ctacal
        >>> reader_labels(Path(ctacal.__file__).parent / "sample" / "thorax_phantom_labels.nii.gz").model.name
        'labels'
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such label file")
    model, series_uid = label_file_info(path), referenced_series_uid(path)
    return Finder(predict_from_file(path), model, locate_labels(path), series_uid, partial(reader_labels, path))


@cache
def heart_finder() -> Callable[[Volume], HeartMask | None]:
    """Return what finds the heart for a reader, None if there is none: stage 1 of the model that ships, or without a
    model the classical way."""
    if not ships_weights():
        return heart_if_any
    from ctacal.nn.locate import heart_anywhere
    from ctacal.nn.predict import load_locator

    stage = load_locator()

    def find(volume: Volume) -> HeartMask | None:
        try:
            return heart_anywhere(volume, stage)
        except Refusal:
            return None

    return find


def ships_weights() -> bool:
    """Whether this installation holds a model."""
    from ctacal.nn.predict import WEIGHTS

    return (WEIGHTS / "model.json").is_file()
