"""How often columns of two units are asked about, and how often ordinary ones are.

python benchmarks/mixed_units.py [--columns 300] [--sizes 120 500]

Prints the share of simulated columns that ``mixed_units.clusters`` asks about: ordinary ones, and the same with 5, 10,
30 and 50 % of the rows in another unit.
"""

import argparse
from collections.abc import Callable

import numpy as np

from ctacal.arrays import Floats
from ctacal.evaluate.readings.mixed_units import clusters

Draw = Callable[[np.random.Generator, int], Floats]
SHARES = (0.05, 0.1, 0.3, 0.5)


def _floored(rng: np.random.Generator, n: int) -> Floats:
    return np.maximum(5, np.exp(rng.normal(1.8, 1.2, n))).round()


def _glucose(rng: np.random.Generator, n: int) -> Floats:
    return np.where(rng.random(n) < 0.25, rng.normal(165, 50, n).clip(100), rng.normal(95, 9, n)).round()


ORDINARY: dict[str, Draw] = {
    "calcium, zero in 40 %": lambda rng, n: np.where(rng.random(n) < 0.4, 0, np.exp(rng.uniform(0, 8, n))).round(1),
    "risk, beta (2, 18)": lambda rng, n: rng.beta(2, 18, n).round(4),
    "risk, 0.001 to 0.9": lambda rng, n: 1 / (1 + np.exp(-rng.normal(-2.5, 1.5, n))),
    "percentages, 0.3 to 60": lambda rng, n: (100 * rng.beta(1, 9, n)).clip(0.3, 60).round(1),
    "perfusion defect": lambda rng, n: np.where(rng.random(n) < 0.3, 0, np.exp(rng.normal(1, 1, n))).round(1),
    "follow-up, days": lambda rng, n: np.ceil(np.minimum(rng.exponential(4000, n), rng.uniform(300, 1800, n))),
    "weight, kg": lambda rng, n: rng.normal(82, 15, n).clip(40).round(1),
    "triglycerides": lambda rng, n: np.exp(rng.normal(4.9, 0.5, n)).round(),
    "natriuretic peptide": lambda rng, n: np.exp(rng.normal(5.3, 1.4, n)).round(),
    "troponin with a floor": _floored,
    "ratio of two scores": lambda rng, n: np.exp(0.4 * rng.standard_t(4, n)),
    "glucose, a quarter diabetic": _glucose,
}
OTHER_UNIT = {
    "risk, beta (2, 18)": 100.0, "risk, 0.001 to 0.9": 100.0, "percentages, 0.3 to 60": 0.01, "perfusion defect": 0.01,
    "follow-up, days": 1 / 365.25, "weight, kg": 2.2046, "triglycerides": 1 / 88.57, "ratio of two scores": 10.0,
    "calcium, zero in 40 %": 10.0,
}  # fmt: skip


def asked(draw: Draw, n: int, columns: int, share: float = 0.0, factor: float = 1.0) -> str:
    """Return the share of columns that are asked about, in percent."""
    found = 0
    for seed in range(columns):
        rng = np.random.default_rng([seed, n])
        values = draw(rng, n)
        found += clusters(np.where(rng.random(n) < share, factor * values, values)) is not None
    return f"{100 * found / columns:.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--columns", type=int, default=300, help="columns of each kind and size")
    parser.add_argument("--sizes", type=int, nargs="+", default=[120, 500], help="rows of a column")
    options = parser.parse_args()
    for n in options.sizes:
        print(f"\n| {n} rows, % asked about | one unit | " + " | ".join(f"{share:.0%} in another" for share in SHARES))
        for name, draw in ORDINARY.items():
            factor = OTHER_UNIT.get(name)
            cells = [asked(draw, n, options.columns, share, factor) for share in SHARES] if factor else []
            print(" | ".join([f"| {name}", asked(draw, n, options.columns), *cells]))


if __name__ == "__main__":
    main()
