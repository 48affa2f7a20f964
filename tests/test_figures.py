"""Figures: what each shows of its frame, one look for all, and files that depend on numbers only."""

import base64
import functools
import hashlib
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from matplotlib.container import ErrorbarContainer

from gru4recf import figures
from gru4recf.errors import StudyError
from gru4recf.figures import CAPTIONS, COLOURS, colour_of, marker_of
from gru4recf.figures.base import signed_percent
from gru4recf.models import NETWORKS, VARIANTS

VALIDATION = "validation MRR@20"
METRICS = ("Recall@20", "MRR@20")
STUDY_FIGURES = (
    "training_curve",
    "learning_curves",
    "metric_per_variant",
    "forest",
    "gain_by_support",
    "gain_by_place",
    "gain_by_repeat",
    "metric_by_training_size",
    "best_so_far",
    "worth_of_features",
    "wins_by_choice",
)
DATA_FIGURES = ("session_lengths", "popularity", "feature_coverage", "split_in_time")


def one_run(values=(0.1, 0.3, 0.2)):
    epochs = np.arange(1, len(values) + 1)
    values = np.array(values)
    return pd.DataFrame({"epoch": epochs, "loss": 4.0 / epochs, VALIDATION: values, "validation Recall@20": 2 * values})


def history(runs, dataset="shop"):
    """Return a frame of runs (variant, seed, validation values); one value is a baseline's."""
    frames = []
    for variant, seed, values in runs:
        start = 0 if len(values) == 1 else 1
        rows = {"epoch": range(start, start + len(values)), VALIDATION: values, "loss": np.nan}
        frames.append(pd.DataFrame(rows).assign(variant=variant, seed=seed))
    return pd.concat(frames).assign(dataset=dataset, strategy="simultaneous")


def summary(values, datasets=("shop",), metrics=METRICS, sizes=(100.0, 10.0), family="shop"):
    rows = [
        (d, v, m, value, value - 0.01, value + 0.01, 3, sizes[datasets.index(d)], family)
        for d, m, (v, value) in itertools.product(datasets, metrics, values.items())
    ]
    columns = ["dataset", "variant", "metric", "value", "low", "high", "n_seeds", "events_per_item", "family"]
    return pd.DataFrame(rows, columns=columns)


def contrasts(rows, dataset="shop", claim="best"):
    """Return a frame of (better, worse, relative, low, high, verdict)."""
    columns = ["better", "worse", "relative", "relative_low", "relative_high", "verdict"]
    return pd.DataFrame(rows, columns=columns).assign(dataset=dataset, claim=claim, metric="MRR@20")


def gains(relative, better="concat_input", worse="id_only", dataset="shop", metric="MRR@20"):
    slices = np.arange(len(relative))
    frame = pd.DataFrame({"slice": slices, "support_low": 10 * slices + 5, "support_high": 10 * slices + 14})
    relative = np.array(relative)
    ends = {"relative": relative, "low": relative - 0.1, "high": relative + 0.1}
    return frame.assign(n_events=1200, better=better, worse=worse, dataset=dataset, metric=metric, **ends)


def worth(relative, family="shop", over="the best network without features", search=""):
    relative, sizes = np.array(relative), 10.0 ** np.arange(len(relative))
    frame = pd.DataFrame({"dataset": [f"{family}{size:.0f}" for size in sizes], "events_per_item": sizes})
    frame["search"] = search
    ends = {"relative": relative, "low": relative - 0.1, "high": relative + 0.1}
    return frame.assign(family=family, over=over, metric="MRR@20", better="concat_input", worse="id_only", **ends)


def choices(rows):
    """Return a frame of (choice, value, relative difference)."""
    frame = pd.DataFrame(rows, columns=["choice", "value", "relative"])
    names = {"dataset": "shop", "claim": "best", "better": "parallel_concat", "worse": "id_only", "metric": "MRR@20"}
    ends = {"low": frame["relative"] - 0.1, "high": frame["relative"] + 0.1}
    return frame.assign(**names, **ends, protocol=True, n_events=100, verdict="inconclusive")


