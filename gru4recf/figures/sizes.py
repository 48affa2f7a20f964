"""How metrics grow with training data."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from gru4recf.figures.base import Picture, captioned, colour_of, intervals, legend_below, panels, variant_handles
from gru4recf.figures.metrics import is_far

SPREAD = 0.6  # of the dots of one data set, in steps between data sets


@captioned(
    "Test metrics by the number of training events per item, in order and evenly spaced; dots of one data set stand "
    "side by side. "
    "Mean over seeds with the 95% interval of a bootstrap over sessions and seeds; lines join training sets of "
    "different size before the same test days; the smaller one is, the fewer targets it has seen, and only these are "
    "ranked. Variants below three fifths of the best at every size are "
    "written at the lower edge (▼)."
)
def metric_by_training_size(summary: pd.DataFrame) -> Picture:
    """Draw metrics by training size, families of data sets in rows, metrics in columns.

    Args:
        summary: one row per data set, variant and metric: `dataset`, `family` (data sets that differ in their training
            part only), `events_per_item`, `variant`, `metric`, `value`, `low`, `high`.
    """
    families, metrics, variants = (summary[name].unique() for name in ("family", "metric", "variant"))
    figure, axes = panels(len(families), len(metrics), 0.5 + 2.2 * len(families))
    for (row, column), panel in np.ndenumerate(axes):
        own = summary[(summary["family"] == families[row]) & (summary["metric"] == metrics[column])]
        _draw(panel, own, list(variants))
        panel.set_title(f"{families[row]}: {metrics[column]}")
    for panel in axes[-1]:
        panel.set_xlabel("training events per item")
    legend_below(figure, variant_handles(variants))
    return figure


def _draw(panel: Axes, own: pd.DataFrame, variants: list[str]) -> None:
    far = own.groupby("dataset")["value"].transform(is_far).groupby(own["variant"]).transform("all")
    sizes = own.drop_duplicates("dataset").sort_values("events_per_item")
    places = pd.Series(range(len(sizes)), index=sizes["dataset"])
    for index, variant in enumerate(variants):
        rows = own[(own["variant"] == variant) & ~far].sort_values("events_per_item")
        x = places[rows["dataset"]].to_numpy() + SPREAD * ((index + 0.5) / len(variants) - 0.5)
        panel.plot(x, rows["value"], color=colour_of(variant), linewidth=0.9, alpha=0.7)
        intervals(panel, variant, x, rows["value"], along="y", low=rows["low"], high=rows["high"])
    names = zip(sizes["events_per_item"], sizes["dataset"], sizes["family"], strict=True)
    labels = [f"{size:,.0f}\n{name.removeprefix(f'{family}-')}" for size, name, family in names]
    panel.set_xticks(places, labels)
    panel.set_xlim(-0.5, len(sizes) - 0.5)
    panel.margins(y=0.12)
    for height, (variant, rows) in enumerate(own[far].groupby("variant", sort=False)):
        values = ", ".join(f"{value:.3f}" for value in rows.sort_values("events_per_item")["value"])
        text = f"▼ {variant} {values}"
        place = {"transform": panel.transAxes, "ha": "right", "va": "bottom"}
        panel.text(0.99, 0.02 + 0.08 * height, text, color=colour_of(variant), fontsize=7, **place)
