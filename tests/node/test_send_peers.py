"""Results to real peers: DCMTK's storescp, and Orthanc by C-STORE and by STOW-RS."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from ctacal.jobs.finders import Finder
from ctacal.jobs.node.deliveries import new_deliveries
from ctacal.jobs.node.ledger import ScoredOutcome, StudyState
from ctacal.jobs.score import ScoreJob, score_and_write, tasks_of
from ctacal.study import model_without_file
from tests.dicom_series import ct_series, study_of, write
from tests.node.certificates import new_authority
from tests.node.dcmtk import storescp, takes_only, tls_options
from tests.node.orthanc import PASSWORD, USER, Pacs, orthanc
from tests.node.running import free_port
from tests.node.sending import CLASSES, Scene
from tests.report.results import LOW_RULE, drawing

DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
ALL = ("seg", "sr", "sc", "dicompdf", "labelmap")


def test_storescp_gets_what_is_in_the_files(tmp_path: Path) -> None:
    with storescp(tmp_path / "pacs") as pacs:
        scene = Scene(tmp_path / "store", (pacs.destination(),))
        scene.scored()
        scene.line().turn()
        assert scene.states() == {"seg": "DONE", "sr": "DONE"}
    assert {str(made.SOPInstanceUID): made for made in pacs.stored} == {
        row.sop_instance_uid: dcmread(tmp_path / "store" / row.path) for row in scene.rows()
    }


def test_storescp_by_tls_with_certificates_of_both_ends(tmp_path: Path) -> None:
    authority = new_authority(tmp_path / "authority")
    client = authority.issue("ctacal")
    tls = {name: str(getattr(client, name)) for name in ("authority", "certificate", "key")}
    with storescp(tmp_path / "pacs", *tls_options(authority.issue("pacs"))) as pacs:
        trusted = pacs.destination(use_tls=True, tls=tls)
        unknown = pacs.destination("unknown", use_tls=True)
        named = pacs.destination("named", use_tls=True, tls=tls, tls_name="pacs.example")
        silent = pacs.destination("silent", use_tls=True, tls={"authority": tls["authority"]})
        plain = pacs.destination("plain")
        scene = Scene(tmp_path / "store", (trusted, unknown, named, silent, plain))
        scene.scored()
        for name in ("PACS", "unknown", "named", "silent", "plain"):
            scene.line(name).turn()
    assert scene.states() == {"seg": "DONE", "sr": "DONE"}
    assert "certificate verify failed" in scene.reasons("unknown")["seg"]
    assert "Hostname mismatch" in scene.reasons("named")["seg"]
    assert "does it trust our certificate?" in scene.reasons("silent")["seg"]
    for name in ("unknown", "named", "silent", "plain"):
        assert scene.states(name) == {"seg": "WAITING", "sr": "WAITING"}
    assert len(pacs.stored) == 2


def test_storescp_that_takes_no_seg_gets_the_secondary_capture(tmp_path: Path) -> None:
    classes = (CLASSES["sr"], CLASSES["sc"])
    with storescp(tmp_path / "pacs", *takes_only(tmp_path / "profile.cfg", classes)) as pacs:
        scene = Scene(tmp_path / "store", (pacs.destination(fallback={"seg": "sc", "sr": "dicompdf"}),))
        scene.scored()
        line = scene.line()
        while line.turn():
            pass
    assert scene.states() == {"seg": "SUPERSEDED", "sr": "DONE", "sc": "DONE"}
    assert sorted(made.Modality for made in pacs.stored) == ["OT", "SR"]


@pytest.mark.parametrize(
    ("option", "words"),
    [("--refuse", "rejects our associations"), ("--abort-after", "no answer to the object"),
     ("--abort-during", "no answer to the object")],
)  # fmt: skip
def test_storescp_that_refuses_or_aborts_and_then_is_well(tmp_path: Path, option: str, words: str) -> None:
    port = free_port()
    with storescp(tmp_path / "pacs", option, port=port) as pacs:
        scene = Scene(tmp_path / "store", (pacs.destination(retry_s=0.001),))
        scene.scored()
        line = scene.line()
        line.turn()
        assert words in scene.reasons()["seg"]
    scene.ledger.retry_held()
    with storescp(tmp_path / "pacs", port=port):
        while "WAITING" in scene.states().values():
            line.turn()
    assert scene.states() == {"seg": "DONE", "sr": "DONE"}
    assert len({str(made.SOPInstanceUID) for made in pacs.stored}) == 2


@pytest.fixture(scope="module")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pacs]:
    """An Orthanc with DICOMweb; without, if the plug-in is not installed."""
    plugins = [str(DICOMWEB)] if DICOMWEB.exists() else []
    with orthanc(tmp_path_factory.mktemp("orthanc"), Plugins=plugins, DicomWeb={"Enable": True}) as running:
        yield running


def scored_study(scene: Scene, name: str) -> list[Dataset]:
    """Score a study of the phantom as the node does, all kinds of objects; returns its images."""
    images = ct_series(name=name, PatientName="Zyx^Wvu", PatientID=f"id {name}", AccessionNumber=name)
    for image in images:
        image.StudyInstanceUID = images[0].SOPInstanceUID
    study = study_of(write(scene.folder / f"ct {name}", images))
    job = ScoreJob(finder=Finder(drawing(), model_without_file("drawing")), rule=LOW_RULE, outputs=(*ALL, "json"))
    scene.studies.append(study.uid)
    scene.ledger.arrived(study.uid, objects=len(images), source="CAM@10.0.0.1")
    scene.ledger.settle(study.uid, scene.ledger.receiving()[0].activity)
    claim = scene.ledger.claim_study("scorer")
    assert claim is not None
    outcome = score_and_write(tasks_of(study, job)[0], scene.folder / "results", job)
    folder = scene.folder / "results" / outcome.folder
    assert not [reason for reason in outcome.content["reasons"] if reason["code"] == "OUTPUT_NOT_WRITTEN"]
    result = ScoredOutcome(state=StudyState.SCORED, result=f"results/{outcome.folder}")
    assert scene.ledger.scored(claim, result, new_deliveries(scene.config, outcome, folder))
    return images


def assert_in_the_pacs(pacs: Pacs, scene: Scene, images: list[Dataset], modalities: list[str]) -> None:
    """Every object is there once, element by element, with the patient and study of the images."""
    assert pacs.modalities(images[0].StudyInstanceUID) == modalities
    for row in scene.rows():
        if row.state != "DONE":
            continue
        sent = dcmread(scene.folder / row.path)
        (found,) = pacs.client.post("/tools/lookup", content=row.sop_instance_uid).json()
        held = dcmread(BytesIO(pacs.content(found["ID"])))
        assert held == sent
        for keyword in ("StudyInstanceUID", "PatientName", "PatientID", "PatientBirthDate", "AccessionNumber"):
            assert held[keyword].value == images[0][keyword].value, (row.kind, keyword)


@pytest.mark.slow
def test_orthanc_by_c_store(pacs: Pacs, tmp_path: Path) -> None:
    """Debian's does not know label maps."""
    scene = Scene(tmp_path, (pacs.destination(send=ALL, fallback={"labelmap": "seg"}),))
    images = scored_study(scene, "c-store")
    line = scene.line()
    while line.turn():
        pass
    assert scene.states() == dict.fromkeys(ALL, "DONE") | {"labelmap": "SUPERSEDED"}, scene.reasons()
    assert_in_the_pacs(pacs, scene, images, ["DOC", "OT", "SEG", "SR"])
    scene.ledger.send_again(images[0].StudyInstanceUID)
    while line.turn():
        pass
    assert_in_the_pacs(pacs, scene, images, ["DOC", "OT", "SEG", "SR"])


