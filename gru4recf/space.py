"""What tuning searches: the same for every variant, wide enough for the study's own settings.

A space is name of a setting -> a range on a logarithmic scale, or a list of choices. Batch order, embedding width, the
linear map before the output, dropout, learning rate and batch size are what moved results most (the protocol's list).
"""

from typing import TYPE_CHECKING, Any

from gru4recf.settings import Settings

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Space = dict[str, dict[str, float] | list[Any]]

SPACE: Space = {
    "learning_rate": {"low": 0.001, "high": 0.02},
    "batch_size": [32, 64, 128, 256],
    "dropout": [0.0, 0.1, 0.2, 0.3],
    "embedding_size": [64, 128],
    "hidden_size": [64, 128],
    "order": ["shuffled", "by_time"],
    "head": ["linear", "where_needed"],
}
"""What every variant searches: a range on a logarithmic scale, or a list of choices."""
OWN_SPACE: dict[str, Space] = {"weighted_sum": {"fusion_weights": ["learned", "fixed"]}}
"""Variant -> what only it has; searched within the same number of trials."""
DIGITS = 3  # of a number out of a range: what is written down is what was tried


def common_space(settings: Settings) -> Space:
    """Return the space all variants share: `SPACE`, widened where the study's own value lies outside."""
    return {name: _with(values, getattr(settings, name)) for name, values in SPACE.items()}


def own_spaces(settings: Settings) -> dict[str, Space]:
    """Return variant -> what only it searches, widened in the same way."""
    return {v: {n: _with(c, getattr(settings, n)) for n, c in space.items()} for v, space in OWN_SPACE.items()}


def space_of(variant: str, settings: Settings) -> Space:
    """Return all that one variant searches; its own part comes last, so that the shared part is drawn the same."""
    return {**common_space(settings), **own_spaces(settings).get(variant, {})}


def rounded(value: Any, values: dict[str, float] | list[Any]) -> Any:
    """Return a proposed value with few digits, inside its range; a choice stays as it is."""
    if isinstance(values, list):
        return value
    return min(max(float(f"{value:.{DIGITS}g}"), values["low"]), values["high"])


def distributions(space: Space) -> dict[str, "BaseDistribution"]:
    """Return the space as optuna writes it."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    return {
        name: CategoricalDistribution(values)
        if isinstance(values, list)
        else FloatDistribution(values["low"], values["high"], log=True)
        for name, values in space.items()
    }


def _with(values: dict[str, float] | list[Any], own: Any) -> dict[str, float] | list[Any]:
    """Return a range or list that holds `own`; lists of numbers stay sorted."""
    if isinstance(values, dict):
        return {"low": min(values["low"], own), "high": max(values["high"], own)}
    if own in values:
        return values
    return [*values, own] if isinstance(own, str) else sorted([*values, own])
