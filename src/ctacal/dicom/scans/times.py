"""Moments of acquisition as seconds, and how far apart those of one scan lie."""

from datetime import date

LONGEST_PAUSE_S = 180.0
"""Longest pause within a scan, between table positions, passes or phases (own choice: tubes cool, breath is caught)."""

DAY_S = 86400.0


def seconds_of(moment: str) -> float | None:
    """Return the seconds of YYYYMMDDHHMMSS.FFFFFF since an arbitrary day, None if it is no moment; the end may lack."""
    parts = [moment[start : start + 2] or "00" for start in (8, 10, 12)]
    try:
        day = date(int(moment[:4]), int(moment[4:6]), int(moment[6:8])).toordinal()
        hour, minute, second = map(int, parts)
    except ValueError:
        return None
    return day * DAY_S + hour * 3600.0 + minute * 60 + second
