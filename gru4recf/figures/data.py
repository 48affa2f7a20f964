"""What a data set looks like."""

import numpy as np
import pandas as pd
from matplotlib.dates import AutoDateFormatter, AutoDateLocator
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullLocator

from gru4recf.figures.base import DATA_COLOUR, Picture, captioned, legend_below, panels, whole_numbers

MOST_BARS = 50
LIGHT = "#A5B6C4"
MARK = {"color": "#D55E00", "linewidth": 1, "linestyle": "--"}
PART_COLOURS = {"train": "#C3CFD9", "validation": "#7E9BB1", "test": "#1F3B50"}


@captioned(
    "Number of sessions by their number of events. Dashed: the median. A light last bar also holds all longer sessions."
)
def session_lengths(lengths: pd.Series) -> Picture:
    """Draw a histogram of session lengths (events per session); whole numbers share bars of equal width."""
    longest_shown = int(np.ceil(lengths.quantile(0.99)))
    first = int(lengths.min())
    width = -(-(longest_shown - first + 1) // MOST_BARS)
    bars = ((lengths.clip(upper=longest_shown) - first) // width).value_counts().sort_index()
    figure, axes = panels(1, 1, 2.2)
    drawn = axes[0, 0].bar(first + (bars.index + 0.5) * width - 0.5, bars, width=0.9 * width, color=DATA_COLOUR)
    if lengths.max() > longest_shown:
        drawn[-1].set_color(LIGHT)
    median = lengths.median()
    axes[0, 0].axvline(median, **MARK)
    title = f"Half of the sessions have at most {median:g} events; the longest has {lengths.max():,}"
    axes[0, 0].set(title=title, xlabel="events per session", ylabel="sessions")
    axes[0, 0].xaxis.set_major_locator(whole_numbers())
    axes[0, 0].grid(axis="x", visible=False)
    return figure


@captioned(
    "Training events of each item, the most frequent first; both scales are logarithmic. Dashed: a tenth of the items."
)
def popularity(support: pd.Series) -> Picture:
    """Draw the number of training events of each item against its rank; items without events are left out."""
    counts = np.sort(support[support > 0])[::-1]
    top = -(-len(counts) // 10)
    figure, axes = panels(1, 1, 2.4)
    axes[0, 0].loglog(np.arange(1, len(counts) + 1), counts, marker="o", markersize=2.5, color=DATA_COLOUR)
    axes[0, 0].axvline(top, **MARK)
    share = counts[:top].sum() / counts.sum()
    title = f"The most frequent tenth of the {len(counts):,} items has {share:.0%} of the events"
    axes[0, 0].set(title=title, xlabel="rank of the item", ylabel="training events")
    for axis, widest in ((axes[0, 0].xaxis, len(counts)), (axes[0, 0].yaxis, counts[0] / counts[-1])):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if widest < 2000 else (1,)))
        axis.set_major_formatter("{x:,.0f}")
        axis.set_minor_locator(NullLocator())
    return figure


@captioned("Share of the items for which a feature is known, with its kind and its number of different values.")
def feature_coverage(frame: pd.DataFrame) -> Picture:
    """Draw how many items have each feature: `feature`, `kind`, `coverage` (a fraction), `n_values`."""
    figure, axes = panels(1, 1, 0.7 + 0.24 * len(frame))
    places = np.arange(len(frame))
    axes[0, 0].barh(places, 100, height=0.6, color="#EEEEEE")
    axes[0, 0].barh(places, 100 * frame["coverage"], height=0.6, color=DATA_COLOUR)
    for place, row in zip(places, frame.itertuples(), strict=True):
        axes[0, 0].text(101.5, place, f"{row.coverage:.1%}  {row.kind}, {row.n_values:,} values", va="center")
    axes[0, 0].set_yticks(places, frame["feature"])
    axes[0, 0].set(xlim=(0, 100), ylim=(len(frame) - 0.4, -0.6), xlabel="items with the feature, percent")
    axes[0, 0].set_title("Which features are known for how many items")
    axes[0, 0].grid(visible=False)
    return figure


@captioned("Sessions (or users) by the time of the first event that is to be predicted in each part, stacked.")
def split_in_time(frame: pd.DataFrame) -> Picture:
    """Draw the number of sessions per time bin: `time` (start of the bin: dates or numbers), `part`, `n_sessions`."""
    counts = frame.pivot_table(index="time", columns="part", values="n_sessions", aggfunc="sum", fill_value=0)
    parts = [part for part in PART_COLOURS if part in counts]
    steps = np.diff(counts.index)
    width = steps.min() if len(steps) else 1
    below = np.zeros(len(counts))
    figure, axes = panels(1, 1, 2.4)
    for part in parts:
        axes[0, 0].bar(counts.index, counts[part], width=width, bottom=below, align="edge", color=PART_COLOURS[part])
        below = below + counts[part].to_numpy()
    title = "When each part takes place"
    axes[0, 0].set(title=title, xlabel="time", ylabel="sessions", ylim=(0, 1.06 * below.max()))
    if isinstance(counts.index, pd.DatetimeIndex):
        locator = AutoDateLocator(minticks=3, maxticks=7)
        axes[0, 0].xaxis.set(major_locator=locator, major_formatter=AutoDateFormatter(locator), label_text="date")
    else:
        axes[0, 0].xaxis.set_major_formatter("{x:,.12g}")
    axes[0, 0].grid(axis="x", visible=False)
    totals = frame.groupby("part")["n_sessions"].sum()
    legend_below(figure, [Patch(color=PART_COLOURS[part], label=f"{part} ({totals[part]:,})") for part in parts])
    return figure
