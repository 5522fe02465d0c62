"""``StudyResult``: a scored or a refused study, as values. ``result_json`` makes their JSON form.

Research use only: the numbers come from a non-gated, low-dose CT, and ctacal is not a medical device.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ctacal.dicom.choose import Candidate
from ctacal.dicom.series import Series
from ctacal.dicom.stack import Stack
from ctacal.errors import Reason
from ctacal.geometry import Geometry
from ctacal.heart import HeartMask
from ctacal.labels import LabelMap
from ctacal.lesion import Lesions
from ctacal.prediction import ModelInfo, ScanFigures, Uncertainty
from ctacal.scores import ScoredLesion, Scores, ScoringRule, Tally
from ctacal.subject import Subject
from ctacal.uncounted import Uncounted, UncountedList
from ctacal.volume import Volume

NOTICE = (
    "Research use only, not a medical device. Scored on a non-gated, low-dose CT: not equal to a gated calcium score."
)

Status = Literal["scored", "scored_with_warnings", "refused"]


@dataclass(frozen=True, slots=True)
class Acquisition:
    """How the scan was acquired, from its headers; spacing and number of slices from the volume, if it was read."""

    manufacturer: str
    model: str
    kvp: float | None
    exposure_mas: float | None
    kernel: str
    slice_thickness_mm: float | None
    slice_spacing_mm: float | None
    pixel_spacing_mm: tuple[float, ...] | None
    """Between rows, between columns."""
    matrix: tuple[int, int]
    """Rows, columns."""
    slices: int
    """All slices of the scan."""
    study_date: str | None
    scored_slices: tuple[int, int] | None = None
    """First and last slice that were read, counted from 0 at the feet, of a scan too large to be read whole."""

    @classmethod
    def of(cls, series: Series, geometry: Geometry | None = None) -> "Acquisition":
        """Return the acquisition from the series' headers, and from the volume's grid if it was read."""
        header, middle = series.header, series.slices[len(series.slices) // 2]
        return cls(
            manufacturer=header.manufacturer,
            model=header.model,
            kvp=header.kvp,
            exposure_mas=middle.exposure_mas,
            kernel=header.kernel,
            slice_thickness_mm=middle.thickness_mm,
            slice_spacing_mm=geometry.slice_spacing_mm if geometry else None,
            pixel_spacing_mm=middle.pixel_spacing_mm or None,
            matrix=(middle.rows, middle.columns),
            slices=geometry.shape[0] if geometry else len(series.slices),
            study_date=header.study_date or None,
        )


@dataclass(frozen=True, slots=True)
class ChosenSeries:
    """The series that was scored, or was to be."""

    series: Series
    why: str
    """Why it was chosen, in words."""
    acquisition: Acquisition


@dataclass(frozen=True, eq=False, slots=True)
class Scan:
    """The arrays behind a result, for pictures and label files; not part of its JSON form."""

    stack: Stack
    """The images in the order of the volume's slices, before it was made canonical."""
    volume: Volume
    labels: LabelMap
    heart: HeartMask | None
    lesions: Lesions
    uncounted: Uncounted | None = None
    """The islands that were weighed and not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondScan:
    """The study's other CTAC, of rest or stress: its score does not count, and is shown beside the one that does."""

    series_uid: str
    series_description: str
    agatston: Tally | None = None
    """None: it was refused."""
    volume_mm3: Tally | None = None
    category: str | None = None
    refused: Reason | None = None
    """Why it has no score."""
    limits: tuple[float, float] | None = None
    """Lowest and highest difference of the square roots, its score less the one that counts, of two scans of an
    unchanged patient; None if nobody knows them for these scans (``compare.limits``)."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class ScoredStudy:
    """A study with its score: what ``score_study`` returns if nothing forbids one.

    Example:
        >>> from pathlib import Path
        >>> import ctacal
        >>> sample = Path(ctacal.__file__).parent / "sample"
        >>> [study] = ctacal.read_studies([sample / "thorax_phantom.zip"]).studies
        >>> from ctacal.study import predict_from_file  # a reader's labels
        >>> result = ctacal.score_study(study, predict_from_file(sample / "thorax_phantom_labels.nii.gz"))
        >>> isinstance(result, ScoredStudy), round(result.scores.volume_mm3.per_vessel["LAD"], 1)
        (True, 112.6)
    """

    study_uid: str
    reasons: tuple[Reason, ...]
    """Warnings."""
    candidates: tuple[Candidate, ...]
    chosen: ChosenSeries
    rule: ScoringRule
    """As it holds at the scan's tube voltage."""
    scores: Scores
    lesions: tuple[ScoredLesion, ...]
    noise_sd_hu: float | None
    model: ModelInfo
    uncertainty: Uncertainty | None
    figures: ScanFigures | None
    timing_s: Mapping[str, float]
    scan: Scan
    uncounted: UncountedList | None = None
    """What was weighed and not counted; None if the predictor weighs no islands."""
    second_scan: SecondScan | None = None
    """None if the study holds no other CTAC, or one series was asked for."""
    subject: Subject | None = None
    """The patient as outputs may show them; None before outputs are written."""
    input_digest: str | None = None
    """Digest of the study's files, if a job computed it (``jobs.resume``)."""
    settings_digest: str | None = None
    """Digest of model, rule and options, if a job computed it."""

    @property
    def status(self) -> Status:
        """``scored``, or ``scored_with_warnings`` if there are reasons."""
        return "scored_with_warnings" if self.reasons else "scored"


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class RefusedStudy:
    """A study without a score, and why: the last of its ``reasons`` is the one that forbids it.

    Example:
        >>> from ctacal.errors import Code, Reason
        >>> from ctacal.scores import SCCT_2016
        >>> refused = RefusedStudy(study_uid="1.2", reasons=(Reason(Code.NO_CT_SERIES, "no CT"),), rule=SCCT_2016)
        >>> isinstance(refused, StudyResult), refused.status, str(refused.reasons[-1].code)
        (True, 'refused', 'NO_CT_SERIES')
    """

    study_uid: str
    reasons: tuple[Reason, ...]
    """Notes on the study's files; the last reason is why it was refused."""
    candidates: tuple[Candidate, ...] = ()
    chosen: ChosenSeries | None = None
    """None if no series could be chosen."""
    rule: ScoringRule
    timing_s: Mapping[str, float] = field(default_factory=dict)
    subject: Subject | None = None
    """As in ``ScoredStudy``."""
    input_digest: str | None = None
    """As in ``ScoredStudy``."""
    settings_digest: str | None = None
    """As in ``ScoredStudy``."""

    @property
    def status(self) -> Status:
        """Always ``refused``."""
        return "refused"


StudyResult: TypeAlias = ScoredStudy | RefusedStudy
