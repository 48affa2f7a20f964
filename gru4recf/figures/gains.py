"""Where features pay: gains by how often an item was seen in training."""

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
    "with the range of training events per item and the number n of test events. Bars: 95% interval of a bootstrap "
    "over sessions and seeds, cut at the panel's edge where it is far wider than the gains. Shaded: ±2%. A gain is "
    "left out where the metric it is relative to is, or may be, zero."
)
def gain_by_support(gains: pd.DataFrame) -> Picture:
    """Draw relative gains over slices of items, one panel per data set and metric.

    Args:
        gains: `dataset`, `metric`, `better`, `worse`, `slice` (0 holds the rarest items), `support_low`, `support_high`
            (training events per item), `n_events`, and `relative`, `low`, `high` as fractions, infinite or missing
            where the value of `worse` is zero.
    """
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
        panel.set_xlabel("training events per item")
    legend_below(figure, variant_handles(pairs["better"], labels, linestyle=""))
    return figure


def _draw(panel: Axes, own: pd.DataFrame, pairs: pd.DataFrame) -> None:
    show_equivalence(panel, "y")
    slices = own.drop_duplicates("slice").sort_values("slice")
    panel.set_xticks(slices["slice"], [_slice_label(row) for row in slices.itertuples()], fontsize=7)
    panel.set_xlim(slices["slice"].min() - 0.5, slices["slice"].max() + 0.5)
    panel.grid(axis="x", visible=False)
    finite = own[np.isfinite(own[ENDS]).all(axis=1)]
    for index, (better, worse) in enumerate(zip(pairs["better"], pairs["worse"], strict=True)):
        rows = finite[(finite["better"] == better) & (finite["worse"] == worse)].sort_values("slice")
        shifted = rows["slice"] + APART * (index - (len(pairs) - 1) / 2)
        percent = 100 * rows[ENDS]
        intervals(panel, better, shifted, percent["relative"], along="y", low=percent["low"], high=percent["high"])
    panel.set_ylim(*readable_limits(100 * finite[ENDS]))


def _slice_label(row: tuple) -> str:
    ends = dict.fromkeys((f"{row.support_low:,.0f}", f"{row.support_high:,.0f}"))  # one number where both are equal
    return "\N{EN DASH}".join(ends) + f"\nn={row.n_events:,.0f}"
