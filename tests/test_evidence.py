"""What is gathered from runs: one column per run, no ids of the data, and never runs of different splits together."""

import numpy as np
import pandas as pd
import pytest

from gru4recf.collect import _rank_columns
from gru4recf.errors import RunError, StudyError
from gru4recf.evidence import rank_columns, rank_matrix, tie_matrix
from gru4recf.plan import PlannedRun

EVENTS = {"session": ["u7", "u7", "u3"], "position": [2, 3, 2], "target": ["red", "blue", "red"]}
EVENTS |= {"support": [9, 4, 9], "session_length": [3, 3, 2]}


@pytest.fixture
def gather():
    def gather(*runs):
        """Gather runs given as (variant, seed, ranks, ties, changed event columns)."""
        frames = [pd.DataFrame(EVENTS | c).assign(rank=np.float32(r), ties=np.int32(t)) for _, _, r, t, c in runs]
        planned = [
            PlannedRun("shop", variant, "simultaneous", seed, f"{variant}{seed}", "") for variant, seed, *_ in runs
        ]
        return _rank_columns(planned, frames)

    return gather


def test_runs_stand_side_by_side_in_order_of_the_seed(gather):
    found = gather(("id_only", 10, [1, 2, 3], [0] * 3, {}), ("id_only", 2, [4, 5, 6], [0, 1, 0], {}))
    assert rank_columns(found, "id_only") == ["id_only/simultaneous/2", "id_only/simultaneous/10"]
    assert rank_matrix(found, "id_only").tolist() == [[4, 5, 6], [1, 2, 3]]
    assert tie_matrix(found, "id_only").tolist() == [[0, 1, 0], [0, 0, 0]]
    assert rank_columns(found, "id_only_wide") == []
    with pytest.raises(StudyError, match="No finished run of id_only_wide"):
        rank_matrix(found, "id_only_wide")


def test_what_lies_beyond_the_first_fifty_is_a_miss(gather):
    ranks, ties = [50, 50.5, 60], [0, 0, 20]
    found = gather(("id_only", 0, ranks, ties, {}), ("popularity", 0, ranks, ties, {}))
    assert rank_matrix(found, "id_only").tolist() == [[50, np.inf, 60]]
    assert tie_matrix(found, "id_only").tolist() == [[0, 0, 20]]
    assert rank_matrix(found, "popularity").tolist() == [ranks]
    again = gather(("id_only", 0, [50, np.inf, 60], ties, {}))
    assert again["id_only/simultaneous/0"].equals(found["id_only/simultaneous/0"])


def test_sessions_and_targets_are_numbers_not_ids_of_the_data(gather):
    found = gather(("id_only", 0, [1, 2, 3], [0] * 3, {}))
    assert found["session"].tolist() == [0, 0, 1]
    assert found["target"].tolist() == [0, 1, 0]
    assert not any(found[name].dtype == object for name in found)


@pytest.mark.parametrize("changed", [{"target": ["red", "red", "red"]}, {"support": [9, 5, 9]}])
def test_runs_of_different_splits_are_refused(gather, changed):
    with pytest.raises(RunError, match="different splits"):
        gather(("id_only", 0, [1, 2, 3], [0] * 3, {}), ("concat_input", 0, [1, 2, 3], [0] * 3, changed))
