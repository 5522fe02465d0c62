"""Plans: what becomes a row, digests that do not depend on the order, and plans that are refused."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from ctacal.errors import UsageError
from ctacal.jobs.batch.finding import Sources, find_rows
from ctacal.jobs.batch.places import FolderPlace
from ctacal.jobs.batch.plan import load_plan, manifest_name, rows_of_shard
from ctacal.jobs.batch.share import Share, share_from
from tests.jobs.batch.cohorts import SETTINGS, planned


def tree(folder: Path, *files: str) -> Path:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x" * len(name))
    return folder


def sources_of(folder: Path, **sources: object) -> set[tuple[str, ...]]:
    found = find_rows(Sources(**sources))  # type: ignore[arg-type]
    return {tuple(source.removeprefix(f"{folder}/") for source in row.sources) for row in found}


def test_below_a_single_folder_each_entry_is_a_row(tmp_path: Path) -> None:
    tree(tmp_path, "a/1/x", "a/2/x", "b.zip", "loose 1", "loose 2", ".hidden")
    assert sources_of(tmp_path, paths=(str(tmp_path),)) == {("a",), ("b.zip",), ("loose 1", "loose 2")}


def test_of_several_paths_each_is_a_row(tmp_path: Path) -> None:
    """As a shell's pattern gives them: nothing below a study may be torn apart."""
    tree(tmp_path, "a/1/x", "b/1/x")
    assert sources_of(tmp_path, paths=(f"{tmp_path}/a", f"{tmp_path}/b")) == {("a",), ("b",)}
    assert sources_of(tmp_path, paths=(f"{tmp_path}/*",)) == {("a",), ("b",)}


def test_depth_reaches_the_studies_of_patients(tmp_path: Path) -> None:
    tree(tmp_path, "p1/s1/x", "p1/s2/x", "p2/s3/x", "p2/readme")
    rows = sources_of(tmp_path, paths=(str(tmp_path),), depth=2)
    assert rows == {("p1/s1",), ("p1/s2",), ("p2/s3",), ("p2/readme",)}
    assert sources_of(tmp_path, paths=(str(tmp_path),), depth=0) == {(str(tmp_path),)}


def test_nothing_is_opened(tmp_path: Path) -> None:
    """A pipe would wait for ever."""
    tree(tmp_path, "a/x")
    os.mkfifo(tmp_path / "a" / "pipe")
    assert planned(tmp_path / "run", tmp_path / "a", tmp_path / "a", depth=1).total == 1


def test_a_list_has_a_row_a_line(tmp_path: Path) -> None:
    listed = tmp_path / "list"
    listed.write_text("# two places of one study\n/x/ct\t/y/pet\n\ns3://bucket/study\n/z/../w\n")
    assert sources_of(tmp_path, lists=(listed,)) == {("/x/ct", "/y/pet"), ("s3://bucket/study",), ("/w",)}


IDC = [
    {"StudyInstanceUID": "1.1", "series_aws_url": "s3://idc-open-data/aa/*", "series_size_MB": 1.5},
    {"StudyInstanceUID": "1.2", "series_aws_url": "s3://idc-open-data/bb/*", "series_size_MB": 2.0},
    {"StudyInstanceUID": "1.1", "series_aws_url": "s3://idc-open-data/cc/*", "series_size_MB": 0.5},
]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_the_series_of_an_idc_study_make_one_row(tmp_path: Path, kind: str) -> None:
    file = tmp_path / f"index.{kind}"
    if kind == "csv":
        lines = [",".join(map(str, row.values())) for row in IDC]
        file.write_text("\n".join([",".join(IDC[0]), *lines]))
    else:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(IDC), file)
    rows = {row.sources: row.size_bytes for row in find_rows(Sources(idc=(file,)))}
    assert rows == {
        ("s3://idc-open-data/aa/", "s3://idc-open-data/cc/"): 2_000_000,
        ("s3://idc-open-data/bb/",): 2_000_000,
    }


@pytest.mark.parametrize("size", ["1,5", "large", "-1", "inf"])
def test_a_size_that_is_no_number_is_named(tmp_path: Path, size: str) -> None:
    file = tmp_path / "idc.csv"
    file.write_text(f'StudyInstanceUID,series_aws_url,series_size_MB\n1.1,s3://b/aa/*,1\n1.2,s3://b/bb/*,"{size}"\n')
    with pytest.raises(UsageError, match=rf"idc\.csv, row 2: series_size_MB is '{size}'"):
        sources_of(tmp_path, idc=(file,))


def test_an_s5cmd_manifest_is_read(tmp_path: Path) -> None:
    file = tmp_path / "manifest.s5cmd"
    file.write_text(
        "# To download the files in this manifest\ncp s3://idc-open-data/aa/* .\n"
        "cp 's3://idc-open-data/bb/*' \"out/study 1\"\ncp s3://idc-open-data/cc/* 'out/study 1'\n"
    )
    assert sources_of(tmp_path, idc=(file,)) == {
        ("s3://idc-open-data/aa/",),
        ("s3://idc-open-data/bb/", "s3://idc-open-data/cc/"),
    }
    file.write_text("rm s3://idc-open-data/*\n")
    with pytest.raises(UsageError, match="line 1: not an s5cmd copy"):
        sources_of(tmp_path, idc=(file,))


