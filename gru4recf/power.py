"""What a design can find: the smallest detectable difference, and how much more evidence would decide.

All of it rests on the model behind the intervals, see `variances.py`: an estimate is normal around the truth with the
variance of sessions plus that of seeds; the first is known, the second is estimated as variance x chi2(df) / df,
independently of the estimate, as for Student's t. Given chi2 the chance that an interval leaves out zero, or lies
within the margin of equivalence, is a difference of normal probabilities; it is averaged over quantiles of chi2.

The variances estimated from the study stand for the true ones, as in every power analysis after the fact, so with few
seeds these numbers are rough. What is peculiar to a session under a seed is well known, however, so the variance of
seeds is taken to be at least that. Checked by simulation in `benchmarks/simulated_studies.py` and the tests.

Formulas: the power of a test that compares an estimate with a multiple of its estimated standard error (Bloom 1995,
Evaluation Review 19(5), minimum detectable effects; Phillips 1990, J. Pharmacokinet. Biopharm. 18(2), equivalence).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaincinv, ndtr

from gru4recf.variances import Variances

POWER = 0.8
MOST = 100.0  # times the evidence; what takes more counts as out of reach
FACTORS = np.geomspace(1.0, MOST, 201)
N_QUANTILES = 200
ROUNDED = 3  # significant digits of a factor

Scale = Callable[[Variances, float], Variances]


def detection_power(effect: float, variances: Variances, level: float) -> float:
    """Return the chance that an interval of level 1 - `level` leaves out zero where the true difference is `effect`."""
    half_widths, error = _half_widths(variances, level), np.sqrt(variances.total)
    return float(np.mean(ndtr((effect - half_widths) / error) + ndtr((-effect - half_widths) / error)))


def equivalence_power(effect: float, variances: Variances, level: float, margin: float) -> float:
    """Return the chance that an interval of level 1 - `level` lies within +-`margin` where the truth is `effect`."""
    room, error = margin - _half_widths(variances, level), np.sqrt(variances.total)
    return float(np.mean((ndtr((room - effect) / error) - ndtr((-room - effect) / error)).clip(0)))


def detectable(variances: Variances, level: float, power: float = POWER) -> float | None:
    """Return the smallest true difference that is found with this power at this level; none without any spread."""
    if variances.total == 0:
        return None
    variances = _planned(variances)
    unit = np.sqrt(variances.total)
    largest = float(_half_widths(variances, level).max() + 10 * unit)
    return float(brentq(lambda effect: detection_power(effect, variances, level) - power, 0, largest, xtol=1e-6 * unit))


@dataclass(frozen=True)
class MoreEvidence:
    """By what the evidence must grow to decide with 80% power; none where not even MOST times as much would do."""

    outcome: str
    """What would be decided if the observed difference is the true one: supported, refuted or equivalent."""
    sessions: float | None
    """Factor for the number of sessions alone."""
    seeds: float | None
    """Factor for the number of seeds alone; none too where one seed tells nothing about others."""
    both: float | None
    """Factor for both."""


def more_evidence(
    difference: float, variances: Variances, *, level: float, alpha: float, margin: float
) -> MoreEvidence | None:
    """Return what would decide a contrast that is open, taking the observed difference for the true one.

    Below the margin both ways of deciding are tried, and the one that needs less of both kinds is returned.

    Args:
        difference: observed, in the unit of the variances' roots (here relative to the rival).
        variances: of the difference.
        level: Holm's level, at which it would be supported or refuted.
        alpha: level of the interval that shows equivalence.
        margin: the smallest effect of interest.
    """
    if variances.total == 0:
        return None
    variances = _planned(variances)
    tests = {"supported" if difference > 0 else "refuted": lambda v: detection_power(difference, v, level)}
    if abs(difference) < margin:
        tests["equivalent"] = lambda v: equivalence_power(difference, v, alpha, margin)
    ways = [
        MoreEvidence(outcome, *(_first_factor(test, variances, scale) for scale in (_sessions, _seeds, _both)))
        for outcome, test in tests.items()
    ]
    return min(ways, key=lambda way: np.inf if way.both is None else way.both)


def _planned(variances: Variances) -> Variances:
    """Return the variances as intervals take them: of the seeds at least the noise, together."""
    if variances.of_seeds >= variances.noise:
        return variances
    return replace(variances, seeds=tuple(replace(part, variance=part.noise) for part in variances.seeds))


def _half_widths(variances: Variances, level: float) -> np.ndarray:
    """Return the half width of the interval, (N_QUANTILES,), over what the seeds' variances may come out as."""
    found = tuple(
        replace(part, variance=part.variance * _chi2_quantiles(part.freedom, place))
        for place, part in enumerate(variances.seeds)
    )
    return replace(variances, seeds=found).half_width(level / 2) * np.ones(N_QUANTILES)


@lru_cache(maxsize=1024)
def _chi2_quantiles(freedom: float, place: int) -> np.ndarray:
    """Return quantiles of chi2(freedom) / freedom at equal steps, in an order of its own for each `place`.

    Two variances are nearly independent, so their quantiles are paired at random, always in the same way.
    """
    levels = np.random.default_rng(place).permutation((np.arange(N_QUANTILES) + 0.5) / N_QUANTILES)
    return 2 * gammaincinv(freedom / 2, levels) / freedom


def _first_factor(test: Callable[[Variances], float], variances: Variances, scale: Scale) -> float | None:
    """Return the smallest of FACTORS that gives the power; power only grows with the evidence, so halve the range."""
    if test(scale(variances, MOST)) < POWER:
        return None
    low, high = 0, len(FACTORS) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if test(scale(variances, FACTORS[middle])) >= POWER else (middle + 1, high)
    return float(f"{FACTORS[low]:.{ROUNDED}g}")


def _sessions(variances: Variances, factor: float) -> Variances:
    """Return the variances with `factor` times as many sessions: what belongs to a seed alone stays."""
    seeds = tuple(
        replace(part, variance=part.variance - part.noise + part.noise / factor, noise=part.noise / factor)
        for part in variances.seeds
    )
    freedom = variances.session_freedom * factor
    return replace(variances, sessions=variances.sessions / factor, seeds=seeds, session_freedom=freedom)


def _seeds(variances: Variances, factor: float) -> Variances:
    """Return the variances with `factor` times as many seeds: what belongs to sessions stays."""
    seeds = tuple(
        replace(
            part,
            variance=part.variance / factor,
            noise=part.noise / factor,
            freedom=(part.freedom - part.prior + 1) * factor - 1 + part.prior,
        )
        for part in variances.seeds
    )
    return replace(variances, seeds=seeds)


def _both(variances: Variances, factor: float) -> Variances:
    return _sessions(_seeds(variances, factor), factor)
