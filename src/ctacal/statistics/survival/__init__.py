"""Survival analysis: each statistic a function from arrays to a frozen result, usable without the command line.

Every result holds the estimate, its interval, the method and n, and the reason if something is not defined; it is never
NaN. A single figure is a ``ctacal.statistics.Estimate``, a test a ``ctacal.statistics.HypothesisTest``. ``data`` is
``SurvivalData``, whose times have the unit that it names; a horizon has the same unit. ``risk`` (n,) is the probability
of the event by the horizon (for the C-index any score that grows with risk). Functions raise ``ValueError`` for wrong
shapes or values::

    from ctacal.statistics.survival import SurvivalData, cox, harrell_c, kaplan_meier

    data = SurvivalData(time, event, unit="years")
    print(kaplan_meier(data).at(3))                     # survival at 3 years, with its interval
    model = cox(data, covariates, ["age", "calcium"])   # a CoxModel, or NoModel with the reason
    print(harrell_c(data, covariates @ model.coefficient))

``survival_data``: the follow-up. ``survival_curve``: Kaplan-Meier, patients at risk, restricted mean, event rate.
``log_rank``: log-rank tests. ``cox_model``: Cox model, predictions, residuals. ``proportional_hazards``: test of that
assumption. ``splines``: restricted cubic splines. ``discrimination``: C-index, time-dependent AUC, DeLong.
``calibration``: Brier score, observed / expected, intercept, slope, groups; ``smooth_calibration``: the curve.
``decision``: net benefit. ``stratified``: Cox model with strata, such as centres. ``firth``: penalised Cox model.
``changing``: hazard ratios that change with time. ``restricted_difference``: of restricted means.
``validation``: performance corrected for optimism. ``held_out``: models measured in other patients, centre by centre.
``reclassification``: NRI and IDI of given risks; ``nri``: the same of models fitted here, with intervals.
``competing``: cumulative incidence, Fine-Gray; ``gray``: Gray's test. ``imputation``: chained equations, Rubin's rules.
``pooling``: figures of imputed sets made one. ``imputed_nri``: NRI and IDI over imputed sets.
``sample_size``: patients needed. ``confounding``: E-values.

Formulas, sources and tolerances: ``docs/prognosis.md``. Needs numba (``pip install 'ctacal[evaluate]'``), imported when
a name is first used. Research use, not a medical device.
"""

from typing import TYPE_CHECKING

from ctacal.public_names import imported_on_use

if TYPE_CHECKING:
    from ctacal.statistics.survival.calibration import (
        CalibrationGroup,
        Recalibration,
        brier_difference,
        brier_score,
        calibration_groups,
        calibration_intercept,
        calibration_slope,
        observed_expected,
        prediction_accuracy,
        recalibrate,
    )
    from ctacal.statistics.survival.changing import ChangingEffect, changing_effect
    from ctacal.statistics.survival.competing import CumulativeIncidence, FineGray, cumulative_incidence, fine_gray
    from ctacal.statistics.survival.confounding import EValue, e_value
    from ctacal.statistics.survival.cox_model import (
        BaselineHazard,
        CoxModel,
        NoModel,
        Ties,
        baseline_hazard,
        clustered_ratio,
        compare,
        cox,
        joint_wald,
        predicted_curve,
        predicted_risk,
        predicted_survival,
        relative_hazard,
        robust_errors,
        score_residuals,
    )
    from ctacal.statistics.survival.decision import DecisionPoint, decision_curve, net_benefit, net_benefit_difference
    from ctacal.statistics.survival.discrimination import (
        RocCurve,
        auc_at,
        auc_difference,
        delong,
        delong_difference,
        harrell_c,
        harrell_c_difference,
        p_value,
        roc_at,
        uno_c,
        uno_c_difference,
    )
    from ctacal.statistics.survival.firth import FirthModel, firth_cox
    from ctacal.statistics.survival.gray import gray_test
    from ctacal.statistics.survival.held_out import HeldOut, internal_external, measure_held_out
    from ctacal.statistics.survival.imputation import Covariate, Pooled, impute, pool
    from ctacal.statistics.survival.imputed_nri import imputed_reclassification
    from ctacal.statistics.survival.log_rank import LogRank, PairTest, logrank, logrank_pairs, logrank_trend
    from ctacal.statistics.survival.nri import ReclassificationStudy, bootstrap_reclassification
    from ctacal.statistics.survival.pooling import needed_imputations, pool_estimates, pooled_test
    from ctacal.statistics.survival.proportional_hazards import ProportionalHazards, Transform, schoenfeld_test
    from ctacal.statistics.survival.reclassification import (
        Estimator,
        IfUseless,
        Kind,
        Reclassification,
        ReclassificationTable,
        discrimination_improvement,
        net_reclassification,
        reclassification_table,
    )
    from ctacal.statistics.survival.restricted_difference import restricted_mean_difference
    from ctacal.statistics.survival.sample_size import (
        FittedStrength,
        SampleSize,
        fitted_strength,
        required_sample_size,
    )
    from ctacal.statistics.survival.smooth_calibration import CalibrationCurve, calibration_curve
    from ctacal.statistics.survival.splines import spline_basis, spline_knots
    from ctacal.statistics.survival.stratified import StratifiedModel, stratified_cox
    from ctacal.statistics.survival.survival_curve import (
        Interval,
        SurvivalCurve,
        at_risk,
        event_rate,
        events_until,
        kaplan_meier,
        median_follow_up,
        restricted_mean,
    )
    from ctacal.statistics.survival.survival_data import SurvivalData
    from ctacal.statistics.survival.validation import (
        Validated,
        Validation,
        cross_validate,
        validate,
        validate_imputed,
    )

