"""``Scores``: Agatston, volume, mass and risk category of the lesions, under a stated ``ScoringRule``.

Other programs differ in every choice below, and their users complain about it; here each choice is a field, is written
to every result, and has a test.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from ctacal.arrays import Floats, Mask
from ctacal.categories import five_class_category, risk_category
from ctacal.errors import Code, Refusal, UsageError
from ctacal.fields import read_toml
from ctacal.labels import CORONARY_LABELS, NAMED_VESSELS, Calcium, LabelMap
from ctacal.lesion import Lesions, find_lesions
from ctacal.volume import Volume

REFERENCE_SLICE_MM = 3.0
"""Slice spacing of the electron-beam scans on which the Agatston score was defined (Agatston 1990)."""

KVP_TOLERANCE = 2.5
"""Largest difference between the header's tube voltage and the tabulated one whose thresholds are used."""

_AREA_ROUNDING_MM2 = 1e-6
"""Tolerance of areas: pixel spacings are decimal strings, and an area of 1 mm2 but for rounding is 1 mm2."""


_CHOICES: Mapping[str, tuple[object, ...]] = MappingProxyType(
    {
        "connectivity": (4, 8),
        "density_from": ("slice_component", "lesion"),
        "slice_weight": ("spacing_over_3mm", "none"),
        "volume_of": ("all_components", "scored_components"),
        "vessel_of_component": ("majority", "split"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringRule:
    """All choices that the score depends on.

    A choice that is not possible raises ``ValueError``, which names the field. The rules that ship are in
    ``ctacal.scores.RULES``.

    Example:
        >>> ScoringRule(name="mine", source="this line", min_area_mm2=0.0).threshold_hu
        130.0
    """

    name: str
    source: str
    """The paper that the rule follows."""
    threshold_hu: float = 130.0
    """Lowest CT value of calcium (Agatston 1990)."""
    density_steps_hu: tuple[float, ...] = (130.0, 200.0, 300.0, 400.0)
    """A component whose peak reaches the k-th step has the density weight k (Agatston 1990)."""
    connectivity: Literal[4, 8] = 8
    """Number of neighbours in plane that are connected with a pixel."""
    min_area_mm2: float = 1.0
    """Components with a smaller area are not scored (Agatston 1990: at least 1 mm2)."""
    min_pixels: int = 1
    """Components with fewer pixels are not scored."""
    density_from: Literal["slice_component", "lesion"] = "slice_component"
    """The peak that gives the density weight: the component's own (Agatston 1990), or that of the whole 3-D lesion."""
    slice_weight: Literal["spacing_over_3mm", "none"] = "spacing_over_3mm"
    """Whether the sum is scaled to 3 mm slices, by slice *spacing* (never thickness), so that overlap counts once."""
    volume_of: Literal["all_components", "scored_components"] = "scored_components"
    """Whether volume and mass include components below the minimum area and number of pixels; the published scores of
    the QRM phantom (tests/test_phantom_scan.py) do not."""
    vessel_of_component: Literal["majority", "split"] = "majority"
    """How a component with the labels of two vessels is counted: for the vessel of most voxels, or split."""
    kvp_factors: tuple[tuple[float, float], ...] = ()
    """(kVp, factor) pairs: the factor multiplies threshold and steps. Empty: the same at every tube voltage."""

    def __post_init__(self) -> None:
        if list(self.density_steps_hu) != sorted(set(self.density_steps_hu)) or not self.density_steps_hu:
            raise ValueError(f"density_steps_hu must rise, got {self.density_steps_hu}")
        if min(self.min_area_mm2, self.min_pixels) < 0:
            raise ValueError(
                f"min_area_mm2 and min_pixels must not be negative, got {self.min_area_mm2}, {self.min_pixels}"
            )
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {known}, got {getattr(self, name)!r}")

    def at_kvp(self, kvp: float | None) -> "ScoringRule":
        """Return the rule with its thresholds at the scan's tube voltage.

        Raises ``Refusal`` (``KVP_UNKNOWN``) if the rule depends on the voltage and it is missing or not tabulated.
        """
        if not self.kvp_factors:
            return self
        for tabulated, factor in self.kvp_factors:
            if kvp is not None and abs(kvp - tabulated) <= KVP_TOLERANCE:
                steps = tuple(round(step * factor, 1) for step in self.density_steps_hu)
                return replace(self, threshold_hu=round(self.threshold_hu * factor, 1), density_steps_hu=steps)
        known = ", ".join(f"{tabulated:g}" for tabulated, _ in self.kvp_factors)
        found = "no tube voltage" if kvp is None else f"{kvp:g} kVp"
        message = f"rule {self.name} holds for {known} kVp; the header gives {found}; choose another rule (--rule)"
        raise Refusal(Code.KVP_UNKNOWN, message)

    def scores_like(self, other: "ScoringRule") -> bool:
        """Whether both give every scan the same score: alike in each choice, whatever their names.

        Factors for the tube voltage are not compared: compare rules ``at_kvp``.

        >>> SCCT_2016.scores_like(replace(SCCT_2016, name="mine")), SCCT_2016.scores_like(AGATSTON_1990)
        (True, False)
        """
        names = {"name": "", "source": "", "kvp_factors": ()}
        return replace(self, **names) == replace(other, **names)  # type: ignore[arg-type]

    def to_json(self) -> dict[str, Any]:
        """Return all choices, for the result file."""
        return asdict(self)


AGATSTON_1990 = ScoringRule(
    name="agatston1990",
    source="Agatston AS et al., J Am Coll Cardiol 1990;15:827-832",
    slice_weight="none",
)
"""The score as first defined, on contiguous 3 mm slices, without correction for another spacing."""

SCCT_2016 = ScoringRule(
    name="scct2016",
    source="Agatston 1990, scaled to 3 mm slices; reported on non-gated chest CT as the SCCT/STR guideline asks "
    "(Hecht HS et al., J Cardiovasc Comput Tomogr 2017;11:74-84)",
)
"""The default: Agatston's rule, with the sum multiplied by slice spacing / 3 mm."""

KVP_ADAPTED = replace(
    SCCT_2016,
    name="kvp_adapted",
    source="scct2016, thresholds scaled by calcium's contrast at the tube voltage over that at 120 kVp, computed by "
    "benchmarks/kvp_factors.py; agrees with Zhou Y et al. 2021 (image scaling 0.88 at 100 and 0.63 at 70 kVp) and with "
    "the 147 HU of Nakazato R et al. 2009 at 100 kVp",
    kvp_factors=(
        (70.0, 1.60), (80.0, 1.39), (90.0, 1.24), (100.0, 1.14), (110.0, 1.06),
        (120.0, 1.00), (130.0, 0.95), (135.0, 0.93), (140.0, 0.91),
    ),
)  # fmt: skip
"""For scans at tube voltages other than 120 kVp; computed from spectra, not yet validated in patients."""

RULES: Mapping[str, ScoringRule] = MappingProxyType(
    {rule.name: rule for rule in (SCCT_2016, AGATSTON_1990, KVP_ADAPTED)}
)
"""The named rules; the first is the default."""


def named_rule(name: str) -> ScoringRule:
    """Return the rule of that name, or read it from a TOML file of its fields (``name`` ends in .toml).

    Args:
        name: ``scct2016``, ``agatston1990``, ``kvp_adapted``, or the path of a TOML file.

    Returns:
        The rule; its thresholds are in HU, areas in mm2.

    Raises:
        UsageError: No rule has that name; for a file it names the file and the field that is wrong.

    Example:
        >>> named_rule("agatston1990").slice_weight
        'none'
    """
    if name in RULES:
        return RULES[name]
    if not name.endswith(".toml"):
        raise UsageError(f"no scoring rule is called {name!r}; known: {', '.join(RULES)}, or a .toml file of your own")
    return read_toml(ScoringRule, Path(name))


@dataclass(frozen=True, slots=True)
class Tally:
    """A quantity: its coronary total, the part of each vessel, and that of other calcium, which is not in the total."""

    total: float
    per_vessel: Mapping[str, float]
    """By the name of the coronary ``Calcium`` label; they add up to ``total``."""
    other: float
    """The quantity for calcium that is not coronary."""


@dataclass(frozen=True, slots=True)
class ScoredLesion:
    """A three-dimensional lesion that scores."""

    vessel: Calcium
    agatston: float
    """Other calcium is listed too, with what it would score."""
    volume_mm3: float
    peak_hu: float
    mean_hu: float
    slices: tuple[int, int]
    """First and last slice, counted from 0 at the feet."""
    centroid_mm: tuple[float, ...]
    """In the patient frame (LPS)."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores and categories of a scan's coronary calcium under a rule."""

    agatston: Tally
    volume_mm3: Tally
    mass_mg: Tally | None
    """None without a calibration factor."""
    category: str
    category_five: str
    cac_drs: str
    rule: ScoringRule


def score_lesions(lesions: Lesions, rule: ScoringRule, *, mass_calibration: float | None = None) -> Scores:
    """Score the lesions; ``mass_calibration`` is in mg of hydroxyapatite per cm3 and HU.

    Mass = calibration x mean HU x volume (McCollough CH et al., Radiology 2007;243:527-538).
    """
    agatston = _tally(lesions, component_agatston(lesions, rule))
    counted = _reaches_floor(lesions, rule) if rule.volume_of == "scored_components" else np.ones(len(lesions), bool)
    volume_mm3 = lesions.volume_mm3 * counted
    mass = None
    if mass_calibration is not None:
        mass = _tally(lesions, mass_calibration * lesions.mean_hu * volume_mm3 / 1000.0)
    return Scores(
        agatston=agatston,
        volume_mm3=_tally(lesions, volume_mm3),
        mass_mg=mass,
        category=risk_category(agatston.total),
        category_five=five_class_category(agatston.total),
        cac_drs=cac_drs(agatston),
        rule=rule,
    )


def score_label_map(
    volume: Volume, labels: LabelMap, rule: ScoringRule = SCCT_2016, *, mass_calibration: float | None = None
) -> tuple[Lesions, Scores]:
    """Find and score the lesions of a label map on a volume; the rule also defines what a lesion is."""
    lesions = find_lesions(
        volume,
        labels,
        threshold_hu=rule.threshold_hu,
        connectivity=rule.connectivity,
        split_vessels=rule.vessel_of_component == "split",
    )
    return lesions, score_lesions(lesions, rule, mass_calibration=mass_calibration)


def scored_lesions(lesions: Lesions, rule: ScoringRule, *, first_slice: int = 0) -> tuple[ScoredLesion, ...]:
    """The lesions that score, highest first; ``first_slice`` is the number of the volume's first slice in the scan."""
    agatston = component_agatston(lesions, rule)
    found = [
        scored_lesion(lesions, agatston, number, first_slice) for number in np.unique(lesions.lesion[agatston > 0])
    ]
    return tuple(sorted(found, key=lambda lesion: -lesion.agatston))


def scored_lesion(lesions: Lesions, agatston: Floats, number: int, first_slice: int) -> ScoredLesion:
    """Return the lesion of that number; ``agatston`` is of each component (``component_agatston``)."""
    own = lesions.lesion == number
    pixels = lesions.pixels[own]
    slices = lesions.slice_index[own] + first_slice
    centroid = np.average(lesions.centroid[own], axis=0, weights=pixels)
    return ScoredLesion(
        vessel=Calcium(int(lesions.label[own][0])),
        agatston=float(agatston[own].sum()),
        volume_mm3=float(lesions.volume_mm3[own].sum()),
        peak_hu=float(lesions.peak_hu[own].max()),
        mean_hu=float(np.average(lesions.mean_hu[own], weights=pixels)),
        slices=(int(slices.min()), int(slices.max())),
        centroid_mm=tuple(round(float(mm), 2) for mm in lesions.geometry.to_patient_mm(centroid)),
    )


def component_agatston(lesions: Lesions, rule: ScoringRule) -> Floats:
    """Return each component's part of the Agatston score (Agatston 1990): area x density weight x slice weight."""
    peak_hu = lesions.peak_hu if rule.density_from == "slice_component" else lesions.lesion_peak_hu
    weight = np.searchsorted(rule.density_steps_hu, peak_hu, side="right")
    slices = lesions.geometry.slice_spacing_mm / REFERENCE_SLICE_MM if rule.slice_weight == "spacing_over_3mm" else 1.0
    return np.where(_reaches_floor(lesions, rule), lesions.area_mm2 * weight * slices, 0.0)


def _reaches_floor(lesions: Lesions, rule: ScoringRule) -> Mask:
    """Whether each component has the minimum area and number of pixels."""
    area_is_enough = lesions.area_mm2 >= rule.min_area_mm2 - _AREA_ROUNDING_MM2
    return np.asarray(area_is_enough & (lesions.pixels >= rule.min_pixels))


def _tally(lesions: Lesions, quantity: Floats) -> Tally:
    sums = np.bincount(lesions.label, quantity, minlength=int(max(Calcium)) + 1)
    per_vessel = {label.name: float(sums[label]) for label in CORONARY_LABELS}
    total = reduce(add, per_vessel.values())  # from left to right: sum() rounds otherwise from Python 3.12 on
    return Tally(total, MappingProxyType(per_vessel), float(sums[Calcium.OTHER]))


def cac_drs(agatston: Tally) -> str:
    """Return CAC-DRS of the Agatston score: A0, A1 (1-99), A2 (100-299), A3 (>= 300), and N, the number of vessels.

    Hecht HS et al., J Cardiovasc Comput Tomogr 2018;12:185-191. N is left out if the vessel of some calcium is unknown.

    >>> cac_drs(Tally(120.0, {"LM": 0.0, "LAD": 100.0, "LCX": 0.0, "RCA": 20.0, "CORONARY": 0.0}, 0.0))
    'A2/N2'
    """
    grade = f"A{0 if agatston.total <= 0 else 1 + int(np.searchsorted([100, 300], agatston.total, side='right'))}"
    vessels = sum(agatston.per_vessel[vessel.name] > 0 for vessel in NAMED_VESSELS)
    return grade if agatston.total <= 0 or agatston.per_vessel["CORONARY"] > 0 else f"{grade}/N{vessels}"
