"""Controls: networks that show what a gain owes to something else than features.

Each is an ordinary variant built with other sizes or other features, and trained like all others.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from gru4recf.data.features import Feature, TokenFeature, permute_items
from gru4recf.models.base import SessionNetwork, Sizes
from gru4recf.models.id_only import IdOnly
from gru4recf.models.parallel_concat import ParallelConcat


def id_only_wide(sizes: Sizes, features: list[Feature]) -> SessionNetwork:
    """Return ID-only with as many hidden units as both GRUs of a parallel network together."""
    return IdOnly(replace(sizes, hidden_size=2 * sizes.hidden_size), features)


def id_only_matched(sizes: Sizes, features: list[Feature]) -> SessionNetwork:
    """Return ID-only with as many parameters as `parallel_concat`, to the nearest hidden unit."""
    wanted = _n_parameters(ParallelConcat, sizes, features)

    def size_of(hidden_size: int) -> int:
        return _n_parameters(IdOnly, replace(sizes, hidden_size=hidden_size), features)

    low, high = 1, 2
    while size_of(high) < wanted:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size_of(middle) < wanted else (low, middle)
    nearest = min((low, high), key=lambda hidden_size: abs(size_of(hidden_size) - wanted))
    return IdOnly(replace(sizes, hidden_size=nearest), features)


def parallel_item_twice(sizes: Sizes, features: list[Feature]) -> SessionNetwork:
    """Return `parallel_concat` whose second network reads the item again: what two networks gain without features."""
    return ParallelConcat(sizes, [TokenFeature("item", np.arange(sizes.n_items), sizes.n_items)])


def parallel_permuted(sizes: Sizes, features: list[Feature]) -> SessionNetwork:
    """Return `parallel_concat` whose items have each other's features, exchanged anew for every seed."""
    generator = np.random.default_rng(int(torch.randint(2**62, ())))
    return ParallelConcat(sizes, permute_items(features, generator) if features else [])


def parallel_untrained(sizes: Sizes, features: list[Feature]) -> SessionNetwork:
    """Return `parallel_concat` that keeps its initial weights and scores items by an output matrix of their own.

    Then no item's score has anything to do with the session, and each is as likely to come out on top: chance. With a
    tied output the items of a session itself would come out first or last.
    """
    return ParallelConcat(replace(sizes, output="separate"), features).requires_grad_(False)


def _n_parameters(network: Callable[..., SessionNetwork], sizes: Sizes, features: list[Feature]) -> int:
    with torch.device("meta"):  # shapes only: nothing is drawn, so torch's generator stays where it is
        return sum(p.numel() for p in network(sizes, features).parameters())
