"""Concatenations: multi-frame images that were stored in several files (PS3.3 C.7.6.16.2.2.4)."""

from collections import defaultdict
from collections.abc import Iterable

from ctacal.dicom.header import Slice
from ctacal.errors import Code, Reason


def missing_parts(slices: Iterable[Slice]) -> Reason | None:
    """Return a reason if parts of a concatenation are not there: without the first or the last no gap would show it."""
    found: dict[str, set[int]] = defaultdict(set)
    total: dict[str, int] = defaultdict(int)
    for slice_ in slices:
        if slice_.concatenation is not None:
            whole, part, parts = slice_.concatenation
            found[whole] |= set() if part is None else {part}
            total[whole] = max(total[whole], part or 0, parts or 0)
    missing = sum(total[whole] - len(parts) for whole, parts in found.items())
    if missing <= 0:
        return None
    lack = (
        f"{missing} of the {sum(total.values())} files of a multi-frame image {'is' if missing == 1 else 'are'} missing"
    )
    return Reason(Code.MISSING_SLICE, f"{lack}; send all of them")
