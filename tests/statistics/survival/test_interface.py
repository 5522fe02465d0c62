"""What the package exports and ``docs/prognosis.md`` promises exists and runs."""

import re

import pytest

from ctacal.statistics import survival
from tests import places

PAGE = (places.ROOT / "docs" / "prognosis.md").read_text(encoding="utf-8")


def test_every_module_of_the_docstring_exports_something() -> None:
    described = set(re.findall(r"``(\w+)``:\s", str(survival.__doc__)))
    assert described == set(survival._NAMES)
    assert len(described) >= 18
    assert len(survival.__all__) > 60


def test_every_function_in_the_page_is_exported() -> None:
    table = [line.split("|")[2] for line in PAGE.splitlines() if line.startswith("| ") and "`" in line.split("|")[2]]
    named = {name for cell in table for name in re.findall(r"`(\w+)`", cell)}
    assert len(named) > 25
    assert named <= set(survival.__all__)
    assert all(callable(getattr(survival, name)) for name in named)


@pytest.mark.slow
def test_example_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "docs/prognosis.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert [line.partition(" ")[0] for line in printed] == ["hazard", "age", "change", "mean", "NRI"]
    assert re.search(r"calcium \d\.\d+ \(\d\.\d+ to \d\.\d+\)", printed[0])


def test_example_of_the_docstring_runs(capsys: pytest.CaptureFixture[str]) -> None:
    example = re.search(r"values::\n\n(.*?)\n\n``", str(survival.__doc__), re.DOTALL)
    assert example is not None
    names = {"time": [1, 2, 3, 4, 5, 6], "event": [1, 0, 1, 1, 0, 1]}
    covariates = "import numpy as np\ncovariates = np.array([[1, 4], [2, 1], [4, 2], [3, 3], [1, 1], [2, 2.5]])\n"
    code = covariates + re.sub(r"^    ", "", example[1], flags=re.MULTILINE)
    exec(compile(code, "docstring", "exec"), dict(names))
    survival_at_3, concordance = capsys.readouterr().out.splitlines()
    assert survival_at_3.startswith("0.625 (")
    assert re.fullmatch(r"0\.\d{3} \(0\.\d{3} to \d\.\d{3}\)", concordance)
