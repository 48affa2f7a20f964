import errno

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from gru4recf.cli import main
from gru4recf.data.dataset import Dataset
from gru4recf.data.sessions import Sessions
from gru4recf.data.split import split
from gru4recf.data.synthetic import make_synthetic
from gru4recf.inspection import describe_dataset
from gru4recf.order import order_matters, reciprocal_ranks

HEADER = "session_id:token\titem_id:token\ttimestamp:float\n"


def described(folder):
    lines = []
    describe_dataset(str(folder), tell=lines.append)
    return "\n".join(lines)


def chain(n_sessions, length=5, step=100.0, begin=1.7e9, n_items=10):
    """Return rows of sessions that walk round a circle of items."""
    return "".join(
        f"s{s}\ti{(s + k) % n_items}\t{begin + s * step + k}\n" for s in range(n_sessions) for k in range(length)
    )


def sessions_of(*sequences):
    items = np.concatenate([np.array(s) for s in sequences])
    offsets = np.concatenate([[0], np.cumsum([len(s) for s in sequences])])
    is_target = np.ones(len(items), dtype=bool)
    is_target[offsets[:-1]] = False
    return Sessions(items, offsets, is_target, np.arange(len(sequences)))


class TestOrder:
    def test_reciprocal_ranks_are_those_of_the_counts(self):
        train = sessions_of([1, 2], [1, 2], [1, 3], [1, 4], [2, 1])
        found = sessions_of([1, 2], [1, 3], [1, 4], [1, 5], [3, 1], [2, 1])
        # after 1: item 2 twice is first; 3 and 4 once each share ranks 2 and 3; 5 never; after 3 nothing is known
        expected = [1, 1 / 2.5, 1 / 2.5, 0, 0, 1]
        np.testing.assert_allclose(reciprocal_ranks(train.items, train, found.items, found, 6), expected)

    def test_a_walk_is_sequential(self, synthetic):
        found = order_matters(split(synthetic), "sessions")
        assert found.matters
        assert found.true_order > 2 * found.shuffled

    def test_shuffled_sessions_are_not(self):
        data = make_synthetic(n_sessions=600, n_items=40, n_groups=5, telling=0.8, seed=1)
        generator = np.random.default_rng(0)
        place = np.lexsort((generator.random(len(data.events)), pd.factorize(data.events["session"])[0]))
        events = data.events.assign(item=data.events["item"].to_numpy()[place])
        shuffled = Dataset("x", events, data.items, data.kinds, "sessions", "x")
        assert not order_matters(split(shuffled), "sessions").matters

    def test_of_users_only_the_events_before_the_target_are_shuffled(self, synthetic):
        users = Dataset("x", synthetic.events, synthetic.items, synthetic.kinds, "users", "x")
        assert order_matters(split(users), "users").matters


