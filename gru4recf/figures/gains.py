"""Where features pay: gains by how often an item was seen in training, and by place and length of the session."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from gru4recf.figures.base import (
    Picture,
    captioned,
    intervals,
    legend_below,
    readable_limits,
    show_equivalence,
    variant_handles,
    wrapped_panels,
)

ENDS = ["relative", "low", "high"]
N_COLUMNS = 2
APART = 0.13  # between the dots of one slice


@captioned(
    "Gain in percent by how often the target item occurs in training: a fifth of the items per slice, rarest first, "
    "with the range of training events per item and the number n of test events. id_only_matched, where it was run: no "
    "features, and parallel_concat's parameters. Bars: 95% interval of a bootstrap over sessions and seeds, cut "
    "at the panel's edge where it is far wider than the gains. Shaded: ±2%. A gain is left out where the metric it is "
    "relative to is, or may be, zero."
)
def gain_by_support(gains: pd.DataFrame) -> Picture:
    """Draw relative gains over slices of items, one panel per data set and metric.

    Args:
        gains: `dataset`, `metric`, `better`, `worse`, `slice` (0 holds the rarest items), `support_low`, `support_high`
            (training events per item), `n_events`, and `relative`, `low`, `high` as fractions, infinite or missing
            where the value of `worse` is zero.
    """
    labels = [_range(low, high) for low, high in zip(gains["support_low"], gains["support_high"], strict=True)]
    counts = [f"\nn={n:,.0f}" for n in gains["n_events"]]
    return _by_slice(gains.assign(label=np.char.add(labels, counts)), "training events per item")


@captioned(
    "Gain in percent by how many events of the session came before the target (left), and by the number of events of "
    "its session (right). id_only_matched, where it was run: no features, and parallel_concat's parameters. Bars: 95% "
    "interval of a bootstrap over sessions and seeds, cut at the panel's edge where it is far wider than the gains. "
    "Shaded: ±2%. A gain is left out where the metric it is relative to is, or may be, zero."
)
def gain_by_place(gains: pd.DataFrame) -> Picture:
    """Draw relative gains by place and length of the session, one panel per data set and metric.

    Args:
        gains: as for `gain_by_support`, but with a `label` for the support; a number that no slice has leaves a gap.
    """
    labels = gains["label"].str.replace(" to ", "\N{EN DASH}").str.replace(" or more", "+")
    return _by_slice(gains.assign(label=labels), "events before the target; events of the session")


@captioned(
    "Gain in percent where the session had the target before (repeat) and where it had not (new), with the number n of "
    "test events: to find again what a visitor has looked at and to find what is new to him are two tasks. "
    "id_only_matched, where it was run: no features, and parallel_concat's parameters. Bars: 95% interval of a "
    "bootstrap over sessions and seeds, cut at the panel's edge where it is far wider than the gains. Shaded: ±2%. A "
    "gain is left out where the metric it is relative to is, or may be, zero."
)
def gain_by_repeat(gains: pd.DataFrame) -> Picture:
    """Draw relative gains for repeats and new targets, one panel per data set and metric.

    Args:
        gains: as for `gain_by_support`, but with a `label` for the support.
    """
    counts = [f"\nn={n:,.0f}" for n in gains["n_events"]]
    return _by_slice(gains.assign(label=gains["label"] + counts), "the target in its session")


def _by_slice(gains: pd.DataFrame, what: str) -> Picture:
    groups = list(gains.groupby(["dataset", "metric"], sort=False))
    figure, axes = wrapped_panels(len(groups), N_COLUMNS, 1.95)
    pairs = gains[["better", "worse"]].drop_duplicates().reset_index(drop=True)
    for panel, ((dataset, metric), own) in zip(axes, groups, strict=True):
        _draw(panel, own, pairs)
        panel.set_title(f"{dataset}: {metric}")
    one_base = len(pairs["worse"].unique()) == 1
    labels = pairs["better"] if one_base else pairs["better"] + " vs " + pairs["worse"]
    for panel in axes[::N_COLUMNS]:
        panel.set_ylabel(f"gain over {pairs['worse'][0]}" if one_base else "relative gain")
    for panel in axes[-N_COLUMNS:]:
        panel.set_xlabel(what)
    legend_below(figure, variant_handles(pairs["better"], labels, linestyle=""))
    return figure


def _draw(panel: Axes, own: pd.DataFrame, pairs: pd.DataFrame) -> None:
    show_equivalence(panel, "y")
    slices = own.drop_duplicates("slice").sort_values("slice")
    panel.set_xticks(slices["slice"], slices["label"], fontsize=7)
    panel.set_xlim(slices["slice"].min() - 0.5, slices["slice"].max() + 0.5)
    panel.grid(axis="x", visible=False)
    finite = own[np.isfinite(own[ENDS]).all(axis=1)]
    for index, (better, worse) in enumerate(zip(pairs["better"], pairs["worse"], strict=True)):
        rows = finite[(finite["better"] == better) & (finite["worse"] == worse)].sort_values("slice")
        shifted = rows["slice"] + APART * (index - (len(pairs) - 1) / 2)
        percent = 100 * rows[ENDS]
        intervals(panel, better, shifted, percent["relative"], along="y", low=percent["low"], high=percent["high"])
    panel.set_ylim(*readable_limits(100 * finite[ENDS]))


def _range(low: float, high: float) -> str:
    return "\N{EN DASH}".join(dict.fromkeys((f"{low:,.0f}", f"{high:,.0f}")))  # one number where both are equal
