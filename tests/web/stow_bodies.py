"""Bodies of STOW-RS requests, made by hand, and small CT images to put into them."""

import io
from collections.abc import Sequence

import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

BOUNDARY = "3c5a9f-boundary"
CONTENT_TYPE = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
STUDY = "1.2.826.0.1.3680043.8.498.77"


def image(number: int, *, study_uid: str = STUDY, pixels: bytes = b"\0\1" * 32, patient: str = "Canary^Carla") -> bytes:
    """A CT image as a file (PS3.10)."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.UID(f"{study_uid}.1.{number}")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study_uid, f"{study_uid}.1"
    dataset.PatientName, dataset.Modality = patient, "CT"
    dataset.PixelData = pixels
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def body(parts: Sequence[bytes], *, boundary: str = BOUNDARY, part_type: str = "application/dicom") -> bytes:
    """The parts as one body (RFC 2387)."""
    head = f"\r\nContent-Type: {part_type}\r\n\r\n" if part_type else "\r\n\r\n"
    return b"".join(f"--{boundary}{head}".encode() + part + b"\r\n" for part in parts) + f"--{boundary}--".encode()
