"""Whether more tuning would change the order of the variants."""

import pandas as pd
from matplotlib.axes import Axes

from gru4recf.figures.base import (
    Picture,
    captioned,
    colour_of,
    legend_below,
    marker_of,
    variant_handles,
    whole_numbers,
    wrapped_panels,
)

N_COLUMNS = 2


@captioned(
    "Best validation MRR@20 so far against the number of trials, the same number for every variant. Trial 1 is the "
    "study's own settings, for a control at the size of parallel_concat; a marker is a trial that was better than all "
    "before. Each trial is one training, so lines are without error bars. Right of the last trial: the trial that is "
    "taken, at its mean over seeds, where the best were repeated. Where lines still rise or cross near the right edge, "
    "more trials could change the order. Beginnings far below the end of all lines are cut off."
)
def best_so_far(trials: pd.DataFrame) -> Picture:
    """Draw the running best of every variant, one panel per data set.

    Args:
        trials: one row per trial: `dataset`, `variant`, `trial` (1 is the first), `value`, missing where it failed.
    """
    datasets = trials["dataset"].unique()
    figure, axes = wrapped_panels(len(datasets), N_COLUMNS, 2.4)
    for panel, dataset in zip(axes, datasets, strict=True):
        _draw(panel, trials[trials["dataset"] == dataset])
        panel.set_title(dataset)
    for panel in axes[::N_COLUMNS]:
        panel.set_ylabel("best validation MRR@20")
    for panel in axes[-N_COLUMNS:]:
        panel.set_xlabel("trials")
    legend_below(figure, variant_handles(trials["variant"].unique()))
    return figure


def _draw(panel: Axes, own: pd.DataFrame) -> None:
    last = own.groupby("variant")["value"].max().dropna()
    for variant, rows in own.groupby("variant", sort=False):
        rows = rows.sort_values("trial")
        best = rows["value"].cummax().ffill()
        better = (best > best.shift().fillna(-1)).to_numpy().nonzero()[0]
        look = {"color": colour_of(variant), "marker": marker_of(variant), "markersize": 4, "linewidth": 1.2}
        panel.plot(rows["trial"], best, drawstyle="steps-post", markevery=list(better), **look)
        if "mean" in rows and rows["mean"].notna().any():
            panel.plot(rows["trial"].max() + 1, rows["mean"].max(), **look | {"linestyle": ""})
    panel.xaxis.set_major_locator(whole_numbers())
    if last.empty:
        return
    # poor beginnings would press together the ends, which are what is compared; a tenth below them is always shown
    low, high = panel.get_ylim()
    panel.set_ylim(max(low, last.min() - max(last.max() - last.min(), 0.1 * last.max())), high)
