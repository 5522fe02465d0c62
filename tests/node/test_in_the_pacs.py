"""From storescu through a whole node into a real Orthanc, where viewers find the result by DICOMweb."""

import subprocess
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from tests.node.orthanc import Pacs, need_dicomweb, orthanc
from tests.node.running import NodeFolder
from tests.node.studies import small_study, write
from tests.tools import need

pytestmark = pytest.mark.slow

PACS = """
[[destination]]
name = "pacs"
kind = "dicom"
ae_title = "PACS"
host = "127.0.0.1"
port = {pacs}
"""


def retrieved(pacs: Pacs, url: str) -> Dataset:
    """Return the one object that WADO-RS answers with (PS3.18 section 10.4)."""
    answer = pacs.client.get(url, headers={"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'})
    part = answer.raise_for_status().content.partition(b"\r\n\r\n")[2].rpartition(b"\r\n--")[0]
    return dcmread(BytesIO(part))


@pytest.mark.filterwarnings("ignore:.*VR UI:UserWarning")  # pydicom warns of UIDs with zeros in front
@pytest.mark.parametrize("study_uid", ["1.2.826.0.1.3680043.8.498.10.1", "1.2.0826.010.1"])
def test_seg_and_sr_are_found_by_qido_and_fetched_by_wado(tmp_path: Path, study_uid: str) -> None:
    files = [
        write(image, tmp_path / "export" / f"{image.InstanceNumber}.dcm") for image in small_study(study_uid, "Web")
    ]
    with orthanc(tmp_path / "pacs", Plugins=[need_dicomweb()]) as pacs:
        for file in files:
            pacs.store(file)  # the camera sends to both
        node = NodeFolder.made(tmp_path / "node", more=PACS.replace("{pacs}", str(pacs.dicom_port)))
        with node.started():
            port = str(node.config.receive.port)
            subprocess.run([need("storescu"), "-aet", "CAM", "-aec", "CTACAL", "127.0.0.1", port, *files], check=True)
            result = node.config.store / node.finished(study_uid).result
        (study,) = pacs.json("/dicom-web/studies?PatientID=Web&includefield=ModalitiesInStudy")
        assert sorted(study["00080061"]["Value"]) == ["CT", "SEG", "SR"]
        for modality, name in (("SR", "sr.dcm"), ("SEG", "seg.dcm")):
            (found,) = pacs.json(f"/dicom-web/studies/{study_uid}/instances?Modality={modality}")
            made = retrieved(pacs, found["00081190"]["Value"][0])
            assert made == dcmread(result / name)  # their file meta information differs
            assert (made.PatientID, made.StudyInstanceUID) == ("Web", study_uid)
