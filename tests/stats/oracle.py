"""What scipy and gbstats say of random cases, for the statistics of the core to be held against.

    target/tools/stats/bin/python tests/stats/oracle.py SEED CASES > tests/vectors/stats.json

Prints {"seed", "cases": [{"function", "given", "is", "within", "by"}]}: `CASES` of each function, drawn by `SEED`. `is` has one or
more numbers, each to be met within `within`: a part of it, plus an absolute difference. `tests/stats/oracle.rs` compares;
`tests/setup.sh test` makes the Python that this runs by.
"""

import json
import math
import random
import sys

import numpy as np
from gbstats.bayesian.tests import EffectBayesianABTest, EffectBayesianConfig
from gbstats.frequentist.tests import SequentialConfig, SequentialTwoSidedTTest
from gbstats.models.statistics import ProportionStatistic, SampleMeanStatistic
from gbstats.utils import check_srm
from scipy import integrate, special, stats


def log_uniform(draw, low, high):
    return 10 ** draw.uniform(low, high)


def normal_below(draw):
    x = draw.uniform(-37, 37)
    return [x], [stats.norm.cdf(x)], (1e-12, 0), "scipy.stats.norm.cdf"


def normal_ln_below(draw):
    x = draw.choice([draw.uniform(-40, 8), -log_uniform(draw, 0, 4)])
    return [x], [stats.norm.logcdf(x)], (1e-12, 1e-300), "scipy.stats.norm.logcdf"


def normal_quantile(draw):
    p = draw.choice([draw.random(), log_uniform(draw, -290, 0)])
    return [p], [stats.norm.ppf(p)], (1e-12, 1e-14), "scipy.stats.norm.ppf"


def ln_gamma(draw):
    x = log_uniform(draw, -3, 9)
    return [x], [special.gammaln(x)], (1e-13, 1e-14), "scipy.special.gammaln"


def ln_beta(draw):
    a, b = log_uniform(draw, -2, 6), log_uniform(draw, -2, 6)
    # scipy subtracts logarithms of gammas in the millions here; by forty digits of mpmath ours is the nearer one.
    return [a, b], [special.betaln(a, b)], (1e-8, 1e-8), "scipy.special.betaln"


def beta_below(draw):
    a, b = log_uniform(draw, -1, 6), log_uniform(draw, -1, 6)
    mean = a / (a + b)
    x = mean + draw.uniform(-6, 6) * math.sqrt(mean * (1 - mean) / (a + b + 1))
    x = min(max(x, mean * 1e-3), 1 - (1 - mean) * 1e-3)
    return [a, b, x], [special.betainc(a, b, x)], (1e-7, 1e-14), "scipy.special.betainc"


def gamma_above(draw):
    a = log_uniform(draw, -1, 6)
    x = max(a + draw.uniform(-6, 6) * math.sqrt(a), a * 1e-3)
    return [a, x], [special.gammaincc(a, x)], (1e-8, 1e-14), "scipy.special.gammaincc"


def chi_square_above(draw):
    freedom = draw.randint(1, 63)
    x = draw.uniform(0, 4) * freedom
    return [x, freedom], [stats.chi2.sf(x, freedom)], (1e-11, 1e-15), "scipy.stats.chi2.sf"


def arms(draw):
    """Two arms with enough events for every interval: as given to the core, and as gbstats has them."""
    given, theirs = [], []
    is_events = draw.random() < 0.5
    for _ in range(2):
        units = int(log_uniform(draw, 3, 6))
        if is_events:
            events = int(units * draw.uniform(0.05, 0.9))
            given += [units, events, -1]
            theirs.append(ProportionStatistic(n=units, sum=events))
        else:
            mean, sd = draw.uniform(50, 100), draw.uniform(5, 50)
            total = units * mean
            squares = (units - 1) * sd * sd + total * total / units
            given += [units, total, squares]
            theirs.append(SampleMeanStatistic(n=units, sum=total, sum_squares=squares))
    return given, theirs