def in_time(times):
    return pd.DataFrame({"time": times, "part": ["train", "train", "test"], "n_sessions": [8, 6, 3]})


FRAMES = {
    "training_curve": one_run(),
    "learning_curves": history([("id_only", 0, [0.1, 0.2]), ("popularity", 0, [0.05])]),
    "metric_per_variant": summary({"popularity": 0.1, "id_only": 0.5}),
    "forest": contrasts([("parallel_concat", "concat_input", 0.03, 0.01, 0.05, "supported")]),
    "gain_by_support": gains([0.4, 0.1, 0.0]),
    "gain_by_place": gains([0.4, 0.1]).assign(slice=[0, 2], label=["3 to 5", "11 or more"]),
    "gain_by_repeat": gains([0.4, 0.1]).assign(label=["repeat", "new"]),
    "metric_by_training_size": summary({"popularity": 0.1, "id_only": 0.5}, datasets=("shop", "shop-5pct")),
    "best_so_far": pd.DataFrame({"dataset": "shop", "variant": "id_only", "trial": [1, 2], "value": [0.1, 0.2]}),
    "worth_of_features": worth([0.2, 0.1, 0.0]),
    "wins_by_choice": choices([("metric", "MRR@20", 0.1), ("items with the target's score", "half ahead", 0.1)]),
    "session_lengths": pd.Series([2, 2, 3, 5, 9]),
    "popularity": pd.Series([50, 20, 10, 5, 5]),
    "feature_coverage": pd.DataFrame(
        {"feature": ["colour", "price"], "kind": ["token", "float"], "coverage": [1.0, 0.25], "n_values": [14, 1200]}
    ),
    "split_in_time": in_time([0.0, 10.0, 20.0]),
}
every_figure = pytest.mark.parametrize("name", FRAMES)


@functools.cache
def draw(name):
    """Return one figure, drawn once for all tests: looking at it and saving it must not change it."""
    return getattr(figures, name)(FRAMES[name])


def error_bars(axes):
    """Return the position, ends and colour of each interval drawn by errorbar, in the order of drawing."""
    found = []
    for container in (c for c in axes.containers if isinstance(c, ErrorbarContainer)):
        dots, _, (bars,) = container
        found += [
            (tuple(map(float, dot)), bar, dots.get_color())
            for dot, bar in zip(dots.get_xydata(), bars.get_segments(), strict=True)
        ]
    return found


def title(axes):
    return axes.get_title(loc="left")


