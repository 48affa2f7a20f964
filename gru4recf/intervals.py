"""From the draws of a bootstrap to intervals and p-values, and Holm's correction of a family of them."""

import numpy as np


def p_value(draws: np.ndarray) -> float:
    """Return the two-sided bootstrap p-value of no difference, 2 (1 + fewer side) / (n_draws + 1), at most 1.

    Never zero (Davison & Hinkley 1997, Bootstrap Methods, ch. 4), and at most alpha exactly where `interval` leaves
    out zero.
    """
    tail = min(np.count_nonzero(draws <= 0), np.count_nonzero(draws >= 0))
    return float(min(1.0, 2 * (tail + 1) / (draws.size + 1)))


def p_equivalence(draws: np.ndarray, margin: float) -> float:
    """Return the larger of two one-sided bootstrap p-values: that the truth lies below -margin, and above margin.

    At most 5% where the 90% interval lies within the margin (Schuirmann 1987, J. Pharmacokinet. Biopharm. 15(6)).
    """
    beyond = max(np.count_nonzero(draws <= -margin), np.count_nonzero(draws >= margin))
    return float((1 + beyond) / (draws.size + 1))


def interval(draws: np.ndarray, alpha: float = 0.05) -> tuple[float, float]:
    """Return the two-sided percentile interval of level 1 - alpha: order statistics, never interpolated."""
    k = max(1, int(alpha / 2 * (draws.size + 1) + 1e-9))
    ordered = np.partition(draws, (k - 1, draws.size - k))
    return float(ordered[k - 1]), float(ordered[-k])


def holm(p_values: np.ndarray) -> np.ndarray:
    """Return p-values adjusted for the family: step-down, monotone, at most 1 (Holm 1979, Scand. J. Stat. 6(2))."""
    p_values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * np.arange(p_values.size, 0, -1)), 1.0)
    return adjusted


def holm_levels(p_values: np.ndarray, alpha: float = 0.05) -> np.ndarray:
    """Return the alpha of each interval: alpha / (m - i + 1) for the i-th smallest of m p-values.

    The step-down procedure ends at the first step that fails, and from there on its level stays: so an interval leaves
    out zero exactly where the adjusted p-value is at most alpha.
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p_values, kind="stable")
    steps = alpha / np.arange(p_values.size, 0, -1)
    failed = np.flatnonzero(p_values[order] > steps * (1 + 1e-9))
    levels = np.empty_like(p_values)
    levels[order] = steps[np.minimum(np.arange(p_values.size), failed[0])] if failed.size else steps
    return levels
