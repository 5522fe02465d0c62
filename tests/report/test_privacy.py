"""Files, file names, pages, pictures and printed lines name the patient only if the user wants it."""

import hashlib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom import Dataset

from ctacal.dicom.header import SeriesHeader
from ctacal.dicom.series import Series, Study, read_studies
from ctacal.report.pseudonyms import Pseudonymiser
from ctacal.result import Acquisition, ChosenSeries, RefusedStudy
from ctacal.scores import SCCT_2016
from tests.commands import run, table
from tests.dicom_series import ct_series, emission_image, uid, write
from tests.report.pdf_text import text_of
from tests.tools import dciodvfy_errors

NAME, IDENTIFIER, BORN, ACCESSION = "Zyxwvut^Qwertz", "SECRET-4711", "19501231", "ACC998877"
WORDS = ("zyxwvut", "qwertz", "secret-4711", "19501231", "1950-12-31", "acc998877")
ALL = "json,html,pdf,png,seg,sr,labelmap,dicompdf,sc,nifti"
KEY = b"a key that nobody guesses"


def patient(name: str = "ctac", **attributes: Any) -> list[Dataset]:
    """A CTAC of a patient whose name is also in the descriptions that people type."""
    identifying = {
        "PatientName": NAME, "PatientID": IDENTIFIER, "PatientBirthDate": BORN, "AccessionNumber": ACCESSION,
        "SeriesDescription": "CTAC Zyxwvut", "StudyDescription": "Heart of Zyxwvut", "StudyDate": "20240131",
        "ReferringPhysicianName": "Qwertz^Doctor", "PatientAge": "073Y",
    }  # fmt: skip
    return [
        *ct_series(name=name, **identifying | attributes),
        emission_image(
            **{k: v for k, v in (identifying | attributes).items() if k in ("PatientID", "StudyInstanceUID")}
        ),
    ]


def scored(folder: Path, out: Path, *options: object, monkeypatch: pytest.MonkeyPatch) -> int:
    return run("score", folder, "-o", out, "--predictor", "brightest", *options, monkeypatch=monkeypatch)


@pytest.fixture(autouse=True)
def without_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """How calcium is found does not matter here, but some must be found."""
    from ctacal.cli import score
    from ctacal.jobs.finders import Finder
    from ctacal.study import model_without_file
    from tests.report.results import LOW_RULE, drawing

    monkeypatch.setattr(score, "_finder", lambda _: Finder(drawing(), model_without_file("drawing")))
    monkeypatch.setattr(score, "named_rule", lambda _: LOW_RULE)


def text_in(folder: Path, *, dicom: bool) -> str:
    """All text in the files, PDFs included, and the names of the files."""
    text = []
    for file in sorted(folder.rglob("*")):
        text.append(file.name)
        if not file.is_file() or file.suffix in (".png", ".gz") or (file.suffix == ".dcm" and not dicom):
            continue
        text.append(text_of(file.read_bytes()) if file.suffix == ".pdf" else file.read_bytes().decode("latin-1"))
        if file.suffix == ".dcm":
            text.append(str(pydicom.dcmread(file)))
    return "\n".join(text).lower()


@pytest.mark.slow
def test_by_default_only_dicom_objects_name_the_patient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "in", patient(SeriesDescription="CTAC", StudyDescription="Heart"))
    assert scored(source, tmp_path / "out", "--write", ALL, monkeypatch=monkeypatch) == 0
    pages, printed = text_in(tmp_path / "out", dicom=False), capsys.readouterr()
    assert not [word for word in WORDS if word in pages + printed.out.lower() + printed.err.lower()]
    assert "73 years" in pages
    for name in ("seg", "sr", "report_pdf", "montage"):
        image = pydicom.dcmread(next((tmp_path / "out").rglob(f"{name}.dcm")))
        assert (image.PatientName, image.PatientID) == (NAME, IDENTIFIER), "a PACS files it by these"


@pytest.mark.slow
def test_phi_names_the_patient_on_pages_but_not_on_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path / "in", patient())
    pictures = []
    for options in ((), ("--phi",)):
        assert scored(source, tmp_path / "out", "--write", ALL, *options, monkeypatch=monkeypatch) == 0
        pictures.append(hashlib.sha256(next((tmp_path / "out").rglob("montage.png")).read_bytes()).digest())
    page = next((tmp_path / "out").rglob("report.html")).read_text(encoding="utf-8")
    paper = text_of(next((tmp_path / "out").rglob("report.pdf")).read_bytes())
    for place in (page, paper):
        assert "Zyxwvut, Qwertz" in place
        assert all(word in place for word in (IDENTIFIER, "1950-12-31", ACCESSION))
    assert pictures[0] == pictures[1]
    assert pydicom.dcmread(next((tmp_path / "out").rglob("report_pdf.dcm"))).BurnedInAnnotation == "YES"


