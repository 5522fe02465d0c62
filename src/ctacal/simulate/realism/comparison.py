"""``compare``: the same figures, measured in the same way on a real scan and on simulated scans.

The simulated scans have the same protocol, patients of the same sex, age and size, the same range about the heart, no
calcium and no devices. A real figure in the range of the simulated patients, or close to it, is alike. The reference
scans and their licences are listed in docs/simulator.md.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ctacal.dicom.choose import choose_series
from ctacal.dicom.series import read_studies
from ctacal.dicom.volume import decode_volume
from ctacal.errors import Refusal, UsageError
from ctacal.geometry import Geometry
from ctacal.heart import find_heart
from ctacal.simulate.anatomy.canvas import Canvas
from ctacal.simulate.anatomy.chest import Chest
from ctacal.simulate.anatomy.description import Patient, draw_patient
from ctacal.simulate.anatomy.measures import Sex
from ctacal.simulate.anatomy.wall import paint_trunk
from ctacal.simulate.materials import Tissue
from ctacal.simulate.realism.figures import Figures, measure_scan
from ctacal.simulate.realism.regions import find_regions
from ctacal.simulate.scanner.protocol import ScannerProtocol
from ctacal.simulate.study import CHIN_MM, KIDNEYS_MM, StudyDescription, draw_study, simulate_study
from ctacal.volume import Volume

HEART_TOP_MM = -39.0
"""Upper end of a simulated heart as ``find_heart`` finds it, from the carina (mean of six)."""

BEYOND_HEART_MM = 60.0
"""Length of a scan that is kept beyond the heart at either end: enough of liver and shoulders (own choice)."""

BMI_SPAN = (17.0, 48.0)
"""Body mass indices that ``draw_patient`` accepts."""

TOLERANCES: tuple[tuple[str, float, float], ...] = (
    ("above 130 HU", 0.0, 0.7),
    ("HU per mm", 0.0, 0.2),
    ("local SD", 0.0, 0.2),
    ("cortical bone", 30.0, 0.15),
    ("trabecular bone", 30.0, 0.15),
    ("lung:", 30.0, 0.10),
    ("percentile HU", 8.0, 0.10),
    ("median HU", 8.0, 0.0),
    ("correlation", 0.08, 0.0),
    ("share", 0.03, 0.15),
    ("", 0.0, 0.15),
)
"""Tolerated differences between two patients on two scanners: text in the name of the figure, absolute difference,
share of the real figure. The first entry whose text matches counts, with the larger of the two (own choice; bright
parts vary a lot)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A real scan of the reference data, and the preset that represents its protocol."""

    folder: str
    protocol: str
    credit: str


REFERENCES: tuple[Reference, ...] = (
    Reference(
        folder="acrin_flt_breast_001_ctac",
        protocol="pet_ct_140kvp",
        credit="ACRIN-FLT-Breast 001, CC BY 3.0, doi 10.7937/K9/TCIA.2017.ol20zmxg",
    ),
    Reference(
        folder="lung_dx_A0001/kernel_B",
        protocol="chest_ct_smooth",
        credit="Lung-PET-CT-Dx A0001, CC BY 4.0, doi 10.7937/TCIA.2020.NNC2-0461",
    ),
    Reference(
        folder="lung_dx_A0001/kernel_L",
        protocol="chest_ct_sharp",
        credit="Lung-PET-CT-Dx A0001, CC BY 4.0, doi 10.7937/TCIA.2020.NNC2-0461",
    ),
)


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class RealScan:
    """A real scan, and sex and age of its patient if known."""

    name: str
    volume: Volume
    sex: Sex | None
    age_years: float | None
    credit: str = ""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Comparison:
    """Measurements of a real scan and of simulated scans."""

    scan: RealScan
    protocol: ScannerProtocol
    descriptions: tuple[StudyDescription, ...]
    real: Figures
    simulated: tuple[Figures, ...]
    picture: Volume
    """The first of the simulated scans."""

    def rows(self) -> list["Row"]:
        """Return each figure that the real scan and at least one simulated scan have."""
        found = []
        for name, value in self.real.values.items():
            others = [scan.values[name] for scan in self.simulated if np.isfinite(scan.values[name])]
            if np.isfinite(value) and others:
                found.append(Row(name, value, float(np.mean(others)), min(others), max(others)))
        return found


@dataclass(frozen=True, slots=True)
class Row:
    """A figure of a comparison."""

    name: str
    real: float
    mean: float
    least: float
    most: float

    @property
    def verdict(self) -> str:
        """``alike`` within the simulated range or the tolerance; ``near`` within twice that; else ``differs``."""
        beyond = max(self.least - self.real, self.real - self.most, 0.0)
        absolute, relative = next((a, r) for text, a, r in TOLERANCES if text in self.name)
        allowed = max(absolute, relative * abs(self.real))
        return "alike" if beyond <= allowed else "near" if beyond <= 2 * allowed else "differs"


def read_real(path: Path, *, name: str | None = None, credit: str = "") -> RealScan:
    """Read the CTAC at ``path``; raises ``UsageError`` if there is none that can be compared."""
    studies = read_studies([path]).studies if path.exists() else ()
    if not studies:
        raise UsageError(f"{path}: no DICOM image series there")
    try:
        choice = choose_series(studies[0])
        volume = around_heart(decode_volume(choice.stack)[0])
    except Refusal as refusal:
        raise UsageError(f"{path}: {refusal.reason}") from refusal
    header = choice.series.header
    sex: Sex | None = "F" if header.patient_sex == "F" else "M" if header.patient_sex == "M" else None
    years = header.patient_age.removesuffix("Y")
    age = float(years) if years.isdigit() else None
    return RealScan(name=name or path.name, volume=volume, sex=sex, age_years=age, credit=credit)


def around_heart(volume: Volume) -> Volume:
    """Return the scan up to ``BEYOND_HEART_MM`` beyond the heart; raises ``Refusal`` if no heart is found."""
    heart = find_heart(volume).bounding_box[0]
    more = round(BEYOND_HEART_MM / volume.geometry.slice_spacing_mm)
    return volume.crop((slice(max(0, heart.start - more), heart.stop + more), slice(None), slice(None)))


def compare(
    scan: RealScan,
    protocol: ScannerProtocol,
    *,
    seeds: Sequence[int] = (1, 2, 3),
    on_step: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Measure a real scan, and a simulated scan for each seed; ``on_step`` is called with a line at every step."""
    on_step(f"{scan.name}: measuring the real scan")
    real = measure_scan(scan.volume)
    area_cm2 = _body_area_cm2(scan.volume)
    descriptions, simulated, picture = [], [], None
    for seed in seeds:
        on_step(f"{scan.name}: simulating patient {seed}")
        description = matched(scan, protocol, seed, area_cm2)
        volume = simulate_study(description).volume
        descriptions.append(description)
        simulated.append(measure_scan(volume))
        picture = picture or volume
    assert picture is not None
    return Comparison(
        scan=scan,
        protocol=protocol,
        descriptions=tuple(descriptions),
        real=real,
        simulated=tuple(simulated),
        picture=picture,
    )


