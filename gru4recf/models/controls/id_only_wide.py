"""ID-only with as many hidden units as two GRUs: what width alone brings."""

from dataclasses import replace

from gru4recf.data.features import Feature
from gru4recf.models.base import SessionNetwork, Sizes
from gru4recf.models.id_only import IdOnly


def build(sizes: Sizes, features: list[Feature]) -> SessionNetwork:
    """Return ID-only with as many hidden units as both GRUs of a parallel network together."""
    return IdOnly(replace(sizes, hidden_size=2 * sizes.hidden_size), features)
