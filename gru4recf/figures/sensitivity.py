"""Under which choices a variant wins: a claim's relative difference with one choice changed at a time."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.transforms import Transform

from gru4recf.figures.base import (
    BAND,
    Picture,
    captioned,
    colour_of,
    intervals,
    legend_below,
    panels,
    show_equivalence,
    variant_handles,
)
from gru4recf.sensitivity import label_of

ENDS = ["relative", "low", "high"]
SHOWN = "MRR@20"  # of choices other than the metric
N_COLUMNS = 3
ROW = 0.165  # inches
APART = 0.24  # between the dots of one row, in rows
ROOM = 1.25  # of a panel beyond its dots, in spreads of the dots


@captioned(
    "Relative difference in percent of the rival's value, with one choice of the protocol changed at a time; the "
    "protocol's own choices are in bold, and choices other than the metric are shown for MRR@20. Right of zero the "
    "claimed variant is better. Colours and markers: the rival. Bars: 95% interval of a bootstrap over sessions and "
    "seeds, one by one and not corrected for their number, cut at the panel's edge; they describe, and the verdict is "
    "the forest's. Shaded: ±2%. ◀ ▶: a dot far beyond the panel. A row without a dot: no such events, or the rival has "
    "no hits there."
)
def wins_by_choice(choices: pd.DataFrame) -> Picture:
    """Draw dots with intervals, grouped by choice, one panel per data set.

    Args:
        choices: what `gru4recf.sensitivity.sensitivity` returns, of one claim and one or more data sets.
    """
    shown = choices[choices["choice"].eq("metric") | choices["metric"].eq(SHOWN)]
    datasets = list(shown["dataset"].unique())
    tables = [datasets[i : i + N_COLUMNS] for i in range(0, len(datasets), N_COLUMNS)]
    rows = [_rows(shown[shown["dataset"].isin(names)]) for names in tables]
    heights = [ROW * (table["place"].max() + 2) for table in rows]
    figure, axes = panels(len(tables), len(tables[0]), 0.7 + sum(heights) + 0.25 * len(tables), height_ratios=heights)
    rivals = list(shown["worse"].unique())
    for line, names, places in zip(axes, tables, rows, strict=True):
        for unused in line[len(names) :]:
            unused.remove()
        for panel, name in zip(line, names, strict=False):
            own = shown[shown["dataset"] == name]
            _draw(panel, own, places, rivals)
            panel.set(title=name, ylim=(places["place"].max() + 0.7, -0.7))
            panel.set_yticks([])
            panel.set_xlabel(f"{own['better'].iloc[0]} against rival")
        _label(line[0], places)
    legend_below(figure, variant_handles(rivals, linestyle=""))
    return figure


def _rows(shown: pd.DataFrame) -> pd.DataFrame:
    """Return `choice`, `label`, `protocol` and `place` of every row, one row left above each choice for its name."""
    rows = _labelled(shown)[["choice", "label", "protocol"]].drop_duplicates(["choice", "label"])
    order = pd.factorize(rows["choice"])[0]
    rows = rows.iloc[np.argsort(order, kind="stable")].reset_index(drop=True)
    return rows.assign(place=np.arange(len(rows)) + 1 + pd.factorize(rows["choice"])[0])


def _labelled(shown: pd.DataFrame) -> pd.DataFrame:
    return shown.assign(label=label_of(shown["value"]))


def _draw(panel: Axes, own: pd.DataFrame, places: pd.DataFrame, rivals: list[str]) -> None:
    show_equivalence(panel, "x")
    own = _labelled(own).merge(places[["choice", "label", "place"]], on=["choice", "label"])
    ranks = own.groupby("place")["worse"].rank(method="dense") - 1
    counts = own.groupby("place")["worse"].transform("nunique")
    own = own.assign(y=own["place"] + APART * (ranks - (counts - 1) / 2))
    finite = own[np.isfinite(own[ENDS]).all(axis=1)]
    for rival in rivals:
        rows = finite[finite["worse"] == rival]
        percent = 100 * rows[ENDS]
        intervals(panel, rival, percent["relative"], rows["y"], along="x", low=percent["low"], high=percent["high"])
    left, right = _limits(finite)
    panel.set_xlim(left, right)
    for end, marker, beyond in (
        (left, "<", 100 * finite["relative"] < left),
        (right, ">", 100 * finite["relative"] > right),
    ):
        for row in finite[beyond].itertuples():
            panel.plot(end, row.y, marker, color=colour_of(row.worse), markersize=4, clip_on=False)
    panel.grid(axis="y", visible=False)
    panel.tick_params(axis="y", length=0)


def _limits(rows: pd.DataFrame) -> tuple[float, float]:
    """Return a range in percent that holds the band and the dots of all events, and those of slices as far as they
    leave these readable.
    """
    percent = 100 * rows["relative"]
    whole = percent[rows["n_events"] == rows["n_events"].max()]
    low, high = np.min([*whole, -2 * BAND]), np.max([*whole, 2 * BAND])
    spread = high - low
    low, high = np.min([low, max(percent.min(), low - spread)]), np.max([high, min(percent.max(), high + spread)])
    return low - ROOM / 4 * (high - low), high + ROOM / 4 * (high - low)


def _label(panel: Axes, places: pd.DataFrame) -> None:
    """Write the rows' names and, in italics above them, the choice that is changed, left of the first panel."""
    edge = panel.get_yaxis_transform()
    for row in places.itertuples():
        _write_left(panel, row.place, row.label, edge, fontweight="bold" if row.protocol else "normal")
    for row in places.drop_duplicates("choice").itertuples():
        _write_left(panel, row.place - 1, row.choice, edge, fontstyle="italic", color="#777777")


def _write_left(panel: Axes, place: float, text: str, edge: Transform, **look: str) -> None:
    panel.annotate(text, (0, place), (-4, 0), edge, "offset points", ha="right", va="center", fontsize=7, **look)
