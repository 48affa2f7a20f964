"""How all runs learned."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

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

METRIC = "validation MRR@20"
N_COLUMNS = 3
LINES = ("-", (0, (4, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))  # one per strategy


@captioned(
    "Validation MRR@20 after each epoch. Thick: mean over seeds, as far as all seeds trained; thin: one seed each, "
    "which is all the spread that is shown. Training stops early, so lines differ in length. Dashed grey: a "
    "baseline without training, written at the lower edge (▼) where it is far below."
)
def learning_curves(history: pd.DataFrame) -> Picture:
    """Draw the validation metric by epoch, one panel per data set.

    Args:
        history: one row per run and epoch: `dataset`, `variant`, `strategy`, `seed`, `epoch`, `validation MRR@20`.
    """
    datasets = history["dataset"].unique()
    figure, axes = wrapped_panels(len(datasets), N_COLUMNS, 2.3)
    strategies = history.loc[history["epoch"] > 0, "strategy"].unique()
    line_of = {strategy: LINES[index % len(LINES)] for index, strategy in enumerate(strategies)}
    for panel, dataset in zip(axes, datasets, strict=True):
        own = history[history["dataset"] == dataset]
        for (variant, strategy), runs in own[own["epoch"] > 0].groupby(["variant", "strategy"], sort=False):
            _draw_runs(panel, runs, variant, line_of[strategy])
        for variant, value in own[own["epoch"] == 0].groupby("variant", sort=False)[METRIC].mean().items():
            _draw_floor(panel, variant, value)
        panel.set(title=dataset, xlabel="epoch")
        panel.xaxis.set_major_locator(whole_numbers())
    for panel in axes[::N_COLUMNS]:
        panel.set_ylabel(METRIC)
    legend_below(figure, _handles(history, line_of))
    return figure


def _draw_runs(panel: Axes, runs: pd.DataFrame, variant: str, line: str | tuple) -> None:
    by_seed = runs.pivot_table(index="epoch", columns="seed", values=METRIC)
    mean = by_seed.dropna().mean(axis=1)
    look = {"color": colour_of(variant), "linestyle": line}
    panel.plot(by_seed.index, by_seed, **look, linewidth=0.6, alpha=0.5)
    panel.plot(mean.index, mean, **look, marker=marker_of(variant), markersize=3.5)


def _draw_floor(panel: Axes, variant: str, value: float) -> None:
    """Draw a baseline as a line, or, where that would leave the curves less than half of the height, as a number."""
    low, high = panel.get_ylim()
    if not panel.lines or value > low - (high - low):
        panel.axhline(value, color=colour_of(variant), linestyle="--", linewidth=1.2, label=variant)
        return
    text = f"▼ {variant} {value:.3f}"
    panel.text(0.98, 0.03, text, transform=panel.transAxes, ha="right", color=colour_of(variant), fontsize=7)


def _handles(history: pd.DataFrame, line_of: dict) -> list[Line2D]:
    trained, handles = history[history["epoch"] > 0], []
    for strategy, line in line_of.items():
        variants = trained.loc[trained["strategy"] == strategy, "variant"].unique()
        labels = variants if len(line_of) == 1 else [f"{variant}, {strategy}" for variant in variants]
        handles += variant_handles(variants, labels, linestyle=line)
    baselines = history.loc[history["epoch"] == 0, "variant"].unique()
    return handles + variant_handles(baselines, linestyle="--", marker="")
