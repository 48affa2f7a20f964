"""Two networks that both read the item: what a second network brings without features."""

import numpy as np

from gru4recf.data.features import Feature, TokenFeature
from gru4recf.models.base import SessionNetwork, Sizes
from gru4recf.models.parallel_concat import ParallelConcat


def build(sizes: Sizes, features: list[Feature]) -> SessionNetwork:
    """Return `parallel_concat` whose second network reads the item again."""
    return ParallelConcat(sizes, [TokenFeature("item", np.arange(sizes.n_items), sizes.n_items)])