def interval(draw):
    given, (control, variant) = arms(draw)
    alpha, planned = draw.choice([0.01, 0.05, 0.1]), draw.choice([1000, 5000, 20000])
    kind = draw.choice(["absolute", "relative"])
    config = SequentialConfig(difference_type=kind, alpha=alpha, sequential_tuning_parameter=planned)
    result = SequentialTwoSidedTTest(control, variant, config).compute_result()
    given += [alpha, planned, 1 if kind == "relative" else 0]
    return given, [result.expected, *result.ci], (1e-9, 1e-9), "gbstats SequentialTwoSidedTTest"


def one_sided_evidence(draw):
    """The mixture itself, by integrating over every bet on harm."""
    z, units, alpha = draw.uniform(-5, 8), int(log_uniform(draw, 1, 7)), draw.choice([0.01, 0.05, 0.1])
    planned, se, than = draw.choice([1000, 5000]), log_uniform(draw, -6, 1), draw.uniform(0, 2)
    difference = than + z * se
    z = (difference - than) / se
    twice = -2 * math.log(2 * alpha)
    rho2 = (twice + math.log(twice + 1)) / planned
    drift, sharp = math.sqrt(units) * z, units + 1 / rho2

    def ln(rate):
        half_normal = math.log(2) - (math.log(2 * math.pi * rho2) + rate * rate / rho2) / 2
        return half_normal + rate * drift - rate * rate * units / 2

    top = max(0.0, drift / sharp)
    width = min(1 / math.sqrt(sharp), 1 / max(-drift, 1e-9))
    low, high = max(0.0, top - 40 * width), top + 40 * width
    area, _ = integrate.quad(lambda rate: math.exp(ln(rate) - ln(top)), low, high, points=[top], epsabs=0, epsrel=1e-11, limit=500)
    return [difference, than, se, units, alpha, planned], [math.log(area) + ln(top)], (1e-7, 1e-7), "scipy.integrate.quad"


def wealth(draw):
    """Bets as likelihood ratios of what scipy says are multinomial counts."""
    share = draw.uniform(0.05, 0.95)
    tolerated = draw.choice([0, 0, 0.01, 0.1, -0.01, -0.1])
    first, second = int(log_uniform(draw, 0, 4)), int(log_uniform(draw, 0, 4)) if draw.random() < 0.8 else 0
    neither = int(log_uniform(draw, 1, 6))
    counts = [first, second, neither]
    laid = np.array([1 / (nth + 2) ** 2 for nth in range(25)])
    laid /= laid.sum()
    base = 0.3
    even = np.array([share * base, (1 - share) * base, 1 - base])
    logs = []
    for nth, part in enumerate(laid):
        rate = 2 ** (-nth / 2) / (1 / (1 - share) + tolerated)
        pays = np.array([1 / share - tolerated, -1 / (1 - share) - tolerated, -tolerated])
        tilted = even * np.maximum(1 + rate * pays, 0)
        if nth == 0:
            tilted[1] = 0
        whole = tilted.sum()
        ratio = stats.multinomial.logpmf(counts, sum(counts), tilted / whole) - stats.multinomial.logpmf(counts, sum(counts), even)
        logs.append(math.log(part) + ratio + sum(counts) * math.log(whole))
    return [share, tolerated, *counts], [special.logsumexp(logs)], (1e-9, 1e-7), "scipy.stats.multinomial"


