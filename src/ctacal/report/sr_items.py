"""Items of the content tree of a structured report (PS3.3 C.17.3), each a dataset."""

from collections.abc import Iterable, Sequence
from typing import Literal

from pydicom import Dataset
from pydicom.valuerep import DSfloat

from ctacal.dicom.codes import Concept
from ctacal.dicom.origin import reference_to

Relationship = Literal["CONTAINS", "HAS CONCEPT MOD", "HAS OBS CONTEXT"]


def dcm(code: str, meaning: str) -> Concept:
    """A concept of DICOM's own scheme (PS3.16 annex D)."""
    return Concept(code, meaning, "DCM")


_METHOD = Concept("370129005", "Measurement Method")


def container(
    name: Concept,
    items: Iterable[Dataset],
    *,
    relationship: Relationship | None = "CONTAINS",
    template: str | None = None,
) -> Dataset:
    """A heading with what stands below it; ``template`` of PS3.16 that it follows. The root has no relationship."""
    item = _item(name, "CONTAINER", relationship)
    item.ContinuityOfContent, item.ContentSequence = "CONTINUOUS", list(items)
    if template:
        source = Dataset()
        source.MappingResource, source.TemplateIdentifier = "DCMR", template
        item.ContentTemplateSequence = [source]
    return item


def text(name: Concept, value: str, relationship: Relationship = "CONTAINS") -> Dataset:
    """A text."""
    item = _item(name, "TEXT", relationship)
    item.TextValue = value
    return item


def coded(name: Concept, value: Concept, relationship: Relationship = "CONTAINS") -> Dataset:
    """A code."""
    item = _item(name, "CODE", relationship)
    item.ConceptCodeSequence = [value.coded()]
    return item


def uid(name: Concept, value: str, relationship: Relationship = "CONTAINS") -> Dataset:
    """A UID."""
    item = _item(name, "UIDREF", relationship)
    item.UID = value
    return item


def image(name: Concept, reference: Dataset) -> Dataset:
    """A reference to an image, a frame or a segment."""
    item = _item(name, "IMAGE", "CONTAINS")
    item.ReferencedSOPSequence = [reference]
    return item


def number(name: Concept, value: float, unit: Concept, method: Concept | None = None) -> Dataset:
    """A measurement, to the last bit beside its decimals."""
    item, measured = _item(name, "NUM", "CONTAINS"), Dataset()
    measured.NumericValue, measured.FloatingPointValue = DSfloat(value, auto_format=True), float(value)
    measured.MeasurementUnitsCodeSequence = [unit.coded()]
    item.MeasuredValueSequence = [measured]
    if method:
        item.ContentSequence = [coded(_METHOD, method, "HAS CONCEPT MOD")]
    return item


def evidence(objects: Sequence[Dataset]) -> Dataset:
    """The objects of one study that a report rests on, by series (PS3.3 C.17.2)."""
    by_series: dict[str, list[Dataset]] = {}
    for one in objects:
        by_series.setdefault(one.SeriesInstanceUID, []).append(reference_to(one))
    study = Dataset()
    study.StudyInstanceUID, study.ReferencedSeriesSequence = objects[0].StudyInstanceUID, []
    for series_uid, references in by_series.items():
        series = Dataset()
        series.SeriesInstanceUID, series.ReferencedSOPSequence = series_uid, references
        study.ReferencedSeriesSequence.append(series)
    return study


def _item(name: Concept, kind: str, relationship: Relationship | None) -> Dataset:
    item = Dataset()
    item.ValueType, item.ConceptNameCodeSequence = kind, [name.coded()]
    if relationship:
        item.RelationshipType = relationship
    return item
