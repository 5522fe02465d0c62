"""How often two scans of an unchanged patient are called changed, and how often plaques that grew are seen.

python benchmarks/rescan_bar.py FOLDER

FOLDER holds the tables of ``ctacal rescan``. Limits for each patient are made from the other patients' pairs alone, so
that every pair is one of a patient unseen when the limits were made. Detection: the second scan is one of the same
patient whose plaques have 30 % more mass, and the first has an Agatston score of 200 or more.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from ctacal.compare.rescanned import RescanPairs, Spread, spread_of
from ctacal.jobs.rescan_limits import pairs_of, read_scans
from ctacal.jobs.rescans import Row

LEAST_AGATSTON = 200.0

Called = list[bool]


def unseen(pairs: RescanPairs) -> Iterator[tuple[str, Spread]]:
    """Yield each patient with the spread of all others' pairs."""
    for patient in sorted(set(pairs.patient)):
        yield patient, spread_of(pairs.without(patient))


def unchanged(pairs: RescanPairs) -> tuple[dict[str, Called], int]:
    """Return by centre whether each pair is called beyond, and the number of pairs without any calcium."""
    called: dict[str, Called] = defaultdict(list)
    for patient, spread in unseen(pairs):
        for centre, whose, a, b in zip(pairs.centre, pairs.patient, pairs.first, pairs.second, strict=True):
            if whose == patient and centre in spread.factor:
                called[centre].append(spread.is_beyond(centre, float(a), float(b)))
    return called, int(((pairs.first == 0) & (pairs.second == 0)).sum())


def grown(rows: Sequence[Row], pairs: RescanPairs) -> dict[str, Called]:
    """Return by centre whether each pair of a scan and one with grown plaques is called beyond."""
    scored = [row for row in rows if row["status"] == "scored"]
    called: dict[str, Called] = defaultdict(list)
    for patient, spread in unseen(pairs):
        for after in (row for row in scored if row["patient"] == patient and row["grown"] == "1"):
            same = [row for row in scored if row["grown"] == "0" and _calcium(row) == _calcium(after)]
            for before in (float(row["agatston"]) for row in same):
                if before >= LEAST_AGATSTON and after["centre"] in spread.factor:
                    rises = float(after["agatston"]) > before
                    beyond = spread.is_beyond(after["centre"], before, float(after["agatston"]))
                    called[after["centre"]].append(rises and beyond)
    return called


def _calcium(row: Row) -> tuple[str, str, str]:
    return row["patient"], row["draw"], row["centre"]


def share(called: Called) -> str:
    return f"{sum(called)} of {len(called)} ({sum(called) / len(called):.0%})" if called else "none"


def main() -> None:
    rows = read_scans(Path(sys.argv[1]))
    pairs = pairs_of(rows, "agatston")
    same, without = unchanged(pairs)
    more = grown(rows, pairs)
    print(
        f"{len(rows)} scans of {len(set(pairs.patient))} patients, {sum(map(len, same.values()))} pairs without change"
    )
    print("| centre | called beyond, unchanged | +30 % of mass, A >= 200: called beyond |\n| --- | --- | --- |")
    for centre in sorted(same):
        print(f"| {centre} | {share(same[centre])} | {share(more[centre])} |")
    everywhere = (share([*chain.from_iterable(called.values())]) for called in (same, more))
    print(f"| all | {' | '.join(everywhere)} |")
    print(f"\n{without} of the unchanged pairs show no calcium in either scan.")


if __name__ == "__main__":
    main()
