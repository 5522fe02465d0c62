"""``simulate_study``: a CTAC and its truth from a description. Needs the ``simulate`` extra.

``StudyDescription`` -> body and beating heart (``anatomy``) -> ``Volume`` (``scanner``) and ``Truth``.
"""

import json
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from ctacal.arrays import Bytes, Floats, Floats32
from ctacal.geometry import Geometry
from ctacal.scores import SCCT_2016, score_label_map
from ctacal.simulate.anatomy.body import heart_phases, still_body
from ctacal.simulate.anatomy.calcium import CalciumDescription, draw_calcium
from ctacal.simulate.anatomy.description import Patient, draw_patient
from ctacal.simulate.anatomy.measures import Sex
from ctacal.simulate.anatomy.on_skin import paint_on_skin
from ctacal.simulate.anatomy.structures import AnatomyMaps
from ctacal.simulate.anatomy.table import TableDesign, draw_table, paint_table
from ctacal.simulate.anatomy.truth import CalciumMaps, with_calcium
from ctacal.simulate.materials import Body
from ctacal.simulate.reference import REFERENCE_PHASE, reference_score
from ctacal.simulate.scanner.acquisition import Acquisition
from ctacal.simulate.scanner.calcium import calcium_hu
from ctacal.simulate.scanner.motion import Motion, still_region
from ctacal.simulate.scanner.protocol import ScannerProtocol
from ctacal.simulate.scanner.scan import scan
from ctacal.simulate.streams import Stream, generator
from ctacal.simulate.threads import both
from ctacal.simulate.truth import DepositFinder, Truth, label_calcium, scored_labels, structures_on, table_within
from ctacal.simulate.vital_signs import PATIENTS, draw_breath_s, draw_breathing_mm, draw_heart_rate, draw_irregularity
from ctacal.volume import Volume

BODY_MM = (1.25, 0.8, 0.8)
"""Voxel of the body's grid (own choice: half the thinnest slice, and finer than the pixels of any preset)."""

PHASES = 8
"""Number of phases of the heart cycle that are built; the scan interpolates between them (own choice)."""

REACH_MM = 12.0
"""Calcium adds nothing relevant to voxels further away in plane: kernels and half a heartbeat (own choice)."""

CHIN_MM, KIDNEYS_MM = 180.0, -240.0
"""Upper and lower end of the body that can be built, less a margin."""


