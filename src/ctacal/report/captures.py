"""The report as an encapsulated PDF (PS3.3 A.45.1) and the montage as a secondary capture (PS3.3 A.8), for a PACS that
shows nothing else."""

import numpy as np
from PIL import Image
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from ctacal.dicom.origin import make_repeatable
from ctacal.report import wording
from ctacal.report.filing import SERIES_NUMBERS, SOFTWARE, Filing

_TAKEN_OVER = (
    "SpecificCharacterSet", "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientSize",
    "PatientWeight", "PatientIdentityRemoved", "DeidentificationMethod", "StudyInstanceUID", "StudyID", "StudyDate",
    "StudyTime", "StudyDescription", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip


def encapsulated_pdf(filing: Filing, content: bytes, *, names_patient: bool) -> Dataset:
    """The PDF as a DICOM object; ``names_patient`` says that a person can be identified on the page."""
    document = Dataset(
        {filing.first[keyword].tag: filing.first[keyword] for keyword in _TAKEN_OVER if keyword in filing.first}
    )
    document.file_meta = FileMetaDataset()
    document.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    document.SOPClassUID = EncapsulatedPDFStorage
    document.SOPInstanceUID = filing.uid("dicompdf", "instance", str(names_patient))
    document.SeriesInstanceUID = filing.uid("dicompdf", "series", str(names_patient))
    document.Modality, document.InstanceNumber = "DOC", 1
    document.SeriesNumber, document.SeriesDescription = SERIES_NUMBERS["dicompdf"], "Coronary calcium report"
    document.Manufacturer = document.ManufacturerModelName = "ctacal"
    document.DeviceSerialNumber, document.SoftwareVersions, document.ConversionType = "0", SOFTWARE, "WSD"
    document.AcquisitionDateTime = ""
    document.BurnedInAnnotation = "YES" if names_patient else "NO"
    document.DocumentTitle, document.ConceptNameCodeSequence = wording.TITLE, []
    document.MIMETypeOfEncapsulatedDocument = "application/pdf"
    document.EncapsulatedDocumentLength = len(content)
    document.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    make_repeatable(document, filing.first)
    return document


def secondary_capture(filing: Filing, picture: Image.Image) -> Dataset:
    """The montage as a colour image; it names nobody."""
    from highdicom.sc import SCImage

    first = filing.first
    image: Dataset = SCImage.from_ref_dataset(
        ref_dataset=first,
        pixel_array=np.asarray(picture.convert("RGB")),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        series_instance_uid=filing.uid("sc", "series"),
        sop_instance_uid=filing.uid("sc", "instance"),
        series_number=SERIES_NUMBERS["sc"],
        instance_number=1,
        manufacturer="ctacal",
        patient_orientation=("L", "P"),
        series_description="Coronary calcium montage",
        specific_character_set="ISO_IR 192",
    )
    image.BurnedInAnnotation, image.Laterality = "NO", ""
    make_repeatable(image, first)
    return image
