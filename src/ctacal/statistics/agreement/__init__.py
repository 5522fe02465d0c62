"""Agreement of readers and models, of two or of several: each statistic a function from arrays to a frozen result.

If a statistic is not defined (no studies, all in one category, all scores equal), the result holds None and the reason;
no function returns NaN. Scores are Agatston units, categories count from 0, and the reference comes first::

    from ctacal.statistics.agreement import bland_altman, cross_table, icc_agreement, risk_categories, weighted_kappa

    kappa = weighted_kappa(cross_table(risk_categories(reader), risk_categories(model)))
    print(kappa)                              # 0.826 (0.809 to 0.842)
    limits = bland_altman(reader, model)      # .bias, .lower, .upper: each an Estimate

``categories``: tables of counts, kappa, agreement, tests of the margins. ``detection``: sensitivity, specificity,
predictive values. ``correlation``: ICC, Spearman, Pearson, Lin. ``bland_altman``: limits of agreement.
``method_comparison``: Passing-Bablok and Deming lines. ``difference``: two models against one reader.
``several_readers``: kappa of Fleiss and Light, Krippendorff's alpha. ``spread``: of repeat readings, and the spread
between readers. ``random_readers``: a model against readers who stand for all. ``lesions``: two label maps.
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
from ctacal.statistics.agreement.correlation import (
    icc_agreement,
    icc_consistency,
    icc_one_way,
    lin_concordance,
    pearson,
    spearman,
)
from ctacal.statistics.agreement.detection import (
    negative_predictive_value,
    positive_predictive_value,
    sensitivity,
    specificity,
)
from ctacal.statistics.agreement.difference import Compared, above, compare_models
from ctacal.statistics.agreement.lesions import (
    LesionAgreement,
    LesionMatch,
    VesselLesions,
    lesion_agreement,
    match_lesions,
    ratio_of_sums,
)
from ctacal.statistics.agreement.limits import (
    LimitsOfAgreement,
    RegressionLimits,
    bland_altman,
    bland_altman_ratio,
    regression_limits,
)
from ctacal.statistics.agreement.method_comparison import Line, deming, passing_bablok
from ctacal.statistics.agreement.random_readers import (
    OfTables,
    exact_agreement_of,
    kappa_beyond_readers,
    linear_kappa_of,
    over_readers,
    sensitivity_of,
    specificity_of,
)
from ctacal.statistics.agreement.several_readers import (
    UNREAD,
    all_agree,
    bootstrap_fleiss,
    fleiss_kappa,
    krippendorff_alpha,
    light_kappa,
)
from ctacal.statistics.agreement.spread import Spread, repeatability, reproducibility

__all__ = [
    "UNREAD",
    "WEIGHTS",
    "Compared",
    "LesionAgreement",
    "LesionMatch",
    "LimitsOfAgreement",
    "Line",
    "OfTables",
    "RegressionLimits",
    "Spread",
    "VesselLesions",
    "Weights",
    "above",
    "all_agree",
    "bland_altman",
    "bland_altman_ratio",
    "bootstrap_fleiss",
    "bootstrap_kappa",
    "bootstrap_kappas",
    "bowker",
    "compare_models",
    "cross_table",
    "deming",
    "exact_agreement",
    "exact_agreement_of",
    "five_class_categories",
    "fleiss_kappa",
    "icc_agreement",
    "icc_consistency",
    "icc_one_way",
    "kappa_beyond_readers",
    "kappa_difference",
    "krippendorff_alpha",
    "lesion_agreement",
    "light_kappa",
    "lin_concordance",
    "linear_kappa_of",
    "match_lesions",
    "negative_predictive_value",
    "over_readers",
    "passing_bablok",
    "pearson",
    "positive_predictive_value",
    "ratio_of_sums",
    "regression_limits",
    "repeatability",
    "reproducibility",
    "risk_categories",
    "sensitivity",
    "sensitivity_of",
    "spearman",
    "specificity",
    "specificity_of",
    "stuart_maxwell",
    "weighted_kappa",
    "within_one_agreement",
]
