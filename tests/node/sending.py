"""Results that wait to be sent, and what sends them, in this process or in one of its own."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from ctacal.fields import from_fields
from ctacal.jobs.node.config import NodeConfig
from ctacal.jobs.node.deliveries import new_deliveries
from ctacal.jobs.node.ledger import DeliveryRow, Ledger, ScoredOutcome, StudyState, open_ledger
from ctacal.jobs.node.store import Store
from ctacal.jobs.score import Outcome
from ctacal.node.sender import Line, OpenClaims, run
from ctacal.report.outputs import WRITERS
from tests.dicom_series import uid

CLASSES = {
    "seg": SegmentationStorage, "sr": Comprehensive3DSRStorage, "sc": SecondaryCaptureImageStorage,
    "dicompdf": EncapsulatedPDFStorage,
}  # fmt: skip
MODALITIES = {"seg": "SEG", "sr": "SR", "sc": "OT", "dicompdf": "DOC"}


def write_object(kind: str, study_uid: str, file: Path, more: int = 0) -> None:
    """Write an object as a PACS files it; ``more`` is the size of its contents in bytes."""
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = CLASSES[kind], UID(uid(study_uid, kind, more))
    made.StudyInstanceUID, made.SeriesInstanceUID = UID(study_uid), UID(uid(study_uid, kind, "series"))
    made.PatientID, made.PatientName, made.Modality, made.SeriesNumber = "4711", "Zyx^Wvu", MODALITIES[kind], 1
    made.InstanceNumber, made.StudyDate, made.EncapsulatedDocument = 1, "20260102", bytes(more + more % 2)
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.save_as(file, enforce_file_format=True)


@dataclass
class Scene:
    """A store with results, a ledger, and the configuration of its destinations."""

    folder: Path
    destinations: tuple[Mapping[str, object], ...]
    receive: Mapping[str, object] = field(default_factory=dict)
    kinds: tuple[str, ...] = ("seg", "sr", "sc", "dicompdf")
    """What scoring writes."""
    report: str = "report"
    """Content of report.pdf."""
    studies: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = Store(self.folder)
        self.ledger = self.open()
        self.stopping = Event()

    @property
    def config(self) -> NodeConfig:
        fields = {"store": str(self.folder), "destination": self.destinations, "receive": self.receive}
        return from_fields(NodeConfig, fields)

    def open(self) -> Ledger:
        return open_ledger(self.folder / "ledger.sqlite", self.store.id)

    def scored(self, name: str = "study", *, more: int = 0, refused: bool = False) -> str:
        """Let a study be scored; returns its UID."""
        study_uid = uid("scored", name)
        self.studies = [*dict.fromkeys([*self.studies, study_uid])]
        self.ledger.arrived(study_uid, objects=1, source="CAM@10.0.0.1")
        (arriving,) = [study for study in self.ledger.receiving() if study.study_uid == study_uid]
        self.ledger.settle(study_uid, arriving.activity)
        claim = self.ledger.claim_study("scorer")
        assert claim is not None
        assert claim.study_uid == study_uid
        folder = self.store.results(study_uid, claim.revision)
        folder.mkdir(parents=True)
        (folder / "report.pdf").write_text(self.report)
        for kind in self.kinds:
            write_object(kind, study_uid, folder / WRITERS[kind].files[0], more)
        status = "refused" if refused else "scored"
        outcome = Outcome({"status": status}, folder.name)
        state = StudyState.REFUSED if refused else StudyState.SCORED
        result = ScoredOutcome(state=state, result=folder.relative_to(self.folder).as_posix())  # type: ignore[arg-type]
        assert self.ledger.scored(claim, result, new_deliveries(self.config, outcome, folder))
        return study_uid

    def line(self, name: str = "PACS", ledger: Ledger | None = None) -> Line:
        """What sends to a destination; a test calls its ``turn``."""
        destination = self.config.destination_named(name)
        assert destination is not None
        ledger = ledger or self.ledger
        return Line(self.config, destination, ledger, OpenClaims(ledger), self.stopping)

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Run the sender in a thread during the block."""
        stopping = Event()
        thread = Thread(target=run, args=(self.config, stopping))
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join()

    def rows(self, destination: str = "PACS") -> list[DeliveryRow]:
        """All deliveries to a destination, in order."""
        rows = [row for study_uid in self.studies for row in self.ledger.deliveries(study_uid)]
        return [row for row in rows if row.destination == destination]

    def states(self, destination: str = "PACS") -> dict[str, str]:
        """State by kind, of a scene with one study."""
        return {row.kind: str(row.state) for row in self.rows(destination)}

    def reasons(self, destination: str = "PACS") -> dict[str, str]:
        """Reason by kind, of a scene with one study."""
        return {row.kind: row.reason for row in self.rows(destination)}
