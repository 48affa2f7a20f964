import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_sequence

from gru4recf.data.batches import batches, make_batch
from gru4recf.data.sessions import Sessions, cut_windows


def sessions_of(*lists):
    lengths = [len(items) for items in lists]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    items = np.concatenate(lists).astype(np.int64)
    is_target = np.ones(len(items), dtype=bool)
    is_target[offsets[:-1]] = False
    return Sessions(items, offsets, is_target, np.array([f"s{i}" for i in range(len(lists))]))


def test_a_short_session_is_one_window():
    windows = cut_windows(sessions_of([1, 2, 3], [4, 5]), max_length=10)
    assert windows.start.tolist() == [0, 3]
    assert windows.stop.tolist() == [3, 5]


def test_a_long_session_is_cut_from_its_end_and_windows_share_one_event():
    # events 0..6 with two inputs per window: the last window reads 4, 5 and predicts 5, 6
    windows = cut_windows(sessions_of([1, 2, 3, 4, 5, 6, 7]), max_length=2)
    assert list(zip(windows.start, windows.stop, strict=True)) == [(0, 3), (2, 5), (4, 7)]


def test_windows_without_a_target_are_left_out():
    sessions = sessions_of([1, 2, 3, 4, 5, 6, 7])
    only_last = np.zeros(7, dtype=bool)
    only_last[-1] = True
    sessions = Sessions(sessions.items, sessions.offsets, only_last, sessions.labels)
    windows = cut_windows(sessions, max_length=2)
    assert list(zip(windows.start, windows.stop, strict=True)) == [(4, 7)]


@given(st.lists(st.lists(st.integers(1, 9), min_size=2, max_size=12), min_size=1, max_size=8), st.integers(1, 6))
def test_every_target_is_predicted_once_from_the_event_before_it(lists, max_length):
    sessions = sessions_of(*lists)
    windows = cut_windows(sessions, max_length)
    seen = np.zeros(sessions.n_events, dtype=int)
    for batch in batches(sessions, windows, 3, generator=np.random.default_rng(0)):
        np.add.at(seen, batch.events, 1)
        np.testing.assert_array_equal(sessions.items[batch.events - 1], batch.items.numpy())
        np.testing.assert_array_equal(sessions.items[batch.events], batch.targets.numpy())
        assert len(batch.batch_sizes) <= max_length
    np.testing.assert_array_equal(seen, sessions.is_target.astype(int))


def test_a_batch_is_packed_as_torch_packs_it():
    sessions = sessions_of([1, 2, 3], [4, 5], [6, 7, 8, 9])
    batch = make_batch(sessions, sessions.offsets[:-1], sessions.offsets[1:])
    inputs = sorted([torch.tensor([1, 2]), torch.tensor([4]), torch.tensor([6, 7, 8])], key=len, reverse=True)
    packed = pack_sequence(inputs)
    torch.testing.assert_close(batch.items, packed.data)
    torch.testing.assert_close(batch.batch_sizes, packed.batch_sizes)


def test_shuffled_batches_hold_equally_many_events_whatever_the_length_of_their_windows():
    sessions = sessions_of(*([1] * (1 + length) for length in [1] * 120 + [30] * 40))
    windows = cut_windows(sessions, 50)
    shuffled = list(batches(sessions, windows, 20, generator=np.random.default_rng(0)))
    assert len(shuffled) == 8
    assert sum(len(batch.items) for batch in shuffled) == 120 + 40 * 30
    assert max(abs(len(batch.items) - 165) for batch in shuffled) <= 30  # no more than a window from the mean
    assert max(batch.batch_sizes[0] for batch in shuffled) > 100  # short windows lie together


def test_ranking_batches_hold_equally_many_windows():
    sessions = sessions_of(*([1] * (1 + length) for length in [1] * 120 + [30] * 40))
    ranked = batches(sessions, cut_windows(sessions, 50), 20, generator=None)
    assert [int(batch.batch_sizes[0]) for batch in ranked] == [20] * 8


def test_by_time_keeps_the_newest_windows_last():
    sessions = sessions_of(*([i, i] for i in range(1, 101)))
    windows = cut_windows(sessions, 5)
    order = [b.items.numpy() for b in batches(sessions, windows, 2, generator=np.random.default_rng(0), by_time=True)]
    assert np.concatenate(order).tolist() == list(range(1, 101))


@pytest.mark.parametrize("by_time", [False, True])
def test_the_same_generator_gives_the_same_order(by_time):
    sessions = sessions_of(*([i, i, i] for i in range(1, 51)))
    windows = cut_windows(sessions, 5)

    def order(seed):
        generator = np.random.default_rng(seed)
        return np.concatenate([b.items for b in batches(sessions, windows, 4, generator=generator, by_time=by_time)])

    np.testing.assert_array_equal(order(3), order(3))
    assert (order(3) != order(4)).any() != by_time  # order by time leaves nothing to chance
