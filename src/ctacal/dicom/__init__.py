"""From files to studies: find series in folders and zips, choose the CTAC, decode its pixels to Hounsfield units.

``read_studies`` gives the studies under some paths. ``candidates`` ranks the series of a study, ``choose_among`` takes
the likeliest CTAC, ``read_volume`` decodes it.
"""

from typing import TYPE_CHECKING

from ctacal.public_names import imported_on_use

if TYPE_CHECKING:
    from ctacal.dicom.choose import Candidate, Choice, candidates, choose_among
    from ctacal.dicom.series import Intake, Series, Study, read_studies
    from ctacal.dicom.volume import read_volume

__all__ = [
    "Candidate",
    "Choice",
    "Intake",
    "Series",
    "Study",
    "candidates",
    "choose_among",
    "read_studies",
    "read_volume",
]

_NAMES = {
    "series": (
        "Intake",
        "Series",
        "Study",
        "read_studies",
    ),
    "choose": (
        "Candidate",
        "Choice",
        "candidates",
        "choose_among",
    ),
    "volume": ("read_volume",),
}
"""Public names of each module."""

__getattr__ = imported_on_use(__name__, _NAMES)


def __dir__() -> list[str]:
    return list(__all__)
