"""A network as RecBole 1.2.1 holds it, and how its layers are called there."""

from dataclasses import dataclass, field

import torch

Tensors = dict[str, torch.Tensor]

PADDING = "[PAD]"
LOSSES = {"CE": "cross_entropy", "BPR": "bpr"}
LAYERS = {
    "GRU4RecF": {"item_rnn": "item_gru_layers", "feature_rnn": "feature_gru_layers", "head": "dense_layer"},
    "GRU4Rec": {"item_rnn": "gru_layers", "head": "dense"},
}
"""RecBole's architecture -> our name of a layer -> its name there; the item embedding has one name."""


@dataclass(frozen=True)
class RecBoleModel:
    """A GRU4RecF, or without features a GRU4Rec, as RecBole holds it.

    Attributes:
        weights: its state dict.
        items: raw item ids by RecBole's number, "[PAD]" first; needed only to find items again.
        features: its selected features, in their order, over RecBole's item numbers. A token is (N,) int64, a token_seq
            (N, S) int64 padded with 0, a float (N, 2) with value and table row, a float_seq (N, S, 2) of such pairs.
        pooling_mode, loss_type, dropout_prob: RecBole's settings of these names.
    """

    weights: Tensors
    items: list[str] = field(default_factory=list)
    features: Tensors = field(default_factory=dict)
    pooling_mode: str | None = "sum"
    loss_type: str = "CE"
    dropout_prob: float = 0.3

    @property
    def name(self) -> str:
        """RecBole's name of the architecture."""
        return "GRU4RecF" if self.features else "GRU4Rec"


def renamed(weights: Tensors, old: str, new: str) -> Tensors:
    """Return the parameters of the layer `old` under the name `new`."""
    return {name.replace(old, new, 1): tensor for name, tensor in weights.items() if name.startswith(f"{old}.")}


def table_prefix(kind: str) -> str:
    """Return how the embedding tables of a kind of feature are called in RecBole's state dict."""
    return f"feature_embed_layer.{kind}_embedding_table.item."