class TestDescription:
    def test_counts_features_and_time_are_told(self, atomic_folder):
        items = "item_id:token\tbrand:token\timage:float_seq\n" + "i0\tx\t1 2\ni1\ty\t3 4\n"
        items += "".join(f"i{i}\t\t\n" for i in range(2, 10))
        told = described(atomic_folder(HEADER + chain(100, length=3), items))
        assert "shop: 100 sessions, 300 events, 10 items; events per session: median 3, longest 3." in told
        assert "feature brand (token): known for 20.0% of the items. Weighted by events: 20.0%; 2 values." in told
        assert "feature image (float_seq): known for 20.0% of the items." in told
        assert "; 2 numbers each." in told
        assert "items without any feature: 8" in told
        assert "items whose features, all together, no other item has: 2 (20.0%); the more" in told
        assert "time: from 2023-11-14 22:13:20 to 2023-11-15 00:58:22, 2.8 h." in told
        assert "the longest time without an event: 98 s, from 2023-11-14 22:13:22." in told
        assert "idle between two events of a session: median 1 s, longest 1 s." in told
        assert "warning" not in told

    def test_an_order_is_not_taken_for_dates(self, atomic_folder):
        assert "from 0 to 9904, an order rather than dates" in described(atomic_folder(HEADER + chain(100, begin=0)))
        long = described(atomic_folder(HEADER + chain(100, begin=0, step=2e6)))
        assert "from 0 to 1.98e+08, an order rather than dates" in long
        assert "outside of" not in long

    def test_times_of_which_only_a_part_are_dates_are_warned_of(self, atomic_folder):
        told = described(atomic_folder(HEADER + chain(100) + chain(10, begin=1.7e12).replace("s", "t")))
        assert "warning: 50 events lie outside of 1973 to 2103, the others are dates; have all one unit?" in told
        assert "time: from 2023-11-14 22:13:20 to 2023-11-15 00:58:24, 2.8 h." in told
        assert "an order" not in told

    def test_repeats_equal_times_and_single_events_are_counted(self, atomic_folder):
        rows = chain(50) + "one\ti1\t1700000000\n" + "two\ti1\t1700000000\ntwo\ti1\t1700000000\n"
        told = described(atomic_folder(HEADER + rows))
        assert "events that repeat the item before: 1 (0.4%)" in told
        assert "events at the time of the one before: 1 (0.4%)" in told
        assert "sessions of a single event: 1 (1.9%)" in told

    def test_events_that_are_there_twice_are_warned_of(self, atomic_folder):
        rows = chain(50)
        lines = rows.splitlines(keepends=True)
        told = described(atomic_folder(HEADER + rows + "".join(lines[:6])))
        assert "warning: 6 events (2.3%) repeat session, item and time of another one; leave copies out:" in told
        # of 252 events two are copies, of which one hundredth may be
        assert "repeat session, item and time" not in described(atomic_folder(HEADER + rows + "".join(lines[:2])))

    def test_a_gigantic_session_is_pointed_at(self, atomic_folder):
        robot = "".join(f"robot\ti{k % 10}\t{1.7e9 + k}\n" for k in range(300))
        told = described(atomic_folder(HEADER + chain(100) + robot))
        assert "warning: 1 sessions of more than 250 events hold 37.5% of all events" in told

    def test_sessions_that_run_into_test_are_a_leak(self, atomic_folder):
        late = "".join(f"late{s}\ti1\t{1.7e9 + s}\nlate{s}\ti2\t{1.8e9}\n" for s in range(5))
        told = described(atomic_folder(HEADER + chain(100) + late))
        assert "warning: leak: training sessions with events after test began: 5" in told

    def test_test_sessions_that_training_holds_are_a_leak(self, atomic_folder):
        generator = np.random.default_rng(0)
        rows = [[f"i{i}" for i in generator.integers(20, size=6)] for _ in range(90)]
        copies = rows + rows[:10]
        text = "".join(f"s{s}\t{item}\t{s * 100 + k}\n" for s, row in enumerate(copies) for k, item in enumerate(row))
        told = described(atomic_folder(HEADER + text))
        assert "warning: leak: test sessions of 4 or more events that training holds item for item: 10 (100.0%)" in told

    def test_data_without_an_order_are_warned_of(self, atomic_folder):
        generator = np.random.default_rng(0)
        rows = [f"s{s}\ti{generator.integers(10)}\t{s * 100 + k}\n" for s in range(20_000) for k in range(5)]
        told = described(atomic_folder(HEADER + "".join(rows)))
        assert "warning: shuffled order predicts as well: these data are not sequential" in told
        told = described(atomic_folder(HEADER + "".join(rows[:1000])))
        assert "warning: 80 validation targets are too few to tell whether the order of events matters." in told
        assert "not sequential" not in told

    def test_a_feature_with_one_value_among_items_of_training_is_pointed_at(self, atomic_folder):
        items = "item_id:token\tbrand:token\n" + "".join(f"i{i}\tx\n" for i in range(10)) + "never\ty\n"
        told = described(atomic_folder(HEADER + chain(100), items))
        assert "warning: feature brand (token) has one value for all items seen in training" in told

    @pytest.mark.parametrize("kind", ["token", "token_seq", "float", "float_seq"])
    def test_a_feature_of_which_nothing_is_known_is_told(self, atomic_folder, kind):
        folder = atomic_folder(inter=HEADER + "s\ta\t1\n", item=f"item_id:token\timage:{kind}\na\t\n")
        answer = CliRunner().invoke(main, ["data", str(folder)])
        assert answer.exit_code == 2  # one item cannot be ranked
        assert (
            f"feature image ({kind}): known for 0.0% of the items. Weighted by events: 0.0%; 0 values." in answer.output
        )

    def test_what_was_read_is_told_before_a_split_fails(self, atomic_folder):
        answer = CliRunner().invoke(main, ["data", str(atomic_folder(HEADER + "s1\ta\t1\ns1\tb\t2\n"))])
        assert answer.exit_code == 2
        assert answer.output.startswith("shop: 1 sessions, 2 events, 2 items")
        assert answer.output.splitlines()[-1].startswith("gru4recf: shop: ")


@pytest.mark.parametrize(
    "arguments", [["data"], ["data", "synthetic"], ["data", "import", "--help"], ["data", "--help"]]
)
def test_data_lists_describes_and_imports(arguments):
    assert CliRunner().invoke(main, arguments).exit_code == 0


def test_a_word_that_is_no_command_is_a_data_set():
    answer = CliRunner().invoke(main, ["data", "esho"])
    assert answer.exit_code == 2
    assert "did you mean 'eshop'" in answer.output


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (
            PermissionError(errno.EACCES, "Permission denied", "shop.inter"),
            2,
            "gru4recf: shop.inter: Permission denied.\n",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "gru4recf: a file: No space left on device.\n"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 1, ""),
    ],
)
def test_what_the_system_refuses_is_told_in_a_sentence(monkeypatch, error, code, told):
    def refuse(**_):
        raise error

    monkeypatch.setattr("gru4recf.inspection.list_datasets", refuse)
    answer = CliRunner().invoke(main, ["data"])
    assert isinstance(answer.exception, SystemExit)
    assert (answer.exit_code, answer.output) == (code, told)
