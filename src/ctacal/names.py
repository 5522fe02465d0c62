"""Names of files as text that can be printed and stored, whatever bytes they are made of."""

import os


def printable(name: object) -> str:
    r"""Return a name or path as text: what is no UTF-8, or cannot be printed, is written as an escape.

    Names from old servers hold bytes of other character sets, which Python carries as half characters that no file or
    terminal accepts (PEP 383).

    >>> import os
    >>> printable(os.fsdecode(b"/M\xe4rz/IM 1")), printable("a\nb")
    ('/M\\xe4rz/IM 1', 'a\\nb')
    """
    text = str(name)
    if text.isprintable():
        return text
    decoded = os.fsencode(text).decode("utf-8", "backslashreplace") if _is_from_system(text) else text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in decoded)


def _is_from_system(text: str) -> bool:
    """Whether Python can turn the text back to bytes of the system; a name inside a zip may hold anything."""
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True
