import numpy as np
import pandas as pd
import pytest
from matplotlib.container import ErrorbarContainer

from gru4recf.errors import StudyError
from gru4recf.figures.base import colour_of
from gru4recf.figures.sensitivity import wins_by_choice as draw
from gru4recf.metrics import CUTOFFS, METRICS, per_event
from gru4recf.sensitivity import COLUMNS, sensitivity, where_it_wins

AS_BUILT = {"as built": ("rival",)}
SLICES = ["target in training, rarest first", "events before the target", "length of the session"]


def events(n_sessions=200, n_seeds=2, gain=0.0, rng_seed=0):
    """Return test events of sessions with 2 to 13 events; `ours` ranks better than `rival` by `gain` in the log."""
    rng = np.random.default_rng(rng_seed)
    lengths = rng.integers(2, 14, n_sessions)
    session = np.repeat(np.arange(n_sessions), lengths - 1)
    position = np.concatenate([np.arange(2, length + 1) for length in lengths])
    target = rng.integers(0, 50, len(session))
    frame = pd.DataFrame({"session": session.astype(str), "position": position, "target": target.astype(str)})
    frame = frame.assign(support=3 * target + 5, session_length=np.repeat(lengths, lengths - 1))
    difficulty = rng.gamma(2, 10, len(session))
    for variant, shift in (("ours", -gain), ("rival", 0.0), ("wide", 0.0)):
        for seed in range(n_seeds):
            ranks = np.round(difficulty * np.exp(shift + rng.normal(0, 0.1, len(session))))
            frame[f"{variant}/simultaneous/{seed}"] = np.maximum(ranks, 1).astype(np.float32)
    return frame


def decided(frame=None, rivals=AS_BUILT, **options):
    frame = events() if frame is None else frame
    return sensitivity(frame, dataset="shop", claim="best", better="ours", rivals=rivals, n_draws=300, **options)


def of(rows, choice, value=None, metric="MRR@20"):
    chosen = rows[(rows["choice"] == choice) & (rows["metric"] == metric)]
    return chosen if value is None else chosen[chosen["value"] == value].iloc[0]


def gain_of(frame, metric="MRR@20", ours="ours", rival="rival"):
    """Return the relative difference of the plain means."""

    def mean(variant):
        columns = [c for c in frame.columns if c.startswith(f"{variant}/") and not c.endswith("ties")]
        return per_event(metric, frame[columns].to_numpy()).mean()

    return mean(ours) / mean(rival) - 1


class TestRows:
    def test_every_metric_and_cutoff_is_there_and_plain(self):
        rows = decided()
        metrics = rows[rows["choice"] == "metric"]
        assert set(metrics["metric"]) == {f"{name}@{k}" for name in METRICS for k in CUTOFFS}
        assert (metrics["metric"] == metrics["value"]).all()
        for row in metrics.itertuples():
            assert row.relative == pytest.approx(gain_of(events(), row.metric))
            assert row.low < row.relative < row.high

    def test_columns_and_the_protocols_own_rows(self):
        rows = decided(rivals=AS_BUILT | {"equal hidden units": ("wide",)})
        assert list(rows.columns) == COLUMNS
        own = rows[rows["protocol"]]
        assert set(own["value"]) == {"Recall@20", "MRR@20", "half ahead", "as built"}
        assert own.groupby("metric")[["relative", "low", "high"]].nunique().eq(1).all(axis=None)

    def test_slices_hold_the_events_their_names_say(self):
        frame = events()
        rows = decided(frame)
        before = of(rows, SLICES[1])
        assert before["value"].tolist() == ["1", "2", "3 to 5", "6 or more"]
        counts = [(frame["position"] == 2).sum(), (frame["position"] == 3).sum()]
        counts += [frame["position"].between(4, 6).sum(), (frame["position"] >= 7).sum()]
        assert before["n_events"].tolist() == counts
        assert before["relative"].tolist()[0] == pytest.approx(gain_of(frame[frame["position"] == 2]))
        lengths = of(rows, SLICES[2])
        assert lengths["value"].tolist() == ["2", "3 to 5", "6 to 10", "11 or more"]
        assert lengths["n_events"].sum() == of(rows, SLICES[0])["n_events"].sum() == len(frame)
        assert of(rows, SLICES[0])["value"].iloc[0] == "fifth 1: 5 to 32"

    def test_items_never_seen_in_training_are_a_slice_of_their_own(self):
        frame = events()
        frame.loc[frame["target"].isin(["0", "1"]), "support"] = 0
        support = of(decided(frame), SLICES[0])
        assert support["value"].tolist()[:2] == ["never", "fifth 1: 11 to 38"]
        assert support["n_events"].iloc[0] == frame["target"].isin(["0", "1"]).sum()

    def test_a_slice_of_one_session_and_one_without_events_have_no_row(self):
        frame = events()
        frame = frame[(frame["session_length"] > 2) & ((frame["session_length"] < 11) | (frame["session"] == "x"))]
        assert of(decided(frame), SLICES[2])["value"].tolist() == ["3 to 5", "6 to 10"]

    def test_a_planted_gain_is_found_under_every_choice_and_none_is_not(self):
        assert set(of(decided(events(gain=0.5)), "metric")["verdict"]) == {"supported"}
        assert set(of(decided(events(gain=-0.5)), "metric")["verdict"]) == {"refuted"}
        assert of(decided(events(gain=0)), "metric", "MRR@20")["verdict"] in ("inconclusive", "equivalent")

    def test_the_callers_frame_is_left_alone_and_the_same_seed_gives_the_same_numbers(self):
        frame = events()
        copy = frame.copy(deep=True)
        first, second = decided(frame), decided(frame)
        assert frame.equals(copy)
        assert first.equals(second)
        assert not first.equals(decided(frame, seed=1))


