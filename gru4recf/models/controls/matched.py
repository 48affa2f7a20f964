"""As many parameters as `parallel_concat`: how the controls whose names end in "matched" get their size.

Where every network has the linear map between state and item embedding (`head: linear`), hidden units are added. Where
only those have it whose state and embedding differ in width, both grow together: the map may cost more than size
brings, and a control that had it would make its rival look better than it is.
"""

from collections.abc import Callable
from dataclasses import replace

import torch

from gru4recf.data.features import Feature
from gru4recf.models.base import SessionNetwork, Sizes
from gru4recf.models.parallel_concat import ParallelConcat


def matched(network: Callable[..., SessionNetwork], sizes: Sizes, features: list[Feature]) -> SessionNetwork:
    """Return `network` with as many parameters as `parallel_concat` of these sizes, to the nearest unit.

    One unit more adds at most 2 / units of all parameters, so that the nearest is within 2% from 50 units on.
    """
    wanted = _n_parameters(ParallelConcat, sizes, features)

    def of_width(units: int) -> Sizes:
        grown = replace(sizes, hidden_size=units)
        return grown if sizes.head == "linear" else replace(grown, embedding_size=units)

    def size_of(units: int) -> int:
        return _n_parameters(network, of_width(units), features)

    low, high = 1, 2
    while size_of(high) < wanted:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size_of(middle) < wanted else (low, middle)
    return network(of_width(min((low, high), key=lambda units: abs(size_of(units) - wanted))), features)


def _n_parameters(network: Callable[..., SessionNetwork], sizes: Sizes, features: list[Feature]) -> int:
    with torch.device("meta"):  # shapes only: nothing is drawn, so torch's generator stays where it is
        return sum(p.numel() for p in network(sizes, features).parameters())
