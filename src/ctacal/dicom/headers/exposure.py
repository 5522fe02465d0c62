"""Exposure and rotation time of a CT image: manufacturers write them in different units, so they are checked."""

from ctacal.dicom.headers.elements import Getter
from ctacal.dicom.headers.values import number, text, within

EXPOSURE_MAS = (0.5, 2000.0)
"""Range of the exposure of one rotation: Hawkeye takes 2.5 mA over seconds, no tube stands 2000 mAs (own choice)."""

ROTATION_S = (0.1, 60.0)
"""Range of the time of one rotation: dual source takes 0.25 s, flat panels on SPECT take up to 60 s (BrightView)."""

SHARE_OF_PRODUCT = (0.25, 5.0)
"""Range of Exposure as a share of tube current times time: effective mAs are divided by the pitch (0.2 to 3.2), and
modulation lowers the current."""

LONGEST_QUICK_ROTATION_S, SMALL_TUBE_MA = 3.0, 10.0
"""Only small tubes rotate slower (Hawkeye: 13 to 23 s); beside a larger current, a longer time is that of the scan."""


def exposure_mas(get: Getter) -> float | None:
    """Return the exposure of a rotation in mAs, or None if no value is plausible.

    The header may give it in µAs, in mAs, or as tube current and time. Each value is held against current times time
    where both are known. GE writes into Exposure the share of the scan's mAs that falls on one slice ("exposure time x
    mA x slice thickness / total coverage", conformance statement DOC0500644), so there only the product counts.
    """
    product = _current_times_time_mas(get)
    if text(get("Manufacturer")).upper().startswith("GE"):
        return product or _milliampere_seconds(get("ExposureInmAs"))
    micro = number(get("ExposureInuAs"), largest=1e9)
    written = (
        _milliampere_seconds(get("ExposureInmAs")),
        within(micro / 1000, *EXPOSURE_MAS) if micro is not None else None,
        _milliampere_seconds(get("Exposure")),
    )
    return next((mas for mas in written if mas is not None and _agrees(mas, product)), product)


def rotation_s(get: Getter) -> float | None:
    """Return Revolution Time, else Exposure Time, in seconds, or None if neither is plausible.

    Exposure Time is, by manufacturer, that of a rotation, of a slice in a helix, or of the scan.
    """
    return within(number(get("RevolutionTime")), *ROTATION_S) or _exposure_s(get)


def _exposure_s(get: Getter) -> float | None:
    """Return the exposure time in seconds; Enhanced CT and single frames write milliseconds, else microseconds."""
    for keyword, unit_s in (("ExposureTimeInms", 1e-3), ("ExposureTimeInuS", 1e-6), ("ExposureTime", 1e-3)):
        written = number(get(keyword), largest=1e9)
        if written is not None and (time_s := within(written * unit_s, *ROTATION_S)):
            return time_s
    return None


def _current_ma(get: Getter) -> float | None:
    micro = number(get("XRayTubeCurrentInuA"), largest=1e9)
    written = number(get("XRayTubeCurrentInmA")), micro / 1000 if micro else None, number(get("XRayTubeCurrent"))
    return next((ma for ma in written if within(ma, 0.5, 2000)), None)


def _current_times_time_mas(get: Getter) -> float | None:
    """Return tube current times the time of an image, or None where the time is that of the scan."""
    current_ma = _current_ma(get)
    if current_ma is None:
        return None
    for time_s in (_exposure_s(get), within(number(get("RevolutionTime")), *ROTATION_S)):
        if time_s and (time_s <= LONGEST_QUICK_ROTATION_S or current_ma <= SMALL_TUBE_MA):
            return within(round(current_ma * time_s, 3), *EXPOSURE_MAS)
    return None


def _milliampere_seconds(value: object) -> float | None:
    return within(number(value), *EXPOSURE_MAS)


def _agrees(mas: float, product: float | None) -> bool:
    low, high = SHARE_OF_PRODUCT
    return product is None or low * product <= mas <= high * product
