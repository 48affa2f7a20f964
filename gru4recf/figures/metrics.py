"""How well each variant predicts."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from gru4recf.figures.base import Picture, captioned, colour_of, intervals, panels

FAR = 0.6  # below this share of the panel's best value a variant would squash the others


def is_far(values: pd.Series) -> pd.Series:
    """Tell which variants are too far below the best to be drawn to scale."""
    return values < FAR * values.max()


@captioned(
    "Test metrics of each variant: mean over seeds with the 95% interval of a bootstrap over sessions and seeds. "
    "Scales differ and do not start at zero; a variant below three fifths of the panel's best value is written at "
    "the left edge (◀). Intervals of two variants may overlap although their paired difference is clear."
)
def metric_per_variant(summary: pd.DataFrame) -> Picture:
    """Draw every variant's metrics, data sets in rows, metrics in columns.

    Args:
        summary: one row per data set, variant and metric: `dataset`, `variant`, `metric`, `value`, `low`, `high`.
    """
    datasets, metrics, variants = (summary[name].unique() for name in ("dataset", "metric", "variant"))
    height = 0.3 + len(datasets) * (0.42 + 0.19 * len(variants))
    figure, axes = panels(len(datasets), len(metrics), height, sharey=True)
    for (row, column), panel in np.ndenumerate(axes):
        chosen = (summary["dataset"] == datasets[row]) & (summary["metric"] == metrics[column])
        _draw(panel, summary[chosen].set_index("variant").reindex(variants))
        panel.set_title(f"{datasets[row]}: {metrics[column]}")
    axes[0, 0].set_yticks(range(len(variants)), variants)
    axes[0, 0].set_ylim(len(variants) - 0.5, -0.5)
    return figure


def _draw(panel: Axes, rows: pd.DataFrame) -> None:
    """Draw one row per variant, in the order of the frame."""
    rows = rows.assign(place=range(len(rows))).dropna(subset="value")
    far = is_far(rows["value"])
    for variant, row in rows[~far].iterrows():
        intervals(panel, variant, row["value"], row["place"], along="x", low=row["low"], high=row["high"])
    edge = panel.get_yaxis_transform()
    for variant, row in rows[far].iterrows():
        text = f"◀ {row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
        panel.text(0.01, row["place"], text, transform=edge, va="center", color=colour_of(variant))
    panel.margins(x=0.08)
    panel.xaxis.set_major_locator(MaxNLocator(5))
    panel.grid(axis="y", visible=False)
