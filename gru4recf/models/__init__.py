"""The variants by name. Their classes, and torch with them, are loaded when one is built."""

from importlib import import_module
from typing import TYPE_CHECKING

from gru4recf.errors import unknown_name

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from gru4recf.data.features import Feature
    from gru4recf.models.base import Sizes

NETWORKS = {
    "id_only": "IdOnly",
    "feature_only": "FeatureOnly",
    "concat_input": "ConcatInput",
    "parallel_concat": "ParallelConcat",
    "weighted_sum": "WeightedSum",
}
BASELINES = ("popularity",)
WITHOUT_FEATURES = ("id_only", *BASELINES)
VARIANTS = (*NETWORKS, *BASELINES)


def build(variant: str, sizes: "Sizes", features: "list[Feature]", support: "np.ndarray") -> "nn.Module":
    """Return a new network or baseline; torch's generator decides the initial weights.

    Args:
        variant: one of `VARIANTS`.
        sizes: the sizes and options of networks.
        features: item features over the catalogue; variants that use none ignore them.
        support: (N,) training events of each item, for baselines.

    Raises:
        StudyError: for an unknown variant, or features missing where the variant needs them.
    """
    if variant not in VARIANTS:
        raise unknown_name("variant", variant, VARIANTS)
    module = import_module(f"gru4recf.models.{variant}")
    if variant in NETWORKS:
        return getattr(module, NETWORKS[variant])(sizes, features)
    import torch

    return module.Popularity(torch.from_numpy(support))
