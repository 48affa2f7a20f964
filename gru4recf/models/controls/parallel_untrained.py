"""A network that learns nothing: what chance brings."""

from dataclasses import replace

from gru4recf.data.features import Feature
from gru4recf.models.base import SessionNetwork, Sizes
from gru4recf.models.parallel_concat import ParallelConcat


def build(sizes: Sizes, features: list[Feature]) -> SessionNetwork:
    """Return `parallel_concat` that keeps its initial weights and scores items by an output matrix of their own.

    Then no item's score has anything to do with the session, and each is as likely to come out on top: chance. With a
    tied output the items of a session itself would come out first or last.
    """
    return ParallelConcat(replace(sizes, output="separate"), features).requires_grad_(False)
