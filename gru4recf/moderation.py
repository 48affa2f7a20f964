"""What the seeds of other networks tell about the spread of one: moderated variances.

From three seeds the variance of a network is known from two degrees of freedom, and Student's factor for two makes an
interval several times too wide to decide anything. But networks trained alike on the same data spread alike, though not
equally. So each variance is drawn towards the one that is typical of all, as far as the variances agree:

    1 / sigma_v^2 ~ chi2(d0) / (d0 s0^2)          how true variances differ between networks
    s_v^2 | sigma_v^2 ~ sigma_v^2 chi2(d) / d      how one from d degrees of freedom comes out
    moderated s_v^2 = (d0 s0^2 + d s_v^2) / (d0 + d), with d0 + d degrees of freedom

d0 and s0^2 are those that give the logarithms of the s_v^2 the mean and the spread that they have. Two limits keep this
from claiming too much. The others never add more degrees of freedom than `MOST_PRIOR`, nor than they have. And a
network whose s_v^2 is too large for what the others tell, F(d, d0) times their s0^2, keeps its own and its d: some of
its seeds may have ended on a plateau (in the spirit of Phipson et al. 2016, Ann. Appl. Stat. 10(2)).

Source: Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3(1), art. 3, sections 4 and 6.2.
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, fdtrc, polygamma

MOST_PRIOR = 4.0
"""What other networks tell counts for this many degrees of freedom at most. A few networks agree by luck, and then
Smyth's estimate is infinite; taken at that, intervals miss several times too often at Holm's small levels
(`benchmarks/interval_coverage.py`)."""
TOO_LARGE = 0.05  # chance of a variance as large as this among networks that are alike
SMALLEST = 0.02  # of the middle variance: smaller ones count as this, or one zero would hide that the others agree


def moderate(variances: Sequence[float], freedom: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Return moderated variances and how many degrees of freedom the others add to each, both of shape (V,).

    One variance alone, or none above zero, is returned as it is; so is one that is too large.

    Args:
        variances: (V,) unbiased, of networks that were trained alike.
        freedom: (V,) their degrees of freedom, at least one each.
    """
    found, own = np.asarray(variances, dtype=np.float64), np.asarray(freedom, dtype=np.float64)
    if len(found) < 2 or not found.any():
        return found, np.zeros(len(found))
    floored = np.maximum(found, SMALLEST * np.median(found[found > 0]))
    prior, typical = _prior(floored, own)
    alike = np.array([_chance(place, floored, own) for place in range(len(found))]) >= TOO_LARGE
    moderated = np.where(alike, (prior * typical + own * found) / (prior + own), found)
    return moderated, np.where(alike, np.minimum(prior, own.sum() - own), 0.0)


def _chance(place: int, variances: np.ndarray, freedom: np.ndarray) -> float:
    """Return the chance of a variance as large as this one by what the others tell; one other alone tells nothing."""
    if len(variances) < 3:
        return 1.0
    prior, typical = _prior(np.delete(variances, place), np.delete(freedom, place))
    return float(fdtrc(freedom[place], prior, variances[place] / typical))


def _prior(variances: np.ndarray, freedom: np.ndarray) -> tuple[float, float]:
    """Return d0, at most `MOST_PRIOR`, and s0^2."""
    logarithms = np.log(variances) - _log_chi2(freedom)
    spread = logarithms.var(ddof=1) - polygamma(1, freedom / 2).mean()  # of the true variances' logarithms
    least = polygamma(1, MOST_PRIOR / 2)
    prior = (
        MOST_PRIOR if spread <= least else 2 * brentq(lambda half: polygamma(1, half) - spread, 1e-3, MOST_PRIOR / 2)
    )
    return prior, float(np.exp(logarithms.mean() + _log_chi2(prior)))


def _log_chi2(freedom: np.ndarray | float) -> np.ndarray | float:
    """Return the mean of log(chi2(freedom) / freedom)."""
    return digamma(freedom / 2) - np.log(freedom / 2)
