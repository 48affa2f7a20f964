"""What tuning searches: the same for every network, wide enough for the study's own settings.

A space is name of a setting -> a range on a logarithmic scale, or a list of choices. Batch order, embedding width, the
linear map before the output, dropout, learning rate and batch size are what moved results most (the protocol's list).

A control that shows what size or a second network brings, or which way of fusing is best at one size, is given the
sizes of the tuned `parallel_concat`; all else is searched for it as for a network. The other controls are
`parallel_concat` with other features, or untrained, and take its settings.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from gru4recf.models import CONTROLS, NETWORKS
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
"""What every network searches: a range on a logarithmic scale, or a list of choices."""
OWN_SPACE: dict[str, Space] = {"weighted_sum": {"fusion_weights": ["learned", "fixed"]}}
"""Network -> what only it and its controls have; searched within the same number of trials."""
PARALLEL = "parallel_concat"
SIZES = ("embedding_size", "hidden_size")
MATCHED = "_matched"
AS_LARGE_AS_PARALLEL = (
    "id_only_wide",
    "id_only_matched",
    "concat_input_matched",
    "weighted_sum_matched",
    "parallel_item_twice",
)
SEARCHED = (*NETWORKS, *AS_LARGE_AS_PARALLEL)
"""All that tuning makes a search for, networks first: the sizes of controls follow from one of them."""
DIGITS = 3  # of a number out of a range: what is written down is what was tried


def network_of(variant: str) -> str:
    """Return the network that a variant is, or is a control of."""
    return CONTROLS.get(variant, variant)


def given_size(variant: str, parallel: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is not searched for a control of `parallel_concat`'s size.

    A matched control is built as large as a `parallel_concat` of its own settings, `head` among them. Where two states
    are as wide as one item embedding, the head alone says whether that one has a linear map, and has to be the same.
    One unit more needs the map whatever the head says, so that it stays free for the control.

    Args:
        variant: the control.
        parallel: the tuned settings of `parallel_concat`.
    """
    size = {name: parallel[name] for name in SIZES}
    if variant.endswith(MATCHED) and 2 * parallel["hidden_size"] == parallel["embedding_size"]:
        if parallel["head"] == "linear":
            size["hidden_size"] += 1
        else:
            size["head"] = "where_needed"
    return size


def common_space(settings: Settings) -> Space:
    """Return the space all networks share: `SPACE`, widened where the study's own value lies outside."""
    return {name: _with(values, getattr(settings, name)) for name, values in SPACE.items()}


def own_spaces(settings: Settings) -> dict[str, Space]:
    """Return network -> what only it and its controls search, widened in the same way."""
    return {v: {n: _with(c, getattr(settings, n)) for n, c in space.items()} for v, space in OWN_SPACE.items()}


def space_of(variant: str, settings: Settings, given: Iterable[str] = ()) -> Space:
    """Return all that one variant searches; its own part comes last, so that the shared part is drawn the same.

    Args:
        variant: the variant.
        settings: the study's own, for a control with what is given to it.
        given: names of what is given, which becomes a single choice; see `given_size`.
    """
    space = {**common_space(settings), **own_spaces(settings).get(network_of(variant), {})}
    return space | {name: [getattr(settings, name)] for name in given}


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
