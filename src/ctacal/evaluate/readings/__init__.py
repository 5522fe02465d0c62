"""Tables of users: opened as they are written, and read with checked columns or refused with the true reason.

``opened`` opens text (``text_file``), workbooks (``workbook``) and Parquet; ``form`` is what the user says of how the
table is written. ``numbers``, ``dates``, ``words`` and ``category_words`` know what a cell can say, ``parsed`` reads a
column, ``plausible`` judges its range, ``identifiers`` finds rows of one patient, ``columns`` checks a table, ``saved``
writes one, and ``locale`` knows the decimal mark of a whole table.
"""

from ctacal.evaluate.readings.cells import RawTable
from ctacal.evaluate.readings.columns import (
    KINDS,
    SHOWN,
    Column,
    Fault,
    Kind,
    Readings,
    check,
    five_column,
    read_readings,
)
from ctacal.evaluate.readings.form import FormOptions, TableForm, form_of
from ctacal.evaluate.readings.opened import (
    ANY_FORM,
    as_text,
    column_names,
    find_column,
    need,
    open_table,
    read_table,
    text_of,
    without_unknown,
)
from ctacal.evaluate.readings.saved import ENDINGS_WRITTEN, save_table
from ctacal.evaluate.readings.words import Coding

__all__ = [
    "ANY_FORM",
    "ENDINGS_WRITTEN",
    "KINDS",
    "SHOWN",
    "Coding",
    "Column",
    "Fault",
    "FormOptions",
    "Kind",
    "RawTable",
    "Readings",
    "TableForm",
    "as_text",
    "check",
    "column_names",
    "find_column",
    "five_column",
    "form_of",
    "need",
    "open_table",
    "read_readings",
    "read_table",
    "save_table",
    "text_of",
    "without_unknown",
]