@pytest.mark.slow
def test_with_a_key_no_output_names_the_patient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "key").write_bytes(KEY)
    source = write(tmp_path / "Zyxwvut" / "in", patient())
    write(
        tmp_path / "Zyxwvut" / "in" / "refused", patient("bad", StudyInstanceUID=uid("bad"))[:2], name=lambda k: f"x{k}"
    )
    broken = next((tmp_path / "Zyxwvut" / "in").glob("IM*"))
    (broken.with_name("Zyxwvut.dcm")).write_bytes(broken.read_bytes()[:700])
    options = ("--write", ALL, "--pseudonymise", tmp_path / "key")
    assert scored(source, tmp_path / "out", *options, monkeypatch=monkeypatch) == 1
    everything, printed = text_in(tmp_path / "out", dicom=True), capsys.readouterr()
    everything += printed.out.lower() + printed.err.lower().replace(str(tmp_path).lower(), "")
    assert not [word for word in (*WORDS, "20240131", "073y", "heart of") if word in everything]
    assert not [old for old in (uid("study"), uid("series", "ctac"), uid("frame"), uid("ctac", 0)) if old in everything]
    assert "73 years" not in everything, "the basic profile takes ages away"


@pytest.mark.slow
def test_pseudonyms_are_stable_and_keep_studies_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_bytes(KEY)
    (tmp_path / "other key").write_bytes(KEY[::-1])
    first = write(tmp_path / "first", patient())
    second = write(tmp_path / "second", patient("again", StudyInstanceUID=uid("another study")))
    objects: dict[str, Dataset] = {}
    for name, source, key in (
        ("a", first, "key"),
        ("b", first, "key"),
        ("c", second, "key"),
        ("d", first, "other key"),
    ):
        options = ("--pseudonymise", tmp_path / key)
        assert scored(source, tmp_path / name, *options, monkeypatch=monkeypatch) == 0
        objects[name] = pydicom.dcmread(next((tmp_path / name).rglob("seg.dcm")))
    assert objects["a"] == objects["b"]
    assert objects["a"].PatientID == objects["c"].PatientID != objects["d"].PatientID
    assert objects["a"].StudyInstanceUID != objects["c"].StudyInstanceUID
    assert objects["a"].PatientIdentityRemoved == "YES"
    (row,) = table(tmp_path / "a")
    assert row["study_uid"] == objects["a"].StudyInstanceUID == row["folder"]
    assert row["series_uid"] == objects["a"].ReferencedSeriesSequence[0].SeriesInstanceUID
    for file in (tmp_path / "a").rglob("s*.dcm"):
        assert not dciodvfy_errors(file)


NOT_IDENTIFYING = {
    "modality", "sop_class_uid", "image_type", "body_part", "series_number", "kvp", "samples_per_pixel", "photometric",
    "bits_allocated", "rescale_type", "is_lossy", "volume_values", "is_multi_energy", "patient_weight_kg",
}  # fmt: skip
"""Values of a header that a pseudonymised result may hold; the weight is in no output."""


def test_every_value_of_a_header_is_replaced_or_known_to_identify_nobody(tmp_path: Path) -> None:
    pytest.importorskip("dicomanonymizer")
    names = {field.name for field in fields(SeriesHeader)} - NOT_IDENTIFYING
    (study,) = read_studies([write(tmp_path, patient()[:5])]).studies
    image = study.series[0].slices[0]
    assert "contrast" in names
    secret: dict[str, Any] = {
        name: f"Zyxwvut {name}"
        for name in names
        if name not in ("kernel", "manufacturer", "model", "scan_options", "contrast")
    }
    spoiled = replace(image, header=replace(image.header, **secret), faults=("position of Zyxwvut",))
    study = Study((Series((spoiled,)),))
    chosen = ChosenSeries(study.series[0], "it says Zyxwvut request", Acquisition.of(study.series[0]))
    refused = RefusedStudy(study_uid="1.2", reasons=(), chosen=chosen, rule=SCCT_2016)
    hidden = Pseudonymiser(KEY).result(refused, study)
    assert "Zyxwvut" not in str(hidden.chosen)


@pytest.mark.slow
def test_pseudonyms_do_not_change_the_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_bytes(KEY)
    source = write(tmp_path / "in", patient())
    assert scored(source, tmp_path / "open", monkeypatch=monkeypatch) == 0
    assert scored(source, tmp_path / "secret", "--pseudonymise", tmp_path / "key", monkeypatch=monkeypatch) == 0
    numbers = [{k: v for k, v in table(tmp_path / name)[0].items() if "agatston" in k} for name in ("open", "secret")]
    assert numbers[0] == numbers[1]
    assert float(numbers[0]["agatston"]) > 0


@pytest.mark.parametrize(
    ("key", "message"), [(None, "No such file"), (b"short", "can be guessed"), (b" " * 40, "a key of 0 bytes")]
)
def test_a_bad_key_is_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], key: bytes | None, message: str
) -> None:
    if key is not None:
        (tmp_path / "key").write_bytes(key)
    source = write(tmp_path / "in", ct_series())
    options = ("--pseudonymise", tmp_path / "key")
    assert scored(source, tmp_path / "out", *options, monkeypatch=monkeypatch) == 2
    assert message in capsys.readouterr().err
    assert scored(source, tmp_path / "out", "--phi", *options, monkeypatch=monkeypatch) == 2


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ctacal.errors import UsageError

    monkeypatch.setattr("ctacal.report.pseudonyms.find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install 'ctacal\[pseudonymise\]'"):
        Pseudonymiser.from_file(tmp_path / "key")