class TestTies:
    def test_by_hand(self):
        """Half of 4 equal items ahead gives rank 3: with all ahead 5, with none 1."""
        frame = events(n_seeds=1)
        for variant in ("ours", "rival"):
            frame[f"{variant}/simultaneous/0"] = np.float32(3)
        frame["ours/simultaneous/0/ties"] = 4
        ties = of(decided(frame), "items with the target's score").set_index("value")["relative"]
        assert ties["half ahead"] == pytest.approx(0)
        assert ties["all ahead (conservative)"] == pytest.approx(3 / 5 - 1)
        assert ties["none ahead (optimistic)"] == pytest.approx(3 / 1 - 1)

    def test_without_columns_of_ties_nothing_changes(self):
        rows = of(decided(), "items with the target's score")
        assert rows[["relative", "low", "high"]].nunique().eq(1).all()


class TestRivals:
    def test_other_rivals_take_the_place_of_the_protocols(self):
        rows = decided(rivals=AS_BUILT | {"equal hidden units": ("wide",), "equal parameters": ("not run",)})
        other = of(rows, "rivals")
        assert other["value"].tolist() == ["as built", "equal hidden units"]
        assert other["worse"].tolist() == ["rival", "wide"]
        assert other["relative"].iloc[1] == pytest.approx(gain_of(events(), rival="wide"))
        assert set(rows.loc[rows["choice"] != "rivals", "worse"]) == {"rival"}


class TestMistakes:
    def test_a_rival_without_hits_has_missing_numbers_and_says_so(self):
        frame = events()
        frame[["rival/simultaneous/0", "rival/simultaneous/1"]] = np.inf
        rows = decided(frame)
        assert set(rows["verdict"]) == {"not defined"}
        assert rows[["relative", "low", "high"]].isna().all(axis=None)

    def test_a_variant_without_ranks_is_named(self):
        with pytest.raises(StudyError, match="shop: no ranks of gone with simultaneous training; run it there first"):
            decided(rivals={"as built": ("gone",)})
        with pytest.raises(StudyError, match="no ranks of ours with residual training"):
            decided(strategy="residual")

    @pytest.mark.parametrize("rivals", [{}, {"as built": ()}, {"equal parameters": ("wide",)}])
    def test_the_protocols_rivals_are_needed(self, rivals):
        with pytest.raises(StudyError, match="name the rivals of ours under 'as built'"):
            decided(rivals=rivals)


class TestWhereItWins:
    def rows(self, verdicts, **columns):
        """Return rows of (data set, rival, metric, verdict), 1% above or below zero or around it."""
        rows = pd.DataFrame(verdicts, columns=["dataset", "worse", "metric", "verdict"])
        low = rows["verdict"].map({"supported": 0.01, "refuted": -0.05, "equivalent": -0.01, "inconclusive": -0.1})
        given = {"choice": "rivals", "value": "as built", "protocol": True, **columns}
        return rows.assign(low=low, high=low + 0.02 + 0.2 * (rows["verdict"] == "inconclusive"), **given)

    def test_a_data_set_is_won_against_every_rival_in_both_metrics_and_lost_against_one(self):
        all_but_one = [("a", "x", "MRR@20", "supported"), ("a", "x", "Recall@20", "supported")]
        won = [*all_but_one, ("a", "y", "MRR@20", "supported"), ("a", "y", "Recall@20", "supported")]
        lost = [("b", "x", "MRR@20", "supported"), ("b", "x", "Recall@20", "refuted")]
        equal = [("c", "x", "MRR@20", "equivalent"), ("c", "x", "Recall@20", "equivalent")]
        unsure = [("d", "x", "MRR@20", "supported"), ("d", "x", "Recall@20", "inconclusive")]
        (row,) = where_it_wins(self.rows(won + lost + equal + unsure)).to_dict("records")
        named = {"supported": ["a"], "refuted": ["b"], "equivalent": ["c"], "inconclusive": ["d"]}
        assert row == {"choice": "rivals", "value": "as built", "own": True, **named}

    def test_choices_stay_together_slices_share_a_row_and_what_is_not_defined_has_none(self):
        two = [("a", "x", "MRR@20", "supported"), ("b", "x", "MRR@20", "not defined")]
        frames = [
            self.rows(two, choice="target", value="fifth 1: 5 to 9", protocol=False),
            self.rows(two, choice="rivals", value="ID-only", protocol=False),
            self.rows(two[:1], choice="target", value="fifth 2: 10", protocol=False).assign(dataset="c"),
            self.rows(two[:1], choice="target", value="fifth 1: 6", protocol=False).assign(dataset="c"),
            self.rows(two[1:], choice="target", value="never", protocol=False),
        ]
        table = where_it_wins(pd.concat(frames))
        rows = [(row.choice, row.value, row.supported) for row in table.itertuples()]
        assert rows == [
            ("target", "fifth 1", ["a", "c"]),
            ("target", "fifth 2", ["c"]),
            ("rivals", "ID-only", ["a"]),
        ]
        assert not table["own"].any()

    def test_one_metric_of_the_protocol_alone_is_not_its_own_choice(self):
        table = where_it_wins(decided())
        assert table.loc[table["own"], "value"].tolist() == ["half ahead", "as built"]


