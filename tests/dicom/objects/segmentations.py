"""DICOM segmentations as highdicom writes them."""

import warnings
from typing import Any

from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.coding import Code as CodedEntry
from pydicom.uid import UID, ExplicitVRLittleEndian

from tests.dicom_series import in_file_format, uid


def segment(number: int, name: str, code: str | None = None) -> Any:
    import highdicom.seg

    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=CodedEntry("49755003", "SCT", "Morphologically Abnormal Structure"),
        segmented_property_type=CodedEntry("18115005", "SCT", "Calcified plaque"),
        algorithm_type="MANUAL",
        anatomic_regions=[CodedEntry(code, "SCT", name)] if code else None,
    )


def seg(
    series: list[Dataset],
    planes: NDArray[Any],
    segments: list[Any],
    *,
    kind: str = "BINARY",
    syntax: UID = ExplicitVRLittleEndian,
    omit_empty_frames: bool = True,
) -> Any:
    """Make a SEG by highdicom; ``planes`` are in the order of ``series``, values or channels count the ``segments``."""
    import highdicom.seg

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return highdicom.seg.Segmentation(
            source_images=[in_file_format(image) for image in series],
            pixel_array=planes,
            segmentation_type=kind,
            segment_descriptions=segments,
            series_instance_uid=uid("seg series"),
            series_number=9,
            sop_instance_uid=uid("seg"),
            instance_number=1,
            manufacturer="ctacal",
            manufacturer_model_name="test",
            software_versions="1",
            device_serial_number="1",
            omit_empty_frames=omit_empty_frames,
            transfer_syntax_uid=syntax,
        )
