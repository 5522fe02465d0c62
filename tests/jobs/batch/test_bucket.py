"""Runs in a bucket, of studies in a bucket: the same results, headers first, pixels of the CTAC only."""

import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from ctacal.dicom.series import read_studies
from ctacal.dicom.stack import Stack
from ctacal.dicom.volume import decode_volume
from ctacal.errors import Code, Refusal
from ctacal.jobs.batch import run as running
from ctacal.jobs.batch.collect import collect
from ctacal.jobs.batch.fetching import Traffic, fetch_headers, fetch_whole
from ctacal.jobs.batch.outcomes import RowOutcome
from ctacal.jobs.batch.places import open_place
from ctacal.jobs.batch.share import Share
from ctacal.jobs.batch.status import status_of
from tests import places
from tests.dicom_series import Grid, ct_series, uid, write
from tests.jobs.batch.buckets import Bucket, bucket_server
from tests.jobs.batch.cohorts import WHOLE, InThisProcess, cohort, content, planned, refused_study, run

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
    assert len(fetched.partial) == fetched.traffic.requests - 1 == 28
    assert {file.stat().st_size for file in fetched.folder.iterdir()} == {2**16}
    wanted = [one.file for one in fetched.partial[:14]]
    assert fetch_whole([fetched], wanted) == Traffic(14, sum(one.size_bytes for one in fetched.partial[:14]))
    assert fetch_whole([fetched], wanted) == Traffic()
    whole = [file.read_bytes() for file in wanted]
    assert sorted(whole) == sorted(file.read_bytes() for file in (tmp_path / "in" / "CTAC").iterdir())

    place = open_place(f"{bucket.address}/run")
    planned(place, f"{bucket.address}/ct")
    run(place)
    status = status_of(place)
    assert status.requests == 1 + 28 + 14
    assert status.read_bytes == 28 * 2**16 + sum(map(len, whole)), "what was fetched, not what is read of the copies"


def test_a_run_in_a_bucket_is_seen_while_it_goes_on(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "BEAT_S", 0.05)
    bucket.put(cohort(tmp_path / "in", 2, scored=False), "ct")
    planned(open_place(f"{bucket.address}/run"), f"{bucket.address}/ct")
    seen: list[tuple[int, int]] = []

    def look(_outcome: RowOutcome, done: int, _total: int) -> None:
        deadline = time.monotonic() + 60
        while (status := status_of(open_place(f"{bucket.address}/run"))).refused < done:
            assert time.monotonic() < deadline, status
        seen.append((status.done, status.refused))

    options = running.RunOptions(share=WHOLE)
    running.run_batch(open_place(f"{bucket.address}/run"), options, running.Watch(on_row=look), engine=InThisProcess)
    assert seen == [(1, 1), (2, 2)]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless])
def test_pixels_that_were_not_fetched_are_never_decoded(tmp_path: Path, bucket: Bucket, syntax: UID) -> None:
    images = ct_series(LARGE, StudyInstanceUID=uid("large"))
    for image in images:  # noise: compressed slices are larger than what is fetched first
        noise = np.random.default_rng(int(image.InstanceNumber)).integers(0, 2000, (256, 256), np.int16)
        image.PixelData = noise.tobytes()
    bucket.put(write(tmp_path / "in", images, syntax=syntax), "ct")
    fetched = fetch_headers(f"{bucket.address}/ct", tmp_path / "fetched")
    assert len(fetched.partial) == len(images)
    (study,) = read_studies([fetched.folder]).studies
    with pytest.raises(Refusal) as refusal:
        decode_volume(Stack.of(study.series[0].slices))
    assert refusal.value.reason.code is Code.PIXELS_UNREADABLE


def results_here_and_there(folder: Path, bucket: Bucket) -> list[dict[str, Any]]:
    """Run the study of a folder there and from a bucket; return both results."""
    bucket.put(folder / "in", "ct")
    planned(folder / "run", folder / "in")
    run(folder / "run")
    planned(folder / "of bucket", f"{bucket.address}/ct")
    run(folder / "of bucket")
    (here,), (there,) = ((folder / name / "studies").rglob("result.json") for name in ("run", "of bucket"))
    return [json.loads(file.read_bytes()) for file in (here, there)]


def test_the_second_ctac_of_a_study_is_fetched_too(tmp_path: Path, bucket: Bucket) -> None:
    with zipfile.ZipFile(places.SAMPLE / "thorax_phantom.zip") as phantom:
        phantom.extractall(tmp_path / "phantom")
    for number, (name, moment) in enumerate((("rest", "101112"), ("stress", "111112"))):
        for file in filter(Path.is_file, (tmp_path / "phantom").rglob("*")):
            write_as(tmp_path / "in" / "study" / name / file.name, file, number, f"CTAC {name}", moment)
    here, there = results_here_and_there(tmp_path, bucket)
    assert here == there
    assert here["second_scan"]["agatston"]["total"] == here["agatston"]["total"] > 100


def write_as(target: Path, file: Path, number: int, description: str, time: str) -> None:
    """Write a compressed slice uncompressed, as one of another series."""
    image = dcmread(file)
    image.decompress(generate_instance_uid=False)
    image.SeriesInstanceUID = image.FrameOfReferenceUID = uid("series", str(number))
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = UID(uid("image", str(number), file.name))
    image.SeriesNumber, image.SeriesDescription, image.AcquisitionTime = 3 + number, description, time
    target.parent.mkdir(parents=True, exist_ok=True)
    image.save_as(target)


def test_images_of_one_place_are_compared_whole(tmp_path: Path, bucket: Bucket) -> None:
    """The CTAC holds two images of a place that differ in their last pixels, so that the other series is scored."""
    folder = two_series(tmp_path / "in" / "study")
    first = min((folder / "CTAC").iterdir())
    image = dcmread(first)
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = UID(uid("another"))
    image.PixelData = image.PixelData[:-8] + bytes(8)
    image.save_as(folder / "CTAC" / "another.dcm")
    for result in results_here_and_there(tmp_path, bucket):
        assert result["study"]["series_description"] == "thorax B60"
        (unfit,) = (one["unfit"] for one in result["study"]["candidates"] if one["unfit"])
        assert unfit.startswith("DUPLICATE_SLICE") and result["reasons"][-1]["code"] == "HEART_NOT_FOUND"


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


def test_messages_name_objects_as_the_bucket_does(tmp_path: Path, bucket: Bucket) -> None:
    """Not the copies, whose paths differ from run to run."""
    images = ct_series(LARGE, StudyInstanceUID=uid("cut"))
    images[4].PixelData = images[4].PixelData[:-4096]
    folder = write(tmp_path / "in" / "study", images)
    cut = sorted(folder.iterdir())[4].name
    here, there = results_here_and_there(tmp_path, bucket)
    assert f"{folder}/{cut}" in here["reasons"][-1]["message"]
    assert f"{bucket.address}/ct/study/{cut}" in there["reasons"][-1]["message"]
    assert [one["message"].replace(f"{tmp_path}/in", f"{bucket.address}/ct") for one in here["reasons"]] == [
        one["message"] for one in there["reasons"]
    ]
