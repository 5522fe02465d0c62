"""``ctacal batch`` as it is typed: what it prints, its exit statuses, and the scripts for schedulers."""

import errno
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from ctacal.cli.batch_progress import Tally
from ctacal.jobs.batch.outcomes import Fault, RowOutcome, StudyOutcome
from ctacal.jobs.batch.places import FolderPlace
from ctacal.jobs.batch.run import MOST_LOST
from ctacal.jobs.batch.scripts import job_manifest, sbatch_script
from tests.commands import run, table
from tests.jobs.batch.cohorts import cohort


@pytest.mark.slow
def test_plan_run_status_collect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "run"
    plan = ("batch", "plan", cohort(tmp_path / "in", 2), "-o", place, "--predictor", "threshold")
    assert run(*plan, monkeypatch=monkeypatch) == 0
    assert "3 rows in 64 shards" in capsys.readouterr().out
    assert run("batch", "run", place, "--shard", "0/1", "--processes", 1, monkeypatch=monkeypatch) == 0
    assert "3 of 3 rows done, 0 of them gave nothing" in capsys.readouterr().err
    assert run("batch", "status", place, "--price", 0.04, monkeypatch=monkeypatch) == 0
    said = capsys.readouterr().out
    assert "3 of 3 rows done (100.0%)" in said and "HEART_NOT_FOUND" in said and "at that price" in said
    assert run("batch", "status", place, "--json", monkeypatch=monkeypatch) == 0
    assert json.loads(capsys.readouterr().out)["scored"] == 1
    assert run("batch", "collect", place, monkeypatch=monkeypatch) == 0
    assert len(table(place)) == 3


@pytest.mark.slow
def test_a_disk_that_fails_is_no_wrong_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """2 would tell Kubernetes that another try changes nothing."""
    plan = ("batch", "plan", cohort(tmp_path / "in", 1, scored=False), "-o", tmp_path / "run")
    assert run(*plan, "--predictor", "threshold", monkeypatch=monkeypatch) == 0

    def create(_place: FolderPlace, name: str, _content: bytes) -> bool:
        raise OSError(errno.EIO, os.strerror(errno.EIO), name)

    monkeypatch.setattr(FolderPlace, "create", create)
    assert run("batch", "run", tmp_path / "run", "--processes", 1, monkeypatch=monkeypatch) == 1
    assert re.search("outcomes/.*: Input/output error.*; run it again", capsys.readouterr().err)


def test_another_plan_into_the_same_run_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = ("batch", "plan", cohort(tmp_path / "in", 1), "-o", tmp_path / "run", "--predictor", "threshold")
    assert run(*plan, monkeypatch=monkeypatch) == 0
    assert run(*plan, "--write", "json,png", monkeypatch=monkeypatch) == 2
    assert "another value of outputs; plan into a new folder" in capsys.readouterr().err
    assert run("batch", "run", tmp_path / "nowhere", monkeypatch=monkeypatch) == 2
    assert "no plan there; make one with ctacal batch plan" in capsys.readouterr().err


def test_the_script_for_slurm_hands_on_the_signal_and_comes_again(tmp_path: Path) -> None:
    """Run by bash itself, with programs in place of ctacal and scontrol."""
    script = sbatch_script("/data/my run", 100, memory_mb=2000, time_s=300)
    assert "#SBATCH --array=0-99" in script and "'/data/my run' --shard slurm/100" in script
    (tmp_path / "ctacal").write_text(
        "#!/bin/bash\ntrap 'exit 75' TERM\nkill -TERM $PPID\nfor i in {1..400}; do sleep 0.05; done\n"
    )
    (tmp_path / "scontrol").write_text('#!/bin/bash\necho "$@"\n')
    for program in ("ctacal", "scontrol"):
        (tmp_path / program).chmod(0o755)
    variables = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "7"}
    done = subprocess.run(
        ["bash"],
        input=script,
        env=variables | {"SLURM_CPUS_PER_TASK": "4"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (75, "requeue 12_7\n"), done.stderr


def test_the_job_for_kubernetes_has_an_index_for_each_part() -> None:
    job = json.loads(job_manifest("s3://bucket/run", 20, memory_mb=2000, time_s=300))
    spec = job["spec"]
    assert (job["kind"], spec["completionMode"], spec["completions"]) == ("Job", "Indexed", 20)
    (container,) = spec["template"]["spec"]["containers"]
    assert container["command"][:6] == ["ctacal", "batch", "run", "s3://bucket/run", "--shard", "kubernetes/20"]
    ignored = [rule for rule in spec["podFailurePolicy"]["rules"] if rule["action"] == "Ignore"]
    assert {"operator": "In", "values": [75]} in [rule.get("onExitCodes") for rule in ignored]
    assert spec["backoffLimitPerIndex"] > MOST_LOST  # or a row that kills its pods would never be given up
    assert spec["template"]["spec"]["restartPolicy"] == "Never"  # what podFailurePolicy demands


def test_the_line_of_a_log_tells_rate_time_and_reasons() -> None:
    now = [0.0]
    tally = Tally(clock=lambda: now[0])
    refused = StudyOutcome(
        key="k",
        study_uid="1.2",
        status="refused",
        folder="f",
        table={"reason_codes": "INCOMPLETE_SERIES TOO_FEW_SLICES"},
    )
    for _ in range(29):
        tally.count(RowOutcome(row="a", studies=(refused,)))
    tally.count(RowOutcome(row="b", fault=Fault(why="memory", message="")))
    now[0] = 60.0
    assert tally.line(1030, 4030) == (
        "1,030 of 4,030 rows, 30 a minute, 1 h 40 min left; without a score: TOO_FEW_SLICES 29, memory 1"
    )
