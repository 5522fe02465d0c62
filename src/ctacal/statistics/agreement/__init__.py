"""Agreement of a model and a reader, or of two readers: each statistic a function from arrays to a frozen result.

If a statistic is not defined (no studies, all in one category, all scores equal), the result holds None and the reason;
no function returns NaN. Scores are Agatston units, categories count from 0, and the reference comes first::

    from ctacal.statistics.agreement import bland_altman, cross_table, icc_agreement, risk_categories, weighted_kappa

    kappa = weighted_kappa(cross_table(risk_categories(reader), risk_categories(model)))
    print(kappa)                              # 0.826 (0.809 to 0.842)
    limits = bland_altman(reader, model)      # .bias, .lower, .upper: each an Estimate

``categories``: tables of counts, kappa, agreement, tests of the margins. ``detection``: sensitivity, specificity,
predictive values. ``correlation``: ICC, Spearman, Pearson, Lin. ``bland_altman``: limits of agreement.
``method_comparison``: Passing-Bablok and Deming lines. ``difference``: two models against one reader.
"""

from ctacal.statistics.agreement.categories import (
    WEIGHTS,
    Weights,
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
from ctacal.statistics.agreement.difference import Compared, above, compare_models
from ctacal.statistics.agreement.limits import (
    LimitsOfAgreement,
    RegressionLimits,
    bland_altman,
    bland_altman_ratio,
    regression_limits,
)
from ctacal.statistics.agreement.method_comparison import Line, deming, passing_bablok

__all__ = [
    "WEIGHTS",
    "Compared",
    "LimitsOfAgreement",
    "Line",
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
    "regression_limits",
    "risk_categories",
    "sensitivity",
    "spearman",
    "specificity",
    "stuart_maxwell",
    "weighted_kappa",
    "within_one_agreement",
]
