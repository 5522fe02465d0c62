# Validation, recalibration and centres: R 4.2.2 with survival 3.5-3, rms 6.5-0 and metafor 3.8-1 of Debian.
# Rscript evidence.R > evidence.json, run in this folder.
suppressPackageStartupMessages({library(survival); library(rms); library(metafor); library(jsonlite)})
read <- function(name) read.csv(file.path("data", paste0(name, ".csv")))
pbc <- read("pbc"); lung <- read("lung"); colon <- read("colon")
exact <- coxph.control(eps = 1e-14, toler.chol = 1e-15, iter.max = 50)
out <- list(provenance = list(R = R.version.string, survival = as.character(packageVersion("survival")),
            rms = as.character(packageVersion("rms")), metafor = as.character(packageVersion("metafor"))))

# Measures of risks 1 - exp(-exp(log_hazard)), from their definitions: Harrell's C, AUC and Brier score weighted by
# 1 / G(t-), slope
horizon <- 2000
measures <- function(d, log_hazard) {
  risk <- 1 - exp(-exp(log_hazard))
  # Censorings a tenth of a day later, so that they come after the events of their day
  g <- survfit(Surv(time + 0.1 * (1 - event), 1 - event) ~ 1, d)
  before <- function(t) c(1, g$surv)[findInterval(t, g$time, left.open = TRUE) + 1]
  case <- d$event == 1 & d$time <= horizon; control <- d$time > horizon | (d$time == horizon & d$event == 0)
  w <- ifelse(case, 1 / before(d$time), 0)
  a <- outer(risk[case], risk[control], function(x, y) (x > y) + 0.5 * (x == y))
  auc <- sum(w[case] * rowSums(a)) / (sum(w[case]) * sum(control))
  brier <- mean(w * (1 - risk)^2 + ifelse(control, risk^2 / before(horizon), 0))
  slope <- coef(coxph(Surv(time, event) ~ log_hazard, d, ties = "breslow", control = exact))
  c(concordance(Surv(time, event) ~ risk, d, reverse = TRUE)$concordance, auc, brier, unname(slope))
}
log_hazard_of <- function(f, d) {
  h <- basehaz(f, centered = FALSE)
  log(tail(h$hazard[h$time <= horizon], 1)) + (as.matrix(d[names(coef(f))]) %*% coef(f))[, 1]
}
formulas <- list(old = Surv(time, event) ~ age + lbili + albumin, new = Surv(time, event) ~ age + lbili + albumin + protime)
fit <- function(formula, d) coxph(formula, d, ties = "breslow", control = exact, model = TRUE, x = TRUE, y = TRUE)

# Optimism by the bootstrap; the draws are those that rms::validate makes with the same seed
resamples <- 20
set.seed(42)
draws <- lapply(1:resamples, function(b) sample(nrow(pbc), replace = TRUE))
out$draws <- lapply(draws, function(rows) tabulate(rows, nrow(pbc)))
out$bootstrap <- lapply(formulas, function(formula) list(
  apparent = measures(pbc, log_hazard_of(fit(formula, pbc), pbc)),
  train = t(sapply(draws, function(rows) measures(pbc[rows, ], log_hazard_of(fit(formula, pbc[rows, ]), pbc[rows, ])))),
  test = t(sapply(draws, function(rows) measures(pbc, log_hazard_of(fit(formula, pbc[rows, ]), pbc))))))
out$rms <- lapply(formulas, function(formula) {
  f <- cph(formula, pbc, x = TRUE, y = TRUE, surv = TRUE, method = "breslow", eps = 1e-14, tol = 1e-15)
  set.seed(42)
  v <- unclass(rms::validate(f, B = resamples))
  list(dxy = unname(v["Dxy", 1:5]), slope = unname(v["Slope", 1:5]))
})

