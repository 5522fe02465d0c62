# Penalised Cox model, effects that change with time, restricted means, Gray's test: R 4.2.2 with survival 3.5-3 and
# cmprsk 2.2-11 of Debian. Rscript methods.R > methods.json, run in this folder.
suppressPackageStartupMessages({library(survival); library(cmprsk); library(jsonlite)})
read <- function(name) read.csv(file.path("data", paste0(name, ".csv")))
rossi <- read("rossi"); colon <- read("colon"); veteran <- read("veteran"); pbc_cr <- read("pbc_cr")
exact <- coxph.control(eps = 1e-14, toler.chol = 1e-15, iter.max = 50)
out <- list(provenance = list(R = R.version.string, survival = as.character(packageVersion("survival")),
            cmprsk = as.character(packageVersion("cmprsk"))))

# Firth's penalty by its definition: log-likelihood + log|information| / 2, both from coxph at given coefficients.
# Its gradient is the score plus that of the penalty by central differences; Newton steps with the information.
firth <- function(formula, data, ties) {
  environment(formula) <- environment()
  names <- attr(terms(formula), "term.labels")
  at <- function(b) {
    f <- coxph(formula, data, ties = ties, init = b, control = coxph.control(iter.max = 0))
    list(value = f$loglik[1] - as.numeric(determinant(f$var)$modulus) / 2, var = f$var,
         score = colSums(matrix(residuals(f, "score"), ncol = length(b))))
  }
  slope <- function(b, k, h) {
    e <- replace(0 * b, k, h)
    penalty <- function(b) -as.numeric(determinant(coxph(formula, data, ties = ties, init = b, control = coxph.control(iter.max = 0))$var)$modulus) / 2
    (8 * (penalty(b + e) - penalty(b - e)) - penalty(b + 2 * e) + penalty(b - 2 * e)) / (12 * h)
  }
  size <- sapply(names, function(name) sd(data[[name]]))
  maximum <- function(b, free) {
    for (i in 1:200) {
      now <- at(b)
      gradient <- (now$score + sapply(seq_along(b), function(k) slope(b, k, 2e-3 / size[k])))[free]
      step <- solve(solve(now$var)[free, free, drop = FALSE], gradient)
      step <- step / max(1, abs(step * size[free]) / 0.5)
      b[free] <- b[free] + step
      if (max(abs(step * size[free])) < 1e-11) break
    }
    c(list(b = b), at(b))
  }
  all <- seq_along(names)
  best <- maximum(0 * all, all)
  error <- sqrt(diag(best$var))
  half <- qchisq(0.95, 1) / 2
  ends <- t(sapply(all, function(j) {
    away <- function(value) maximum(replace(best$b, j, value), setdiff(all, j))$value - best$value + half
    sapply(c(-1, 1), function(side) {
      reach <- 2
      while (away(best$b[j] + side * reach * error[j]) > 0) reach <- 1.5 * reach
      uniroot(away, sort(best$b[j] + side * c(0.5, reach) * error[j]), tol = 1e-12)$root
    })
  }))
  p <- sapply(all, function(j) pchisq(2 * (best$value - maximum(replace(best$b, j, 0), setdiff(all, j))$value), 1, lower.tail = FALSE))
  without <- maximum(0 * all, setdiff(all, all[1:2]))$value
  list(coef = best$b, se = error, value = best$value, low = ends[, 1], high = ends[, 2], p = p,
       first_two = 2 * (best$value - without))
}
# Every tenth of those not arrested is a group without an event
rossi$rare <- as.numeric(rossi$arrest == 0 & seq_len(nrow(rossi)) %% 10 == 0)
out$firth <- list(
  efron = firth(Surv(week, arrest) ~ rare + fin + age + prio, rossi, "efron"),
  breslow = firth(Surv(week, arrest) ~ rare + fin + age + prio, rossi, "breslow"),
  not_separated = firth(Surv(time, event) ~ karno + age + squamous + smallcell, veteran, "efron"))

# Effects that change with time: log(time) by tt(), and before and after a day by episodes
effects <- function(ties) {
  f <- coxph(Surv(time, event) ~ squamous + smallcell + age + karno + tt(squamous) + tt(smallcell), veteran, ties = ties,
             tt = function(x, t, ...) x * log(t), control = exact)
  g <- coxph(Surv(time, event) ~ squamous + smallcell + age + karno, veteran, ties = ties, control = exact)
  parts <- survSplit(Surv(time, event) ~ ., veteran, cut = 90, episode = "part")
  parts$squamous_late <- parts$squamous * (parts$part == 2); parts$smallcell_late <- parts$smallcell * (parts$part == 2)
  s <- coxph(Surv(tstart, time, event) ~ squamous + smallcell + age + karno + squamous_late + smallcell_late, parts,
             ties = ties, control = exact)
  list(log = list(coef = unname(coef(f)), var = unname(vcov(f)), loglik = f$loglik[2]), constant = g$loglik[2],
       split = list(coef = unname(coef(s)), var = unname(vcov(s)), loglik = s$loglik[2]))
}
out$changing <- list(efron = effects("efron"), breslow = effects("breslow"))

# Restricted mean event-free time by group, and its differences by their definition
colon$rx <- colon$lev + 2 * colon$lev5fu
means <- summary(survfit(Surv(time, event) ~ rx, colon), rmean = 2000)$table
m <- unname(means[, grep("rmean$", colnames(means))]); s <- unname(means[, grep("se\\(rmean\\)", colnames(means))])
out$rmst <- list(mean = m, se = s, difference = m[-1] - m[1], error = sqrt(s[-1]^2 + s[1]^2))

# Gray's test of cumulative incidence: two and four groups, exact times and many ties; causes 1 and 2
pbc_cr$four <- (pbc_cr$bili > 1) + (pbc_cr$bili > 2) + (pbc_cr$bili > 5)
tests <- function(time, group) {
  found <- cuminc(time, pbc_cr$fstat, group)$Tests
  list(statistic = unname(found[, "stat"]), p = unname(found[, "pv"]), df = unname(found[, "df"]))
}
out$gray <- list(
  two = tests(pbc_cr$time, pbc_cr$female), four = tests(pbc_cr$time, pbc_cr$four),
  two_tied = tests(ceiling(pbc_cr$time / 180), pbc_cr$female), four_tied = tests(ceiling(pbc_cr$time / 180), pbc_cr$four))
cat(toJSON(out, digits = I(17), auto_unbox = TRUE))
