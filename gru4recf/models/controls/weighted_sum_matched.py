"""Summed outputs with as many parameters as `parallel_concat`: which way of fusing is best at equal size."""

from gru4recf.data.features import Feature
from gru4recf.models.base import SessionNetwork, Sizes
from gru4recf.models.controls.matched import matched
from gru4recf.models.weighted_sum import WeightedSum


def build(sizes: Sizes, features: list[Feature]) -> SessionNetwork:
    """Return `weighted_sum` with as many parameters as `parallel_concat`, see `matched`."""
    return matched(WeightedSum, sizes, features)
