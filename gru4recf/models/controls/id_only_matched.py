"""ID-only with as many parameters as `parallel_concat`: what size alone brings."""

from gru4recf.data.features import Feature
from gru4recf.models.base import SessionNetwork, Sizes
from gru4recf.models.controls.matched import matched
from gru4recf.models.id_only import IdOnly


def build(sizes: Sizes, features: list[Feature]) -> SessionNetwork:
    """Return `id_only` with as many parameters as `parallel_concat`, see `matched`."""
    return matched(IdOnly, sizes, features)
