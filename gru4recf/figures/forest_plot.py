"""What the claims rest on: paired differences between variants."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from gru4recf.figures.base import Picture, captioned, colour_of, intervals, panels, show_equivalence

NARROWEST, WIDEST = 3.0, 50.0  # percent; longer intervals are cut so that the others stay readable
DECIDED = ("supported", "refuted")


@captioned(
    "Paired differences in percent of the second variant's value, with the 95% interval of a bootstrap over "
    "sessions and seeds, in the first variant's colour. Right of zero the first variant is better. Shaded: ±2%, "
    "inside which two variants are equivalent; scales differ between data sets. An arrow: the interval goes on. Right: "
    "the verdict; supported and refuted are corrected for the number of contrasts of the study, equivalent is not."
)
def forest(contrasts: pd.DataFrame) -> Picture:
    """Draw each contrast's relative difference, grouped by data set and claim.

    Args:
        contrasts: `claim`, `dataset`, `metric`, `better`, `worse`, `relative`, `relative_low`, `relative_high` (as
            fractions; the last two may be infinite) and `verdict`.
    """
    groups = [_with_places(own) for _, own in contrasts.groupby("dataset", sort=False)]
    heights = [group["place"].max() + 1 for group in groups]
    figure, axes = panels(len(groups), 1, 0.4 + 0.55 * len(groups) + 0.165 * sum(heights), height_ratios=heights)
    for panel, group in zip(axes[:, 0], groups, strict=True):
        limits = _limits(group)
        panel.set(title=group["dataset"].iloc[0], xlim=limits, ylim=(group["place"].max() + 0.6, -0.6))
        show_equivalence(panel, "x")
        for _, row in group.iterrows():
            _draw(panel, row, *limits)
        _label(panel, group)
    axes[-1, 0].set_xlabel("relative difference, first variant against second")
    return figure


def _with_places(own: pd.DataFrame) -> pd.DataFrame:
    """Add the row of the panel on which each contrast stands; one row is left above each claim for its name."""
    own = own.sort_values("claim", key=lambda claims: pd.factorize(claims)[0], kind="stable")
    return own.assign(place=np.arange(len(own)) + 1 + pd.factorize(own["claim"])[0])


def _limits(contrasts: pd.DataFrame) -> tuple[float, float]:
    ends = 100 * contrasts[["relative", "relative_low", "relative_high"]].to_numpy(np.float64)
    ends = ends[np.isfinite(ends)]
    return max(1.05 * ends.min(initial=-NARROWEST), -WIDEST), min(1.05 * ends.max(initial=NARROWEST), WIDEST)


def _draw(panel: Axes, row: pd.Series, left: float, right: float) -> None:
    middle, low, high = (100 * row[name] for name in ("relative", "relative_low", "relative_high"))
    if left <= middle <= right:
        intervals(panel, row["better"], middle, row["place"], along="x", low=np.nan, high=np.nan)
    line = {"color": colour_of(row["better"]), "linewidth": 1.3}
    panel.plot(np.clip([low, high], left, right), [row["place"]] * 2, **line)
    for end, beyond, marker in ((left, low < left, "<"), (right, high > right, ">")):
        if beyond:
            panel.plot(end, row["place"], marker, color=line["color"], markersize=4, clip_on=False)
    look = {"fontweight": "bold"} if row["verdict"] in DECIDED else {"color": "#777777"}
    panel.text(1.025, row["place"], row["verdict"], transform=panel.get_yaxis_transform(), va="center", **look)


def _label(panel: Axes, group: pd.DataFrame) -> None:
    claims = group.drop_duplicates("claim")
    panel.set_yticks(group["place"], group["metric"])
    for row in group.drop_duplicates(["claim", "better", "worse"]).itertuples():
        _write_left(panel, row.place, f"{row.better} vs {row.worse}")
    for row in claims.itertuples():
        _write_left(panel, row.place - 1, row.claim, fontstyle="italic", color="#777777")
    panel.tick_params(axis="y", length=0)
    panel.grid(axis="y", visible=False)


def _write_left(panel: Axes, place: float, text: str, **look: str) -> None:
    """Write text left of the metrics' names."""
    edge = panel.get_yaxis_transform()
    panel.annotate(text, (0, place), (-54, 0), edge, "offset points", ha="right", va="center", **look)
