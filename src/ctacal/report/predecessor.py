"""``Predecessor``: an SR that was sent before, which the next SR of its study names (PS3.3 C.17.2)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydicom import Dataset, dcmread

from ctacal.dicom.header import READING_ERRORS, quiet_pydicom


@dataclass(frozen=True, slots=True, kw_only=True)
class Predecessor:
    """An earlier SR of a study."""

    study_uid: str
    series_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    before: "Predecessor | None" = None
    """The SR that it names itself."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file of an SR that was sent. Raises ``ValueError`` if it cannot be read."""
        try:
            with quiet_pydicom():
                report = dcmread(path)
                return cls(
                    study_uid=report.StudyInstanceUID,
                    series_uid=report.SeriesInstanceUID,
                    sop_class_uid=report.SOPClassUID,
                    sop_instance_uid=report.SOPInstanceUID,
                    before=_named_by(report),
                )
        except READING_ERRORS as problem:
            raise ValueError(f"{path}: {problem}") from problem

    def reference(self) -> Dataset:
        """Return what highdicom needs to refer to it."""
        reference = Dataset()
        reference.StudyInstanceUID, reference.SeriesInstanceUID = self.study_uid, self.series_uid
        reference.SOPClassUID, reference.SOPInstanceUID = self.sop_class_uid, self.sop_instance_uid
        return reference


def _named_by(report: Dataset) -> Predecessor | None:
    for study in report.get("PredecessorDocumentsSequence", ()):
        for series in study.ReferencedSeriesSequence:
            for document in series.ReferencedSOPSequence:
                return Predecessor(
                    study_uid=study.StudyInstanceUID,
                    series_uid=series.SeriesInstanceUID,
                    sop_class_uid=document.ReferencedSOPClassUID,
                    sop_instance_uid=document.ReferencedSOPInstanceUID,
                )
    return None
