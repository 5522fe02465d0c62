"""Scans for the tests of comparisons: what one would know of them, without any image."""

from dataclasses import replace
from datetime import date
from typing import Any

from ctacal.categories import risk_category
from ctacal.compare.limits import Band, Limits
from ctacal.compare.protocol import ScanProtocol
from ctacal.compare.scan import Amount, ComparedScan
from ctacal.dicom.scans.patient import Identity

PROTOCOL = ScanProtocol(
    manufacturer="SIEMENS", model="Symbia T16", kvp=130.0, slice_thickness_mm=5.0, slice_spacing_mm=5.0, kernel="B30s"
)
PATIENT = Identity("4711", "Doe^Jane", "19500102", "F", "070Y")
LIMITS = Limits(
    name="ours",
    origin="site",
    bands={"agatston": Band(mean_sqrt=(0.0, 40.0), low=(-3.0, -3.0), high=(3.0, 3.0))},
    pairs=40,
    patients=38,
    protocol=PROTOCOL,
    rule="scct2016",
)
"""Within which the square roots of the Agatston scores differ by 3 at most."""


def scan(agatston: float, day: date | None = date(2020, 3, 1), **changes: Any) -> ComparedScan:
    """Return a scored scan, all of its calcium in the LAD; its UIDs are those of its day and score."""
    return replace(
        ComparedScan(
            study_uid=f"1.2.{day:%Y%m%d}.{agatston:.0f}" if day else f"1.2.{agatston:.0f}",
            series_uid=f"1.3.{day}.{agatston}",
            day=day,
            protocol=PROTOCOL,
            amounts={
                "agatston": Amount(agatston, {"LAD": agatston, "RCA": 0.0}),
                "volume_mm3": Amount(agatston * 0.8, {"LAD": agatston * 0.8, "RCA": 0.0}),
            },
            category=risk_category(agatston),
            rule="scct2016",
            model_digest="m",
            model="net 1",
            patient=PATIENT,
        ),
        **changes,
    )
