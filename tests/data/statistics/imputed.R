# A test of several coefficients pooled over imputations: R 4.2.2 with survival 3.5-3 and mice 3.15.0 of Debian.
# Rscript imputed.R > imputed.json, run in this folder.
suppressPackageStartupMessages({library(survival); library(mice); library(jsonlite)})
pbc <- read.csv("data/pbc.csv")
set.seed(1)
pbc$albumin[sample(nrow(pbc), 90)] <- NA
exact <- coxph.control(eps = 1e-14, toler.chol = 1e-15, iter.max = 50)
test <- function(m, formula, smaller) {
  sets <- lapply(1:m, function(k) {
    gap <- is.na(pbc$albumin)
    pbc$albumin[gap] <- sample(pbc$albumin[!gap], sum(gap), replace = TRUE)
    pbc
  })
  fits <- lapply(sets, function(d) { d <<- d; coxph(formula, d, ties = "efron", control = exact) })
  smaller <- lapply(sets, function(d) { d <<- d; coxph(smaller, d, ties = "efron", control = exact) })
  found <- D1(as.mira(fits), as.mira(smaller))$result
  extra <- setdiff(names(coef(fits[[1]])), names(coef(smaller[[1]])))
  list(coef = t(sapply(fits, function(f) coef(f)[extra])), var = lapply(fits, function(f) unname(vcov(f)[extra, extra, drop = FALSE])),
       f = unname(found[1, "F.value"]), df1 = unname(found[1, "df1"]), df2 = unname(found[1, "df2"]), p = unname(found[1, "P(>F)"]))
}
cat(toJSON(list(
  three = test(5, Surv(time, event) ~ albumin + lbili + edema + age, Surv(time, event) ~ age),
  one = test(4, Surv(time, event) ~ age + albumin, Surv(time, event) ~ age),
  small = test(2, Surv(time, event) ~ age + albumin + lbili + edema, Surv(time, event) ~ age + edema)),
  digits = I(17), auto_unbox = TRUE))
