"""``ReaderOf``: the person who drew or corrected a label map, as its DICOM objects name them."""

from dataclasses import dataclass
from datetime import datetime

SEG_NUMBER, SR_NUMBER = 7011, 7012
"""Series numbers of a reader's SEG and SR: beside those of a program's (``report.seg``, ``report.sr``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderOf:
    """Who read a study, from what, and whether they stand by it."""

    name: str
    """As readers are named in the reading room; a DICOM person name."""
    from_model: bool
    """Whether the reader began with a program's marks, or saw them."""
    signed: datetime | None
    """When the reader signed; None: the reading is not finished."""
    organisation: str = "not stated"

    @property
    def suffix(self) -> str:
        """What the description of a series adds."""
        return f", read by {self.name}"

    @property
    def series_number(self) -> int:
        """Series number of the SEG."""
        return SEG_NUMBER
