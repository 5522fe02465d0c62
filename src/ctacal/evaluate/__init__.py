"""Evaluation: reports from tables.

``readings`` reads tables with checked columns, ``linkage`` joins them with the results of ``ctacal score``, and
``publication`` writes a report as a page, tables and figures. ``agree``: agreement of readers and models.
``outcomes``: prognosis. ``accuracy``: results on test studies whose truth is known, and the model card. The statistics
are in ``ctacal.statistics``.

The names are imported on first use, so that what needs no statistics does not wait for them.
"""

from typing import TYPE_CHECKING

from ctacal.public_names import imported_on_use

if TYPE_CHECKING:
    from ctacal.evaluate.agree import AgreeConfig, agreement_report
    from ctacal.evaluate.linkage import LeftOut, Linked, Rules, link, read_results
    from ctacal.evaluate.outcomes import outcomes_report
    from ctacal.evaluate.publication import Publication, write_publication
    from ctacal.evaluate.readings import (
        Coding,
        Column,
        Fault,
        RawTable,
        Readings,
        TableForm,
        check,
        column_names,
        find_column,
        need,
        open_table,
        read_readings,
        read_table,
        save_table,
    )

__all__ = [
    "AgreeConfig",
    "Coding",
    "Column",
    "Fault",
    "LeftOut",
    "Linked",
    "Publication",
    "RawTable",
    "Readings",
    "Rules",
    "TableForm",
    "agreement_report",
    "check",
    "column_names",
    "find_column",
    "link",
    "need",
    "open_table",
    "outcomes_report",
    "read_readings",
    "read_results",
    "read_table",
    "save_table",
    "write_publication",
]

_NAMES = {
    "agree": ("AgreeConfig", "agreement_report"),
    "outcomes": ("outcomes_report",),
    "publication": ("Publication", "write_publication"),
    "readings": (
        "Coding",
        "Column",
        "Fault",
        "RawTable",
        "Readings",
        "TableForm",
        "check",
        "column_names",
        "find_column",
        "need",
        "open_table",
        "read_readings",
        "read_table",
        "save_table",
    ),
    "linkage": (
        "LeftOut",
        "Linked",
        "Rules",
        "link",
        "read_results",
    ),
}
"""Public names of each module."""

__getattr__ = imported_on_use(__name__, _NAMES)
