"""What is written: complete, self-contained, the same bytes each time, and nothing that is not a number."""

import csv
import io
import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ctacal.errors import UsageError
from ctacal.evaluate.publication import (
    CLAIM_2024,
    STARD_AI,
    TRIPOD_AI,
    Chart,
    Publication,
    Section,
    Table,
    fill,
    interval,
    marked,
    p_value,
    percent,
    shown,
    write_publication,
)
from ctacal.evaluate.publication.latex import table_latex
from ctacal.evaluate.publication.numbers import plain
from ctacal.evaluate.publication.sheets import csv_bytes, table_csv
from ctacal.evaluate.publication.word import tables_docx
from ctacal.evaluate.publication.write import NOTICE, require
from tests.printed_pages import filled, printed
from tests.tools import need

TABLE = Table(
    "Hazard ratios & more",
    ("", "n", "HR (95 % CI)", "p"),
    (("Category",), ("  >400", 2271, "5.92 (4.27 to 8.22)", 0.25), ("Other", None, "−0.5", 1234.5678)),
    footnotes=("κ ≥ 0, CAC_x.",),
    groups=(("", 1), ("Model #1", 3)),
)


def draw(figure: Any) -> None:
    axes = figure.subplots()
    axes.plot([0, 1, 2], [1, 0.9, 0.7], label="CAC 0")
    axes.set(xlabel="Time (years)", ylabel="Survival")
    axes.legend()


def publication(**changes: Any) -> Publication:
    whole: dict[str, Any] = {
        "title": "Prognosis <test>",
        "lead": ("This cohort is simulated.",),
        "sections": (
            Section("One", ("A paragraph.", TABLE, Chart("Survival", "By category.", draw))),
            Section("Two", (Chart("Wide", "The same.", draw, width="double", height_mm=60),)),
        ),
        "numbers": {"hr": np.float64(5.9213), "n": 2271},
        "command": "ctacal test",
        "seed": 3,
        "options": {"drop": ("missing",)},
        "checklists": (fill(TRIPOD_AI, {"12e": "section One"}), CLAIM_2024, STARD_AI),
    }
    return Publication(**{**whole, **changes})


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("publication") / "OUT"
    write_publication(publication(), out)
    return out


def test_all_is_there_and_listed(written: Path) -> None:
    found = sorted(file.relative_to(written).as_posix() for file in written.rglob("*") if file.is_file())
    assert found == sorted([
        "report.html", "numbers.json", "checklist.csv", "tables.docx", "tables/hazard_ratios_more.csv",
        "tables/hazard_ratios_more.tex", "figures/survival.svg", "figures/survival.png", "figures/wide.svg",
        "figures/wide.png",
    ])  # fmt: skip
    assert json.loads((written / "numbers.json").read_text())["files"] == found


def test_the_same_input_gives_the_same_bytes(written: Path, tmp_path: Path) -> None:
    write_publication(publication(), tmp_path / "again")
    for file in written.rglob("*.*"):
        assert file.read_bytes() == (tmp_path / "again" / file.relative_to(written)).read_bytes(), file.name


def test_numbers_are_at_full_precision(written: Path) -> None:
    content = json.loads((written / "numbers.json").read_text(encoding="utf-8"))
    assert content["numbers"] == {"hr": 5.9213, "n": 2271}
    assert (content["seed"], content["options"], content["notice"]) == (3, {"drop": ["missing"]}, NOTICE)
    assert {"ctacal", "python", "numpy", "matplotlib"} <= set(content["versions"])


