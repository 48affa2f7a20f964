"""The variants by name. Their classes, and torch with them, are loaded when one is built."""

from importlib import import_module
from typing import TYPE_CHECKING

from gru4recf.errors import unknown_name
from gru4recf.models import baselines
from gru4recf.models.baselines import BASELINES
from gru4recf.models.controls import CONTROLS

if TYPE_CHECKING:
    from torch import nn

    from gru4recf.data.features import Feature
    from gru4recf.data.sessions import Sessions
    from gru4recf.models.base import Sizes

NETWORKS = {
    "id_only": "IdOnly",
    "feature_only": "FeatureOnly",
    "concat_input": "ConcatInput",
    "parallel_concat": "ParallelConcat",
    "weighted_sum": "WeightedSum",
    "parallel_scores": "ParallelScores",
    "interaction": "Interaction",
}
WITHOUT_FEATURES = ("id_only", "id_only_wide", "parallel_item_twice", *baselines.WITHOUT_FEATURES)
VARIANTS = (*NETWORKS, *CONTROLS, *BASELINES)


def build(variant: str, sizes: "Sizes", features: "list[Feature]", train: "Sessions") -> "nn.Module":
    """Return a new network, or a baseline fitted to `train`; torch's generator decides the initial weights.

    Args:
        variant: one of `VARIANTS`.
        sizes: the sizes and options of networks.
        features: item features over the catalogue; variants that use none ignore them.
        train: training sessions, which baselines count.

    Raises:
        StudyError: for an unknown variant, or features missing where the variant needs them.
    """
    if variant not in VARIANTS:
        raise unknown_name("variant", variant, VARIANTS)
    if variant in BASELINES:
        return baselines.build_baseline(variant, train, sizes.n_items, features)
    if variant in CONTROLS:
        return import_module(f"gru4recf.models.controls.{variant}").build(sizes, features)
    return getattr(import_module(f"gru4recf.models.{variant}"), NETWORKS[variant])(sizes, features)
