"""The documentation is true: references match the code, README commands run, links lead somewhere."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests import cited, doc_commands, places

ROOT = places.ROOT
README = (ROOT / "README.md").read_text(encoding="utf-8")
CLI_REFERENCE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")


def reference_writer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_reference", ROOT / "docs" / "write_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


WRITTEN = ["cli.md", "reasons.md", "transfer-syntaxes.md", "architecture.md"]
API = sorted(page.relative_to(places.DOCS).as_posix() for page in places.DOCS.glob("api/*.md"))


def test_every_written_page_is_there() -> None:
    assert sorted(reference_writer().PAGES) == sorted([*WRITTEN, *API])


@pytest.mark.parametrize("page", [*WRITTEN, *API])
def test_reference_is_up_to_date(page: str) -> None:
    assert (ROOT / "docs" / page).read_text(encoding="utf-8") == reference_writer().PAGES[page](), (
        "run: python docs/write_reference.py"
    )


def test_every_reason_code_is_given_somewhere() -> None:
    from ctacal.errors import Code

    source = "".join(
        file.read_text(encoding="utf-8") for file in (ROOT / "src").rglob("*.py") if file.name != "errors.py"
    )
    assert not [code for code in Code if f"Code.{code.name}" not in source]


def test_readme_names_the_two_commands_and_make_knows_them() -> None:
    commands = re.findall(r"```sh\n(make \w+)\n```", README)
    assert commands == ["make demo", "make test"]
    for command in commands:
        planned = subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=True)
        assert planned.stdout


@pytest.mark.slow
def test_readme_commands_run(tmp_path: Path) -> None:
    """The ``ctacal`` lines run on the sample. Commands that take minutes only have to exist, or describe studies."""
    sample = ROOT / "src" / "ctacal" / "sample"
    bin_folder = str(Path(sys.executable).parent)
    lines = [line.partition("#")[0].strip() for line in README.splitlines() if line.startswith("ctacal ")]
    assert len(lines) >= 3
    minutes = [
        line for line in lines if re.search(r"--insert|--realism|^ctacal (train|export|finetune|samples|cohort)", line)
    ]
    assert all(option in CLI_REFERENCE for line in minutes for option in re.findall(r"--\w+", line))
    for line in (line for line in lines if line not in minutes):
        typed = (
            line.replace("COHORT", "OUT --describe")
            .replace("FOLDER", str(sample / "thorax_phantom.zip"))
            .replace("OUT", str(tmp_path))
        )
        typed = typed.replace("labels.nii.gz", str(sample / "thorax_phantom_labels.nii.gz"))
        environment = {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(typed, shell=True, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{typed}\n{done.stdout}{done.stderr}"


@pytest.mark.slow
def test_readme_python_runs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    assert re.match(r"scored\w* \d+\.\d+", capsys.readouterr().out)


@pytest.mark.parametrize("page", sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")]), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    assert not [link for link in links if "://" not in link and not (page.parent / link).exists()]


def test_the_architecture_names_every_module() -> None:
    text = (places.DOCS / "architecture.md").read_text(encoding="utf-8")
    listed = re.findall(r"^- `([\w.]+)`: \S", text, re.MULTILINE)
    assert sorted(listed) == sorted(file.name for file in places.SOURCE.rglob("[!_]*.py"))


@pytest.mark.parametrize("page", cited.texts(), ids=lambda page: str(page.relative_to(ROOT)))
def test_files_and_names_that_are_cited_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not cited.missing_files(text)
    assert not cited.missing_names(text)


def test_a_citation_of_nothing_is_seen() -> None:
    text = "see `tests/test_nothing.py`, nothing.md, ctacal.nothing, `ctacal.study.nothing`; docs/cli.md, ctacal.study"
    assert cited.missing_files(text) == ["nothing.md", "tests/test_nothing.py"]
    assert cited.missing_names(text) == ["ctacal.nothing", "ctacal.study.nothing"]


@pytest.mark.parametrize("page", cited.texts(), ids=lambda page: str(page.relative_to(ROOT)))
def test_command_lines_are_those_of_the_program(page: Path) -> None:
    lines = list(doc_commands.command_lines(page.read_text(encoding="utf-8")))
    assert not {line: wrong for line in lines if (wrong := doc_commands.faults(line))}


def test_a_command_that_does_not_exist_is_seen() -> None:
    block = "```sh\nexport A=1 && ctacal batch rnu RUN\nctacal score X \\\n  --wirte json | cat\n```\n"
    text = f"`ctacal scoer FOLDER`\n{block}"
    found = [doc_commands.faults(line) for line in doc_commands.command_lines(text)]
    assert found == [["rnu"], ["--wirte"], ["scoer"]]
