"""The cost model: what is counted, what is predicted, and that the measured slopes are there."""

import numpy as np
import pytest

from gru4recf import cost
from gru4recf.data.sessions import Sessions

SLOPES = {"epoch_cpu_seconds": [1.0, 10.0, 100.0, 1000.0], "ranking_cpu_seconds": [2.0, 3.0], "peak_bytes": [7, 8, 9]}


def test_work_counts_targets_and_the_steps_of_the_longest_window_of_a_batch():
    is_target = np.array([False, True, True, True, False, True])
    sessions = Sessions(np.array([1, 2, 3, 1, 2, 1]), np.array([0, 4, 6]), is_target, np.arange(2))
    assert cost.work_of(sessions, 9, 2) == cost.Work(n_events=4, n_steps=3, n_items=9, n_features=2)


def test_every_line_is_a_sum_of_terms_times_slopes():
    found = cost.predicted(cost.Work(n_events=2, n_steps=3, n_items=5, n_features=4), SLOPES)
    assert found == {
        "epoch_cpu_seconds": 3 + 10 * 2 + 100 * 8 + 1000 * 10,
        "ranking_cpu_seconds": 2 * 2 + 3 * 10,
        "peak_bytes": 7 + 8 * 2 + 9 * 5,
    }


def test_measured_slopes_make_more_work_cost_more():
    slopes, machine = cost.measured_slopes()
    small, large = (cost.predicted(cost.Work(n, n // 50, 1000, 2), slopes) for n in (10_000, 1_000_000))
    assert machine
    assert all(0 < small[name] < large[name] for name in small)
    assert large["epoch_cpu_seconds"] == pytest.approx(100 * small["epoch_cpu_seconds"])
