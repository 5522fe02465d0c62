"""Agreement of readers and models: a table of readings -> statistics of every pair -> a ``Publication``.

``config`` says what is compared, ``read`` reads the table, ``raters`` holds who scored what, ``comparison`` has all
statistics of two raters, ``several`` those of all readers and of repeat readings, ``lesions`` those of label maps,
``tables``, ``reader_tables`` and ``figures`` show them, ``report`` puts the publication together, and ``example`` makes
a table to try it on::

    config = AgreeConfig(table=Path("readings.csv"), readers=("expert",), models=("dl",))
    write_publication(agreement_report(read_raters(config), config), Path("OUT"))

The names are imported on first use, so that what needs no statistics does not wait for them.
"""

from typing import TYPE_CHECKING

from ctacal.public_names import imported_on_use

if TYPE_CHECKING:
    from ctacal.evaluate.agree.comparison import Comparison, compare
    from ctacal.evaluate.agree.config import AgreeConfig
    from ctacal.evaluate.agree.example import example_csv
    from ctacal.evaluate.agree.raters import Rater, Raters
    from ctacal.evaluate.agree.read import read_raters
    from ctacal.evaluate.agree.report import agreement_report

__all__ = [
    "AgreeConfig",
    "Comparison",
    "Rater",
    "Raters",
    "agreement_report",
    "compare",
    "example_csv",
    "read_raters",
]

_NAMES = {
    "comparison": ("Comparison", "compare"),
    "config": ("AgreeConfig",),
    "example": ("example_csv",),
    "raters": ("Rater", "Raters"),
    "read": ("read_raters",),
    "report": ("agreement_report",),
}
"""Public names of each module."""

__getattr__ = imported_on_use(__name__, _NAMES)
