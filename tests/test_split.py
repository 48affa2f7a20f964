import dataclasses

import numpy as np
import pandas as pd
import pytest

from gru4recf.data.dataset import Dataset
from gru4recf.data.split import split
from gru4recf.errors import StudyError


def dataset_of(sessions, sequences="sessions", **options):
    """Build a data set from strings of one-letter items; session i starts at time 100 i."""
    rows = [(f"s{i:02d}", item, 100.0 * i + j) for i, items in enumerate(sessions) for j, item in enumerate(items)]
    events = pd.DataFrame(rows, columns=["session", "item", "time"])
    items = pd.DataFrame(index=events["item"].unique())
    return Dataset("letters", events, items, {}, sequences, "digest", **options)


def decoded(part, catalogue):
    letters = catalogue[part.items]
    return ["".join(letters[a:b]) for a, b in zip(part.offsets[:-1], part.offsets[1:], strict=True)]


def test_sessions_are_split_at_the_given_times_and_never_cut():
    data = dataset_of(["ab", "ba", "abab", "ba"], test_start=300.0, validation_start=200.0)
    parts = split(data, min_support=1)
    assert decoded(parts.train, parts.catalogue) == ["ab", "ba"]
    assert decoded(parts.validation, parts.catalogue) == ["abab"]
    assert decoded(parts.test, parts.catalogue) == ["ba"]


def test_without_times_the_last_tenth_is_test_and_the_tenth_before_validation():
    parts = split(dataset_of(["ab"] * 40), min_support=1)
    assert (parts.train.n_sessions, parts.validation.n_sessions, parts.test.n_sessions) == (32, 4, 4)
    assert parts.test.labels.tolist() == ["s36", "s37", "s38", "s39"]


def test_support_is_counted_in_training_only_and_rare_items_leave_every_part():
    # c is frequent in test and seen once in training: it is removed everywhere
    data = dataset_of(["ab", "ab", "acb", "ab", "ccacb"], test_start=400.0, validation_start=300.0)
    parts = split(data, min_support=2)
    assert decoded(parts.train, parts.catalogue) == ["ab", "ab", "ab"]
    assert decoded(parts.test, parts.catalogue) == ["ab"]
    assert parts.catalogue.tolist() == ["", "a", "b"]
    assert parts.support.tolist() == [0, 3, 3]
    assert parts.counts["items below support 2 dropped"] == 1
    # of the four candidates c, a, c, b of the test session one is left as a target
    assert parts.counts["test targets not ranked"] == 3


def test_support_counts_the_events_that_are_left_in_training():
    # c is too rare, and the session cb is left with one event: its b is no training event any more
    parts = split(dataset_of(["ab", "ab", "cb", "ab", "ab"], test_start=400.0, validation_start=300.0), min_support=2)
    assert dict(zip(parts.catalogue, parts.support, strict=True)) == {"": 0, "a": 2, "b": 2}
    assert np.bincount(parts.train.items).tolist() == parts.support.tolist()


def test_train_fraction_keeps_the_newest_sessions_and_leaves_test_alone():
    data = dataset_of(["ab"] * 20 + ["ba"] * 20)
    whole, part = split(data, min_support=1), split(data, min_support=1, train_fraction=0.25)
    assert part.train.labels.tolist() == whole.train.labels[-8:].tolist()
    assert part.test.labels.tolist() == whole.test.labels.tolist()
    assert part.counts["training sessions left out by train_fraction"] == 24


def test_sessions_of_one_event_are_dropped_and_counted():
    parts = split(dataset_of(["ab", "a", "ba"] * 10), min_support=1)
    assert parts.counts["sessions of one event dropped"] == 10
    assert parts.train.n_sessions + parts.validation.n_sessions + parts.test.n_sessions == 20


def test_merged_validation_is_training_and_the_support_counts_it():
    data = dataset_of(["ab", "ba", "cab", "bac"], test_start=300.0, validation_start=200.0)
    parts = split(data, min_support=1, merge_validation=True)
    assert decoded(parts.train, parts.catalogue) == ["ab", "ba", "cab"]
    assert parts.validation.n_sessions == 0
    assert decoded(parts.test, parts.catalogue) == ["bac"]
    assert dict(zip(parts.catalogue, parts.support, strict=True)) == {"": 0, "a": 3, "b": 3, "c": 1}


def test_users_with_merged_validation_keep_their_last_event_for_test():
    parts = split(dataset_of(["abcab", "abc", "ab"], "users"), min_support=1, merge_validation=True)
    assert decoded(parts.train, parts.catalogue) == ["abca", "ab", "ab"]
    assert parts.train.n_targets == 5
    assert decoded(parts.test, parts.catalogue) == ["abcab", "abc"]


def test_support_zero_keeps_the_whole_catalogue_unseen_items_last():
    data = dataset_of(["ab", "ba", "cb", "da"], test_start=300.0, validation_start=200.0)
    data = dataclasses.replace(data, items=pd.DataFrame(index=pd.Index(["d", "never", "c", "b", "a"])))
    parts = split(data, min_support=0)
    assert parts.catalogue.tolist() == ["", "a", "b", "d", "never", "c"]
    assert parts.support.tolist() == [0, 2, 2, 0, 0, 0]
    assert (parts.n_items, parts.n_seen) == (6, 3)
    assert parts.counts["test targets not ranked"] == 0


def test_leave_one_out_is_recboles():
    # n >= 4 events: (n - 3, 1, 1) targets in training, validation, test; n = 3: (1, 0, 1); n = 2: (1, 0, 0)
    parts = split(dataset_of(["abcab", "abc", "ab"], "users"), min_support=1)
    assert decoded(parts.train, parts.catalogue) == ["abc", "ab", "ab"]
    assert decoded(parts.validation, parts.catalogue) == ["abca"]
    assert decoded(parts.test, parts.catalogue) == ["abcab", "abc"]
    assert (parts.train.n_targets, parts.validation.n_targets, parts.test.n_targets) == (4, 1, 2)
    assert parts.test.is_target.tolist() == [False] * 4 + [True] + [False] * 2 + [True]


@pytest.mark.parametrize(
    ("sessions", "told"),
    [
        (["ab"], "two are needed to rank"),
        (["aa"] * 30, "two are needed to rank"),
        (["a"] * 30, "two are needed to rank"),
    ],
)
def test_one_session_or_one_item_is_refused_with_a_sentence(sessions, told):
    with pytest.raises(StudyError, match=told):
        split(dataset_of(sessions), min_support=1)


def test_a_filter_that_removes_everything_is_refused():
    with pytest.raises(StudyError, match="lower min_support"):
        split(dataset_of(["ab"] * 10), min_support=1000)


def test_the_callers_data_is_not_changed():
    data = dataset_of(["abc"] * 30)
    before = data.events.copy()
    split(data, min_support=1)
    pd.testing.assert_frame_equal(data.events, before)
    assert dataclasses.asdict(data)["digest"] == "digest"
    assert np.isfinite(data.events["time"]).all()
