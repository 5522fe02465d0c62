"""``insert_study``: calcium of known mass inserted into a real, calcium-free scan.

Series -> ``Volume`` -> heart -> ``ScanQuality`` -> coronary courses -> deposits -> (another protocol) -> scan.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ctacal.dicom.choose import choose_series
from ctacal.dicom.series import Series, read_studies
from ctacal.dicom.volume import decode_volume
from ctacal.errors import UsageError
from ctacal.geometry import Geometry
from ctacal.heart import HeartMask, find_heart
from ctacal.labels import Calcium, LabelMap
from ctacal.scores import SCCT_2016, Scores, score_label_map
from ctacal.simulate.anatomy.calcium import CalciumDescription, Kind, draw_calcium
from ctacal.simulate.anatomy.description import Patient, draw_patient
from ctacal.simulate.anatomy.measures import Sex
from ctacal.simulate.anatomy.structures import CoronarySegment
from ctacal.simulate.anatomy.truth import CalciumRow
from ctacal.simulate.insert.degrade import degrade, degraded_quality
from ctacal.simulate.insert.grooves import in_grooves
from ctacal.simulate.insert.heart_fit import fit_heart
from ctacal.simulate.insert.insertion import insert
from ctacal.simulate.insert.landmarks import find_descending_aorta, find_windpipe
from ctacal.simulate.insert.lines import read_lines
from ctacal.simulate.insert.placing import RealAnatomy, draw_arteries, place
from ctacal.simulate.insert.quality import ScanQuality, estimate_quality
from ctacal.simulate.insert.reference import inserted_reference_score
from ctacal.simulate.insert.tissue import Tissue, within
from ctacal.simulate.scanner.protocol import ScannerProtocol
from ctacal.simulate.streams import Stream, generator
from ctacal.simulate.vital_signs import INSERTED, draw_heart_rate
from ctacal.volume import Volume

OWN_CALCIUM = 10.0
"""Agatston score in the heart of the blurred scan from which the scan is not accepted as calcium-free, unless the user
allows it (own choice): a bright streak at the apex can reach it too."""

DRAWS = 50
"""Largest number of draws of a patient's calcium until there is a coronary plaque."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class InsertedStudy:
    """A real scan with inserted calcium, and its truth.

    Example:
        >>> from dataclasses import fields
        >>> [field.name for field in fields(InsertedStudy)][-3:]
        ['ctac_score', 'reference_score', 'notes']
    """

    series: Series
    """The series from which it was made."""
    quality: ScanQuality
    """As measured on the scan, or as ``degrade`` left it."""
    patient: Patient
    """The simulated patient whose coronary tree was fitted."""
    calcium: CalciumDescription
    """As drawn or given; ``notes`` name the deposits that were left out."""
    coronaries: tuple[CoronarySegment, ...]
    """Courses in the scan, in mm of the patient frame."""
    volume: Volume
    labels: LabelMap
    table: tuple[CalciumRow, ...]
    ctac_score: Scores
    """Score of ``labels`` on ``volume``."""
    reference_score: Scores
    """Score of the coronary calcium on a gated, noise-free scan (``reference.inserted_reference_score``)."""
    notes: tuple[str, ...]


def insert_study(
    paths: Sequence[Path], *, seed: int, protocol: ScannerProtocol | None = None,
    calcium: CalciumDescription | None = None, lines: Path | None = None, allow_calcium: bool = False,
) -> InsertedStudy:  # fmt: skip
    """Insert calcium, drawn from ``seed`` or given, into the scan at ``paths``; the same arguments give the same bytes.

    The scan is degraded to ``protocol`` if it is given. ``lines`` is a file with centre lines (``lines.read_lines``).

    Args:
        paths: Files or folders of one study.
        seed: Draws the calcium and the noise.
        protocol: The scanner to whose noise and sharpness the scan is degraded; None: it stays as it is.
        calcium: The calcium to insert; None: it is drawn.
        lines: A file of centre lines; None: the tree of a simulated patient is fitted to the heart.
        allow_calcium: Whether the scan may have calcium, or bright streaks, of its own.

    Returns:
        The scan in HU, the true labels, and their scores on this scan and on a gated scan.

    Raises:
        Refusal: The scan cannot be read or has no heart.
        UsageError: Several studies are given, the scan has calcium of its own, or a centre line leaves it.

    Example:
        >>> import ctacal
        >>> sample = Path(ctacal.__file__).parent / "sample" / "thorax_phantom.zip"
        >>> insert_study([sample], seed=1)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ctacal.errors.UsageError: series 1 'CTAC': calcium or a bright streak of its own in the heart (Agatston 242...
    """
    series, volume, notes = _read(paths)
    straight = straightened(volume)
    heart = HeartMask(find_heart(volume).mask, straight.geometry)
    tissue = Tissue.of(straight)
    if own := _own_calcium(tissue, heart):
        if not allow_calcium:
            raise UsageError(f"{series.name}: {own}; look at it, and give --allow-calcium if it is not calcium")
        notes = (*notes, own)
    first = series.slices[0]
    quality = estimate_quality(
        straight, heart, kvp=series.header.kvp, thickness_mm=first.thickness_mm, rotation_s=first.rotation_s
    )
    patient, calcium = _drawn(series, seed, calcium)
    anatomy = _anatomy(straight, heart, patient, tissue, None if lines is None else _own_lines(lines, volume))
    placed, left_out = place(calcium.deposits, anatomy, tissue, quality.border_motion_mm, seed)
    arteries = draw_arteries(anatomy, tissue, quality.border_motion_mm)
    geometry = volume.geometry
    if protocol is not None:
        straight = degrade(straight, heart, protocol, quality, seed=seed)
        quality, geometry = degraded_quality(quality, protocol), _turned(straight.geometry, volume.geometry)
    inserted = insert(straight, placed, quality, arteries=arteries, heart_rate_bpm=_heart_rate_bpm(seed), seed=seed)
    return InsertedStudy(
        series=series,
        quality=quality,
        patient=anatomy.fitted.patient,
        calcium=calcium,
        coronaries=tuple(
            replace(line, points=_moved(line.points, straight.geometry, geometry)) for line in anatomy.coronaries
        ),
        volume=Volume(inserted.volume.hu, geometry),
        labels=LabelMap(inserted.labels.labels, geometry),
        table=tuple(_row_in(row, straight.geometry, geometry) for row in inserted.table),
        ctac_score=inserted.score,
        reference_score=inserted_reference_score(tissue, placed, arteries),
        notes=(*notes, *left_out),
    )