class TestFigure:
    def rows(self, datasets=("shop",), rivals=AS_BUILT):
        return pd.concat([decided(rivals=rivals).assign(dataset=name) for name in datasets])

    def texts(self, axes):
        return [text.get_text() for text in axes.texts]

    def test_one_panel_per_data_set_and_names_left_of_the_first(self):
        figure = draw(self.rows(("a", "b", "c", "d")))
        assert [axes.get_title(loc="left") for axes in figure.axes] == ["a", "b", "c", "d"]
        assert self.texts(figure.axes[0])[:2] == ["Recall@5", "MRR@5"]
        assert self.texts(figure.axes[1]) == []
        assert {"metric", "rivals", *SLICES} < set(self.texts(figure.axes[3]))
        bold = [text.get_text() for text in figure.axes[0].texts if text.get_fontweight() == "bold"]
        assert bold == ["Recall@20", "MRR@20", "half ahead", "as built"]

    def test_dots_are_percent_in_the_rivals_colour(self):
        rows = self.rows(rivals=AS_BUILT | {"equal hidden units": ("wide",)})
        axes = draw(rows).axes[0]
        containers = [c for c in axes.containers if isinstance(c, ErrorbarContainer)]
        assert [c[0].get_color() for c in containers] == [colour_of("rival"), colour_of("wide")]
        (x, y), *_ = containers[0][0].get_xydata()
        assert x == pytest.approx(100 * rows["relative"].iloc[0])
        assert y == 1
        assert len(containers[1][0].get_xydata()) == 1

    def test_two_rivals_of_a_row_stand_apart(self):
        axes = draw(self.rows(rivals={"as built": ("rival", "wide")})).axes[0]
        first, second = (c[0].get_xydata()[0, 1] for c in axes.containers)
        assert first < 1 < second

    def test_rows_that_are_not_defined_are_left_without_a_dot(self):
        rows = self.rows()
        rows.loc[rows["value"] == "Recall@5", ["relative", "low", "high"]] = np.nan
        axes = draw(rows).axes[0]
        assert min(y for _, y in axes.containers[0][0].get_xydata()) == 2
        assert "Recall@5" in self.texts(axes)

    def test_a_slice_far_beyond_the_others_leaves_them_readable_and_is_told_at_the_edge(self):
        rows = self.rows()
        slices = rows["choice"].eq("length of the session") & rows["metric"].eq("MRR@20")
        rows[["relative", "low", "high"]] = [0.03, 0.02, 0.04]
        rows.loc[slices, ["relative", "low", "high", "n_events"]] = [[0.05, 0.04, 0.06, 9]] * slices.sum()
        rows.loc[rows[slices].index[0], ["relative", "low", "high"]] = [5.0, 4.0, 6.0]
        axes = draw(rows).axes[0]
        left, right = axes.get_xlim()
        assert left < -2
        assert 5 < right < 20
        told = [line for line in axes.lines if line.get_marker() in "<>" and len(line.get_xdata()) == 1]
        assert [(line.get_marker(), line.get_xdata()[0]) for line in told] == [(">", right)]

    def test_nothing_is_cut_off_and_the_bytes_stay(self):
        figure = draw(self.rows(("a", "b")))
        inside = figure.get_tightbbox().padded(-0.02)
        assert inside.x0 >= 0
        assert inside.y0 >= 0
        assert (inside.x1, inside.y1) <= tuple(figure.get_size_inches())
        again = draw(self.rows(("a", "b")))
        assert figure._repr_mimebundle_()[0]["image/png"] == again._repr_mimebundle_()[0]["image/png"]

    def test_an_empty_frame_is_refused(self):
        with pytest.raises(StudyError, match="wins_by_choice was given no rows"):
            draw(self.rows().iloc[:0])
