"""How far a model and a reader (or two readers) agree: each statistic from arrays to a frozen result.

Where a statistic is not defined (no studies, all in one category, all scores equal), the result holds None and says
why; nothing here returns NaN. Scores are Agatston units, categories count from 0; the reference comes first::

    from ctacal.agreement import bland_altman, cross_table, icc_agreement, risk_categories, weighted_kappa

    kappa = weighted_kappa(cross_table(risk_categories(reader), risk_categories(model)))
    print(kappa)                              # 0.826 (0.809 to 0.842)
    limits = bland_altman(reader, model)      # .bias, .lower, .upper: each an Estimate
"""

from ctacal.agreement.bland_altman import (
    LimitsOfAgreement,
    RegressionLimits,
    bland_altman,
    bland_altman_ratio,
    regression_limits,
)
from ctacal.agreement.categories import (
    CATEGORIES,
    FIVE_CATEGORIES,
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
from ctacal.agreement.correlation import icc_agreement, icc_consistency, lin_concordance, pearson, spearman
from ctacal.agreement.detection import (
    negative_predictive_value,
    positive_predictive_value,
    sensitivity,
    specificity,
)
from ctacal.agreement.difference import CUTS, Compared, above, compare_models
from ctacal.agreement.estimate import LEVEL, RESAMPLES, Counts, Estimate, Floats, Weights, proportion
from ctacal.agreement.method_comparison import Line, deming, passing_bablok

__all__ = [
    "CATEGORIES",
    "CUTS",
    "FIVE_CATEGORIES",
    "LEVEL",
    "RESAMPLES",
    "WEIGHTS",
    "Compared",
    "Counts",
    "Estimate",
    "Floats",
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