_NAMES = {
    "survival_data": ("SurvivalData",),
    "survival_curve": (
        "Interval",
        "SurvivalCurve",
        "at_risk",
        "event_rate",
        "events_until",
        "kaplan_meier",
        "median_follow_up",
        "restricted_mean",
    ),
    "log_rank": ("LogRank", "PairTest", "logrank", "logrank_pairs", "logrank_trend"),
    "cox_model": (
        "BaselineHazard",
        "CoxModel",
        "NoModel",
        "Ties",
        "baseline_hazard",
        "clustered_ratio",
        "compare",
        "cox",
        "joint_wald",
        "predicted_curve",
        "predicted_risk",
        "predicted_survival",
        "relative_hazard",
        "robust_errors",
        "score_residuals",
    ),
    "proportional_hazards": ("ProportionalHazards", "Transform", "schoenfeld_test"),
    "splines": ("spline_basis", "spline_knots"),
    "reclassification": (
        "Estimator",
        "IfUseless",
        "Kind",
        "Reclassification",
        "ReclassificationTable",
        "discrimination_improvement",
        "net_reclassification",
        "reclassification_table",
    ),
    "nri": ("ReclassificationStudy", "bootstrap_reclassification"),
    "discrimination": (
        "RocCurve",
        "auc_at",
        "auc_difference",
        "delong",
        "delong_difference",
        "harrell_c",
        "harrell_c_difference",
        "p_value",
        "roc_at",
        "uno_c",
        "uno_c_difference",
    ),
    "calibration": (
        "CalibrationGroup",
        "Recalibration",
        "brier_difference",
        "brier_score",
        "calibration_groups",
        "calibration_intercept",
        "calibration_slope",
        "observed_expected",
        "prediction_accuracy",
        "recalibrate",
    ),
    "firth": ("FirthModel", "firth_cox"),
    "changing": ("ChangingEffect", "changing_effect"),
    "restricted_difference": ("restricted_mean_difference",),
    "gray": ("gray_test",),
    "stratified": ("StratifiedModel", "stratified_cox"),
    "held_out": ("HeldOut", "internal_external", "measure_held_out"),
    "smooth_calibration": ("CalibrationCurve", "calibration_curve"),
    "decision": ("DecisionPoint", "decision_curve", "net_benefit", "net_benefit_difference"),
    "competing": ("CumulativeIncidence", "FineGray", "cumulative_incidence", "fine_gray"),
    "imputation": ("Covariate", "Pooled", "impute", "pool"),
    "pooling": ("needed_imputations", "pool_estimates", "pooled_test"),
    "imputed_nri": ("imputed_reclassification",),
    "confounding": ("EValue", "e_value"),
    "sample_size": ("FittedStrength", "SampleSize", "fitted_strength", "required_sample_size"),
    "validation": ("Validated", "Validation", "cross_validate", "validate", "validate_imputed"),
}
"""Public names of each module."""

__all__ = [
    "BaselineHazard",
    "CalibrationCurve",
    "CalibrationGroup",
    "ChangingEffect",
    "Covariate",
    "CoxModel",
    "CumulativeIncidence",
    "DecisionPoint",
    "EValue",
    "Estimator",
    "FineGray",
    "FirthModel",
    "FittedStrength",
    "HeldOut",
    "IfUseless",
    "Interval",
    "Kind",
    "LogRank",
    "NoModel",
    "PairTest",
    "Pooled",
    "ProportionalHazards",
    "Recalibration",
    "Reclassification",
    "ReclassificationStudy",
    "ReclassificationTable",
    "RocCurve",
    "SampleSize",
    "StratifiedModel",
    "SurvivalCurve",
    "SurvivalData",
    "Ties",
    "Transform",
    "Validated",
    "Validation",
    "at_risk",
    "auc_at",
    "auc_difference",
    "baseline_hazard",
    "bootstrap_reclassification",
    "brier_difference",
    "brier_score",
    "calibration_curve",
    "calibration_groups",
    "calibration_intercept",
    "calibration_slope",
    "changing_effect",
    "clustered_ratio",
    "compare",
    "cox",
    "cross_validate",
    "cumulative_incidence",
    "decision_curve",
    "delong",
    "delong_difference",
    "discrimination_improvement",
    "e_value",
    "event_rate",
    "events_until",
    "fine_gray",
    "firth_cox",
    "fitted_strength",
    "gray_test",
    "harrell_c",
    "harrell_c_difference",
    "impute",
    "imputed_reclassification",
    "internal_external",
    "joint_wald",
    "kaplan_meier",
    "logrank",
    "logrank_pairs",
    "logrank_trend",
    "measure_held_out",
    "median_follow_up",
    "needed_imputations",
    "net_benefit",
    "net_benefit_difference",
    "net_reclassification",
    "observed_expected",
    "p_value",
    "pool",
    "pool_estimates",
    "pooled_test",
    "predicted_curve",
    "predicted_risk",
    "predicted_survival",
    "prediction_accuracy",
    "recalibrate",
    "reclassification_table",
    "relative_hazard",
    "required_sample_size",
    "restricted_mean",
    "restricted_mean_difference",
    "robust_errors",
    "roc_at",
    "schoenfeld_test",
    "score_residuals",
    "spline_basis",
    "spline_knots",
    "stratified_cox",
    "uno_c",
    "uno_c_difference",
    "validate",
    "validate_imputed",
]

__getattr__ = imported_on_use(__name__, _NAMES)
