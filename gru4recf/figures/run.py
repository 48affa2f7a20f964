"""How one run went."""

import pandas as pd

from gru4recf.figures.base import DATA_COLOUR, Picture, captioned, panels, whole_numbers

SELECTED_ON = "validation MRR@20"
MEASURES = ("training loss", SELECTED_ON, "validation Recall@20")


@captioned(
    "Mean loss per training event, and metrics of the validation sessions, after each epoch of one run, without "
    "error bars. The dashed line marks the epoch with the best validation MRR@20, whose weights are kept; grey "
    "numbers are the values there."
)
def training_curve(history: pd.DataFrame) -> Picture:
    """Draw loss and validation metrics of one run by epoch.

    Args:
        history: `epoch`, `validation MRR@20`, `validation Recall@20` and, unless it is a baseline's single row, `loss`.
    """
    history = history.rename(columns={"loss": "training loss"}).dropna(axis="columns", how="all")
    measures = [name for name in MEASURES if name in history]
    figure, axes = panels(1, len(measures), 2.2)
    best = history.loc[history[SELECTED_ON].idxmax()]
    for panel, name in zip(axes[0], measures, strict=True):
        panel.plot(history["epoch"], history[name], marker="o", markersize=3.5, color=DATA_COLOUR)
        panel.axvline(best["epoch"], color="#999999", linewidth=0.8, linestyle="--", zorder=1)
        panel.set(title=name, xlabel=f"epoch (best: {best['epoch']:.0f})")
        panel.set_title(f"{best[name]:.4f}", loc="right", color="#777777", fontweight="normal", fontsize=7.5)
        panel.set_xlim(history["epoch"].min() - 0.5, history["epoch"].max() + 0.5)
        panel.xaxis.set_major_locator(whole_numbers())
    return figure
