"""Studies as cameras, archives, de-identifiers and data sets lay them out: what lies beside the CTAC, names, folders.

Each function returns the files of a study as ``{path: content}``. The CTAC holds the marker of ``tests.dicom_series``;
the other CTs are marked by ``DECOY_HU``, so that a test sees which one was taken. Descriptions, models and acquisition
values follow what consoles of these cameras write, as far as public data sets and manuals show it; all data are drawn.
"""

import io
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from pydicom import Dataset
from pydicom.uid import (
    BasicTextSRStorage,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
    XRayRadiationDoseSRStorage,
)

from tests.dicom_series import (
    Grid,
    ct_series,
    emission_image,
    encoded,
    enhanced_ct,
    legacy_converted_ct,
    store_values,
    uid,
    values_of,
)

Files = dict[str, bytes]
Layout = Callable[[], Files]

LAYOUTS: dict[str, Layout] = {}
"""The layouts by their names in words, in the order of the docs."""

WIDTH = Grid()
"""The grid of the CTAC, where a layout needs no other."""

DECOY_HU = 1400
"""Brightest voxel of a CT that is not the CTAC; the marker has more."""


def layout(name: str) -> Callable[[Layout], Layout]:
    """Enter a layout under its name."""

    def enter(make: Layout) -> Layout:
        LAYOUTS[name] = make
        return make

    return enter


def other_ct(name: str, grid: Grid = WIDTH, **attributes: Any) -> list[Dataset]:
    """Return a CT that must not be taken: its marker is darker."""
    images = ct_series(grid, name=name, **attributes)
    for image in images:
        values = values_of(image)
        values[values >= DECOY_HU + 1024] = DECOY_HU + 1024
        store_values(image, values)
    return images


def topogram(**attributes: Any) -> list[Dataset]:
    """Return two localizer images, frontal and lateral."""
    images = other_ct("topogram", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], SeriesNumber=1)[:2]
    for image, cosines in zip(images, ([1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1]), strict=True):
        image.ImageOrientationPatient = cosines
        for keyword, value in ({"SeriesDescription": "Topogram"} | attributes).items():
            setattr(image, keyword, value)
    return images


def document(sop_class: str, modality: str, name: str, **attributes: Any) -> Dataset:
    """Return an object without pixels: a dose report, a PDF, a protocol."""
    made = emission_image(name=name)
    for keyword in ("PixelData", "Rows", "Columns", "FrameOfReferenceUID", "BitsAllocated"):
        delattr(made, keyword)
    made.SOPClassUID, made.Modality, made.SeriesDescription = sop_class, modality, name
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def screen(name: str = "Result screen") -> Dataset:
    """Return a colour screen that a workstation saved under modality CT, as Xeleris and syngo do."""
    made = emission_image(name=name)
    made.SOPClassUID, made.Modality, made.SeriesDescription = SecondaryCaptureImageStorage, "CT", name
    made.ImageType, made.SamplesPerPixel, made.PhotometricInterpretation = ["DERIVED", "SECONDARY"], 3, "RGB"
    made.PlanarConfiguration, made.BitsAllocated, made.BitsStored, made.HighBit = 0, 8, 8, 7
    made.Rows, made.Columns = 16, 16
    made.PixelData = bytes(16 * 16 * 3)
    return made


def dose_report() -> Dataset:
    """Return a radiation dose report."""
    return document(XRayRadiationDoseSRStorage, "SR", "Dose Report")


def mu_map(**attributes: Any) -> Dataset:
    """Return the attenuation map of a camera, an NM image in cm-1."""
    words = {"SeriesDescription": "uMap", "RescaleType": "1CM"} | attributes
    return emission_image("NM", name="mu map", **words)


def files(name: str, images: Sequence[Dataset], syntax: str = ExplicitVRLittleEndian) -> Files:
    """Return the files of some images; ``name`` holds ``{}`` for the number, from 1."""
    return {name.format(number): encoded(image, syntax) for number, image in enumerate(images, 1)}


