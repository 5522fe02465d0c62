"""``write_study``: a simulated study as a folder: DICOM series, truth as NIfTI, DICOM SEG and JSON.

STUDY/dicom/0001.dcm ..           the CTAC
STUDY/ct.nii.gz                   the same, on request
STUDY/truth/labels.nii.gz         what is scored: ``ctacal.labels.Calcium`` per voxel
STUDY/truth/structures.nii.gz     what each voxel is part of
STUDY/truth/labels.dcm            the labels as DICOM SEG
STUDY/truth/study.json            description, calcium table, scores, and the digest of every other file
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctacal import __version__
from ctacal.atomic import whole_folder, write_text
from ctacal.dicom import codes
from ctacal.dicom.codes import Concept
from ctacal.dicom.seg_writer import Maker, SegmentOf, write_segmentation
from ctacal.errors import UsageError
from ctacal.labels import Calcium, LabelMap
from ctacal.simulate.anatomy.calcium import Kind
from ctacal.simulate.scanner.motion import Timing
from ctacal.simulate.scanner.protocol import ScannerProtocol
from ctacal.simulate.series_writer import SeriesDescription, Technique, slice_headers, write_series
from ctacal.simulate.study import SimulatedStudy, StudyDescription
from ctacal.simulate.truth import KIND_LABELS, VESSEL_LABELS, structure_names, truth_json
from ctacal.volume import Volume, save_nifti

SCHEMA_VERSION = "1.0"
RECORD = "truth/study.json"
"""The file that tells the rest; written last."""
NOTICE = "Simulated: no patient. Made by ctacal for research, training and tests."
UNITS = MappingProxyType(
    {"centre_mm": "mm, (L, P, S), 0 at the carina", "volume_mm3": "mm3", "mass_mg": "mg of hydroxyapatite",
     "mean_mg_cm3": "mg of hydroxyapatite per cm3", "agatston": "Agatston units"}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class HeaderWords:
    """How a kind of system names its CTAC and its kernel."""

    study: str = "Myocardial perfusion SPECT/CT"
    series: str = "CTAC"
    kernel: str | None = None
    """None: the protocol's kernel family."""


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
"""The CTAC systems among the presets. The words are generic, in the makers' style (assumed: sites choose their own);
those of other protocols are the defaults."""

SegmentWords = tuple[str, Concept, Concept, Concept | None]
"""Name, category, type, anatomic region."""


def _calcium(name: str, region: Concept) -> SegmentWords:
    return name, codes.ABNORMAL, codes.CALCIFICATION.worded("Pathologic calcification, calcified structure"), region


def _device(name: str, kind: Concept, region: Concept | None = None) -> SegmentWords:
    return name, codes.PHYSICAL_OBJECT, kind, region


OTHER_CALCIUM = 109
"""Beside the values of ``Truth.structures``: calcium outside of the coronary arteries, of a kind that is not told."""

_SEGMENTS: Mapping[int, SegmentWords] = MappingProxyType(
    {
        VESSEL_LABELS["LM"]: _calcium("LM", codes.LEFT_MAIN.worded("Left coronary artery main stem")),
        VESSEL_LABELS["LAD"]: _calcium(
            "LAD", codes.LEFT_ANTERIOR_DESCENDING.worded("Anterior descending branch of left coronary artery")
        ),
        VESSEL_LABELS["LCX"]: _calcium("LCX", codes.CIRCUMFLEX.worded("Circumflex branch of left coronary artery")),
        VESSEL_LABELS["RCA"]: _calcium("RCA", codes.RIGHT_CORONARY.worded("Right coronary artery")),
        OTHER_CALCIUM: _calcium("Other calcium", codes.THORAX),
        KIND_LABELS[Kind.AORTIC_WALL]: _calcium("Aortic wall", codes.AORTA),
        KIND_LABELS[Kind.AORTIC_VALVE]: _calcium("Aortic valve", codes.AORTIC_VALVE),
        KIND_LABELS[Kind.MITRAL_ANNULUS]: _calcium("Mitral annulus", codes.MITRAL_ANNULUS),
        KIND_LABELS[Kind.PERICARDIUM]: _calcium("Pericardium", codes.PERICARDIUM),
        KIND_LABELS[Kind.LYMPH_NODE]: _calcium("Lymph node", codes.LYMPH_NODE),
        KIND_LABELS[Kind.HILAR]: _calcium("Hilum", codes.HILUM_OF_LUNG),
        KIND_LABELS[Kind.PLEURA]: _calcium("Pleura", codes.PLEURA),
        KIND_LABELS[Kind.STENT]: _device("Stent", codes.STENT),
        KIND_LABELS[Kind.LEAD]: _device("Lead", codes.PACEMAKER_LEAD),
        KIND_LABELS[Kind.BYPASS_CLIP]: _device("Bypass clip", codes.CLIP),
        KIND_LABELS[Kind.STERNAL_WIRE]: _device("Sternal wire", codes.IMPLANT, codes.STERNUM),
        KIND_LABELS[Kind.VALVE_PROSTHESIS]: _device("Valve prosthesis", codes.VALVE_PROSTHESIS, codes.AORTIC_VALVE),
        KIND_LABELS[Kind.PACEMAKER]: _device("Pacemaker", codes.PACEMAKER),
        KIND_LABELS[Kind.SHOCK_COIL]: _device("Shock coil", codes.DEFIBRILLATOR),
        KIND_LABELS[Kind.CONTRAST]: _device("Contrast remnant", codes.CONTRAST_MEDIA),
    }
)
"""The SEG's segments, by value of ``Truth.structures``. What sits on a coronary artery without being its calcium names
no region, so that nobody counts it."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Written:
    """What a study's files are made of, simulated or inserted into a real scan."""

    volume: Volume
    header: SeriesDescription
    labels: LabelMap
    deposits: NDArray[np.uint8]
    """(slices, rows, columns): what each labelled voxel is, a value of ``_SEGMENTS``; 0 elsewhere."""
    structures: NDArray[np.uint8] | None
    """None where the anatomy is not known."""
    told: Mapping[str, Any]
    """What study.json tells of truth and origin."""


