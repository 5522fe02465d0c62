"""Statistics as pure functions: from arrays to frozen results, usable without the rest of the program.

``agreement`` compares a model and a reader (or two readers), ``survival`` analyses follow-up of patients; neither uses
the other. What both use stands here: ``Estimate``, a statistic with its interval; ``HypothesisTest``, a test with its
p value; the bootstrap; random effects of centres. Results hold estimate, interval, method and n. If the data do not
define a statistic, the result holds None and the reason; it is never NaN.
"""

from ctacal.statistics.bootstrap import RESAMPLES, percentile_interval, resampling, times_drawn
from ctacal.statistics.estimate import LEVEL, Estimate, Z, proportion, score_pair
from ctacal.statistics.hypothesis import HypothesisTest, chi_square, holm, undefined
from ctacal.statistics.meta_analysis import Combined, combine, combine_estimates

__all__ = [
    "LEVEL",
    "RESAMPLES",
    "Combined",
    "Estimate",
    "HypothesisTest",
    "Z",
    "chi_square",
    "combine",
    "combine_estimates",
    "holm",
    "percentile_interval",
    "proportion",
    "resampling",
    "score_pair",
    "times_drawn",
    "undefined",
]
