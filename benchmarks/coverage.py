"""How often the 95% interval of a difference holds the true one, in simulated studies whose truth is known.

    python benchmarks/coverage.py [STUDIES_PER_CELL]        default 1000

A study has 5,000 sessions and paired seeds. A cell is a number of seeds, the standard deviation between seeds over the
standard error of sessions ("seed_spread"), and the variance of session-by-seed noise over that of sessions ("noise").
"""

import itertools
import sys

import numpy as np
from machine import save

from gru4recf.statistics import bootstrap, interval

N_SESSIONS, N_DRAWS, AT_ONCE, SESSION_SD = 5000, 2000, 100, 0.1
SEEDS, SPREADS, NOISES = (1, 2, 3, 5, 10), (0.0, 0.5, 1.0, 2.0), (0.0, 1.0, 5.0)


def coverage(n_seeds: int, spread: float, noise: float, n_studies: int) -> float:
    """Return the share of studies, in percent, whose interval holds a true difference of zero."""
    rng = np.random.default_rng([n_seeds, int(10 * spread), int(10 * noise)])
    held = 0
    for _ in range(n_studies // AT_ONCE):
        sizes = 1 + rng.geometric(0.25, N_SESSIONS)
        level = np.broadcast_to(rng.beta(0.5, 1.3, N_SESSIONS) * sizes, (n_seeds, N_SESSIONS))
        error = SESSION_SD * np.sqrt((sizes**2).sum() * (1 + noise / n_seeds)) / sizes.sum()
        sums = {"worse": level}
        for study in range(AT_ONCE):
            of_session = SESSION_SD * (rng.standard_exponential(N_SESSIONS) - 1)
            of_seed = rng.normal(0, spread * error, (n_seeds, 1))
            of_both = SESSION_SD * np.sqrt(noise) * rng.standard_normal((n_seeds, N_SESSIONS))
            sums[study] = level + (of_session + of_seed + of_both) * sizes
        pairs = [(study, "worse") for study in range(AT_ONCE)]
        for contrast in bootstrap(sums, sizes, pairs, n_draws=N_DRAWS, rng=rng).values():
            low, high = interval(contrast.draws)
            held += low <= 0 <= high
    return round(100 * held / (n_studies // AT_ONCE * AT_ONCE), 1)


def main() -> None:
    n_studies = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    cells = []
    for n_seeds, spread, noise in itertools.product(SEEDS, SPREADS, NOISES):
        if n_seeds > 1 or spread == 0:
            cell = {"n_seeds": n_seeds, "seed_spread": spread, "noise": noise}
            cells.append({**cell, "coverage_percent": coverage(n_seeds, spread, noise, n_studies)})
            print(cells[-1], flush=True)
    save("coverage", {"studies_per_cell": n_studies, "cells": cells})


if __name__ == "__main__":
    main()
