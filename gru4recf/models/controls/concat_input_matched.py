"""Concatenated input with as many parameters as `parallel_concat`: which way of fusing is best at equal size."""

from gru4recf.data.features import Feature
from gru4recf.models.base import SessionNetwork, Sizes
from gru4recf.models.concat_input import ConcatInput
from gru4recf.models.controls.matched import matched


def build(sizes: Sizes, features: list[Feature]) -> SessionNetwork:
    """Return `concat_input` with as many parameters as `parallel_concat`, see `matched`."""
    return matched(ConcatInput, sizes, features)