def test_the_digest_does_not_depend_on_the_order(tmp_path: Path) -> None:
    names = [str(tree(tmp_path, f"s{number}/x") / f"s{number}") for number in range(20)]
    digests = {planned(tmp_path / f"run {n}", *order).digest for n, order in enumerate((names, names[::-1]))}
    assert len(digests) == 1


def test_the_same_plan_is_found_again_and_another_is_refused(tmp_path: Path) -> None:
    folder, place = tree(tmp_path / "in", "a/x", "b/x"), tmp_path / "run"
    first = planned(place, folder)
    assert planned(place, folder).digest == first.digest == load_plan(FolderPlace(place)).digest
    with pytest.raises(UsageError, match=r"holds another plan .* with another value of rule; plan into a new folder"):
        planned(place, folder, settings=replace(SETTINGS, rule="agatston1990"))
    tree(folder, "c/x")
    with pytest.raises(UsageError, match=r"other rows \(2 there, 3 now\)"):
        planned(place, folder)


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (("in/empty",), "nothing to score"),
        (("in/nowhere",), "in/nowhere: no such file or folder"),
        (("in/no*",), "nothing fits this pattern"),
        (("in/a", "in/a/1"), "in/a/1 lies inside .*in/a, and both are rows"),
    ],
)
def test_what_cannot_be_scored_is_refused(tmp_path: Path, paths: tuple[str, ...], message: str) -> None:
    tree(tmp_path / "in", "a/1/x").joinpath("empty").mkdir()
    with pytest.raises(UsageError, match=message):
        planned(tmp_path / "run", *(f"{tmp_path}/{path}" for path in paths))


def test_a_source_in_two_rows_is_refused(tmp_path: Path) -> None:
    listed = tmp_path / "list"
    listed.write_text("/x/ct\t/y/pet\n/x/ct\n")
    with pytest.raises(UsageError, match="/x/ct stands in two rows"):
        planned(tmp_path / "run", lists=(listed,))
    listed.write_text("/x/ct\n/x/ct\n/x/ct 2\n")
    assert planned(tmp_path / "run", lists=(listed,)).total == 2


def test_rows_are_spread_over_the_shards(tmp_path: Path) -> None:
    listed = tmp_path / "list"
    listed.write_text("".join(f"/data/{number}\n" for number in range(1000)))
    place = FolderPlace(tmp_path / "run")
    plan = planned(place, lists=(listed,))
    assert len(plan.rows) == 64 and plan.total == 1000 and max(plan.rows) < 40
    rows = [row for shard in range(64) for row in rows_of_shard(plan, place, shard)]
    assert {row.sources for row in rows} == {(f"/data/{number}",) for number in range(1000)}
    assert sorted(shard for n in range(3) for shard in Share(n, 3).of(64)) == list(range(64))


def test_a_changed_manifest_is_refused(tmp_path: Path) -> None:
    tree(tmp_path / "in", "a/x")
    place = FolderPlace(tmp_path / "run")
    plan = planned(place, tmp_path / "in")
    (shard,) = (number for number, rows in enumerate(plan.rows) if rows)
    (place.folder / manifest_name(shard)).write_text('{"id":"0","sources":["/etc"]}\n')
    with pytest.raises(UsageError, match="has changed since it was planned"):
        rows_of_shard(plan, place, shard)


def test_sizes_are_counted_on_request(tmp_path: Path) -> None:
    tree(tmp_path / "in", "a/x", "b/1/x", "z.zip")
    assert planned(tmp_path / "run 1", tmp_path / "in").size_bytes is None
    assert planned(tmp_path / "run 2", tmp_path / "in", count_bytes=True).size_bytes == 3 + 5 + 5


def test_shares_of_schedulers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "7")
    assert share_from("slurm/10") == Share(7, 10)
    with pytest.raises(UsageError, match="JOB_COMPLETION_INDEX is not set"):
        share_from("kubernetes/10")
    for text, message in (("10/10", "must be from 0 to 9"), ("1", "expected i/n"), ("slurm/7", "the number is 7")):
        with pytest.raises(UsageError, match=message):
            share_from(text)
    with pytest.raises(UsageError, match="64 shards only"):
        Share(0, 100).of(64)


def test_the_plan_holds_no_key(tmp_path: Path) -> None:
    """Only the path of the key of pseudonyms, and a digest."""
    tree(tmp_path / "in", "a/x")
    (tmp_path / "key").write_bytes(b"0123456789abcdef0123456789abcdef")
    planned(tmp_path / "run", tmp_path / "in", settings=replace(SETTINGS, pseudonymise=tmp_path / "key"))
    text = (tmp_path / "run" / "plan.json").read_text()
    assert "0123456789abcdef" not in text
    assert json.loads(text)["settings"]["pseudonymise"] == str(tmp_path / "key")