@layout("Siemens Symbia Intevo, SPECT/CT: topogram, AC CT, thin soft reconstruction, mu-map, dose report")
def siemens_symbia() -> Files:
    camera: dict[str, Any] = {
        "Manufacturer": "SIEMENS",
        "ManufacturerModelName": "Symbia Intevo 6",
        "KVP": "130",
        "Exposure": "17",
    }
    return (
        files("SRS1/IM{:05}.dcm", topogram(**camera))
        | files("SRS2/IM{:05}.dcm", ct_series(SeriesDescription="AC_CT  5.0  B08s", ConvolutionKernel="B08s", **camera))
        | files(
            "SRS3/IM{:05}.dcm",
            other_ct("thin", Grid(slices=28, slice_mm=1.5), SeriesDescription="CT Thorax 1.5 B70s", SliceThickness="2",
                     **camera | {"ConvolutionKernel": "B70s"}),
        )
        | files("SRS4/IM{:05}.dcm", [mu_map(), emission_image("NM", SeriesDescription="Stress Recon AC")])
        | files("SRS5/IM{:05}.dcm", [dose_report()])
    )  # fmt: skip


@layout("GE Discovery NM/CT 670: CTAC for rest and stress in two studies of one folder, saved screens as modality CT")
def ge_discovery_nm() -> Files:
    camera: dict[str, Any] = {"Manufacturer": "GE MEDICAL SYSTEMS", "ManufacturerModelName": "Discovery NM/CT 670"}
    words: dict[str, Any] = {
        "SeriesDescription": "CTAC Stress 3.75mm",
        "ConvolutionKernel": "SOFT",
        "XRayTubeCurrent": "20",
    }
    found: Files = {}
    for number, study in enumerate(("rest", "stress")):
        images = [*ct_series(**camera, **words), emission_image("NM"), mu_map(SeriesDescription="ACMAP"), screen()]
        for image in images:
            image.StudyInstanceUID, image.SeriesInstanceUID = uid(study), uid(study, image.SeriesInstanceUID)
            image.SOPInstanceUID, image.FrameOfReferenceUID = uid(study, image.SOPInstanceUID), uid(study, "frame")
        found |= files(f"exam{number}/i{{:07}}.CTDC.{number}", images)
    return found


@layout("GE Infinia Hawkeye 4: 140 kVp, 2.5 mA, 23 s a rotation, thick slices, no exposure in the header")
def ge_hawkeye() -> Files:
    camera: dict[str, Any] = {
        "Manufacturer": "GE MEDICAL SYSTEMS",
        "ManufacturerModelName": "INFINIA",
        "KVP": "140",
        "Exposure": None,
    }
    grid = Grid(slices=20, slice_mm=5.0, row_mm=2.2, column_mm=2.2)
    series = ct_series(grid, SeriesDescription="CT Hawkeye", SliceThickness="5", **camera)
    for image in series:
        image.XRayTubeCurrent, image.ExposureTime = "2", "23000"
    return files("HAWK/{}", [*series, emission_image("NM")])


@layout("Philips BrightView XCT: thin cone-beam slices, no kernel, mu-map beside")
def philips_brightview() -> Files:
    camera: dict[str, Any] = {
        "Manufacturer": "Philips Medical Systems",
        "ManufacturerModelName": "BrightView XCT",
        "KVP": "120",
    }
    series = ct_series(Grid(slices=40, slice_mm=1.0), SliceThickness="1", SeriesDescription="XCT", **camera)
    for image in series:
        del image.ConvolutionKernel
    return files("{:03}", [*series, mu_map(SeriesDescription="Attenuation Map"), emission_image("NM")])


@layout("Philips Precedence and GEMINI: two reconstructions under one series, private elements, implicit VR")
def philips_gemini() -> Files:
    camera: dict[str, Any] = {"Manufacturer": "Philips", "ManufacturerModelName": "GEMINI TF TOF 16"}
    series = ct_series(SeriesDescription="CTAC 5mm", ConvolutionKernel="B", **camera)
    sharp = other_ct("ctac", SeriesDescription="CTAC 5mm", **camera | {"ConvolutionKernel": "YB"})
    for index, image in enumerate(sharp):
        image.SOPInstanceUID = uid("sharp", index)
    for image in (*series, *sharp):
        private = image.private_block(0x01F1, "ELSCINT1", create=True)
        private.add_new(0x06, "CS", "AXIAL")
    return files("PHILIPS/{:05}.img", [*series, *sharp, emission_image("PT")], ImplicitVRLittleEndian)


