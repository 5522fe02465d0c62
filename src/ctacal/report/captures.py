"""The report as an encapsulated PDF (PS3.3 A.45.1) and the montage as a secondary capture (PS3.3 A.8), for a PACS that
shows nothing else, and for a study that was refused. highdicom makes the capture; it has no encapsulated PDF."""

import numpy as np
from PIL import Image
from pydicom import Dataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from ctacal.dicom.objects.origin import Identity, derived_object, finish
from ctacal.report import wording
from ctacal.report.filing import SOFTWARE, StudyFiling
from ctacal.result import ScoredStudy

PDF_SERIES_NUMBER, CAPTURE_SERIES_NUMBER = 7003, 7004


def encapsulated_pdf(filing: StudyFiling, content: bytes, *, names_patient: bool) -> Dataset:
    """Return the PDF as a DICOM object; ``names_patient`` if the pages identify the patient."""
    identity = Identity(
        sop_class=EncapsulatedPDFStorage,
        modality="DOC",
        instance_uid=filing.uid("dicompdf", "instance", str(names_patient)),
        series_uid=filing.uid("dicompdf", "series", str(names_patient)),
        series_number=PDF_SERIES_NUMBER,
        description=_described(filing, "report"),
        software=SOFTWARE,
    )
    document = derived_object(filing.study, identity)
    document.ConversionType, document.AcquisitionDateTime = "WSD", ""
    document.BurnedInAnnotation = "YES" if names_patient else "NO"
    document.DocumentTitle, document.ConceptNameCodeSequence = wording.TITLE, []
    document.MIMETypeOfEncapsulatedDocument = "application/pdf"
    document.EncapsulatedDocumentLength = len(content)
    document.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    return document


def secondary_capture(filing: StudyFiling, picture: Image.Image) -> Dataset:
    """Return a picture of the result as a colour image without the patient's name in it."""
    from highdicom.sc import SCImage

    image = SCImage.from_ref_dataset(
        filing.study,
        pixel_array=np.asarray(picture.convert("RGB")),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "P"),
        series_instance_uid=filing.uid("sc", "series"),
        series_number=CAPTURE_SERIES_NUMBER,
        sop_instance_uid=filing.uid("sc", "instance"),
        instance_number=1,
        manufacturer="ctacal",
        manufacturer_model_name="ctacal",
        software_versions=SOFTWARE,
        device_serial_number="0",
        series_description=_described(filing, "montage"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    image.copy_patient_and_study_information(filing.study)
    image.Laterality, image.BurnedInAnnotation = "", "NO"
    finish(image, filing.study)
    return image


def _described(filing: StudyFiling, what: str) -> str:
    return f"Coronary calcium {what}" if isinstance(filing.result, ScoredStudy) else "Coronary calcium: not scored"