def test_report_is_self_contained(written: Path) -> None:
    page = (written / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=[\"'](?!#)", page)
    assert not re.search(r"@import|url\((?!#)", page)
    assert page.index("This cohort is simulated.") < page.index("<h2")
    assert NOTICE in page
    assert "Prognosis &lt;test&gt;" in page
    assert page.count("<svg") == 2
    assert "Table 1." in page
    assert "Figure 2." in page
    names = re.findall(r'\bid="([^"]+)"', page)
    assert len(names) == len(set(names))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', page)) <= set(names)


def test_figures_are_of_a_journals_width(written: Path) -> None:
    for name, width_mm in (("survival", 85), ("wide", 175)):
        svg = (written / "figures" / f"{name}.svg").read_text(encoding="utf-8")
        points = float(re.search(r'width="([\d.]+)pt"', svg).group(1))  # type: ignore[union-attr]
        assert points / 72 * 25.4 == pytest.approx(width_mm, abs=0.1)
        with Image.open(written / "figures" / f"{name}.png") as png:
            assert png.width / 300 * 25.4 == pytest.approx(width_mm, abs=0.2)
            assert png.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_csv_is_what_was_given(written: Path) -> None:
    text = (written / "tables" / "hazard_ratios_more.csv").read_text(encoding="utf-8-sig")
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == ["row", "Model #1: n", "Model #1: HR (95 % CI)", "Model #1: p"]
    assert rows[1:] == [["Category", "", "", ""], [">400", "2271", "5.92 (4.27 to 8.22)", "0.25"],
                        ["Other", "", "-0.5", "1234.5678"]]  # fmt: skip


def test_csv_starts_no_formula() -> None:
    table = Table("t", ("=cmd()", "+1"), (("@SUM(A1)", "-cmd"), ("-0.3 (−1 to 2)", "- text"), ("−2", "-5")))
    rows = list(csv.reader(io.StringIO(table_csv(table))))
    assert rows == [["'=cmd()", "'+1"], ["'@SUM(A1)", "'-cmd"], ["-0.3 (-1 to 2)", "'- text"], ["-2", "-5"]]


def test_csv_has_signs_that_r_and_spreadsheets_know() -> None:
    rows = (("  1-10", "−2.7 (−9.8 to 4.3)"), ("101-400", "– [a]"), ("CAC ≥ 100", "–"), ("Größe ± SD", "5\u00a0%"))
    text = table_csv(Table("t", ("", "Bias − reader"), rows))
    assert list(csv.reader(io.StringIO(text))) == [
        ["row", "Bias - reader"], ["1 to 10", "-2.7 (-9.8 to 4.3)"], ["101 to 400", "not defined [a]"],
        ["CAC >= 100", ""], ["Größe +/- SD", "5 %"],
    ]  # fmt: skip
    assert csv_bytes(text).startswith(b"\xef\xbb\xbf")
    assert csv_bytes(table_csv(TABLE)).startswith(b"row,")


def test_r_reads_a_table(written: Path) -> None:
    """With no option: the first name, which a byte order mark would spoil, and the numbers."""
    table = Table("t", ("name", "difference"), (("a", "−2.5"), ("b", -1.25), ("1-10", 3)))
    (written.parent / "t.csv").write_bytes(csv_bytes(table_csv(table)))
    shown_by_r = "names(t)[1], class(t$difference), sum(t$difference), t$name[3]"
    code = f"t <- read.csv('{written.parent / 't.csv'}'); cat({shown_by_r})"
    done = subprocess.run([need("Rscript"), "-e", code], capture_output=True, text=True, check=True)
    assert done.stdout == "name numeric -0.75 1 to 10"


@pytest.mark.slow
def test_printed_pages_are_filled(tmp_path: Path) -> None:
    """Tables go on over a page's end; only a figure may leave a part of a page empty."""
    rows = tuple((f"row {row}", row, f"{row}.00 (1.00 to 2.00)", 0.5) for row in range(22))
    content: list[str | Table | Chart] = []
    for number in range(4):
        content += [
            "A paragraph.", Table(f"Table {number}", ("", "n", "HR (95 % CI)", "p"), rows, ("A note.",)),
            Chart(f"Chart {number}", "Caption.", draw),
        ]  # fmt: skip
    write_publication(publication(sections=(Section("One", tuple(content)),)), tmp_path / "OUT")
    used = filled(tmp_path / "OUT" / "report.html", tmp_path)
    assert len(used) >= 5
    assert min(used[:-1]) > 0.6


def test_latex_is_balanced_and_escaped() -> None:
    latex = table_latex(TABLE)
    body = re.sub(r"\\[{}&%$#_]", "", latex)
    assert body.count("{") == body.count("}")
    assert re.sub(r"\\\$", "", latex).count("$") % 2 == 0
    rows = [line for line in latex.splitlines() if line.endswith(r"\\")]
    columns = [len(re.findall(r"(?<!\\)&", row)) for row in rows if "multicolumn" not in row]
    assert set(columns) == {len(TABLE.columns) - 1}
    assert all(rule in latex for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\cmidrule(lr){2-4}"))
    assert r"Hazard ratios \& more" in latex
    assert r"Model \#1" in latex
    assert r"$\kappa$ $\geq$ 0, CAC\_x." in latex
    assert not re.search(r"[^\x00-\x7f]", latex)


def test_word_file_holds_the_table(written: Path) -> None:
    from docx import Document

    document = Document(str(written / "tables.docx"))
    (table,) = document.tables
    cells = [[cell.text.replace("\u00a0", " ") for cell in row.cells] for row in table.rows]
    assert cells[0][1:] == ["Model #1"] * 3
    assert cells[1] == list(TABLE.columns)
    assert cells[2] == ["Category"] * 4
    assert cells[3] == [">400", "2,271", "5.92 (4.27 to 8.22)", "0.250"]
    assert any(paragraph.text == "Table 1. Hazard ratios & more" for paragraph in document.paragraphs)
    assert any(paragraph.text == NOTICE for paragraph in document.paragraphs)


def test_wide_tables_fit_the_page(tmp_path: Path) -> None:
    """Ten columns with intervals: the page is turned, and columns are no wider than it."""
    from docx import Document

    row = ("LAD", *["0.956 (0.923 to 0.975)"] * 9)
    wide = Table("Vessels", ("", *[f"Figure {k}" for k in range(9)]), (row, row))
    (tmp_path / "t.docx").write_bytes(tables_docx([wide, TABLE], "t", NOTICE))
    document = Document(str(tmp_path / "t.docx"))
    page: Any = document.sections[0]
    assert page.page_width > page.page_height
    for table in document.tables:
        width = sum(cell.width or 0 for cell in table.rows[-1].cells)
        assert width <= page.page_width - page.left_margin - page.right_margin
    assert table_latex(wide).count(r"\begin{tabular}[t]") == 18
    assert r"\begin{tabular}[t]" not in table_latex(TABLE)


def test_checklist_is_filled_or_open(written: Path) -> None:
    with (written / "checklist.csv").open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    filled = [row for row in rows if row["answer"] != "OPEN"]
    assert [(row["checklist"], row["item"], row["answer"]) for row in filled] == [("TRIPOD+AI", "12e", "section One")]
    assert [len(checklist.items) for checklist in (TRIPOD_AI, CLAIM_2024, STARD_AI)] == [52, 44, 42]
    assert "1 of 52 items filled" in (written / "report.html").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="has no item 99"):
        fill(CLAIM_2024, {"99": "x"})


@dataclass(frozen=True)
class Result:
    estimate: float | None
    table: Any = None


def test_what_is_no_number_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"row 2 \(x\): a cell is nan"):
        Table("t", ("", "v"), (("y", 1), ("x", float("nan"))))
    with pytest.raises(ValueError, match=r"numbers\.cox\.estimate is inf"):
        plain({"cox": Result(float("inf"))})
    with pytest.raises(ValueError, match=r"numbers\.a\[1\] is nan"):
        plain({"a": np.array([1, np.nan])})
    with pytest.raises(ValueError, match="JSON cannot hold a value of type object"):
        plain({"a": object()})
    assert plain({"a": Result(None, np.eye(2))}) == {"a": {"estimate": None, "table": [[1.0, 0.0], [0.0, 1.0]]}}
    with pytest.raises(ValueError, match="is nan"):
        write_publication(publication(numbers={"a": float("nan")}), tmp_path / "OUT")
    assert not list(tmp_path.iterdir())
    for phrase in (shown, p_value, percent, lambda value: interval(value, None, None)):
        with pytest.raises(ValueError, match="finite"):
            phrase(float("nan"))