@layout("Siemens Biograph mCT, rest/stress rubidium PET/CT: one CTAC, dynamic and gated PET, patient protocol")
def siemens_biograph() -> Files:
    camera: dict[str, Any] = {"Manufacturer": "SIEMENS", "ManufacturerModelName": "Biograph64_mCT"}
    pet = [
        emission_image("PT", name=f"pet {kind}", SeriesDescription=f"PET {kind} AC")
        for kind in ("Rest Dynamic", "Rest Gated", "Stress Dynamic", "Stress Gated")
    ]
    series = ct_series(SeriesDescription="CT LowDose 3.0 HD_FoV", ConvolutionKernel="B19f", **camera)
    protocol = document(BasicTextSRStorage, "CT", "Patient Protocol")
    return files("DICOM/{:08X}", [*topogram(**camera), *series, *pet, protocol])


@layout("GE Discovery MI, PET/CT: CTAC wider than the diagnostic CT of the same frame, which lies beside it")
def ge_discovery_mi() -> Files:
    camera: dict[str, Any] = {"Manufacturer": "GE MEDICAL SYSTEMS", "ManufacturerModelName": "Discovery MI"}
    diagnostic = other_ct(
        "diagnostic", Grid(slices=30, slice_mm=1.5), SeriesDescription="CHEST STD 1.25", Exposure="180",
        SliceThickness="1.25", **camera,
    )  # fmt: skip
    series = ct_series(SeriesDescription="CTAC 3.75 Thick", ConvolutionKernel="SOFT", **camera)
    return (
        files("s0001/i{:04}", topogram(SeriesDescription="Scout", **camera))
        | files("s0002/i{:04}", series)
        | files("s0003/i{:04}", diagnostic)
        | files("s0004/i{:04}", [emission_image("PT", SeriesDescription="PET AC 3DWB")])
        | files("s9999/i{:04}", [dose_report(), screen("Screen Save")])
    )


@layout("Canon Cartesion Prime: dates in the folder names, numbers as descriptions, explicit VR")
def canon_cartesion() -> Files:
    camera: dict[str, Any] = {"Manufacturer": "CANON_MEDICAL_SYSTEMS", "ManufacturerModelName": "Cartesion Prime"}
    series = ct_series(SeriesDescription="CTAC FC18", ConvolutionKernel="FC18", **camera)
    return files("20240102/000{}.dcm", [*series, emission_image("PT")])


@layout("United Imaging uMI: whole Enhanced CT image, the PET beside it")
def united_imaging() -> Files:
    whole = enhanced_ct(ct_series(SeriesDescription="CT_AC"))
    whole.Manufacturer, whole.ManufacturerModelName = "UIH", "uMI 780"
    return files("UID_{}", [whole, emission_image("PT")])


@layout("Calcium-score CT in the study of the CTAC: the CTAC is taken")
def calcium_scan_beside() -> Files:
    gated = other_ct("calcium", SeriesDescription="CaScore 3.0 Qr36 Diastolic 70%", FrameOfReferenceUID=uid("gated"))
    return files("CS/{}", gated) | files("AC/{}", [*ct_series(SeriesDescription="AC CT"), emission_image("PT")])


@layout("CTAC of rest and of stress in one study: equal clues, the choice is noted")
def rest_and_stress() -> Files:
    rest = ct_series(name="rest", SeriesDescription="CTAC Rest")
    stress = ct_series(
        name="stress", SeriesDescription="CTAC Stress", SeriesNumber=5, FrameOfReferenceUID=uid("stress")
    )
    return files("A/{}", rest) | files("B/{}", stress)


@layout("Media: DICOMDIR, names of eight capitals, a viewer's programs beside")
def media() -> Files:
    viewer = {"AUTORUN.INF": b"[autorun]\r\nopen=VIEWER.EXE\r\n", "VIEWER/VIEWER.EXE": b"MZ" + bytes(500)}
    return viewer | {"DICOM/README.TXT": b"study"} | files("DICOM/PA000001/ST000001/SE000001/IM{:06}", ct_series())


@layout("Orthanc: a zip of patient, study and series folders")
def orthanc() -> Files:
    inside = files("P1 Test Phantom/Unknown Study/CT CTAC/CT{:06}.dcm", ct_series())
    return {"Archive.zip": _zip(inside)}


@layout("dcm4chee: a zip of files named by SOP Instance UID, without suffix")
def dcm4chee() -> Files:
    series = [*ct_series(), emission_image("PT")]
    return {"study.zip": _zip({f"DICOM/{image.SOPInstanceUID}": encoded(image) for image in series})}


