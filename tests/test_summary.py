"""Frames that describe a data set: features, the split in time, sample sessions."""

from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

from gru4recf.data.dataset import Dataset
from gru4recf.data.split import split
from gru4recf.notebooks import run_notebook
from gru4recf.summary import feature_summary, sample_sessions, sessions_in_time

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "01-data.ipynb"


def dataset_of(sessions, sequences="sessions", first_time=0.0, items=None, kinds=None):
    """Build a data set from strings of one-letter items; session i starts at time 100 i."""
    rows = [
        (f"s{i:02d}", x, first_time + 100.0 * i + j)
        for i, letters in enumerate(sessions)
        for j, x in enumerate(letters)
    ]
    events = pd.DataFrame(rows, columns=["session", "item", "time"])
    items = pd.DataFrame(index=pd.Index(events["item"].unique(), name="item")) if items is None else items
    return Dataset("letters", events, items, kinds or {}, sequences, "digest")


def naive_times(data, parts, part):
    """Return the time of each session's first target, one session at a time."""
    sessions, found = getattr(parts, part), []
    for label, start, stop in zip(sessions.labels, sessions.offsets[:-1], sessions.offsets[1:], strict=True):
        events = data.events[(data.events["session"] == label) & data.events["item"].isin(parts.catalogue[1:])]
        assert events["item"].tolist()[: stop - start] == parts.catalogue[sessions.items[start:stop]].tolist()
        found.append(events["time"].iloc[int(np.argmax(sessions.is_target[start:stop]))])
    return np.array(found)


def counted(frame, part):
    return frame.loc[frame["part"] == part, "n_sessions"].to_numpy()


def test_feature_summary_counts_what_is_known_and_its_values():
    items = pd.DataFrame(
        {
            "colour": ["red", None, "red", "blue"],
            "genres": [["a", "b"], [], ["b"], ["c"]],
            "price": [1.0, np.nan, np.nan, 1.0],
            "image": [np.zeros(3, np.float32), None, np.ones(3, np.float32), None],
        },
        index=pd.Index(list("abcd"), name="item"),
    )
    kinds = {"colour": "token", "genres": "token_seq", "price": "float", "image": "float_seq"}
    found = feature_summary(dataset_of(["abcd"], items=items, kinds=kinds))
    expected = [("colour", "token", 0.75, 2), ("genres", "token_seq", 0.75, 3), ("price", "float", 0.5, 1)]
    assert [tuple(row) for row in found.to_numpy()] == [*expected, ("image", "float_seq", 0.5, 3)]


@pytest.mark.parametrize(
    ("kind", "missing"), [("token", None), ("token_seq", []), ("float", np.nan), ("float_seq", None)]
)
def test_a_feature_that_no_item_has_is_counted_as_nothing(kind, missing):
    items = pd.DataFrame({"empty": [missing, missing]}, index=pd.Index(list("ab"), name="item"))
    (row,) = feature_summary(dataset_of(["ab"], items=items, kinds={"empty": kind})).itertuples(index=False)
    assert tuple(row) == ("empty", kind, 0.0, 0)


def test_a_data_set_without_features_has_an_empty_summary():
    found = feature_summary(dataset_of(["ab"]))
    assert found.empty
    assert found.columns.tolist() == ["feature", "kind", "coverage", "n_values"]


@pytest.mark.parametrize("sequences", ["sessions", "users"])
def test_sessions_count_at_their_first_target_in_each_part(sequences):
    generator = np.random.default_rng(3)
    letters = ["".join(generator.choice(list("abcdefgh"), generator.integers(1, 9))) for _ in range(60)]
    data = dataset_of(letters, sequences)
    parts = split(data, min_support=20, train_fraction=0.8)
    frame = sessions_in_time(data, parts, n_bins=7)
    times = {part: naive_times(data, parts, part) for part in ("train", "validation", "test")}
    edges = np.histogram_bin_edges(np.concatenate(list(times.values())), 7)
    for part, values in times.items():
        assert counted(frame, part).tolist() == np.histogram(values, edges)[0].tolist()
        assert counted(frame, part).sum() == getattr(parts, part).n_sessions
    assert frame["time"].unique() == pytest.approx(edges[:-1])


def test_parts_split_by_time_follow_one_another():
    data = dataset_of(["ab"] * 40)
    frame = sessions_in_time(data, split(data, min_support=1), n_bins=40)
    found = {part: np.flatnonzero(counted(frame, part)) for part in ("train", "validation", "test")}
    assert found["train"].max() < found["validation"].min() <= found["validation"].max() < found["test"].min()


def test_seconds_of_this_age_become_dates_and_other_numbers_stay():
    numbers = dataset_of(["ab"] * 20)
    dates = dataset_of(["ab"] * 20, first_time=pd.Timestamp("2008-04-01").timestamp())
    assert sessions_in_time(numbers, split(numbers, min_support=1))["time"].dtype == np.float64
    first = sessions_in_time(dates, split(dates, min_support=1))["time"].min()
    assert first == pd.Timestamp("2008-04-01 00:00:01")


def test_sample_sessions_run_from_the_oldest_to_the_newest_with_features():
    items = pd.DataFrame({"colour": ["red", "blue"]}, index=pd.Index(list("ab"), name="item"))
    found = sample_sessions(dataset_of(["ab", "ba", "abab", "a", "bb"], items=items), n_sessions=3, n_events=3)
    assert found["session"].tolist() == ["s00"] * 2 + ["s02"] * 3 + ["s04"] * 2
    assert "".join(found["item"]) == "ab" + "aba" + "bb"
    assert found["colour"].tolist() == ["red", "blue", "red", "blue", "red", "blue", "blue"]


def test_sample_sessions_of_fewer_sessions_than_asked_for_are_all_of_them():
    assert sample_sessions(dataset_of(["ab"]), n_sessions=3)["session"].tolist() == ["s00", "s00"]


def test_the_notebook_shows_every_figure_once(tmp_path):
    executed = run_notebook(NOTEBOOK, tmp_path / "out.ipynb", {"dataset": "synthetic"})
    cells = [cell for cell in nbformat.read(executed, as_version=4).cells if cell.cell_type == "code"]
    shown = [sum("image/png" in output.get("data", {}) for output in cell.outputs) for cell in cells]
    assert shown == [cell.source.startswith("figures.") for cell in cells]
    assert sum(shown) == 4


def test_the_notebook_takes_a_data_set_without_features(tmp_path, atomic_folder):
    rows = "".join(f"s{s}\t{i}\t{10 * s + n}\n" for s in range(30) for n, i in enumerate("abc"))
    folder = atomic_folder("session_id:token\titem_id:token\ttimestamp:float\n" + rows)
    executed = run_notebook(NOTEBOOK, tmp_path / "out.ipynb", {"dataset": str(folder)})
    assert "This data set has no item features." in executed.read_text()
