# Oracle of several readers, repeat readings and random readers: Rscript several_readers.R > several_readers.json, run in
# this folder, with R 4.2.2 and Debian's psych, vcd, lme4 and jsonlite. What no package there has (Fleiss' kappa with
# Gwet's variance, Krippendorff's alpha, Obuchowski and Rockette) is written out from the definitions, pair by pair.
suppressPackageStartupMessages({library(psych); library(vcd); library(lme4); library(jsonlite)})
versions <- sapply(c("psych", "vcd", "lme4"), function(name) as.character(packageVersion(name)))
d <- read.csv("several_readers.csv")
readers <- as.matrix(d[, c("reader_a", "reader_b", "reader_c", "reader_d")])
n <- nrow(readers); k <- ncol(readers)
classes <- function(x) findInterval(x, c(0, 100, 400), left.open = TRUE)  # 0, 1-100, 101-400, >400
four <- apply(readers, 2, classes); model <- classes(d$model)

# ICC and spread
icc <- function(x) { r <- suppressWarnings(ICC(x, lmer = FALSE))$results
  setNames(lapply(1:3, function(i) list(icc = r$ICC[i], lo = r[i, 7], hi = r[i, 8])), c("one_way", "agreement", "consistency")) }
long <- function(x) data.frame(y = as.vector(x), study = factor(rep(seq_len(nrow(x)), ncol(x))), reader = factor(rep(seq_len(ncol(x)), each = nrow(x))))
spread <- function(x, random) {
  l <- long(x); n <- nrow(x); k <- ncol(x)
  a <- summary(aov(y ~ study + reader, l))[[1]][["Mean Sq"]]
  w <- summary(aov(y ~ study, l))[[1]]
  v <- w[2, "Mean Sq"]; df <- w[2, "Df"]
  if (random) { p <- c(a[2] / n, a[3] * (n - 1) / n); df <- sum(p)^2 / sum(p^2 / c(k - 1, (n - 1) * (k - 1))); v <- sum(p) }
  sd <- sqrt(v); ends <- sqrt(v * df / qchisq(c(.975, .025), df))
  list(sd = c(sd, ends), coefficient = 1.96 * sqrt(2) * c(sd, ends)) }
components <- function(x) { m <- lmer(y ~ 1 + (1 | study) + (1 | reader), long(x)); v <- as.data.frame(VarCorr(m))$vcov; sqrt(sum(v[2:3])) }
repeats <- as.matrix(d[!is.na(d$reader_a_second), c("reader_a", "reader_a_second")])

# kappa of two, by vcd, and by psych with linear weights
kappa2 <- function(a, b, weights = "Equal-Spacing") { t <- table(factor(a, 0:3), factor(b, 0:3)); Kappa(t, weights = weights) }
linear <- function(a, b) unname(kappa2(a, b)$Weighted["value"])
plain <- function(a, b) unname(kappa2(a, b)$Unweighted["value"])
quadratic <- function(a, b) unname(kappa2(a, b, "Fleiss-Cohen")$Weighted["value"])
pairs <- combn(k, 2)
light <- function(f) mean(apply(pairs, 2, function(p) f(four[, p[1]], four[, p[2]])))
w <- 1 - abs(outer(0:3, 0:3, "-")) / 3
by_psych <- mean(apply(pairs, 2, function(p) cohen.kappa(table(factor(four[, p[1]], 0:3), factor(four[, p[2]], 0:3)), w = w)$weighted.kappa))

# Fleiss' kappa, its variance for a kappa of 0 (Fleiss 1971), and that of Gwet 2008
fleiss <- function(counts) {
  n <- nrow(counts); m <- sum(counts[1, ]); share <- colSums(counts) / (n * m)
  agree <- (rowSums(counts^2) - m) / (m * (m - 1)); e <- sum(share^2); kappa <- (mean(agree) - e) / (1 - e)
  null <- 2 / (n * m * (m - 1)) * (e - (2 * m - 3) * e^2 + 2 * (m - 2) * sum(share^3)) / (1 - e)^2
  own <- (agree - e) / (1 - e) - 2 * (1 - kappa) * (as.vector(counts %*% share) / m - e) / (1 - e)
  se <- sqrt(sum((own - kappa)^2) / (n * (n - 1)))
  list(kappa = kappa, z_if_0 = kappa / sqrt(null), se = se, ci = kappa + c(-1, 1) * qt(.975, n - 1) * se) }
counts <- t(apply(four, 1, function(r) tabulate(r + 1, 4)))

# Krippendorff's ordinal alpha: every pair of readings of a study, every pair of all readings
alpha <- function(x) {
  x <- x[rowSums(!is.na(x)) > 1, , drop = FALSE]; v <- x[!is.na(x)]; values <- sort(unique(v)); held <- sapply(values, function(s) sum(v == s))
  d2 <- function(a, b) { i <- match(a, values); j <- match(b, values); (sum(held[min(i, j):max(i, j)]) - (held[i] + held[j]) / 2)^2 }
  observed <- sum(apply(x, 1, function(r) { r <- r[!is.na(r)]; sum(outer(r, r, Vectorize(d2))) / (length(r) - 1) })) / length(v)
  expected <- sum(outer(v, v, Vectorize(d2))) / (length(v) * (length(v) - 1))
  1 - observed / expected }
holes <- four; holes[cbind(c(3, 8, 8, 21, 40, 40, 40), c(1, 2, 3, 4, 1, 2, 3))] <- NA

# Obuchowski and Rockette, one modality, by the jackknife of studies or patients
over_readers <- function(f, group) {
  own <- sapply(1:k, function(r) f(four[, r], model)); g <- unique(group); m <- length(g)
  without <- sapply(1:k, function(r) sapply(g, function(out) f(four[group != out, r], model[group != out])))
  covariance <- cov(without) * (m - 1)^2 / m
  c2 <- max(mean(covariance[upper.tri(covariance)]), 0); ms <- var(own)
  df <- (k - 1) * ((ms + k * c2) / ms)^2
  list(mean = mean(own), ci = mean(own) + c(-1, 1) * qt(.975, df) * sqrt((ms + k * c2) / k)) }
exact <- function(a, b) mean(a == b)
sensitivity <- function(a, b) mean(b[a > 0] > 0)
specificity <- function(a, b) mean(b[a == 0] == 0)

out <- list(
  provenance = c(R = R.version.string, versions),
  icc = icc(readers), icc_log = icc(log1p(readers)), icc_repeats = icc(repeats),
  repeatability = spread(repeats, FALSE), repeatability_log = spread(log1p(repeats), FALSE),
  reproducibility = spread(readers, TRUE), reproducibility_log = spread(log1p(readers), TRUE),
  reproducibility_log_sd_by_lme4 = components(log1p(readers)),
  fleiss = fleiss(counts), light = list(unweighted = light(plain), linear = light(linear), quadratic = light(quadratic)),
  light_linear_by_psych = by_psych, alpha = alpha(four), alpha_holes = alpha(holes),
  holes = holes, all_agree = mean(apply(four, 1, function(r) all(r == r[1]))),
  over_readers = list(linear_kappa = over_readers(linear, d$study), exact = over_readers(exact, d$study),
    sensitivity = over_readers(sensitivity, d$study), specificity = over_readers(specificity, d$study),
    linear_kappa_by_patient = over_readers(linear, d$patient)),
  beyond = mean(sapply(1:k, function(r) linear(four[, r], model))) - light(linear))
cat(toJSON(out, digits = I(17), auto_unbox = TRUE, pretty = TRUE, na = "null"), "\n")
