"""``ctacal node``: what it checks, how it says that something is wrong, and the files that it prints to begin with."""

import json
import re
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from ctacal.jobs.node.config import NodeConfig, read_config
from ctacal.jobs.node.ledger import open_ledger
from ctacal.jobs.node.store import Store
from tests.commands import run
from tests.jobs.node.ledgers import claimed, report, scored, settled
from tests.node.running import free_port
from tests.node.studies import keep, phantom
from tests.tools import need

CONFIG = """
store = "{folder}/store"
[receive]
host = "127.0.0.1"
port = {port}
[[peer]]
ae_title = "CAM"
[score]
predictor = "threshold"
[http]
port = 0
[disk]
reserve_mb = 1
reserve_percent = 0.0
[[destination]]
name = "results"
kind = "folder"
folder = "{folder}/out"
"""


class Command:
    """The command, with a configuration that the test changes."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._monkeypatch, self._capsys = folder, monkeypatch, capsys
        (folder / "out").mkdir()
        self.text = CONFIG.format(folder=folder, port=free_port())

    def __call__(self, *words: str) -> tuple[int, str]:
        """Return the exit status, and what was printed."""
        file = self.folder / "node.toml"
        file.write_text(self.text, encoding="utf-8")
        self._capsys.readouterr()
        status = run("node", *words, file, monkeypatch=self._monkeypatch)
        printed = self._capsys.readouterr()
        return status, printed.out + printed.err

    @property
    def config(self) -> NodeConfig:
        return read_config(self.folder / "node.toml")

    def wrong(self, old: str, new: str) -> str:
        """Return the line that tells what is wrong once the configuration is changed."""
        assert old in self.text
        self.text = self.text.replace(old, new)
        status, printed = self("check")
        assert status == 1, printed
        (line,) = [line for line in printed.splitlines() if line.startswith("WRONG")]
        return line


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    yield Command(tmp_path, monkeypatch, capsys)


def test_a_good_configuration_is_found_good(command: Command) -> None:
    status, printed = command("check")
    assert status == 0, printed
    assert printed.endswith("all is well\n")
    for what in ("store", "database", "who may send", "DICOM port", "destination results", "model"):
        assert f"ok    {what}: " in printed
    status, printed = command("check", "--json")
    assert all(json.loads(line)["ok"] for line in printed.splitlines())


def test_what_is_wrong_is_named_with_what_to_do(command: Command) -> None:
    (command.folder / "file").touch()
    line = command.wrong(f'folder = "{command.folder}/out"', f'folder = "{command.folder}/gone"')
    assert re.fullmatch(r"WRONG destination results: .*/gone: no such folder; make it, .*", line)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("reserve_mb = 1\n", "reserve_mb = 1000000000\n", "WRONG store: .* less than the reserve .* free the disk or"),
        ('ae_title = "CAM"\n', 'ae_title = "CAM"\n[receive.tls]\ncertificate = "/c"\nkey = "/k"\n', "No such file"),
        ('[[peer]]\nae_title = "CAM"', "", "WRONG who may send: nobody: name the cameras and PACS under"),
        ('predictor = "threshold"', 'model = "/none"', "WRONG model: .*none"),
        (
            "[[destination]]",
            '[[destination]]\nname = "pacs"\nkind = "dicom"\nae_title = "PACS"\nhost = "127.0.0.1"\nport = 1\n'
            "timeout_s = 2.0\n[[destination]]",
            "WRONG destination pacs: no connection: Connection refused",
        ),
        (
            "[[destination]]",
            '[[destination]]\nname = "web"\nkind = "stow"\nurl = "http://127.0.0.1:1/dicom-web"\n[[destination]]',
            "WRONG destination web: http://127.0.0.1:1/dicom-web/studies: no answer: ",
        ),
        (
            "port = 0",
            'port = 8080\ntoken_file = "/none"',
            "WRONG secrets of the pages: http.token_file: /none: No such",
        ),
        (
            "[disk]",
            '[alarm.mail]\nto = ["a@b"]\nsender = "c@d"\nhost = "127.0.0.1"\nport = 1\n[disk]',
            "WRONG alarms: alarm.mail: 127.0.0.1:1: no connection: Connection refused",
        ),
        ("[disk]", '[[watch]]\nfolder = "/none"\n[disk]', "WRONG folder /none: no such folder"),
        ("[disk]", '[[orthanc]]\nurl = "http://127.0.0.1:1"\n[disk]', "WRONG orthanc orthanc: http://127.0.0.1:1: "),
    ],
)
def test_each_thing_that_can_be_wrong_is_told(command: Command, old: str, new: str, told: str) -> None:
    assert re.search(told, command.wrong(old, new))


def test_a_port_that_is_taken_is_told(command: Command) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = command.wrong(re.findall(r"port = \d+", command.text)[0], f"port = {port}")
    assert line.startswith(f"WRONG DICOM port: receive.port: 127.0.0.1:{port}: Address already in use")


def test_status_tells_what_waits_and_what_a_person_must_do(command: Command) -> None:
    command("check")
    store = Store(command.config.store)
    ledger = open_ledger(command.config.ledger, store.id)
    study_uid = keep(store, phantom(command.folder / "export")[:3])
    settled(ledger, study_uid)
    status, printed = command("status")
    assert status == 1
    assert printed.startswith("the node does not run\nstudies: 0 arriving, 1 to score, 0 scored")
    assert "results: 0 waiting, 0 awaiting storage commitment, 0 held, 0 delivered\n" in printed
    assert ledger.scoring_failed(claimed(ledger), "it is too large", most_attempts=1)
    status, printed = command("status")
    assert re.search(r"TO DO: .*quarantine", printed)
    status, printed = command("status", "--json")
    seen = json.loads(printed)
    assert (seen["runs"], seen["studies"]["QUARANTINED"], len(seen["to_do"])) == (False, 1, 1)
    ledger.close()


def test_results_of_a_destination_that_was_renamed_are_told_and_sent_to_it(command: Command) -> None:
    command("check")
    store = Store(command.config.store)
    ledger = open_ledger(command.config.ledger, store.id)
    scored(ledger, "1.2", report("seg", "results", "seg"), report("sr", "results"))
    assert "ok    results that wait: 2, all for destinations of the configuration" in command("check")[1]
    line = command.wrong('name = "results"', 'name = "new"')
    assert line.startswith("WRONG results that wait: 2 for results, which the configuration does not hold any more: ")
    first = ledger.deliveries("1.2")[0]
    assert command("give-up", "--delivery", str(first.id)) == (0, "1 result given up\n")
    assert command("give-up", "--destination", "results", "--to", "new") == (0, "1 result sent to new\n")
    assert command("check")[0] == 0
    assert [row.destination for row in ledger.waiting("new")] == ["new"]
    asked = [record.content for record in ledger.audit.records() if record.content["what"] == "asked"]
    assert [(one["wish"], one["by"]) for one in asked] == [
        ("send elsewhere", "command line"),
        ("give up", "command line"),
    ]
    for words in (
        (),
        ("--delivery", "1", "--destination", "x"),
        ("--delivery", "99"),
        ("--delivery", "1", "--to", "x"),
    ):
        status, printed = command("give-up", *words)
        assert (status, printed.count("\n")) == (2, 1), printed
    ledger.close()


def test_storage_commitment_whose_images_go_is_told_and_needs_a_word_on_it(command: Command) -> None:
    """A camera that deletes what is committed leaves the only copy here."""
    assert "storage commitment" not in command("check")[1]
    command.text = command.text.replace(
        '[[peer]]\nae_title = "CAM"', '[[peer]]\nae_title = "CAM"\nhost = "cam"\nport = 104'
    )
    assert "note  storage commitment: is not answered, though host is given for CAM" in command("check")[1]
    command.text = command.text.replace("[receive]", "[receive]\ncommitment = true")
    status, printed = command("check")
    assert (status, "retention.originals_days = 0" in printed) == (2, True)
    command.text += "[retention]\noriginals_days = 30\n"
    status, printed = command("check")
    assert (status, "note  storage commitment: is answered, and images are deleted after 30 days" in printed) == (
        0,
        True,
    )
    command.text = command.text.replace("originals_days = 30", "originals_days = 0")
    status, printed = command("check")
    assert (status, "ok    storage commitment: is answered, and images are kept" in printed) == (0, True)


def test_a_faulty_configuration_is_told_in_one_line(command: Command) -> None:
    command.text = command.text.replace("[disk]", "[discs]")
    for words in ((), ("check",), ("status",)):
        status, printed = command(*words)
        assert status == 2
        assert re.fullmatch(r"ctacal: .*node.toml: discs: unknown; known are store, .*\n", printed)


def printed_sample(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    assert run("node", "sample", *([name] if name else []), monkeypatch=monkeypatch) == 0
    return capsys.readouterr().out


def test_the_sample_configuration_is_valid_with_and_without_its_comments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed_sample("", monkeypatch, capsys)
    sample = tmp_path / "node.toml"
    sample.write_text(text, encoding="utf-8")
    config = read_config(sample)
    assert (config.peer[0].ae_title, config.destination[0].name) == ("SPECTCT1", "pacs")
    settings = re.sub(r"(?m)^# (?=\[|[a-z_]+ = )", "", text)
    assert settings != text
    sample.write_text(settings, encoding="utf-8")
    whole = read_config(sample)
    assert [destination.kind for destination in whole.destination] == ["dicom", "stow", "folder"]
    assert whole.alarm.mail is not None and whole.receive.tls.authority is not None
    assert set(missing_options(NodeConfig, tomllib.loads(settings))) == set()


def missing_options(kind: type[Any], given: dict[str, Any], name: str = "") -> Iterator[str]:
    """Yield the options of a dataclass that a file does not hold; an array of tables may hold them here and there."""
    hints = get_type_hints(kind)
    for option in fields(kind):
        if option.name not in given:
            yield f"{name}{option.name}"
            continue
        value = given[option.name]
        inner: list[Any] = [hint for hint in parts_of(hints[option.name]) if is_dataclass(hint)]
        if inner:
            blocks = value if isinstance(value, list) else [value]
            together = {key: block[key] for block in blocks for key in block}
            yield from missing_options(inner[0], together, f"{name}{option.name}.")


def parts_of(hint: Any) -> list[Any]:
    return [hint, *get_args(hint)]


def test_the_unit_for_systemd_runs_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    unit = printed_sample("ctacal-node.service", monkeypatch, capsys)
    assert "ExecStart=/opt/ctacal/bin/ctacal node /etc/ctacal/node.toml\n" in unit
    assert "OOMPolicy=continue\n" in unit
    assert run("node", "sample", "other", monkeypatch=monkeypatch) == 2


def test_systemd_has_nothing_against_the_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    systemd = need("systemd-analyze")
    unit = printed_sample("ctacal-node.service", monkeypatch, capsys)
    file = tmp_path / "ctacal-node.service"
    file.write_text(unit.replace("/opt/ctacal/bin/ctacal", sys.executable), encoding="utf-8")
    done = subprocess.run([systemd, "verify", file], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_package_that_is_missing_is_told_before_anything_starts(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ctacal.cli.node.find_spec", lambda name: None if name == "python_multipart" else name)
    status, printed = command()
    assert (status, printed) == (2, "ctacal: python_multipart is missing: pip install 'ctacal[node]'\n")