def _read(paths: Sequence[Path]) -> tuple[Series, Volume, tuple[str, ...]]:
    studies = read_studies(paths).studies
    if len(studies) != 1:
        raise UsageError(f"expected one study to insert calcium into, found {len(studies)}")
    choice = choose_series(studies[0])
    volume, notes = decode_volume(choice.stack)
    return choice.series, volume, tuple(str(note) for note in (*choice.notes, *choice.series.notes, *notes))


def straightened(volume: Volume) -> Volume:
    """Return the same voxels in a frame with the axes of the grid; it is that of a canonical axial scan."""
    origin = volume.geometry.to_patient_mm((0, 0, 0))
    grid = Geometry.from_spacing(volume.geometry.shape, volume.geometry.spacing_mm, origin.tolist())
    return Volume(volume.hu, grid)


def _turned(straight: Geometry, like: Geometry) -> Geometry:
    """Return the geometry, in the patient frame of the original scan, of a straight grid."""
    turn = like.affine @ np.linalg.inv(straightened_grid(like).affine)
    return Geometry(straight.shape, turn @ straight.affine)


def straightened_grid(grid: Geometry) -> Geometry:
    """Return the straight grid of ``straightened``."""
    return Geometry.from_spacing(grid.shape, grid.spacing_mm, grid.to_patient_mm((0, 0, 0)).tolist())


def _moved(points: np.ndarray, before: Geometry, after: Geometry) -> np.ndarray:
    """Return points of the grid ``before`` at the same index in the grid ``after``."""
    turn = after.affine @ np.linalg.inv(before.affine)
    return np.asarray(points @ turn[:3, :3].T + turn[:3, 3])


def _row_in(row: CalciumRow, before: Geometry, after: Geometry) -> CalciumRow:
    left, posterior, up = _moved(np.array([row.centre_mm]), before, after)[0].tolist()
    return replace(row, centre_mm=(left, posterior, up))


def _own_calcium(tissue: Tissue, heart: HeartMask) -> str | None:
    """Return a note if something in the heart of the blurred scan looks like calcium, else None."""
    labels = np.where(heart.mask, Calcium.CORONARY, 0).astype(np.uint8)
    blurred = Volume(tissue.blurred_hu, tissue.grid)
    score = score_label_map(blurred, LabelMap(labels, tissue.grid), SCCT_2016)[1].agatston.total
    return (
        f"calcium or a bright streak of its own in the heart (Agatston {score:.0f}, blurred)"
        if score >= OWN_CALCIUM
        else None
    )


def _drawn(series: Series, seed: int, calcium: CalciumDescription | None) -> tuple[Patient, CalciumDescription]:
    """Draw a patient with the sex and age of the scan, and, unless given, calcium with at least one coronary plaque."""
    sex: Sex | None = {"F": "F", "M": "M"}.get(series.header.patient_sex.strip().upper())  # type: ignore[assignment]
    age = series.header.patient_age.strip().upper().removesuffix("Y")
    patient = draw_patient(seed, sex=sex, age_years=float(age) if age.isdigit() else None)
    if calcium is not None:
        return patient, calcium
    for n in range(DRAWS):
        drawn = draw_calcium(patient, seed + 1_000_003 * n)
        if any(deposit.kind is Kind.CORONARY for deposit in drawn.deposits):
            break
    return patient, drawn


def _own_lines(path: Path, volume: Volume) -> tuple[CoronarySegment, ...]:
    """Read the user's lines in the straight frame; raises ``UsageError``, which names a line that leaves the scan."""
    lines = read_lines(path)
    for line in lines:
        if not (inside := within(volume.geometry, line.points)).all():
            point = np.round(line.points[int(np.argmin(inside))], 1).tolist()
            raise UsageError(f"{path}: centre line {line.name} leaves the scan at {point} mm")
    straight = straightened_grid(volume.geometry)
    return tuple(replace(line, points=_moved(line.points, volume.geometry, straight)) for line in lines)


def _anatomy(
    volume: Volume, heart: HeartMask, patient: Patient, tissue: Tissue, lines: tuple[CoronarySegment, ...] | None
) -> RealAnatomy:
    fitted = fit_heart(volume, heart, patient, tissue)
    coronaries = in_grooves(fitted.tree(), tissue) if lines is None else lines
    return RealAnatomy(
        fitted, coronaries, find_descending_aorta(volume, heart), find_windpipe(volume, heart), lines is not None
    )


def _heart_rate_bpm(seed: int) -> float:
    """Return the heart rate at rest."""
    return draw_heart_rate(generator(seed, Stream.INSERTION_HEART_RATE), INSERTED)[0]
