"""Cohorts on disk and in memory, with a study made by hand instead of the scanner."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ctacal.atomic import sweep
from ctacal.errors import UsageError
from ctacal.simulate.cohort import MANIFEST, MOST_STUDIES, CohortPlan, Row, make_cohort, stream_studies
from ctacal.simulate.output.folder import RECORD
from ctacal.simulate.study import SimulatedStudy, StudyDescription
from tests import places
from tests.simulate.cohorts import PROTOCOLS, descriptions, made
from tests.simulate.studies import drawn_by_hand, tiny_protocol


def faulty(description: StudyDescription) -> SimulatedStudy:
    """Study 1 cannot be made."""
    if description.seed % MOST_STUDIES == 1:
        raise ValueError("this patient has no heart")
    return drawn_by_hand(description)


def manifest(out: Path) -> list[dict[str, str]]:
    with (out / MANIFEST).open(newline="") as file:
        return list(csv.DictReader(file))


def digests(rows: Sequence[Row]) -> list[str]:
    return [row["digest"] for row in rows]


@pytest.mark.slow
def test_a_study_is_the_same_for_any_count_and_number_of_workers(tmp_path: Path) -> None:
    five, three = made(tmp_path / "five", 5, workers=2), made(tmp_path / "three", 3)
    assert digests(five)[:3] == digests(three)
    assert len(set(digests(five))) == 5
    assert [row["centre"] for row in five] == ["a", "b", "a", "b", "a"]
    assert manifest(tmp_path / "five") == [
        {name: str(value) for name, value in row.items()} for row in in_columns(five)
    ]


def in_columns(rows: Sequence[Row]) -> list[Row]:
    from ctacal.simulate.cohort import COLUMNS

    return [{name: row[name] for name in COLUMNS} for row in rows]


def test_cohorts_of_two_seeds_share_no_study() -> None:
    first, second = (descriptions(4, seed=seed) for seed in (0, 1))
    assert not {d.seed for d in first} & {d.seed for d in second}
    assert not {d.patient.to_json() for d in first} & {d.patient.to_json() for d in second}


def test_patients_have_the_given_values() -> None:
    for description in descriptions(3, sex="F", age_years=50.0, bmi=31.0, with_deposits=False):
        patient = description.patient
        assert (patient.sex, patient.age_years, patient.bmi) == ("F", 50.0, 31.0)
        assert not description.calcium.deposits


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_failing_study_is_a_row_and_stops_nothing(tmp_path: Path, workers: int) -> None:
    rows = made(tmp_path, 4, workers=workers, simulate=faulty)
    assert [row["status"] for row in rows] == ["made", "failed", "made", "made"]
    failed = manifest(tmp_path)[1]
    assert (failed["study"], failed["digest"]) == ("b-1", "")
    assert "this patient has no heart" in failed["reason"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-0", "a-2", "b-3", MANIFEST]


@pytest.mark.slow
def test_resume_keeps_what_is_whole_and_makes_the_rest(tmp_path: Path) -> None:
    before = made(tmp_path, 4)
    spoilt = tmp_path / "b-1" / "truth" / "labels.nii.gz"
    spoilt.write_bytes(spoilt.read_bytes()[:-9])
    (tmp_path / "b-3" / RECORD).unlink()
    after = made(tmp_path, 5, resume=True)
    assert [row["status"] for row in after] == ["kept", "made", "kept", "made", "made"]
    assert digests(after)[:4] == digests(before)
    assert [row["status"] for row in made(tmp_path, 5, resume=True, workers=2)] == ["kept"] * 5


@pytest.mark.slow
def test_resume_makes_anew_what_would_come_out_otherwise(tmp_path: Path) -> None:
    made(tmp_path, 2)
    assert [row["status"] for row in made(tmp_path, 2, resume=True, writers=("nifti", "seg"))] == ["made", "made"]
    record = tmp_path / "a-0" / RECORD
    record.write_text(record.read_text().replace('"ctacal": "', '"ctacal": "0.0.0-'))
    assert [row["status"] for row in made(tmp_path, 2, resume=True, writers=("nifti", "seg"))] == ["made", "kept"]
    other = [replace(description, heart_rate_bpm=55.0) for description in descriptions(2)]
    rows = make_cohort(other, tmp_path, writers=("nifti", "seg"), resume=True, simulate=drawn_by_hand)
    assert [row["status"] for row in rows] == ["made", "made"]


def test_a_cohort_is_not_written_over(tmp_path: Path) -> None:
    made(tmp_path, 1)
    before = manifest(tmp_path)
    with pytest.raises(UsageError, match="--resume"):
        made(tmp_path, 2)
    assert manifest(tmp_path) == before


@pytest.mark.slow
def test_killed_at_any_time_only_studies_in_the_making_are_lost(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        "from pathlib import Path\n"
        "from tests.simulate import cohorts\n"
        "if __name__ == '__main__':\n"
        f"    cohorts.made(Path({str(tmp_path / 'out')!r}), 12, workers=2, simulate=cohorts.slow)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(places.ROOT), os.environ.get("PYTHONPATH", "")])}
    with subprocess.Popen([sys.executable, script], env=environment) as run:
        deadline = time.monotonic() + 120
        while len(list((tmp_path / "out").glob("*/" + RECORD))) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        run.send_signal(signal.SIGKILL)
    there = {path.parents[1].name for path in (tmp_path / "out").glob("[ab]-*/" + RECORD)}
    assert 3 <= len(there) < 12
    rows = made(tmp_path / "out", 12, resume=True)
    assert {row["study"] for row in rows if row["status"] == "kept"} == there
    assert digests(rows) == digests(made(tmp_path / "whole", 12))
    sweep(tmp_path / "out")  # a worker of the killed run may have outlived it by a moment
    assert not list((tmp_path / "out").glob(".*"))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_stream_gives_whole_studies_in_order(workers: int) -> None:
    studies = list(stream_studies(range(3), PROTOCOLS, workers=workers, simulate=drawn_by_hand))
    assert [(study.description.seed, study.description.protocol.name) for study in studies] == [
        (0, "a"),
        (1, "b"),
        (2, "a"),
    ]
    for study in studies:
        alone = drawn_by_hand(study.description)
        assert np.array_equal(study.volume.hu, alone.volume.hu)
        assert np.array_equal(study.truth.labels.labels, alone.truth.labels.labels)
        assert study.truth.ctac_score.agatston == alone.truth.ctac_score.agatston
        assert study.volume.geometry.same_grid(alone.volume.geometry)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_stream_names_the_study_that_fails(workers: int) -> None:
    with pytest.raises(RuntimeError, match=r"study b-1: this patient has no heart"):
        list(stream_studies(range(3), PROTOCOLS, workers=workers, simulate=faulty))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocols": ()}, "--centre is none"),
        ({"protocols": (PROTOCOLS[0], tiny_protocol("a"))}, "--centre is a, a"),
        ({"protocols": (tiny_protocol("../up"),)}, "--centre is '../up'"),
        ({"count": 0}, "-n is 0"),
        ({"seed": -1}, "--seed is -1"),
        ({"sex": "X"}, "--sex is X"),
        ({"age_years": 12.0}, "--age is 12.0"),
        ({"age_years": float("nan")}, "--age is nan"),
        ({"bmi": 99.0}, "--bmi is 99.0"),
    ],
)
def test_an_impossible_plan_names_the_option(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        CohortPlan(**{"protocols": PROTOCOLS, **options})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"), [({"workers": 0}, "--workers is 0"), ({"writers": ("docx",)}, "--write is docx")]
)
def test_an_impossible_run_names_the_option_and_leaves_nothing(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        made(tmp_path / "out", 1, **options)
    assert not (tmp_path / "out").exists()


def test_the_manifest_s_digest_covers_every_file(tmp_path: Path) -> None:
    (row,) = made(tmp_path, 1)
    stored = json.loads((tmp_path / row["study"] / RECORD).read_text())
    assert set(stored["files"]) == {"truth/labels.nii.gz", "truth/structures.nii.gz"}
    assert len(row["digest"]) == 64