def test_wrong_tables_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="3 cells for 2 columns"):
        Table("t", ("a", "b"), ((1, 2, 3),))
    with pytest.raises(ValueError, match="expected groups that span 2"):
        Table("t", ("a", "b"), ((1, 2),), groups=(("x", 3),))
    twice = (Section("s", (Table("t", ("a",), ((1,),)), Table("T", ("a",), ((2,),)))),)
    with pytest.raises(ValueError, match="two tables are named t"):
        write_publication(publication(sections=twice), tmp_path / "OUT")


def test_only_a_publication_is_replaced(tmp_path: Path) -> None:
    out, small = tmp_path / "OUT", publication(sections=(), checklists=())
    write_publication(publication(sections=(Section("One", (TABLE,)),)), out)
    write_publication(small, out)
    assert not (out / "tables").exists()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"holds notes\.txt, which is not part"):
        write_publication(small, out)
    assert (out / "notes.txt").read_text() == "mine"
    with pytest.raises(UsageError, match="is a file"):
        write_publication(small, out / "notes.txt")
    other = tmp_path / "other"
    other.mkdir()
    (other / "numbers.json").write_text("[]")
    with pytest.raises(UsageError, match=r"holds numbers\.json"):
        write_publication(small, other)
    with pytest.raises(RuntimeError, match="cannot draw"):
        write_publication(publication(sections=(Section("s", (Chart("c", "", broken),)),)), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def broken(figure: Any) -> None:
    raise RuntimeError("cannot draw")


def test_a_missing_package_is_named_in_one_line() -> None:
    with pytest.raises(UsageError, match=r"needs no-such: pip install 'ctacal\[evaluate\]'"):
        require(no_such_module="no-such")


# --- simulated patients -----------------------------------------------------------------------------------------------


def test_a_mark_stands_wherever_a_part_could_be_seen_alone(tmp_path: Path) -> None:
    from docx import Document

    write_publication(marked(publication(), "Simulated cohort"), tmp_path / "OUT")
    files = [file for file in (tmp_path / "OUT").rglob("*") if file.is_file()]
    shared = {"report.html", "numbers.json", "tables.docx"}
    assert {file.name for file in files if not file.name.startswith("simulated_cohort_")} == shared
    page = (tmp_path / "OUT" / "report.html").read_text(encoding="utf-8")
    assert "<h1>Prognosis &lt;test&gt;: simulated cohort</h1>" in page
    assert '@top-right{content:"Simulated cohort"' in page
    assert page.count("(simulated cohort)") >= 3
    document = Document(str(tmp_path / "OUT" / "tables.docx"))
    assert document.sections[0].header.paragraphs[0].text == "Simulated cohort"
    latex = next(file for file in files if file.suffix == ".tex").read_text()
    assert "(simulated cohort)" in latex


def test_the_mark_is_drawn_in_each_figure() -> None:
    from matplotlib.figure import Figure

    for chart in marked(publication(), "Simulated cohort").charts:
        figure = Figure(layout="constrained")
        chart.draw(figure)
        assert figure.get_suptitle() == "Simulated cohort"


@pytest.mark.slow
def test_the_mark_is_on_every_printed_page(tmp_path: Path) -> None:
    rows = tuple((f"row {row}", row, "1.00 (1.00 to 2.00)", 0.5) for row in range(120))
    content = (Table("Long", ("", "n", "HR (95 % CI)", "p"), rows),)
    write_publication(marked(publication(sections=(Section("One", content),)), "Simulated cohort"), tmp_path / "OUT")
    pdf = printed(tmp_path / "OUT" / "report.html", tmp_path)
    text = subprocess.run([need("pdftotext"), "-layout", pdf, "-"], capture_output=True, text=True, check=True).stdout
    pages = text.split("\f")[:-1]
    assert len(pages) >= 4
    assert all("Simulated cohort" in own for own in pages)
    assert f"2/{len(pages)}" in pages[1].replace(" ", "")


def test_names_of_columns_are_distinct_in_csv() -> None:
    table = Table("t", ("", "HR", "p", "adjusted HR", "p"), (("a", 1, 2, 3, 4),))
    assert table_csv(table).splitlines()[0] == "row,HR,HR: p,adjusted HR,adjusted HR: p"


@pytest.mark.slow
def test_a_section_of_one_sentence_stays_on_its_page(tmp_path: Path) -> None:
    """It does not go to the next page with the figure of the section below it."""
    rows = tuple((f"row {row}", row, "1.00 (1.00 to 2.00)", 0.5) for row in range(24))
    sections = (
        Section("Long", (Table("Long", ("", "n", "HR (95 % CI)", "p"), rows),)),
        Section("Short", ("A sentence.",)),
        Section("Figure", ("Another sentence.", Chart("Tall", "Caption.", draw, width="double", height_mm=160))),
    )
    write_publication(publication(sections=sections), tmp_path / "OUT")
    pdf = printed(tmp_path / "OUT" / "report.html", tmp_path)
    text = subprocess.run([need("pdftotext"), "-layout", pdf, "-"], capture_output=True, text=True, check=True).stdout
    first, second = text.split("\f")[:2]
    assert "A sentence." in first
    assert "Another sentence." in second
