"""Two networks, one of which reads the features of other items: what features bring that say nothing of the item."""

import numpy as np
import torch

from gru4recf.data.features import Feature, permute_items
from gru4recf.models.base import SessionNetwork, Sizes
from gru4recf.models.parallel_concat import ParallelConcat


def build(sizes: Sizes, features: list[Feature]) -> SessionNetwork:
    """Return `parallel_concat` whose items have each other's features, exchanged anew for every seed."""
    generator = np.random.default_rng(int(torch.randint(2**62, ())))
    return ParallelConcat(sizes, permute_items(features, generator) if features else [])