@layout("XNAT: SCANS/n/DICOM, catalogues and snapshots beside the images")
def xnat() -> Files:
    notes = {
        "SCANS/2/DICOM/scan_2_catalog.xml": b"<?xml version='1.0'?><cat:DCMCatalog/>",
        "SCANS/2/SNAPSHOTS/a_qc.gif": b"GIF89a" + bytes(100),
    }
    return (
        notes
        | files("SCANS/2/DICOM/1-{:03}.dcm", ct_series())
        | files("SCANS/4/DICOM/1-{}.dcm", [emission_image("PT")])
    )


@layout("TCIA by the NBIA retriever: LICENSE and metadata.csv, empty values, shifted dates, no birth date")
def tcia() -> Files:
    series = ct_series(PatientBirthDate="", PatientAge="", PatientSex="", StudyDate="19590206", AccessionNumber="")
    for image in series:
        image.PatientIdentityRemoved, image.DeidentificationMethod = "YES", "Per DICOM PS 3.15 AnnexE"
    folder = "manifest-1/COLLECTION/P1/02-06-1959-NA-PET CT-12345/2.000000-CTAC-67890"
    return {"manifest-1/metadata.csv": b"Series UID,Collection\n", "manifest-1/LICENSE": b"CC BY"} | files(
        folder + "/1-{:02}.dcm", series
    )


@layout("Imaging Data Commons: flat, names are UUIDs, files of two studies mixed")
def imaging_data_commons() -> Files:
    first, second = (
        ct_series(),
        ct_series(name="second", StudyInstanceUID=uid("second study"), FrameOfReferenceUID=uid("other")),
    )
    mixed = [image for pair in zip(first, second, strict=True) for image in pair]
    return {f"{uuid5(NAMESPACE_OID, image.SOPInstanceUID)}.dcm": encoded(image) for image in mixed}


@layout("RSNA CTP: equipment, operators and texts removed, UIDs of its own root, description kept")
def rsna_ctp() -> Files:
    series = ct_series(
        Manufacturer=None, ManufacturerModelName=None, PatientName="", StudyDate="", DeviceSerialNumber=None
    )
    return files("000001/{:06}.dcm", series)


@layout("Archive that compresses: JPEG lossless, JPEG-LS, JPEG 2000 and RLE mixed within the series")
def compressing_archive() -> Files:
    syntaxes = (JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, RLELossless)
    return {f"{index}": encoded(image, syntaxes[index % len(syntaxes)]) for index, image in enumerate([*ct_series()])}


@layout("Archive that converts: Legacy Converted Enhanced CT beside nothing else")
def converting_archive() -> Files:
    return files("{}.dcm", [legacy_converted_ct(ct_series())])


@layout("Written from NIfTI: no kVp, exposure, kernel or times, description from the file's name")
def from_nifti() -> Files:
    series = ct_series(
        KVP=None, Exposure=None, ConvolutionKernel=None, StudyDate="", SeriesDescription="sub-01_ct.nii.gz"
    )
    for image in series:
        for keyword in ("AcquisitionDate", "AcquisitionTime", "ContentDate", "ContentTime", "SeriesDate", "SeriesTime"):
            delattr(image, keyword)
        image.ImageType = ["DERIVED", "SECONDARY"]
    return files("slice{:04}.dcm", series)


@layout("Packed by hand: a tar.gz with macOS's own files, spaces and umlauts in names")
def packed_by_hand() -> Files:
    inside = files("Müller CT/Serie 2/Bild {}.dcm", ct_series()) | {
        "Müller CT/._Bild 1.dcm": b"\x00\x05\x16\x07" + bytes(78)
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in inside.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return {"export.tar.gz": packed.getvalue(), ".DS_Store": bytes(8), "Thumbs.db": bytes(100)}


@layout("Core lab: PDF of the report, key objects and segmentations of others beside the images")
def core_lab() -> Files:
    report = document(EncapsulatedPDFStorage, "DOC", "Report")
    keys = document("1.2.840.10008.5.1.4.1.1.88.59", "KO", "Key images")
    drawn = document("1.2.840.10008.5.1.4.1.1.66.4", "SEG", "Segmentation")
    return files("{:04}.dcm", [report, keys, drawn, *ct_series(), emission_image("NM")])


def _zip(inside: Files) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in inside.items():
            archive.writestr(name, content)
    return packed.getvalue()
