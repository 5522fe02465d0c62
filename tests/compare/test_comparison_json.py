"""comparison.json is as its schema says, and a row of comparisons.csv holds the same numbers."""

import json
from dataclasses import replace
from datetime import date
from importlib.resources import files
from typing import Any

import jsonschema
import numpy as np
import pytest

from ctacal.compare.comparison import Comparison, Terms, compare_scans
from ctacal.compare.comparison_json import TABLE_COLUMNS, comparison_json, comparison_row
from ctacal.compare.matching import Kind, LesionMatch
from ctacal.compare.registration import RigidTransform
from ctacal.errors import Code, Reason
from ctacal.labels import Calcium
from ctacal.scores import ScoredLesion
from tests.compare.scans import LIMITS, scan

SCHEMA = json.loads(files("ctacal.compare").joinpath("comparison.schema.json").read_text())
LATER = date(2022, 3, 1)
LESION = ScoredLesion(Calcium.LAD, 100.0, 80.0, 400.0, 250.0, (3, 4), (1.0, 2.0, 3.0))
TURN = RigidTransform(np.eye(3), np.array([5.0, 0.0, -3.0]), np.zeros(3), 0.9)


def valid(comparison: Comparison) -> dict[str, Any]:
    """Return the content as a reader of the file has it."""
    content: dict[str, Any] = json.loads(json.dumps(comparison_json(comparison), allow_nan=False))
    jsonschema.validate(content, SCHEMA)
    return content


def test_a_comparison_with_everything_known() -> None:
    matches = (LesionMatch(Kind.KEPT, (LESION,), (LESION,), 2.5), LesionMatch(Kind.NEW, (), (LESION,), None))
    terms = Terms(limits=LIMITS, bmi=28.0)
    comparison = compare_scans(scan(100.0), scan(196.0, LATER), terms, matches=matches, transform=TURN)
    content = valid(comparison)
    assert content["verdict"] == "beyond"
    assert content["interval_days"] == 730
    assert content["changes"]["agatston"]["total"]["square_root"] == 4.0
    assert content["changes"]["agatston"]["square_root_limits"] == [-3.0, 3.0]
    assert content["category"] == {"before": "1-100", "after": "101-400", "up": 1}
    assert [lesion["kind"] for lesion in content["lesions"]] == ["kept", "new"]
    assert content["limits"]["name"] == "ours"


@pytest.mark.parametrize(
    "comparison",
    [
        compare_scans(scan(100.0), scan(90.0, None), Terms()),
        compare_scans(scan(0.0), scan(0.0, LATER, warnings=(Reason(Code.METAL_SEEN, "a lead"),)), Terms()),
        compare_scans(
            scan(0.0), scan(0.0, LATER, amounts={}, category="", refused=Reason(Code.NO_CT_SERIES, "none")), Terms()
        ),
    ],
)
def test_what_is_not_known_is_null(comparison: Comparison) -> None:
    content = valid(comparison)
    assert content["verdict"] == "not comparable"
    assert content["lesions"] is None
    assert content["alignment"] is None
    assert content["limits"] is None


def test_a_row_of_the_table() -> None:
    matches = (LesionMatch(Kind.KEPT, (LESION,), (LESION,), 2.5), LesionMatch(Kind.NEW, (), (LESION,), None))
    comparison = compare_scans(scan(100.0), scan(196.0, LATER), Terms(limits=LIMITS), matches=matches)
    row = comparison_row(comparison_json(comparison), patient_id="p", scans=2, scan_before=1, scan_after=2)
    assert set(row) <= set(TABLE_COLUMNS)
    assert row["study_uid"] == comparison.b.study_uid
    assert (row["agatston_before"], row["agatston_after"], row["agatston_absolute"]) == (100.0, 196.0, 96.0)
    assert (row["verdict"], row["categories_up"], row["lesions_new"], row["lesions_gone"]) == ("beyond", 1, 1, 0)
    assert row["agatston_lad_absolute"] == 96.0
    assert row["limits"] == "ours"


def test_a_row_of_a_refused_scan_has_its_reason_and_no_numbers() -> None:
    refused = replace(scan(0.0, LATER), amounts={}, category="", refused=Reason(Code.NO_CT_SERIES, "none"))
    row = comparison_row(comparison_json(compare_scans(scan(1.0), refused, Terms())))
    assert row["reason_codes"] == "NOT_SCORED"
    assert "agatston_after" not in row
