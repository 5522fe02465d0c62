"""The report as an encapsulated PDF (PS3.3 A.45.1) and the montage as a secondary capture (PS3.3 A.8), for a PACS that
shows nothing else."""

import numpy as np
from PIL import Image
from pydicom import Dataset
from pydicom.uid import UID, EncapsulatedPDFStorage, SecondaryCaptureImageStorage

from ctacal.dicom.origin import Identity, derived_object
from ctacal.report import wording
from ctacal.report.filing import SERIES_NUMBERS, SOFTWARE, Filing


def encapsulated_pdf(filing: Filing, content: bytes, *, names_patient: bool) -> Dataset:
    """The PDF as a DICOM object; ``names_patient`` says that a person can be identified on the page."""
    own = ("dicompdf", str(names_patient))
    document = derived_object(
        filing.first, _identity(filing, own, EncapsulatedPDFStorage, "DOC", "Coronary calcium report")
    )
    document.ConversionType, document.AcquisitionDateTime = "WSD", ""
    document.BurnedInAnnotation = "YES" if names_patient else "NO"
    document.DocumentTitle, document.ConceptNameCodeSequence = wording.TITLE, []
    document.MIMETypeOfEncapsulatedDocument = "application/pdf"
    document.EncapsulatedDocumentLength = len(content)
    document.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    return document


def secondary_capture(filing: Filing, picture: Image.Image) -> Dataset:
    """The montage as a colour image; it names nobody."""
    image = derived_object(
        filing.first, _identity(filing, ("sc",), SecondaryCaptureImageStorage, "OT", "Coronary calcium montage")
    )
    image.ImageType, image.ConversionType = ["DERIVED", "SECONDARY", "OTHER"], "DI"
    image.PatientOrientation, image.Laterality, image.BurnedInAnnotation = ["L", "P"], "", "NO"
    image.SamplesPerPixel, image.PhotometricInterpretation, image.PlanarConfiguration = 3, "RGB", 0
    image.BitsAllocated = image.BitsStored = 8
    image.HighBit, image.PixelRepresentation = 7, 0
    pixels = np.asarray(picture.convert("RGB"))
    image.Rows, image.Columns = pixels.shape[:2]
    content = pixels.tobytes()
    image.PixelData = content + b"\0" * (len(content) % 2)
    image["PixelData"].VR = "OB"
    return image


def _identity(filing: Filing, own: tuple[str, ...], sop_class: UID, modality: str, description: str) -> Identity:
    kind, *rest = own
    return Identity(
        sop_class=sop_class,
        modality=modality,
        instance_uid=filing.uid(kind, "instance", *rest),
        series_uid=filing.uid(kind, "series", *rest),
        series_number=SERIES_NUMBERS[kind],
        description=description,
        software=SOFTWARE,
    )