def ratio(draw):
    k = draw.randint(2, 6)
    weights = [draw.randint(1, 100) for _ in range(k)]
    units, skew = int(log_uniform(draw, 2.8, 6)), draw.choice([0, 0, 0.01, 0.1])
    shares = np.array(weights, float) / sum(weights)
    moved = shares * np.array([1 + skew * draw.uniform(-1, 1) for _ in range(k)])
    counts = np.random.default_rng(draw.randrange(2**32)).multinomial(units, moved / moved.sum()).tolist()
    if min(shares) * units < 5:
        return ratio(draw)
    square, p = stats.chisquare(counts, shares * units)
    theirs = check_srm(counts, weights)
    assert abs(theirs - p) <= 1e-9 * p + 1e-300, (theirs, p)
    logs = [stats.dirichlet_multinomial.logpmf(counts, sure * shares, units) for sure in (10, 100, 1000, 10000)]
    evidence = special.logsumexp(logs) - math.log(4) - stats.multinomial.logpmf(counts, units, shares)
    given = [*counts, *weights]
    return given, [square, p, min(1.0, math.exp(-evidence))], (1e-6, 1e-12), "scipy.stats.chisquare, gbstats check_srm, scipy.stats.dirichlet_multinomial"


def chance_of_events(draw):
    given, posteriors = [], []
    rate = log_uniform(draw, -4, -0.1)
    for _ in range(2):
        units = int(log_uniform(draw, 1, 5))
        events = min(units, max(0, round(units * rate * draw.uniform(0.6, 1.4) + draw.uniform(-3, 3))))
        given += [units, events]
        posteriors.append((1 + events, 1 + units - events))
    b, a = posteriors
    cuts = sorted({float(special.betaincinv(*one, q)) for one in posteriors for q in (1e-13, 1e-6, 1e-3, 0.1, 0.5, 0.9, 0.999, 1 - 1e-6, 1 - 1e-13)})

    def over(what):
        return sum(integrate.quad(what, low, high, epsabs=0, epsrel=1e-10, limit=200)[0] for low, high in zip(cuts, cuts[1:]))

    # Plain functions: distributions of scipy.stats take a hundred times as long for one number.
    def density(shapes, x):
        return math.exp((shapes[0] - 1) * math.log(x) + (shapes[1] - 1) * math.log1p(-x) - special.betaln(*shapes))

    def below(shapes, x):
        return special.betainc(*shapes, x)

    def above(shapes, x):
        return special.betaincc(*shapes, x)

    wins = over(lambda x: density(b, x) * below(a, x))
    return given, [wins, over(lambda x: below(b, x) * above(a, x)), over(lambda x: below(a, x) * above(b, x))], (1e-8, 1e-9), "scipy.integrate.quad over scipy.special.betainc"


def chance_of_totals(draw):
    while True:
        given, (control, variant) = arms(draw)
        if given[2] >= 0:
            break
    # Nearly the same, so that the chance is neither 0 nor 1.
    shift = draw.uniform(-3, 3) * math.sqrt(control.variance / control.n + variant.variance / variant.n)
    mean = control.mean + shift
    squares = (variant.n - 1) * variant.variance + variant.n * mean * mean
    variant = SampleMeanStatistic(n=variant.n, sum=variant.n * mean, sum_squares=squares)
    result = EffectBayesianABTest(control, variant, EffectBayesianConfig(difference_type="absolute")).compute_result()
    given = [*given[:3], variant.n, variant.sum, variant.sum_squares]
    return given, [result.chance_to_win, result.risk[1], result.risk[0]], (1e-6, 1e-8), "gbstats EffectBayesianABTest"


FUNCTIONS = [
    normal_below, normal_ln_below, normal_quantile, ln_gamma, ln_beta, beta_below, gamma_above, chi_square_above,
    interval, one_sided_evidence, wealth, ratio, chance_of_events, chance_of_totals,
]


def main():
    seed, cases = int(sys.argv[1]), int(sys.argv[2])
    lines = []
    for function in FUNCTIONS:
        draw = random.Random(f"{seed} {function.__name__}")
        for _ in range(cases):
            given, answers, within, by = function(draw)
            answers = [float(answer) for answer in answers]
            lines.append(json.dumps({"function": function.__name__, "given": given, "is": answers, "within": within, "by": by}))
    print('{"seed": %d, "cases": [\n%s\n]}' % (seed, ",\n".join(lines)))


if __name__ == "__main__":
    main()
