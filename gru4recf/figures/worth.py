"""The study's own finding: what features are worth, against how much is known about each item."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from gru4recf.figures.base import (
    OTHER_MARKERS,
    Picture,
    captioned,
    legend_below,
    panels,
    readable_limits,
    show_equivalence,
)

FAMILY_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
ENDS = ["relative", "low", "high"]


@captioned(
    "What features bring, by the number of training events per item (log scale), all data sets on one axis; lines join "
    "training sets of different size before the same test days, with settings of the same search. The smaller a "
    "training set, the fewer targets it has seen, and only these are ranked: the report's first table has their share. "
    "First row: gain of the best fusion over the best network without features (ID-only as it is, wider, with equal "
    "parameters, or two networks that read the item), both chosen on validation, so that another pair may be compared "
    "at each point. Second row: over ID-only as it is, the same rival everywhere. Third row: gain of parallel_concat "
    "over its twin whose networks both read the item. Bars: 95% interval of a bootstrap over sessions and seeds, not "
    "corrected, cut at the panel's edge where it is far wider than the gains. Shaded: ±2%."
)
def worth_of_features(worth: pd.DataFrame) -> Picture:
    """Draw relative gains by training events per item, one panel per metric and per what is gained over.

    Args:
        worth: `dataset`, `family` (data sets that differ in their training part only), `search` (that settings are
            from), `events_per_item`, `over`, `metric`, and `relative`, `low`, `high` as fractions.
    """
    metrics, rivals, families = (list(worth[name].unique()) for name in ("metric", "over", "family"))
    finite = worth[np.isfinite(worth[ENDS]).all(axis=1)]
    figure, axes = panels(len(rivals), len(metrics), 3.2 * len(rivals))
    for over, row in zip(rivals, axes, strict=True):
        for metric, panel in zip(metrics, row, strict=True):
            _draw(panel, finite[(finite["metric"] == metric) & (finite["over"] == over)], families)
            panel.set_title(metric)
        row[0].set_ylabel(f"gain over {over}")
    for panel in axes[-1]:
        panel.set_xlabel("training events per item")
    legend_below(figure, [Line2D([], [], label=family, **_look(i)) for i, family in enumerate(families)])
    return figure


def _draw(panel: Axes, own: pd.DataFrame, families: list[str]) -> None:
    show_equivalence(panel, "y")
    for index, family in enumerate(families):
        for _, rows in own[own["family"] == family].sort_values("events_per_item").groupby("search", sort=False):
            percent = 100 * rows[ENDS]
            lengths = np.stack([percent["relative"] - percent["low"], percent["high"] - percent["relative"]]).clip(0)
            panel.errorbar(rows["events_per_item"], percent["relative"], yerr=lengths, elinewidth=1.2, **_look(index))
    panel.set_ylim(*readable_limits(100 * own[ENDS]))
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    panel.margins(x=0.08)


def _look(index: int) -> dict[str, object]:
    colour, marker = (all_[index % len(all_)] for all_ in (FAMILY_COLOURS, "o" + OTHER_MARKERS))
    return {"color": colour, "marker": marker, "linewidth": 0.9, "markersize": 5}
