"""Whether two scans show one patient is seen in their chests; what is in between, a person decides."""

from datetime import date

import pytest

from ctacal.compare.chest import LEAST_POINTS, ONE_PATIENT, TWO_PATIENTS, chest_fit, doubts_by_chest
from ctacal.compare.comparison import Terms, Verdict, compare_scans
from ctacal.compare.reasons import Doubt
from ctacal.compare.registration import best_fit
from ctacal.dicom.choose import choose_series
from ctacal.dicom.series import read_studies
from ctacal.dicom.volume import read_volume
from ctacal.heart import HeartMask, find_heart
from ctacal.volume import Volume
from tests import places
from tests.compare.moved import moved, movement
from tests.compare.scans import LIMITS, scan

Scan = tuple[Volume, HeartMask]
LATER = date(2022, 3, 1)


def shipped(name: str) -> Scan:
    (study,) = read_studies([places.SAMPLE / f"{name}.zip"]).studies
    volume, _ = read_volume(choose_series(study).series)
    return volume, find_heart(volume)


@pytest.fixture(scope="module")
def patient() -> Scan:
    return shipped("simulated_ctac")


def fit(a: Scan, b: Scan) -> float | None:
    return chest_fit(*a, *b, best_fit(*a, *b))


def test_a_patient_who_lies_elsewhere_is_known_again(patient: Scan) -> None:
    volume, _ = patient
    second = moved(volume, movement(volume, shift_mm=(12, -12, 10), turn_deg=(0, 0, 10)))
    found = fit(patient, (second, find_heart(second)))
    assert found is not None and found > ONE_PATIENT


def test_another_patient_is_told(patient: Scan) -> None:
    found = fit(patient, shipped("thorax_phantom"))
    assert found is not None and found < TWO_PATIENTS


def test_too_little_of_a_chest_tells_nothing(patient: Scan) -> None:
    volume, heart = patient
    middle = (heart.bounding_box[0].start + heart.bounding_box[0].stop) // 2
    part = (slice(middle, middle + 3), slice(None), slice(None))
    thin = volume.crop(part)
    assert thin.hu.size > LEAST_POINTS
    assert fit((thin, HeartMask(heart.mask[part], thin.geometry)), patient) is None


@pytest.mark.parametrize(
    ("chest", "words"),
    [(TWO_PATIENTS - 0.01, "seem to show different patients"), (TWO_PATIENTS, "may show different patients")],
)
def test_no_verdict_until_a_person_confirms(chest: float, words: str) -> None:
    (doubt,) = doubts_by_chest(chest)
    assert doubt.code is Doubt.ANATOMY_DIFFERS and words in doubt.message
    asked = compare_scans(scan(100.0), scan(110.0, LATER), Terms(limits=LIMITS), notes=[doubt])
    assert asked.verdict is Verdict.NOT_COMPARABLE
    confirmed = Terms(limits=LIMITS, accept={Doubt.ANATOMY_DIFFERS})
    judged = compare_scans(scan(100.0), scan(110.0, LATER), confirmed, notes=[doubt])
    assert judged.verdict is Verdict.WITHIN
    assert judged.reasons[-1].message.endswith("judged all the same, on request")


def test_one_patient_gives_no_doubt_and_too_little_is_said() -> None:
    assert list(doubts_by_chest(ONE_PATIENT)) == []
    (doubt,) = doubts_by_chest(None)
    assert (doubt.code, doubt.blocks) == (Doubt.PATIENT_UNSURE, False)
