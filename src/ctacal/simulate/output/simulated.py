"""``write_study``: a simulated study as a folder; its files are described in ``output.folder``."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from ctacal.simulate.output.folder import DEFAULT_WRITERS, StudyContent, uid_seed, write_folder
from ctacal.simulate.output.series import SeriesDescription, Technique
from ctacal.simulate.scanner.motion import Timing
from ctacal.simulate.scanner.protocol import ScannerProtocol
from ctacal.simulate.study import SimulatedStudy, StudyDescription
from ctacal.simulate.truth import structure_names, truth_json

NOTICE = "Simulated: no patient. Made by ctacal for research, training and tests."


@dataclass(frozen=True, slots=True)
class HeaderWords:
    """The names that a type of scanner gives to a study, its CTAC series and the kernel."""

    study: str = "Myocardial perfusion SPECT/CT"
    series: str = "CTAC"
    kernel: str | None = None
    """None: the name of the protocol's kernel family."""


WORDS: Mapping[str, HeaderWords] = MappingProxyType(
    {
        "hawkeye_slow": HeaderWords(series="CT Attenuation Correction", kernel="SOFT"),
        "hawkeye_10mm": HeaderWords(series="CT Attenuation Correction", kernel="SOFT"),
        "spect_ct_flat_panel": HeaderWords(series="CT for AC", kernel="SMOOTH"),
        "spect_ct_2slice": HeaderWords(series="AC_CT 5.0 B08s", kernel="B08s"),
        "spect_ct_16slice": HeaderWords(series="CTAC 3.75 Thick", kernel="STANDARD"),
        "pet_ct_64slice_low_dose": HeaderWords("Cardiac PET/CT", "AC CT 3.0 B19f", "B19f"),
        "pet_ct_140kvp": HeaderWords("Cardiac PET/CT", "CTAC", "SOFT"),
        "pet_ct_100kvp": HeaderWords("Cardiac PET/CT", "AC CT 3.0 Br38", "Br38"),
        "pet_ct_80kvp": HeaderWords("Cardiac PET/CT", "AC CT 3.0 Br36", "Br36"),
    }
)
"""Header words of the CTAC systems among the presets; all other protocols get the defaults. The words are generic, in
the style of the manufacturers (assumed: sites choose their own)."""


def study_name(description: StudyDescription) -> str:
    """Return the name of the study's folder: protocol and seed."""
    return f"{description.protocol.name}-{description.seed}"


def write_study(study: SimulatedStudy, folder: Path, *, writers: Sequence[str] = DEFAULT_WRITERS) -> dict[str, Any]:
    """Write a simulated study and return the content of its study.json. See ``folder.write_folder``.

    Args:
        study: A study of ``simulate_study``.
        folder: The folder of the study; it appears whole or not at all.
        writers: Kinds of files: ``dicom``, ``ct``, ``nifti``, ``seg``.

    Returns:
        The content of study.json: the description, and the true scores.

    Example:
        >>> import tempfile
        >>> from ctacal.geometry import Geometry
        >>> from ctacal.labels import LabelMap
        >>> from ctacal.scores import score_label_map
        >>> from ctacal.simulate import SimulatedStudy, Truth, draw_study, load_protocol
        >>> from ctacal.volume import Volume
        >>> grid = Geometry.from_spacing((4, 32, 32), (3.0, 1.0, 1.0))
        >>> scan, empty = Volume(np.zeros(grid.shape, np.int16), grid), np.zeros(grid.shape, np.uint8)
        >>> score = score_label_map(scan, LabelMap(empty, grid))[1]
        >>> nothing = Truth(
        ...     labels=LabelMap(empty, grid), structures=empty, table=(), ctac_score=score, reference_score=score
        ... )
        >>> description = draw_study(1, load_protocol("spect_ct_16slice"), with_deposits=False)
        >>> study = SimulatedStudy(description=description, volume=scan, truth=nothing)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_study(study, Path(folder, "one"), writers=["nifti"])["reference_score"]["agatston"]
        0.0
    """
    truth = study.truth
    record = {**truth_json(truth), "structures": structure_names(), "description": study.description.to_json()}
    content = StudyContent(
        volume=study.volume,
        header=series_description(study),
        labels=truth.labels,
        deposits=np.where(truth.labels.labels > 0, truth.structures, 0),
        structures=truth.structures,
        record=record,
    )
    return write_folder(content, folder, writers)


def series_description(study: SimulatedStudy) -> SeriesDescription:
    """Return the headers of the study's series; they name no real manufacturer or patient."""
    description, protocol = study.description, study.description.protocol
    patient, words = description.patient, WORDS.get(protocol.name, HeaderWords())
    size_m = patient.height_cm / 100
    return SeriesDescription(
        seed=_header_seed(description),
        patient_id=f"SIM-{study_name(description)}"[:64],
        patient_name="Simulated^Study",
        patient_sex=patient.sex,
        patient_age_years=patient.age_years,
        patient_size_m=size_m,
        patient_weight_kg=patient.bmi * size_m**2,
        study_description=words.study,
        series_description=words.series,
        series_number=2,
        model=protocol.name[:64],
        kernel=words.kernel or protocol.kernel.upper(),
        kvp=protocol.kvp,
        tube_current_ma=max(1, round(protocol.tube_current_ma)),
        exposure_time_ms=round(protocol.rotation_s * 1000),
        slice_thickness_mm=protocol.thickness_mm,
        comments=NOTICE,
        technique=_technique(protocol, study.volume.geometry.shape[0]),
    )


def _technique(protocol: ScannerProtocol, slices: int) -> Technique:
    timing = Timing.of(protocol, np.arange(slices, dtype=np.float64) * protocol.spacing_mm, start_s=0.0)
    return Technique(
        rotation_s=protocol.rotation_s,
        collimation_mm=protocol.collimation_mm,
        pitch=protocol.pitch if protocol.helical else None,
        field_mm=protocol.fov_mm,
        scan_field_mm=protocol.scan_field_mm,
        focus_mm=protocol.focus_mm,
        effective_mas=protocol.mas,
        starts_s=tuple((timing.middle_s - protocol.rotation_s / 2).tolist()),
    )


def _header_seed(description: StudyDescription) -> int:
    return uid_seed(json.dumps(description.to_json(), sort_keys=True).encode())
