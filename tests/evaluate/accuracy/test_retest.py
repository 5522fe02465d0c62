"""The section of the model card on patients who were scanned twice."""

import numpy as np

from ctacal.compare.rescanned import RescanPairs
from ctacal.evaluate.accuracy.retest import retest_section


def pairs_with(noise: float, patients: int = 8) -> RescanPairs:
    rng = np.random.default_rng(3)
    roots = np.tile([0.0, 6.0, 15.0, 24.0], patients)
    first, second = (np.maximum(roots + noise * rng.normal(size=len(roots)) * (roots > 0), 0) ** 2 for _ in range(2))
    patient = tuple(str(number // 4) for number in range(len(roots)))
    return RescanPairs(("hawkeye_slow",) * len(roots), patient, first, second)


def cells(text: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith("| hawkeye_slow"))
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_a_line_for_each_centre_with_kappa_and_limits() -> None:
    quiet, loud = (cells(retest_section(pairs_with(noise))) for noise in (0.2, 2.0))
    assert quiet[:3] == ["hawkeye_slow", "8", "32"]
    assert quiet[3].startswith("1.000")
    assert float(loud[3].split()[0]) < 1.0
    widths = []
    for line in (quiet, loud):
        low, high = map(float, line[5].split(" to "))
        assert low < 100 < high
        widths.append(high - low)
    assert widths[1] > 4 * widths[0]


def test_without_pairs_it_says_so() -> None:
    assert "No patient was scanned twice." in retest_section(None)
