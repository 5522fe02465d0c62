"""Prognosis: each statistic a function from arrays to a frozen result, usable without the command line.

Every result holds the estimate, its interval, the method, n and, where something is not defined, the reason: never NaN.
A single figure is a ``ctacal.statistics.estimate.Estimate``, a test a ``ctacal.statistics.hypothesis.HypothesisTest``.
Times are in the unit that
``SurvivalData`` names; a horizon is in the same unit. Formulas, sources and tolerances: ``docs/prognosis.md``.
Needs numba (``pip install 'ctacal[evaluate]'``). Research use, not a medical device.

``hypothesis.py``
    HypothesisTest(statistic, df, p, method, n, reason)               frozen; statistic and p None with a reason
    holm(p) -> tuple[float, ...]                                      adjusted p values

``survival_data.py``
    SurvivalData(time, event, unit="years")                           frozen, checked; .n, .events, .take(rows)

``kaplan_meier.py``
    kaplan_meier(data, interval="log-log" | "log" | "plain") -> SurvivalCurve
        SurvivalCurve: times, at_risk, events, censored, survival, error, low, high (k,); unit, method, n
        .at(time) -> Estimate (survival); .median() -> Estimate
    at_risk(data, ticks) -> (k,) counts before the events at a tick;  events_until(data, ticks) -> (k,)
    restricted_mean(data, horizon) -> Estimate;  median_follow_up(data) -> Estimate (reverse Kaplan-Meier)
    event_rate(data) -> Estimate                                      events per unit of time, exact Poisson interval

``logrank.py``
    logrank(data, group, strata=None, rho=0.0) -> LogRank             .test, .groups, .observed, .expected
    logrank_trend(data, group, scores=None, strata=None) -> HypothesisTest
    logrank_pairs(data, group) -> tuple[PairTest, ...]                .first, .second, .test, .p_holm

``cox.py``
    cox(data, covariates, names=None, ties="efron" | "breslow", weights=None) -> CoxModel | NoModel
        NoModel: reason, method, n, events                            no events, separation, collinear, constant ..
        CoxModel: names, coefficient, error, z, p (p,), covariance (p, p), log_likelihood,
            log_likelihood_null, likelihood_ratio, wald, score (HypothesisTest), aic, ties, method, n, events, data,
            covariates, centre; .hazard_ratio(name_or_index) -> Estimate; .linear_predictor(covariates) -> (m,)
    compare(smaller, larger) -> HypothesisTest                        likelihood ratio of nested models
    joint_wald(model, names) -> HypothesisTest                        several coefficients (spline, interaction)
    baseline_hazard(model) -> BaselineHazard                          times, hazard (k,) cumulative, at covariates 0
    predicted_risk(model, covariates, horizon) -> (m,)                1 - S(horizon | covariates)
    predicted_survival(model, covariates, times) -> (m, k)
    predicted_curve(model, covariates_of_one) -> SurvivalCurve        with interval
    robust_errors(model, cluster=None) -> (p,);  score_residuals(model) -> (n, p)
    relative_hazard(model, covariates, reference) -> list[Estimate]   hazard ratio along a spline, with interval

``proportional_hazards.py``
    schoenfeld_test(model, transform="km" | "rank" | "identity" | "log") -> ProportionalHazards
        .tests (one per covariate), .overall (HypothesisTest); .times, .residuals (scaled Schoenfeld, events x p)

``splines.py``
    spline_knots(x, knots=4) -> (k,);  spline_basis(x, knots) -> (n, k - 1)      Harrell; first column is x

``reclassification.py``
    Reclassification: kind ("category-free" | "categorical" | "IDI"), estimator ("kaplan-meier" | "ipw"), horizon, unit,
        cutoffs, comparison, total, event, nonevent (Estimate), up_event, down_event, up_nonevent, down_nonevent
    net_reclassification(data, old_risk, new_risk, horizon, cutoffs=None, estimator="kaplan-meier")
    discrimination_improvement(data, old_risk, new_risk, horizon)                               IDI, IPW
    reclassification_table(data, old_risk, new_risk, horizon, cutoffs) -> ReclassificationTable
        .counts, .events, .nonevents (old x new class; events by Kaplan-Meier within the cell)

``nri.py``
    bootstrap_reclassification(data, reference, model, reader=None, *, horizon, cutoffs=None, resamples=1000, seed=0,
            ties="efron", progress=None) -> ReclassificationStudy     refits the Cox models in each resample
        reference, model, reader: full covariate matrices (n, p) of the three Cox models; progress(done, total)
        .results: tuple[Reclassification, ...], comparison "model", "reader", "model - reader"
        .find(comparison, kind, estimator) -> Reclassification; .reason where a model cannot be fitted
        .tests: (comparison, likelihood-ratio test against the reference, where nested)

``discrimination.py``
    harrell_c(data, risk), harrell_c_difference(data, risk, other) -> Estimate
    uno_c(data, risk, tau=None), uno_c_difference(data, risk, other, tau=None) -> Estimate
    auc_at(data, risk, horizon), auc_difference(data, risk, other, horizon) -> Estimate        IPCW, cumulative/dynamic
    roc_at(data, risk, horizon) -> RocCurve (threshold, sensitivity, specificity)
    delong(outcome, score), delong_difference(outcome, score, other) -> Estimate                no censoring
    p_value(difference) -> float | None                               of any difference with a normal interval

``calibration.py``
    brier_score(data, risk, horizon), brier_difference(data, risk, other, horizon) -> Estimate
    prediction_accuracy(data, risk, horizon) -> Estimate              1 - Brier / Brier of Kaplan-Meier
    observed_expected(data, risk, horizon) -> Estimate                (1 - Kaplan-Meier) / mean risk
    calibration_intercept(data, risk, horizon), calibration_slope(data, risk, horizon) -> Estimate
    calibration_groups(data, risk, horizon, groups=10) -> tuple[CalibrationGroup, ...]  .n, .predicted, .observed

``decision_curve.py``
    net_benefit(data, risk, horizon, threshold), net_benefit_difference(data, risk, other, horizon, threshold)
    decision_curve(data, risk, horizon, thresholds) -> tuple[DecisionPoint, ...]
        .threshold, .net_benefit, .treat_all (Estimate), .share_treated

``competing.py``
    cumulative_incidence(time, cause) -> CumulativeIncidence;  fine_gray(time, cause, covariates, ..)

``imputation.py``
    impute(..);  pool(estimates, errors) -> Pooled                    chained equations; Rubin's rules

Throughout ``data`` is ``SurvivalData``, ``risk`` (n,) a probability of the event by the horizon (for the C-index: any
score that grows with risk). ``ValueError`` where shapes or values are wrong; a statistic that the data do not define is
a result with a ``reason``.
"""