# Cross-validation in five given folds, all risks measured together
out$fold <- (seq_len(nrow(pbc)) * 7) %% 5
out$crossed <- lapply(formulas, function(formula) {
  log_hazard <- numeric(nrow(pbc))
  for (k in 0:4) log_hazard[out$fold == k] <- log_hazard_of(fit(formula, pbc[out$fold != k, ]), pbc[out$fold == k, ])
  measures(pbc, log_hazard)
})
# Risks as given: the slope by Cox's model of log(-log(1 - risk)), follow-up ended at the horizon; then the intercept that
# makes the mean risk that of Kaplan-Meier
given <- read.csv("data/pbc_pred_t2000.csv")
given <- given[given$p_std < 0.999, ]
given$z <- log(-log(1 - given$p_std))
slope <- unname(coef(coxph(Surv(pmin(time, horizon), event * (time <= horizon)) ~ z, given, control = exact)))
observed <- 1 - summary(survfit(Surv(time, event) ~ 1, given), times = horizon)$surv
level <- uniroot(function(a) mean(1 - exp(-exp(a + slope * given$z))) - observed, c(-5, 5), tol = 1e-14)$root
out$recalibrated <- list(slope = slope, intercept = level)

# The smooth calibration curve: restricted cubic spline with Harrell's 4 knots, follow-up ended at the horizon
knots <- rcspline.eval(given$z, nk = 4, knots.only = TRUE)
basis <- function(z) { b <- rcspline.eval(z, knots = knots, inclx = TRUE); colnames(b) <- c("b1", "b2", "b3"); b }
curved <- data.frame(time = pmin(given$time, horizon), event = given$event * (given$time <= horizon), basis(given$z))
f <- coxph(Surv(time, event) ~ b1 + b2 + b3, curved, control = exact, model = TRUE)
at <- seq(quantile(given$p_std, 0.01), quantile(given$p_std, 0.99), length.out = 40)
s <- summary(survfit(f, newdata = data.frame(basis(log(-log(1 - at)))), conf.type = "log-log"), times = horizon, extend = TRUE)
observed <- 1 - exp(-tail(basehaz(f, centered = FALSE)$hazard, 1) * exp(drop(basis(given$z) %*% coef(f))))
out$curve <- list(predicted = at, observed = 1 - drop(s$surv), low = 1 - drop(s$upper), high = 1 - drop(s$lower),
                  average_error = mean(abs(observed - given$p_std)),
                  large_error = unname(quantile(abs(observed - given$p_std), 0.9)))

# Centres: strata, cluster-robust errors, random effects
lung$inst[is.na(lung$inst)] <- 99
lung_formula <- Surv(time, event) ~ age + female + ph.ecog
lung <- lung[complete.cases(lung[c("time", "event", "age", "female", "ph.ecog")]), ]
out$strata <- list()
for (ties in c("efron", "breslow")) {
  f <- coxph(update(lung_formula, ~ . + strata(inst)), lung, ties = ties, control = exact)
  g <- coxph(lung_formula, lung, ties = ties, control = exact, cluster = inst)
  out$strata[[ties]] <- list(coef = unname(coef(f)), se = unname(sqrt(diag(vcov(f)))), loglik = f$loglik,
                             robust = unname(sqrt(diag(vcov(g)))))
}
out$combined <- lapply(list(
  apart = list(y = c(0.31, 0.52, -0.10, 0.44, 0.95, 0.20), s = c(0.12, 0.20, 0.15, 0.30, 0.25, 0.10)),
  alike = list(y = c(0.30, 0.33, 0.28), s = c(0.12, 0.20, 0.15)), pair = list(y = c(0.3, 1.1), s = c(0.1, 0.2))),
  function(one) {
    r <- rma(one$y, sei = one$s, method = "REML", test = "knha", control = list(threshold = 1e-14, maxiter = 1000))
    list(y = one$y, s = one$s, mean = unname(r$b[1]), low = r$ci.lb, high = r$ci.ub,
         tau = sqrt(r$tau2), share = r$I2 / 100, q = r$QE, p = r$QEp)
  })
# Time until a risk is reached
q <- quantile(survfit(Surv(time, event) ~ 1, pbc, conf.type = "log-log"), probs = c(0.01, 0.05, 0.2))
out$time_to_risk <- list(risk = c(0.01, 0.05, 0.2), time = unname(q$quantile), low = unname(q$lower), high = unname(q$upper))
cat(toJSON(out, digits = I(17), auto_unbox = TRUE))
