"""The table of codes: each code occurs once, and label files are read by the codes that reports write."""

import pytest

from ctacal.dicom.objects import codes
from ctacal.dicom.objects.codes import REGIONS, SNOMED_CODES, Concept
from ctacal.labels import Calcium

CONCEPTS = [value for value in vars(codes).values() if isinstance(value, Concept)]


def test_each_concept_has_a_code_of_its_own() -> None:
    assert len({concept.code for concept in CONCEPTS}) == len(CONCEPTS)
    assert {concept.scheme for concept in CONCEPTS} == {"SCT"}


def test_written_regions_are_read_as_their_vessel() -> None:
    assert set(REGIONS) == set(Calcium)
    for label, concept in REGIONS.items():
        assert SNOMED_CODES.get(concept.code) == (label if label.is_coronary else None)


def test_another_wording_keeps_the_code() -> None:
    item = codes.AORTA.worded("Aortic structure").coded()
    assert (item.value, item.scheme_designator, item.meaning) == ("15825003", "SCT", "Aortic structure")


def test_lengths_are_limited() -> None:
    with pytest.raises(ValueError, match="up to 64"):
        Concept("1", "long" * 17)