def matched(scan: RealScan, protocol: ScannerProtocol, seed: int, area_cm2: float) -> StudyDescription:
    """Describe a study like the real scan: sex, age, size, arms up, range about the heart; no calcium."""
    bmi = bmi_of_area(seed, scan.sex, scan.age_years, area_cm2)
    drawn = draw_study(seed, protocol, sex=scan.sex, age_years=scan.age_years, bmi=bmi, with_deposits=False)
    heart = find_heart(scan.volume).bounding_box[0]
    spacing_mm = scan.volume.geometry.slice_spacing_mm
    bottom_mm = max(HEART_TOP_MM - heart.stop * spacing_mm, KIDNEYS_MM)
    top_mm = min(HEART_TOP_MM + (len(scan.volume.hu) - heart.stop) * spacing_mm, CHIN_MM)
    return replace(drawn, patient=replace(drawn.patient, arms_up=True), bottom_mm=bottom_mm, top_mm=top_mm)


def bmi_of_area(seed: int, sex: Sex | None, age_years: float | None, area_cm2: float) -> float:
    """Return the body mass index with which the patient of a seed has that cross-section at the heart (bisection)."""
    low, high = BMI_SPAN
    for _ in range(5):
        middle = (low + high) / 2
        patient = draw_patient(seed, sex=sex, age_years=age_years, bmi=middle, arms_up=True)
        low, high = (middle, high) if _drawn_area_cm2(patient) < area_cm2 else (low, middle)
    return round((low + high) / 2, 2)


def _drawn_area_cm2(patient: Patient) -> float:
    """Return the mean cross-section of a patient's trunk between the apex and the base of the heart."""
    canvas = Canvas(Geometry.from_spacing((3, 130, 150), (25.0, 4.0, 4.0), (-298.0, -230.0, -95.0)), patient.seed)
    paint_trunk(canvas, Chest(patient))
    return float((canvas.tissue != Tissue.AIR).sum(axis=(1, 2)).mean()) * 0.16


def _body_area_cm2(volume: Volume) -> float:
    """Return the median cross-section of the body over the slices of the heart."""
    regions = find_regions(volume)
    slices = regions.heart.any(axis=(1, 2))
    return float(np.median(regions.body[slices].sum(axis=(1, 2))) * volume.geometry.pixel_area_mm2 / 100)


def as_json(comparison: Comparison) -> Mapping[str, object]:
    """Return every figure and curve of a comparison, and the descriptions of the simulated studies."""
    rows = [
        {"figure": row.name, "real": row.real, "simulated_mean": row.mean, "simulated_range": [row.least, row.most],
         "verdict": row.verdict} for row in comparison.rows()
    ]  # fmt: skip
    curves = [
        {name: {"x": x.tolist(), "y": y.tolist()} for name, (x, y) in scan.curves.items()}
        for scan in (comparison.real, *comparison.simulated)
    ]
    return {
        "scan": comparison.scan.name,
        "credit": comparison.scan.credit,
        "centre": comparison.protocol.name,
        "descriptions": [description.to_json() for description in comparison.descriptions],
        "figures": rows,
        "curves": {"real": curves[0], "simulated": curves[1:]},
    }
