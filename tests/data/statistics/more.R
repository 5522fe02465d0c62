# Numbers beyond those of the project's reference, from the same R 4.2.2 and survival 3.5-3, with Debian's Hmisc, cmprsk
# and riskRegression: Rscript more.R > more.json, run in this folder.
suppressPackageStartupMessages({library(survival); library(jsonlite)})
read <- function(name) read.csv(file.path("data", paste0(name, ".csv")))
colon <- read("colon"); lung <- read("lung"); pbc <- read("pbc"); rossi <- read("rossi"); veteran <- read("veteran")
out <- list(provenance = list(R = R.version.string, survival = as.character(packageVersion("survival"))))

colon$rx <- colon$lev + 2 * colon$lev5fu
all <- survdiff(Surv(time, event) ~ rx, colon)
score <- 0:2
trend <- sum(score * (all$obs - all$exp))^2 / drop(score %*% all$var %*% score)
pair <- function(a, b) survdiff(Surv(time, event) ~ rx, colon[colon$rx %in% c(a, b), ])$chisq
pairs <- c(pair(0, 1), pair(0, 2), pair(1, 2))
out$logrank <- list(trend = trend, pairs = pairs, holm = p.adjust(pchisq(pairs, 1, lower.tail = FALSE), "holm"),
                    lung_female_strat_inst = survdiff(Surv(time, event) ~ female + strata(inst), lung)$chisq)

# Cox: frequency weights, curves of one patient, baseline hazard
rossi_formula <- Surv(week, arrest) ~ fin + age + race + wexp + mar + paro + prio
rossi$w <- (seq_len(nrow(rossi)) * 7) %% 4
fits <- list()
for (ties in c("efron", "breslow")) {
  f <- coxph(rossi_formula, rossi, weights = w, subset = w > 0, ties = ties, control = coxph.control(eps = 1e-14, toler.chol = 1e-15, iter.max = 50))
  fits[[ties]] <- list(coef = coef(f), se = sqrt(diag(vcov(f))), loglik = f$loglik, score = f$score)
}
out$weighted_rossi <- fits
one <- data.frame(fin = 1, age = 30, race = 1, wexp = 0, mar = 0, paro = 1, prio = 2)
curves <- list()
for (ties in c("efron", "breslow")) {
  f <- coxph(rossi_formula, rossi, ties = ties, control = coxph.control(eps = 1e-14, toler.chol = 1e-15, iter.max = 50))
  s <- summary(survfit(f, newdata = one, conf.type = "log-log"), times = c(10, 25, 52))
  b <- basehaz(f, centered = FALSE)
  curves[[ties]] <- list(time = s$time, surv = s$surv, se = s$std.err, lower = s$lower, upper = s$upper,
                         base_time = b$time, base_hazard = b$hazard)
}
out$rossi_curves <- curves
f <- coxph(rossi_formula, rossi, control = coxph.control(eps = 1e-14, toler.chol = 1e-15, iter.max = 50))
g <- coxph(Surv(week, arrest) ~ fin + age + prio, rossi, control = coxph.control(eps = 1e-14, toler.chol = 1e-15, iter.max = 50))
b <- coef(f)[c("race", "wexp", "mar", "paro")]; v <- vcov(f)[names(b), names(b)]
z <- cox.zph(f, transform = "km", terms = FALSE)
out$rossi_nested <- list(lr = 2 * (f$loglik[2] - g$loglik[2]), wald = drop(b %*% solve(v) %*% b))
out$rossi_zph_residuals <- list(time = z$time, first = z$y[1, ], last = z$y[nrow(z$y), ], sum = colSums(z$y))

# Hmisc: restricted cubic splines
suppressPackageStartupMessages(library(Hmisc))
x <- pbc$bili
out$splines <- lapply(3:7, function(k) {
  knots <- rcspline.eval(x, nk = k, knots.only = TRUE)
  list(knots = knots, rows = unname(rcspline.eval(x, knots = knots, inclx = TRUE)[1:5, ]))
})
cat(toJSON(out, digits = I(17), auto_unbox = TRUE, pretty = TRUE))