def texts(axes):
    return [text.get_text() for text in axes.texts]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def tick_labels(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


# What holds for every figure


def test_every_figure_has_a_frame_here_and_a_caption():
    assert set(FRAMES) == set(CAPTIONS) == {*STUDY_FIGURES, *DATA_FIGURES}
    assert set(CAPTIONS) < set(figures.__all__)
    assert all(caption.endswith(".") for caption in CAPTIONS.values())


@pytest.mark.parametrize("name", STUDY_FIGURES)
def test_the_caption_of_a_study_figure_says_what_its_bars_are(name):
    assert any(word in CAPTIONS[name] for word in ("95% interval", "without error bars", "all the spread"))


@every_figure
def test_a_figure_is_as_wide_as_the_report_and_unknown_to_pyplot(name):
    before = plt.get_fignums()
    assert draw(name).get_size_inches()[0] == 7
    assert plt.get_fignums() == before


@every_figure
def test_drawing_leaves_the_frame_and_the_settings_of_matplotlib_alone(name):
    settings, frame = dict(matplotlib.rcParams), FRAMES[name].copy(deep=True)
    getattr(figures, name)(FRAMES[name])
    assert dict(matplotlib.rcParams) == settings
    assert FRAMES[name].equals(frame)


@every_figure
def test_an_empty_frame_is_refused_in_a_sentence(name):
    with pytest.raises(StudyError, match=rf"figure {name} was given no rows; .+\.$"):
        getattr(figures, name)(FRAMES[name].iloc[:0])


@every_figure
def test_nothing_is_cut_off_at_the_edge(name):
    figure = draw(name)
    inside = figure.get_tightbbox().padded(-0.02)
    width, height = figure.get_size_inches()
    assert inside.x0 >= 0
    assert inside.y0 >= 0
    assert inside.x1 <= width
    assert inside.y1 <= height


@every_figure
def test_a_notebook_gets_the_bytes_that_are_saved(name, tmp_path):
    figure = draw(name)
    data, metadata = figure._repr_mimebundle_()
    saved = figures.save(figure, tmp_path, name)
    assert base64.b64decode(data["image/png"]) == saved.read_bytes()
    assert metadata["image/png"]["width"] == 700
    assert metadata["image/png"]["alt"] == figure.caption == CAPTIONS[name]


# Files


def test_save_writes_both_files_and_returns_the_png(tmp_path):
    path = figures.save(draw("forest"), tmp_path / "new", "one")
    assert path == tmp_path / "new" / "one.png"
    assert sorted(p.name for p in path.parent.iterdir()) == ["one.pdf", "one.png"]
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.with_suffix(".pdf").read_bytes().startswith(b"%PDF")


def test_show_saves_and_displays_the_figure_and_its_caption(tmp_path, monkeypatch):
    displayed = []
    monkeypatch.setattr("IPython.display.display", lambda shown, **options: displayed.append((shown, options)))
    figures.show(draw("forest"), tmp_path, "one")
    (data, options), (caption, _) = displayed
    assert (data, options["metadata"]) == draw("forest")._repr_mimebundle_()
    assert base64.b64decode(data["image/png"]) == (tmp_path / "one.png").read_bytes()
    assert caption.data == f"*{CAPTIONS['forest']}*"


def test_files_hold_no_date_and_no_version(tmp_path):
    png = figures.save(draw("forest"), tmp_path, "one")
    assert b"Date" not in png.with_suffix(".pdf").read_bytes()
    assert b"Software" not in png.read_bytes()


def test_the_same_numbers_give_the_same_bytes(tmp_path):
    drawn = [figures.forest(FRAMES["forest"]) for _ in range(2)]
    paths = [figures.save(figure, tmp_path / str(n), "forest") for n, figure in enumerate(drawn)]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].with_suffix(".pdf").read_bytes() == paths[1].with_suffix(".pdf").read_bytes()


