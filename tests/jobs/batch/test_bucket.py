"""Runs in a bucket, of studies in a bucket: the same results, headers first, pixels of the CTAC only."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ctacal.jobs.batch.collect import collect
from ctacal.jobs.batch.fetching import fetch_headers, fetch_whole
from ctacal.jobs.batch.places import open_place
from ctacal.jobs.batch.share import Share
from ctacal.jobs.batch.status import status_of
from tests import places
from tests.dicom_series import Grid, ct_series, uid, write
from tests.jobs.batch.buckets import Bucket, bucket_server
from tests.jobs.batch.cohorts import cohort, content, planned, refused_study, run

pytestmark = pytest.mark.slow
LARGE = Grid(rows=256, columns=256)
"""Slices of 128 KiB, of which the header is fetched alone."""


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    with bucket_server() as url:
        yield Bucket.new(url, monkeypatch)


def two_series(folder: Path) -> Path:
    """Write a study with a CTAC and another CT."""
    for number, name in enumerate(("CTAC", "thorax B60"), 1):
        images = ct_series(
            LARGE, name=name, StudyInstanceUID=uid("large"), SeriesInstanceUID=uid(name), SeriesNumber=number,
            SeriesDescription=name,
        )  # fmt: skip
        write(folder / name, images)
    return folder


def test_a_run_in_a_bucket_gives_what_a_folder_gives(tmp_path: Path, bucket: Bucket) -> None:
    cohort(tmp_path / "in", 2)
    two_series(tmp_path / "in" / "two series")
    refused_study(tmp_path / "in" / "letters", "x")
    planned(tmp_path / "run", tmp_path / "in")
    run(tmp_path / "run")
    collect(place := open_place(str(tmp_path / "run")), tmp_path / "run")

    bucket.put(tmp_path / "in", "ct")
    place = open_place(f"{bucket.address}/run")
    plan = planned(place, f"{bucket.address}/ct")
    assert plan.total == 5
    assert sum(run(place, share=Share(n, 2)).done for n in range(2)) == 5
    before = bucket.get("run/studies")
    assert run(place).done == 5
    assert bucket.get("run/studies") == before
    assert {f"studies/{name}": body for name, body in before.items()} == {
        name: body for name, body in content(tmp_path / "run").items() if name.startswith("studies")
    }
    status = status_of(place)
    assert (status.done, status.scored, status.refused) == (5, 1, 4) and status.requests > 14
    collected = collect(place, tmp_path / "out")
    assert (collected.studies, collected.left) == (5, 0)


def test_the_pixels_of_the_ctac_alone_are_fetched(tmp_path: Path, bucket: Bucket) -> None:
    bucket.put(two_series(tmp_path / "in"), "ct/study")
    fetched = fetch_headers(f"{bucket.address}/ct/study", tmp_path / "fetched")
    assert len(fetched.partial) == fetched.requests - 1 == 28
    sizes = {file.stat().st_size for file in fetched.folder.iterdir()}
    assert min(sizes) > 2**17  # with a hole where the pixels will be
    wanted = [one.file for one in fetched.partial[:14]]
    assert fetch_whole([fetched], wanted) == 14
    whole = [file.read_bytes() for file in wanted]
    assert sorted(whole) == sorted(file.read_bytes() for file in (tmp_path / "in" / "CTAC").iterdir())

    place = open_place(f"{bucket.address}/run")
    planned(place, f"{bucket.address}/ct")
    run(place)
    assert status_of(place).requests == 1 + 28 + 14


def test_an_idc_manifest_is_run_from_its_bucket(tmp_path: Path, bucket: Bucket) -> None:
    """Series lie under identifiers that tell nothing, and the manifest tells which make a study."""
    folder = two_series(tmp_path / "in")
    lines = ["StudyInstanceUID,SeriesInstanceUID,series_aws_url,series_size_MB"]
    for name, series in (("0a", "CTAC"), ("1b", "thorax B60")):
        bucket.put(folder / series, name)
        lines.append(f"{uid('large')},{uid(series)},{bucket.address}/{name}/*,1.8")
    (tmp_path / "idc.csv").write_text("\n".join(lines))
    assert planned(tmp_path / "run", idc=(tmp_path / "idc.csv",)).total == 1
    assert run(tmp_path / "run").done == 1
    status = status_of(open_place(str(tmp_path / "run")))
    assert (status.refused, status.files, status.requests) == (1, 28, 2 + 28 + 14)
    assert status.read_share and status.read_share > 0


def test_an_archive_in_a_bucket_is_fetched_whole(tmp_path: Path, bucket: Bucket) -> None:
    bucket.store().put("ct/a.zip", (places.SAMPLE / "thorax_phantom.zip").read_bytes())
    (tmp_path / "list").write_text(f"{bucket.address}/ct/a.zip\n{bucket.address}/ct/b.zip\n")
    place = open_place(f"{bucket.address}/run")
    planned(place, lists=(tmp_path / "list",))
    done = run(place)
    assert (done.done, done.failed, done.postponed) == (2, 1, 0)
    assert status_of(place).scored == 1
    assert dict(status_of(place).reasons) == {"row: request": 1}


def test_a_store_that_fails_leaves_the_row_for_the_next_time(tmp_path: Path, bucket: Bucket) -> None:
    (tmp_path / "list").write_text(f"{bucket.address}-elsewhere/ct\n")
    planned(tmp_path / "run", lists=(tmp_path / "list",))
    done = run(tmp_path / "run")
    assert (done.done, done.postponed) == (0, 1)
    assert not list((tmp_path / "run").rglob("outcomes/*/*"))
