"""The outputs of one study: report, pictures and DICOM objects.

``write_outputs`` writes the kinds of ``WRITERS``; a kind of your own is one more entry there.
"""

from typing import TYPE_CHECKING

from ctacal.public_names import imported_on_use

if TYPE_CHECKING:
    from ctacal.report.outputs import DEFAULT_WRITERS, WRITERS, write_outputs

__all__ = [
    "DEFAULT_WRITERS",
    "WRITERS",
    "write_outputs",
]

_NAMES = {
    "outputs": (
        "DEFAULT_WRITERS",
        "WRITERS",
        "write_outputs",
    ),
}
"""Public names of each module."""

__getattr__ = imported_on_use(__name__, _NAMES)


def __dir__() -> list[str]:
    return list(__all__)
