# Sample size for a survival model (Riley 2019, 2020) and E-values (VanderWeele and Ding 2017), by hand from the papers.
# R 4.2.2, survival 3.5-3. Rscript planning.R > planning.json, run in this folder.
suppressPackageStartupMessages({library(survival); library(jsonlite)})

needed <- function(p, r2, rate, followed, horizon) {
  for_shrinkage <- function(s) p / ((s - 1) * log(1 - r2 / s))
  n <- 1e6; events <- rate * followed * n
  most <- 1 - exp(2 * (events * log(events / n) - events) / n)
  # Overall risk: the larger distance from an end of the interval, searched patient by patient
  far <- function(n) {
    rate_end <- rate - qnorm(0.975) * sqrt(rate / (followed * n))
    (1 - exp(-rate * horizon)) - (1 - exp(-rate_end * horizon))
  }
  risk <- ceiling(uniroot(function(n) far(n) - 0.05, c(1, 1e6), tol = 1e-9)$root)
  list(parameters = p, r2 = r2, rate = rate, followed = followed, horizon = horizon, largest_r2 = most,
       shrinkage = ceiling(for_shrinkage(0.9)), optimism = ceiling(for_shrinkage(r2 / (r2 + 0.05 * most))), risk = risk)
}
sizes <- list(needed(30, 0.051, 0.065, 2.07, 2), needed(25, 0.065, 0.065, 2.07, 2), needed(80, 0.3, 0.03, 5, 1),
              needed(3, 0.2, 0.2, 3, 5))

lung <- read.csv("data/lung.csv")
fit <- coxph(Surv(time, event) ~ age + female, lung, control = coxph.control(eps = 1e-14, iter.max = 50))
lr <- 2 * diff(fit$loglik)
strength <- list(chi_square = lr, n = fit$n, parameters = 2, r2 = 1 - exp(-lr / fit$n), shrinkage = (lr - 2) / lr)

e <- function(rr) { rr <- ifelse(rr < 1, 1 / rr, rr); rr + sqrt(rr * (rr - 1)) }
converted <- function(hr) (1 - 0.5^sqrt(hr)) / (1 - 0.5^sqrt(1 / hr))
ratios <- list(c(2.2, 1.54, 3.14), c(0.56, 0.46, 0.69), c(1.1, 0.9, 1.35), c(0.9, 0.7, 1.2))
values <- lapply(ratios, function(x) {
  nearer <- if (x[1] >= 1) max(x[2], 1) else min(x[3], 1)
  list(ratio = x, rare = c(e(x[1]), e(nearer)), common = c(e(converted(x[1])), e(converted(nearer))))
})
cat(toJSON(list(sizes = sizes, strength = strength, e_values = values), digits = NA, auto_unbox = TRUE, pretty = TRUE), "\n")