@pytest.mark.slow
def test_orthanc_by_stow_rs_and_found_by_qido_rs(pacs: Pacs, tmp_path: Path) -> None:
    if not DICOMWEB.exists():
        pytest.skip("the DICOMweb plug-in of Orthanc is not installed (make .tools; Debian: orthanc-dicomweb)")
    (tmp_path / "password").write_text(PASSWORD)
    destination = {"name": "PACS", "kind": "stow", "url": f"{pacs.url}/dicom-web", "user": USER,
                   "password_file": str(tmp_path / "password"), "send": ALL}  # fmt: skip
    scene = Scene(tmp_path / "store", (destination,))
    images = scored_study(scene, "stow")
    scene.line().turn()
    assert set(scene.states().values()) == {"DONE"}, scene.reasons()
    assert_in_the_pacs(pacs, scene, images, ["DOC", "OT", "SEG", "SEG", "SR"])
    for row in scene.rows():
        found = dicomweb(pacs, "/instances", SOPInstanceUID=row.sop_instance_uid)
        assert [one["0020000D"]["Value"] for one in found] == [[images[0].StudyInstanceUID]]
        place = f"/studies/{row.study_uid}/series/{found[0]['0020000E']['Value'][0]}/instances/{row.sop_instance_uid}"
        assert retrieved(pacs, place) == dcmread(scene.folder / row.path)


def retrieved(pacs: Pacs, path: str) -> Dataset:
    """Return an object by WADO-RS."""
    answer = pacs.client.get(f"/dicom-web{path}", headers={"Accept": 'multipart/related; type="application/dicom"'})
    _, _, part = answer.raise_for_status().content.partition(b"\r\n\r\n")
    return dcmread(BytesIO(part.rpartition(b"\r\n--")[0]))


def dicomweb(pacs: Pacs, path: str, **query: str) -> Any:
    return pacs.client.get(f"/dicom-web{path}", params=query).raise_for_status().json()