_KEYS = {"protocol": "centre"}
"""JSON keys that differ from the names of the fields: study.json keeps the key of its first version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyDescription:
    """Complete description of a simulated study; the same description gives the same bytes on the same machine.

    Example:
        >>> from ctacal.simulate import load_protocol
        >>> description = draw_study(1, load_protocol("spect_ct_16slice"), bmi=28)
        >>> description == StudyDescription.from_json(description.to_json()), description.patient.bmi
        (True, 28)
    """

    seed: int
    """Seed of the noise and of the moment at which the scan begins."""
    protocol: ScannerProtocol
    patient: Patient
    calcium: CalciumDescription
    table: TableDesign
    """The table, and what lies on the patient: blanket, electrodes."""
    heart_rate_bpm: float
    irregularity: float
    """SD of the RR intervals over their mean."""
    breathing_mm: float
    """Movement of the body towards the feet in a breath."""
    breathing_s: float
    bottom_mm: float
    """Lower end of the scan along the patient, 0 at the carina."""
    top_mm: float
    isocentre_mm: tuple[float, float]
    """Middle of the image, (left, posterior) of the carina."""

    def to_json(self) -> dict[str, Any]:
        """Return all fields as JSON values."""
        written = {"patient": json.loads(self.patient.to_json()), "calcium": json.loads(self.calcium.to_json())}
        fields = {_KEYS.get(name, name): value for name, value in asdict(self).items()}
        return fields | written

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "StudyDescription":
        """Read what ``to_json`` returned; raises ``ValueError``, which names a field that is missing or unknown."""
        known = {_KEYS.get(name, name) for name in cls.__dataclass_fields__}
        if wrong := known.symmetric_difference(stored):
            raise ValueError(f"not a study description: fields missing or unknown: {', '.join(sorted(wrong))}")
        names = {key: name for name, key in _KEYS.items()}
        return cls(
            **{
                **{names.get(key, key): value for key, value in stored.items()},
                "protocol": ScannerProtocol(**stored["centre"]),
                "patient": Patient.from_json(json.dumps(stored["patient"])),
                "calcium": CalciumDescription.from_json(json.dumps(stored["calcium"])),
                "table": TableDesign(**stored["table"]),
                "isocentre_mm": tuple(stored["isocentre_mm"]),
            }
        )


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class SimulatedStudy:
    """A CTAC and its truth."""

    description: StudyDescription
    volume: Volume
    truth: Truth


def draw_study(
    seed: int,
    protocol: ScannerProtocol,
    *,
    sex: Sex | None = None,
    age_years: float | None = None,
    bmi: float | None = None,
    with_deposits: bool = True,
) -> StudyDescription:
    """Draw a patient and a scan; values that are given are kept. Heart rate, breathing and range: own choice.

    Args:
        seed: The same seed and values give the same description.
        protocol: A scanner and its protocol (``ctacal.simulate.load_protocol``).
        sex: F or M.
        age_years: Age in years.
        bmi: Body mass index in kg/m2.
        with_deposits: False leaves out calcium and devices.

    Returns:
        All that ``simulate_study`` needs; ``to_json`` stores it.

    Example:
        >>> from ctacal.simulate import load_protocol
        >>> description = draw_study(1, load_protocol("spect_ct_16slice"), sex="F", age_years=64)
        >>> description.patient.sex, description.patient.age_years, description == draw_study(
        ...     1, load_protocol("spect_ct_16slice"), sex="F", age_years=64)
        ('F', 64, True)
    """
    patient = draw_patient(seed, sex=sex, age_years=age_years, bmi=bmi)
    calcium = draw_calcium(patient, seed) if with_deposits else CalciumDescription(())
    rng = generator(seed, Stream.STUDY)
    rate_bpm, fibrillates = draw_heart_rate(rng, PATIENTS)
    bottom, top = _range_mm(rng, patient)
    return StudyDescription(
        seed=seed,
        protocol=protocol,
        patient=patient,
        calcium=calcium,
        table=draw_table(seed),
        heart_rate_bpm=round(rate_bpm, 2),
        irregularity=round(draw_irregularity(rng, fibrillates), 4),
        breathing_mm=round(draw_breathing_mm(rng, PATIENTS), 2),
        breathing_s=round(draw_breath_s(rng, PATIENTS), 2),
        bottom_mm=bottom,
        top_mm=top,
        isocentre_mm=(round(float(rng.normal(0, 8)), 2), round(float(rng.normal(10, 14)), 2)),
    )


def _range_mm(rng: np.random.Generator, patient: Patient) -> tuple[float, float]:
    """Draw the range along the patient: the 38 cm field of a SPECT/CT camera, or the 15-25 cm of a PET bed, about the
    heart; sometimes tight, sometimes from the chin to the kidneys (shares: own choice)."""
    kind = rng.choice(3, p=(0.45, 0.40, 0.15))
    middle = -60 * patient.height_cm / 172 + rng.normal(0, 12)
    length = (rng.uniform(170, 240), rng.uniform(240, 330), rng.uniform(360, 420))[int(kind)]
    bottom, top = max(middle - 0.55 * length, KIDNEYS_MM), min(middle + 0.45 * length, CHIN_MM)
    return round(float(bottom), 2), round(float(top), 2)


def simulate_study(description: StudyDescription) -> SimulatedStudy:
    """Build the body, scan it, and compute the truth.

    A study of 512 x 512 x 50 voxels takes about 32 CPU s on two cores, and under 2 GB (``docs/speed.md``).

    Args:
        description: A description of ``draw_study``, or one that was stored.

    Returns:
        The volume in HU, and its truth: labels, structures, the score of this scan and that of a gated scan of the
        same calcium.

    Example:
        >>> from dataclasses import replace
        >>> from ctacal.simulate import load_protocol
        >>> coarse = replace(load_protocol("spect_ct_16slice"), matrix=64, views=90, spacing_mm=10, detector_mm=3.2)
        >>> study = simulate_study(draw_study(2, coarse, sex="F", bmi=22, with_deposits=False))
        >>> study.volume.geometry.shape[1:], study.truth.reference_score.agatston.total
        ((64, 64), 0.0)
    """
    maps, deposits, motion = _beating_body(description)
    volume = scan(
        maps.body, description.protocol, seed=description.seed, motion=motion, isocentre_mm=description.isocentre_mm
    )
    return SimulatedStudy(
        description=description, volume=volume, truth=_truth(description, maps, deposits, motion, volume)
    )


def body_grid(description: StudyDescription) -> Geometry:
    """Return the grid of the body: the range of the scan, and the whole patient and table across."""
    patient = description.patient
    half_width = patient.chest_half_width_mm + 1.5 * patient.fat_mm + (60 if patient.arms_up else 190)
    front = patient.chest_half_depth_mm + 1.5 * patient.fat_mm + patient.breast_mm + 45
    back = patient.chest_half_depth_mm + 1.5 * patient.fat_mm + 170  # the table too
    height_mm = description.top_mm - description.bottom_mm + description.breathing_mm
    extent_mm = (height_mm, front + back, 2 * half_width)
    shape = tuple(int(np.ceil(mm / step)) for mm, step in zip(extent_mm, BODY_MM, strict=True))
    corner_mm = (-half_width, -front, description.bottom_mm + BODY_MM[0] / 2)
    return Geometry.from_spacing((shape[0], shape[1], shape[2]), BODY_MM, corner_mm)


def _beating_body(description: StudyDescription) -> tuple[AnatomyMaps, CalciumMaps, Motion]:
    """Return the body at end-diastole, its calcium, and the motion of its heart."""
    patient, calcium = description.patient, description.calcium
    still = still_body(patient, body_grid(description))
    paint_table(still.tissue, still.geometry, description.table)
    paint_on_skin(still.tissue, still.geometry, description.table)
    later, (maps, deposits) = both(
        lambda: tuple(heart_phases(still, calcium, phases=PHASES, first=1)),
        lambda: with_calcium(still.at(0.0), patient, calcium),
    )
    motion = Motion(
        phases=(still_region(maps.body, later[0].geometry), *later),
        heart_rate_bpm=description.heart_rate_bpm,
        irregularity=description.irregularity,
        breathing_mm=description.breathing_mm,
        breathing_s=description.breathing_s,
    )
    return maps, deposits, motion


def _truth(
    description: StudyDescription, maps: AnatomyMaps, deposits: CalciumMaps, motion: Motion, volume: Volume
) -> Truth:
    patient, calcium, grid = description.patient, description.calcium, volume.geometry
    shift_mm = _shift_mm(description, maps.body, motion)
    heart = motion.phases[round(REFERENCE_PHASE * PHASES)]
    found, reference = both(
        partial(_found_calcium, description, maps.body, motion, grid, shift_mm),
        partial(reference_score, patient, calcium, heart),
    )
    structures = structures_on(grid, maps.structure, maps.body.geometry, shift_mm)
    structures[found > 0] = found[found > 0]
    labels = scored_labels(found, grid)
    return Truth(
        labels=labels,
        structures=structures,
        table=table_within(deposits.table),
        ctac_score=score_label_map(volume, labels, SCCT_2016)[1],
        reference_score=reference,
    )


def _found_calcium(
    description: StudyDescription, body: Body, motion: Motion, grid: Geometry, shift_mm: Floats
) -> Bytes:
    """Return the labels of ``label_calcium``."""
    finder = DepositFinder.of(description.patient, description.calcium, np.arange(PHASES) / PHASES)
    return label_calcium(_added_hu(description, body, motion, grid, finder), grid, finder, shift_mm)


def _added_hu(
    description: StudyDescription, body: Body, motion: Motion, grid: Geometry, finder: DepositFinder | None
) -> Floats32:
    """Return the HU that calcium adds to each voxel of the scan; computed near the deposits only, 0 elsewhere."""
    added_hu = np.zeros(grid.shape, np.float32)
    if finder is None:
        return added_hu
    points = np.asarray(finder.tree.data)[:, ::-1]
    reach_mm = np.array([2 * description.protocol.thickness_mm + description.breathing_mm, REACH_MM, REACH_MM])
    origin, spacing = grid.to_patient_mm((0, 0, 0))[::-1], np.array(grid.spacing_mm)
    low = np.clip(np.floor((points.min(axis=0) - reach_mm - origin) / spacing), 0, grid.shape).astype(int)
    high = np.clip(np.ceil((points.max(axis=0) + reach_mm - origin) / spacing) + 1, 0, grid.shape).astype(int)
    region = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
    if (high > low).all():
        added_hu[region] = calcium_hu(
            body, description.protocol, seed=description.seed, motion=motion, isocentre_mm=description.isocentre_mm,
            region=region,
        )  # fmt: skip
    return added_hu


def _shift_mm(description: StudyDescription, body: Body, motion: Motion) -> Floats:
    """Return, per slice, how far towards the feet of its resting place the body lies when the slice is acquired."""
    plan = Acquisition.of(
        body, description.protocol, seed=description.seed, motion=motion, isocentre_mm=description.isocentre_mm, slabs=1
    )
    z_mm = body.geometry.affine[2, 3] + np.arange(body.geometry.shape[0]) * body.geometry.slice_spacing_mm
    return np.asarray(plan.weights @ z_mm - plan.position_mm, np.float64)