def digests(folder):
    """Write every figure and return the digest of each file."""
    for name in FRAMES:
        figures.save(draw(name), folder, name)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_another_process_with_other_settings_writes_the_same_bytes(tmp_path):
    (tmp_path / "matplotlibrc").write_text("font.size: 20\nsavefig.dpi: 50\nsavefig.bbox: tight\naxes.facecolor: red\n")
    program = (
        "import sys, json, pathlib; sys.path.insert(0, sys.argv[1]); import test_figures; "
        "print(json.dumps(test_figures.digests(pathlib.Path(sys.argv[2]))))"
    )
    environment = {"PYTHONHASHSEED": "7", "MATPLOTLIBRC": str(tmp_path / "matplotlibrc"), "TZ": "Asia/Tokyo"}
    told = subprocess.run(
        [sys.executable, "-c", program, str(Path(__file__).parent), str(tmp_path / "there")],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(told.stdout) == digests(tmp_path / "here")


# Colours


def test_every_variant_has_its_own_colour_and_marker():
    assert set(VARIANTS) <= set(COLOURS)
    assert len({(colour_of(v), marker_of(v)) for v in COLOURS}) == len(COLOURS)
    assert len({colour_of(v) for v in (*NETWORKS, "popularity")}) == len(NETWORKS) + 1


def test_an_unknown_variant_always_has_the_same_look():
    assert (colour_of("mine"), marker_of("mine")) == (colour_of("mine"), marker_of("mine"))
    assert colour_of("mine") not in COLOURS.values()
    assert len({(colour_of(f"mine{n}"), marker_of(f"mine{n}")) for n in range(40)}) > 15


def test_the_colour_of_a_variant_is_the_same_in_all_figures():
    values = {"concat_input": 0.5, "id_only": 0.5}
    runs = history([(variant, 0, [0.1, 0.2]) for variant in values])
    drawn = [
        {line.get_color() for line in figures.learning_curves(runs).axes[0].lines},
        {colour for *_, colour in error_bars(figures.metric_per_variant(summary(values)).axes[0])},
        {colour for *_, colour in error_bars(figures.metric_by_training_size(summary(values)).axes[0])},
    ]
    assert drawn == [{colour_of(variant) for variant in values}] * 3
    (bar,) = error_bars(draw("gain_by_support").axes[0])[:1]
    assert bar[2] == colour_of("concat_input")


@pytest.mark.parametrize(("value", "text"), [(0.0, "0%"), (5.0, "+5%"), (-2.5, "\N{MINUS SIGN}2.5%"), (1e-13, "0%")])
def test_percentages_carry_their_sign(value, text):
    assert signed_percent(value) == text


# One run


def test_training_curve_marks_the_epoch_with_the_best_validation():
    figure = figures.training_curve(one_run([0.1, 0.3, 0.2]))
    assert [title(axes) for axes in figure.axes] == ["training loss", VALIDATION, "validation Recall@20"]
    assert [axes.get_title(loc="right") for axes in figure.axes] == ["2.0000", "0.3000", "0.6000"]
    assert {axes.get_xlabel() for axes in figure.axes} == {"epoch (best: 2)"}
    assert figure.axes[1].lines[0].get_ydata().tolist() == [0.1, 0.3, 0.2]


@pytest.mark.parametrize("columns", [["epoch", VALIDATION, "validation Recall@20"], ["epoch", "loss", VALIDATION]])
def test_training_curve_of_a_baseline_is_one_dot(columns):
    row = {"epoch": 0, "loss": np.nan, VALIDATION: 0.1, "validation Recall@20": 0.2}
    figure = figures.training_curve(pd.DataFrame([row])[columns])
    assert [title(axes) for axes in figure.axes] == [name for name in columns if name.startswith("validation")]
    assert figure.axes[0].lines[0].get_xydata().tolist() == [[0, 0.1]]


# All runs


def test_learning_curves_draw_each_seed_and_the_mean_as_far_as_all_seeds_trained():
    runs = history([("id_only", 0, [0.1, 0.2, 0.3]), ("id_only", 1, [0.3, 0.4])])
    one, two, mean = figures.learning_curves(runs).axes[0].lines
    assert one.get_ydata().tolist() == [0.1, 0.2, 0.3]
    assert two.get_ydata()[:2].tolist() == [0.3, 0.4]
    assert mean.get_ydata() == pytest.approx([0.2, 0.3])
    assert mean.get_linewidth() > one.get_linewidth()


def test_learning_curves_draw_a_near_baseline_as_a_dashed_line():
    figure = figures.learning_curves(history([("id_only", 0, [0.1, 0.2]), ("popularity", 0, [0.08])]))
    floor = figure.axes[0].lines[-1]
    assert floor.get_linestyle() == "--"
    assert list(floor.get_ydata()) == [0.08, 0.08]
    assert legend(figure) == ["id_only", "popularity"]
    assert texts(figure.axes[0]) == []


def test_learning_curves_write_a_far_baseline_as_a_number():
    figure = figures.learning_curves(history([("id_only", 0, [0.30, 0.31]), ("popularity", 0, [0.01])]))
    assert texts(figure.axes[0]) == ["▼ popularity 0.010"]
    assert figure.axes[0].get_ylim()[0] > 0.25


def test_learning_curves_of_popularity_alone():
    figure = figures.learning_curves(history([("popularity", 0, [0.01])]))
    assert list(figure.axes[0].lines[0].get_ydata()) == [0.01, 0.01]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_learning_curves_have_one_panel_per_data_set(n):
    frames = [history([("id_only", 0, [0.1, 0.2])], dataset=f"d{k}") for k in range(n)]
    figure = figures.learning_curves(pd.concat(frames))
    assert [title(axes) for axes in figure.axes] == [f"d{k}" for k in range(n)]


def test_learning_curves_tell_strategies_apart_by_their_lines():
    runs = history([("parallel_concat", 0, [0.1, 0.2])])
    figure = figures.learning_curves(pd.concat([runs, runs.assign(strategy="residual")]))
    assert legend(figure) == ["parallel_concat, simultaneous", "parallel_concat, residual"]
    lines = figure.axes[0].lines
    assert lines[0].get_linestyle() != lines[2].get_linestyle()


# Metrics


def test_metric_per_variant_draws_values_and_intervals_in_the_order_of_the_frame():
    figure = figures.metric_per_variant(summary({"id_only": 0.5, "weighted_sum": 0.6, "concat_input": 0.55}))
    assert [title(axes) for axes in figure.axes] == ["shop: Recall@20", "shop: MRR@20"]
    assert tick_labels(figure.axes[0].yaxis) == ["id_only", "weighted_sum", "concat_input"]
    bars = error_bars(figure.axes[0])
    assert [dot for dot, *_ in bars] == [(0.5, 0), (0.6, 1), (0.55, 2)]
    assert bars[1][1] == pytest.approx(np.array([[0.59, 1], [0.61, 1]]))
    assert figure.axes[0].get_ylim()[0] > figure.axes[0].get_ylim()[1]


def test_metric_per_variant_writes_a_far_variant_at_the_edge():
    figure = figures.metric_per_variant(summary({"popularity": 0.1, "id_only": 0.5, "concat_input": 0.51}))
    axes = figure.axes[0]
    assert texts(axes) == ["◀ 0.100 (0.090 to 0.110)"]
    assert len(error_bars(axes)) == 2
    assert axes.get_xlim()[0] > 0.45


def test_metric_per_variant_draws_popularity_to_scale_where_it_is_near_or_alone():
    near = figures.metric_per_variant(summary({"popularity": 0.4, "id_only": 0.5}))
    assert len(error_bars(near.axes[0])) == 2
    alone = figures.metric_per_variant(summary({"popularity": 0.1}, metrics=("MRR@20",)))
    assert [dot for dot, *_ in error_bars(alone.axes[0])] == [(0.1, 0)]


def test_metric_per_variant_leaves_a_gap_where_a_variant_was_not_run():
    frame = summary({"id_only": 0.5, "concat_input": 0.6}, datasets=("a", "b"))
    missing = (frame["dataset"] == "b") & (frame["variant"] == "id_only")
    figure = figures.metric_per_variant(frame[~missing])
    assert [dot for dot, *_ in error_bars(figure.axes[2])] == [(0.6, 1)]


def test_metric_by_training_size_joins_the_sizes_of_one_variant():
    frame = summary({"id_only": 0.5}, datasets=("shop", "shop-5pct"), metrics=("MRR@20",), sizes=(100.0, 10.0))
    frame.loc[frame["dataset"] == "shop-5pct", "value"] = 0.4
    axes = figures.metric_by_training_size(frame).axes[0]
    assert axes.lines[0].get_ydata().tolist() == [0.4, 0.5]
    assert axes.lines[0].get_xdata() == pytest.approx([0, 1])
    assert tick_labels(axes.xaxis) == ["10\n5pct", "100\nshop"]


def test_metric_by_training_size_has_a_row_of_panels_per_family():
    frame = pd.concat([summary({"id_only": 0.5}), summary({"id_only": 0.2}, datasets=("films",), family="films")])
    figure = figures.metric_by_training_size(frame)
    titles = ["shop: Recall@20", "shop: MRR@20", "films: Recall@20", "films: MRR@20"]
    assert [title(axes) for axes in figure.axes] == titles
    assert [dot[1] for dot, *_ in error_bars(figure.axes[2])] == [0.2]


def test_metric_by_training_size_writes_what_is_far_at_every_size():
    frame = summary({"popularity": 0.1, "id_only": 0.5}, datasets=("shop", "shop-5pct"), metrics=("MRR@20",))
    axes = figures.metric_by_training_size(frame).axes[0]
    assert texts(axes) == ["▼ popularity 0.100, 0.100"]
    assert len(error_bars(axes)) == 2
    frame.loc[(frame["variant"] == "popularity") & (frame["dataset"] == "shop-5pct"), "value"] = 0.4
    assert len(error_bars(figures.metric_by_training_size(frame).axes[0])) == 4


# Contrasts


def lines_of(axes, colour):
    return [line for line in axes.lines if line.get_color() == colour]


def band(axes):
    (patch,) = axes.patches
    return patch.get_extents().transformed(axes.transData.inverted())


def test_forest_shows_percentages_against_the_band_and_the_verdict():
    frame = contrasts([("parallel_concat", "concat_input", 0.03, 0.01, 0.05, "supported")])
    axes = figures.forest(frame).axes[0]
    interval = lines_of(axes, colour_of("parallel_concat"))[-1]
    assert interval.get_xdata() == pytest.approx([1, 5])
    assert [dot for dot, *_ in error_bars(axes)] == [(3, 1)]
    assert (band(axes).x0, band(axes).x1) == pytest.approx((-2, 2))
    assert texts(axes) == ["supported", "parallel_concat vs concat_input", "best"]
    assert axes.texts[0].get_fontweight() == "bold"
    assert tick_labels(axes.yaxis) == ["MRR@20"]


def test_forest_groups_by_data_set_and_claim():
    rows = [("concat_input", "id_only", 0.01, 0.0, 0.02, "inconclusive")]
    frames = [contrasts(rows, d, c) for c in ("first", "second") for d in ("a", "b")]
    figure = figures.forest(pd.concat(frames))
    assert [title(axes) for axes in figure.axes] == ["a", "b"]
    assert [round(y) for (_, y), *_ in error_bars(figure.axes[1])] == [1, 3]
    assert [t for t in texts(figure.axes[0]) if t in ("first", "second")] == ["first", "second"]


@pytest.mark.parametrize("high", [np.inf, 3.0])
def test_forest_cuts_a_boundless_interval_and_says_so_by_an_arrow(high):
    axes = figures.forest(contrasts([("concat_input", "id_only", 0.4, -0.1, high, "inconclusive")])).axes[0]
    right = axes.get_xlim()[1]
    assert right in (pytest.approx(42), 50)
    assert [line.get_marker() for line in axes.lines].count(">") == 1
    assert axes.lines[-1].get_xdata() == pytest.approx([right])


def test_forest_of_small_differences_still_shows_the_band():
    axes = figures.forest(contrasts([("concat_input", "id_only", 0.001, 0.0, 0.002, "equivalent")])).axes[0]
    left, right = axes.get_xlim()
    assert left < -2 < 2 < right


def test_gain_by_support_labels_slices_by_their_range():
    axes = figures.gain_by_support(gains([0.4, 0.1])).axes[0]
    assert tick_labels(axes.xaxis) == ["5\N{EN DASH}14\nn=1,200", "15\N{EN DASH}24\nn=1,200"]
    bars = error_bars(axes)
    assert [dot for dot, *_ in bars] == [(0, pytest.approx(40)), (1, pytest.approx(10))]
    assert bars[0][1] == pytest.approx(np.array([[0, 30], [0, 50]]))
    assert (band(axes).y0, band(axes).y1) == pytest.approx((-2, 2))
    assert axes.get_ylabel() == "gain over id_only"


def test_gain_by_place_labels_slices_and_leaves_a_gap_between_the_kinds():
    axes = draw("gain_by_place").axes[0]
    assert axes.get_xticks().tolist() == [0, 2]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["3\N{EN DASH}5", "11+"]


def test_gain_by_repeat_says_how_many_targets_a_session_had_before():
    labels = draw("gain_by_repeat").axes[0].get_xticklabels()
    assert [label.get_text().split("\nn=")[0] for label in labels] == ["repeat", "new"]


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("column", ["relative", "low", "high"])
def test_gain_by_support_leaves_out_what_is_not_finite(column, value):
    frame = gains([0.4, 0.1])
    frame.loc[0, column] = value
    axes = figures.gain_by_support(frame).axes[0]
    assert [dot for dot, *_ in error_bars(axes)] == [(1, pytest.approx(10))]
    assert len(tick_labels(axes.xaxis)) == 2


def test_gain_by_support_without_a_finite_point_shows_the_band_only():
    axes = figures.gain_by_support(gains([np.inf, np.nan])).axes[0]
    assert error_bars(axes) == []
    assert axes.get_ylim()[0] < -2 < 2 < axes.get_ylim()[1]


def test_gain_by_support_keeps_gains_readable_beside_a_huge_interval():
    frame = gains([0.04, 0.01])
    frame.loc[0, "high"] = 90.0
    assert figures.gain_by_support(frame).axes[0].get_ylim()[1] < 20


def test_gain_by_support_names_the_base_where_there_are_two():
    frame = pd.concat([gains([0.1]), gains([0.2], worse="feature_only")])
    figure = figures.gain_by_support(frame)
    assert legend(figure) == ["concat_input vs id_only", "concat_input vs feature_only"]
    left, right = (dot[0] for dot, *_ in error_bars(figure.axes[0]))
    assert left < 0 < right


# Data


def test_session_lengths_count_every_session():
    axes = figures.session_lengths(pd.Series([2, 2, 2, 3, 5])).axes[0]
    assert [(bar.get_x() + bar.get_width() / 2, bar.get_height()) for bar in axes.patches] == [
        (pytest.approx(2), 3),
        (pytest.approx(3), 1),
        (pytest.approx(5), 1),
    ]
    assert title(axes) == "Half of the sessions have at most 2 events; the longest has 5"


def test_session_lengths_gather_the_longest_in_a_light_last_bar():
    lengths = pd.Series([2] * 990 + [4] * 9 + [5000])
    bars = figures.session_lengths(lengths).axes[0].patches
    assert [bar.get_height() for bar in bars] == [990, 10]
    assert bars[0].get_facecolor() != bars[1].get_facecolor()


def test_session_lengths_have_at_most_fifty_bars_and_take_equal_lengths():
    assert len(figures.session_lengths(pd.Series(range(1, 1001))).axes[0].patches) <= 50
    assert len(figures.session_lengths(pd.Series([7, 7])).axes[0].patches) == 1


def test_popularity_ranks_items_and_leaves_out_padding():
    axes = figures.popularity(pd.Series([0, 10, 70, 20])).axes[0]
    assert axes.lines[0].get_xydata().tolist() == [[1, 70], [2, 20], [3, 10]]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert title(axes) == "The most frequent tenth of the 3 items has 70% of the events"


def test_feature_coverage_is_in_percent():
    axes = draw("feature_coverage").axes[0]
    assert [bar.get_width() for bar in axes.patches] == [100, 100, 100, 25]
    assert texts(axes) == ["100.0%  token, 14 values", "25.0%  float, 1,200 values"]
    assert tick_labels(axes.yaxis) == ["colour", "price"]


def test_split_in_time_stacks_parts():
    frame = pd.DataFrame({"time": [0.0, 10.0, 10.0], "part": ["train", "test", "train"], "n_sessions": [8, 3, 2]})
    figure = figures.split_in_time(frame)
    bars = figure.axes[0].patches
    assert [(bar.get_x(), bar.get_y(), bar.get_height()) for bar in bars] == [
        (0, 0, 8),
        (10, 0, 2),
        (0, 8, 0),
        (10, 2, 3),
    ]
    assert legend(figure) == ["train (10)", "test (3)"]
    assert figure.axes[0].get_xlabel() == "time"


def test_split_in_time_knows_dates():
    figure = figures.split_in_time(in_time(pd.date_range("2008-04-01", periods=3, freq="30D")))
    axes = figure.axes[0]
    assert axes.get_xlabel() == "date"
    assert all(label.startswith("2008-") for label in tick_labels(axes.xaxis))


def test_split_in_time_of_a_single_moment():
    assert len(figures.split_in_time(in_time([5.0] * 3)).axes[0].patches) == 2


def test_colours_are_readable_on_white():
    assert all(np.mean(to_rgba(colour)[:3]) < 0.75 for colour in COLOURS.values())


# What features are worth


def test_the_worth_of_features_is_drawn_over_training_events_per_item_one_line_per_family():
    frame = pd.concat([worth([0.2, 0.1, 0.0]), worth([0.3, np.inf], family="books")])
    figure = figures.worth_of_features(frame)
    (axes,) = figure.axes
    bars = error_bars(axes)
    assert [dot for dot, *_ in bars] == [(1.0, 20.0), (10.0, 10.0), (100.0, 0.0), (1.0, 30.0)]
    assert bars[0][1][:, 1].tolist() == pytest.approx([10.0, 30.0])
    assert len({colour for *_, colour in bars}) == 2
    assert axes.get_xscale() == "log"
    assert legend(figure) == ["shop", "books"]


def test_a_line_ends_where_settings_are_those_of_another_search_and_keeps_its_look():
    frame = worth([0.2, 0.1, 0.0]).assign(search=["small", "small", "large"])
    (axes,) = figures.worth_of_features(frame).axes
    assert [list(line.get_xdata()) for line in axes.get_lines() if line.get_marker() == "o"] == [[1, 10], [100]]
    assert len({colour for *_, colour in error_bars(axes)}) == 1


def test_the_worth_of_features_has_a_row_of_panels_for_each_rival_and_a_line_keeps_its_colour():
    other = worth([0.1], family="books", over="its twin without features")
    figure = figures.worth_of_features(pd.concat([worth([0.2]), worth([0.3], family="books"), other]))
    above, below = figure.axes
    assert [axes.get_ylabel() for axes in (above, below)] == [
        "gain over the best network without features",
        "gain over its twin without features",
    ]
    assert error_bars(above)[1][-1] == error_bars(below)[0][-1]
    assert [dot for dot, *_ in error_bars(below)] == [(1.0, 10.0)]


def test_a_figure_without_rows_is_said_to_be_missing_and_leaves_no_old_file(tmp_path, capsys):
    figures.show_if_any(figures.worth_of_features, worth([0.2, 0.1]), tmp_path, "worth")
    assert {path.name for path in tmp_path.iterdir()} == {"worth.png", "worth.pdf"}
    figures.show_if_any(figures.worth_of_features, pd.DataFrame(), tmp_path, "worth")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("n_variants", [6, 12, len(VARIANTS)])
def test_a_legend_keeps_inside_its_figure(n_variants):
    rows = [
        {"dataset": "shop", "variant": variant, "trial": trial, "value": 0.1}
        for variant in VARIANTS[:n_variants]
        for trial in (1, 2)
    ]
    figure = figures.best_so_far(pd.DataFrame(rows))
    figure.draw_without_rendering()
    inside = figure.legends[0].get_window_extent()
    assert inside.x0 >= 0
    assert inside.x1 <= figure.bbox.x1
    assert len(legend(figure)) == n_variants