def _write_dicom(study: Written, folder: Path) -> None:
    write_series(study.volume, folder / "dicom", header=study.header)


def _write_ct(study: Written, folder: Path) -> None:
    study.volume.save_nifti(folder / "ct.nii.gz")


def _write_nifti(study: Written, folder: Path) -> None:
    study.labels.save_nifti(folder / "truth" / "labels.nii.gz")
    if study.structures is not None:
        save_nifti(folder / "truth" / "structures.nii.gz", study.structures, study.volume.geometry)


def _write_seg(study: Written, folder: Path) -> None:
    values = sorted({*VESSEL_LABELS.values(), *np.unique(study.deposits[study.deposits > 0]).tolist()})
    number = np.zeros(256, np.uint8)
    number[values] = np.arange(1, len(values) + 1)
    write_segmentation(
        folder / "truth" / "labels.dcm",
        number[study.deposits],
        [_segment(value) for value in values],
        slice_headers(study.volume, study.header),
        Maker(
            algorithm="ctacal simulation",
            version=__version__,
            family=Concept("123110", "Artificial Intelligence", "DCM"),
            description="True calcium and devices",
            software=__version__,
        ),
    )


WRITERS: Mapping[str, Callable[[Written, Path], None]] = MappingProxyType(
    {"dicom": _write_dicom, "nifti": _write_nifti, "seg": _write_seg, "ct": _write_ct}
)
DEFAULT_WRITERS = ("dicom", "nifti", "seg")


def known_writers(names: Iterable[str]) -> tuple[str, ...]:
    """The names; raises ``UsageError`` where one is not of ``WRITERS``."""
    names = tuple(names)
    for name in names:
        if name not in WRITERS:
            raise UsageError(f"--write is {name}, expected some of {', '.join(WRITERS)}")
    return names


def study_name(description: StudyDescription) -> str:
    """The study's folder: protocol and seed."""
    return f"{description.protocol.name}-{description.seed}"


def write_study(study: SimulatedStudy, folder: Path, *, writers: Sequence[str] = DEFAULT_WRITERS) -> dict[str, Any]:
    """Write a simulated study; returns the content of its study.json. See ``write_folder``."""
    truth = study.truth
    told = {**truth_json(truth), "structures": structure_names(), "description": study.description.to_json()}
    written = Written(
        volume=study.volume,
        header=series_description(study),
        labels=truth.labels,
        deposits=np.where(truth.labels.labels > 0, truth.structures, 0),
        structures=truth.structures,
        told=told,
    )
    return write_folder(written, folder, writers)


def write_folder(study: Written, folder: Path, writers: Sequence[str]) -> dict[str, Any]:
    """Write the files; returns the content of study.json.

    The folder appears whole or not at all, in the place of what was there. The same study and writers (of ``WRITERS``)
    give the same bytes on the same machine.
    """
    with whole_folder(folder) as part:
        (part / "truth").mkdir()
        for name in writers:
            WRITERS[name](study, part)
        record = _record(study, writers, _digests(part))
        write_text(part / RECORD, json.dumps(record, indent=1) + "\n")
    return record


def _record(study: Written, writers: Sequence[str], files: Mapping[str, str]) -> dict[str, Any]:
    """The content of study.json; ``files`` are the digests of the others."""
    header = slice_headers(study.volume, study.header)[0]
    return {
        "schema_version": SCHEMA_VERSION,
        "notice": study.header.comments,
        "software": {"ctacal": __version__},
        "study_uid": str(header.StudyInstanceUID),
        "series_uid": str(header.SeriesInstanceUID),
        "shape": list(study.volume.geometry.shape),
        "spacing_mm": [round(mm, 6) for mm in study.volume.geometry.spacing_mm],
        "units": dict(UNITS),
        "labels": {int(label): label.name for label in Calcium},
        **study.told,
        "writers": list(writers),
        "files": dict(files),
    }


def whole_record(folder: Path) -> dict[str, Any] | None:
    """The content of study.json where the study is whole: each file is there with its digest. Else None."""
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        files = {name: digest for name, digest in _digests(folder).items() if name != RECORD}
        return record if record["files"] == files else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def digest_of(file: Path) -> str:
    """SHA-256 of a file; that of a study.json stands for its study, since it holds those of all other files."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): digest_of(file) for file in files}


def series_description(study: SimulatedStudy) -> SeriesDescription:
    """The headers of the study's series; nothing in them names a real maker or patient."""
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


def uid_seed(content: bytes) -> int:
    """48 bits of the digest: UIDs differ wherever anything about two studies does."""
    return int(hashlib.sha256(content).hexdigest()[:12], 16)


def _segment(value: int) -> SegmentOf:
    name, category, kind, region = _SEGMENTS[value]
    return SegmentOf(name=name, category=category, kind=kind, region=region)
