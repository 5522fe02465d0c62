"""How well two scans of one patient, and those of two patients, fit upon each other: what ``ctacal compare`` tells by.

python benchmarks/another_patient.py STUDIES [--patients 12] [--each 2]

STUDIES is a folder of ``ctacal samples test``: each patient is scanned at several centres, with
other beats and breaths. Every two scans of a patient are laid upon each other, and one scan of every two patients.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from itertools import combinations, groupby, islice
from pathlib import Path

from ctacal.compare.chest import ONE_PATIENT, TWO_PATIENTS, chest_fit
from ctacal.compare.registration import best_fit
from ctacal.heart import HeartMask
from ctacal.nn.known_study import read_test_study
from ctacal.nn.locate import locate
from ctacal.nn.predict import load_locator
from ctacal.volume import Volume

Scan = tuple[str, Volume, HeartMask]
"""Name, image and heart."""


def scans_of(folder: Path, patients: int, each: int) -> list[list[Scan]]:
    """Return the first scans at different centres of each patient."""
    stage = load_locator()
    files = sorted(folder.glob("[!.]*.npz"))
    found: list[list[Scan]] = []
    for _, own in islice(groupby(files, lambda file: file.stem.rsplit("-", 1)[0]), patients):
        by_centre = {study.facts.centre: study for study in map(read_test_study, own)}
        studies = list(by_centre.values())[:each]
        found.append([(one.name, one.volume, locate(one.volume, stage).heart) for one in studies])
    return found


def pairs(scans: Sequence[Sequence[Scan]]) -> Iterator[tuple[bool, Scan, Scan]]:
    for own in scans:
        yield from ((True, *pair) for pair in combinations(own, 2))
    for number, (one, other) in enumerate(combinations(scans, 2)):
        yield False, one[number % len(one)], other[(number + 1) % len(other)]


def fits(a: Scan, b: Scan) -> tuple[float, float | None, float]:
    """Return the fit of the hearts, that of the chests, and the processor seconds of the latter."""
    hearts = best_fit(*a[1:], *b[1:])
    begin = time.process_time()
    chest = chest_fit(*a[1:], *b[1:], hearts)
    return hearts.fit, chest, time.process_time() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", type=Path)
    parser.add_argument("--patients", type=int, default=12)
    parser.add_argument("--each", type=int, default=2)
    arguments = parser.parse_args()
    scans = scans_of(arguments.studies, arguments.patients, arguments.each)
    found = [(same, *fits(a, b)) for same, a, b in pairs(scans)]
    print(f"{len(scans)} patients; chest: median {sorted(cpu for *_, cpu in found)[len(found) // 2]:.2f} s of CPU")
    for wanted, who in ((True, "one patient"), (False, "two patients")):
        hearts, chests = zip(*((heart, chest) for same, heart, chest, _ in found if same is wanted), strict=True)
        known = [chest for chest in chests if chest is not None]
        sure, unsure = sum(fit < TWO_PATIENTS for fit in known), sum(TWO_PATIENTS <= fit < ONE_PATIENT for fit in known)
        print(
            f"{who}: {len(known)} of {len(chests)} pairs; heart {min(hearts):.3f} to {max(hearts):.3f}; chest "
            f"{min(known):.3f} to {max(known):.3f}; called different {sure}, perhaps different {unsure}"
        )


if __name__ == "__main__":
    main()
