"""How far a model and a reader (or two readers) agree: each statistic from arrays to a frozen result.

Where a statistic is not defined (no studies, all in one category, all scores equal), the result holds None and says
why; nothing here returns NaN. Scores are Agatston units, categories count from 0; the reference comes first::

    from ctacal.statistics.agreement import bland_altman, cross_table, icc_agreement, risk_categories, weighted_kappa

    kappa = weighted_kappa(cross_table(risk_categories(reader), risk_categories(model)))
    print(kappa)                              # 0.826 (0.809 to 0.842)
    limits = bland_altman(reader, model)      # .bias, .lower, .upper: each an Estimate
"""

from ctacal.arrays import Floats, Ints
from ctacal.categories import CATEGORIES, FIVE_CATEGORIES
from ctacal.statistics.agreement.bland_altman import (
    LimitsOfAgreement,
    RegressionLimits,
    bland_altman,
    bland_altman_ratio,
    regression_limits,
)
from ctacal.statistics.agreement.categories import (
    WEIGHTS,
    MarginalTest,
    bootstrap_kappa,
    bootstrap_kappas,
    bowker,
    cross_table,
    exact_agreement,
    five_class_categories,
    kappa_difference,
    risk_categories,
    stuart_maxwell,
    weighted_kappa,
    within_one_agreement,
)
from ctacal.statistics.agreement.correlation import icc_agreement, icc_consistency, lin_concordance, pearson, spearman
from ctacal.statistics.agreement.detection import (
    negative_predictive_value,
    positive_predictive_value,
    sensitivity,
    specificity,
)
from ctacal.statistics.agreement.difference import CUTS, Compared, above, compare_models
from ctacal.statistics.agreement.method_comparison import Line, deming, passing_bablok
from ctacal.statistics.estimate import LEVEL, RESAMPLES, Estimate, Weights, proportion

__all__ = [
    "CATEGORIES",
    "CUTS",
    "FIVE_CATEGORIES",
    "LEVEL",
    "RESAMPLES",
    "WEIGHTS",
    "Compared",
    "Estimate",
    "Floats",
    "Ints",
    "LimitsOfAgreement",
    "Line",
    "MarginalTest",
    "RegressionLimits",
    "Weights",
    "above",
    "bland_altman",
    "bland_altman_ratio",
    "bootstrap_kappa",
    "bootstrap_kappas",
    "bowker",
    "compare_models",
    "cross_table",
    "deming",
    "exact_agreement",
    "five_class_categories",
    "icc_agreement",
    "icc_consistency",
    "kappa_difference",
    "lin_concordance",
    "negative_predictive_value",
    "passing_bablok",
    "pearson",
    "positive_predictive_value",
    "proportion",
    "regression_limits",
    "risk_categories",
    "sensitivity",
    "spearman",
    "specificity",
    "stuart_maxwell",
    "weighted_kappa",
    "within_one_agreement",
]
