"""What all networks share: embeddings, packed recurrence, output and RecBole's four methods.

A variant adds its recurrent layers and says in `fuse` how item and features become one vector per event:

    scores = head(fuse(events)) @ item_embedding^T

Conventions kept from RecBole 1.2.1 so that the same weights give the same numbers: GRUs without biases, dropout on
item embeddings only, Xavier normal initialisation of embeddings and of the head, the output tied to the item
embedding. Options move away from them, for all variants alike: no head where it is not needed, an output matrix of
its own in place of head and item embedding, and an output side that knows features.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from gru4recf.data.features import Feature
from gru4recf.errors import StudyError
from gru4recf.losses import LOSSES, bpr, sampled_cross_entropy
from gru4recf.models.features import FeatureEmbedding
from gru4recf.models.negatives import Negatives
from gru4recf.models.recurrent import Recurrent
from gru4recf.models.softmax import linear_cross_entropy

Interaction = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Sizes:
    """The sizes and options a network is built with; every variant reads those it knows."""

    n_items: int
    embedding_size: int = 64
    hidden_size: int = 128
    n_layers: int = 1
    dropout: float = 0.3
    pooling: str = "mean"
    fusion_weights: str = "learned"
    head: str = "linear"
    output: str = "tied"
    output_features: bool = False
    loss: str = "cross_entropy"
    lazy: bool = False
    """Whether tables of items have sparse gradients, so that a step touches the rows it needs alone."""
    n_seen: int | None = None
    """Items before this index were seen in training; they alone are negatives there. None: all."""


class SessionNetwork(nn.Module, ABC):
    """Base of the networks: items in, one vector per event out, scores by dot product with every item."""

    uses_features: ClassVar[bool] = True
    uses_items: ClassVar[bool] = True
    separate_output: ClassVar[bool] = False
    """Whether the architecture scores by an output matrix of its own, whatever the options say."""

    def __init__(self, sizes: Sizes, features: list[Feature]):
        super().__init__()
        if (self.uses_features or sizes.output_features) and not features:
            raise StudyError(
                f"{type(self).__name__} needs item features and the data set has none; add an .item file "
                "with a feature column, or leave this variant (or output_features) out."
            )
        self.sizes = sizes
        self.n_seen = sizes.n_items if sizes.n_seen is None else sizes.n_seen
        self.item_embedding = nn.Embedding(sizes.n_items, sizes.embedding_size, padding_idx=0, sparse=sizes.lazy)
        self.dropout = nn.Dropout(sizes.dropout)
        self.features = FeatureEmbedding(features, sizes.embedding_size, sizes.pooling) if self.uses_features else None
        self._build_output(self.build(), features)
        self.apply(_initialise)
        self._forget_unseen()

    def _build_output(self, width: int, features: list[Feature]) -> None:
        """Create what turns a fused vector of `width` into scores."""
        sizes = self.sizes
        separate = self.separate_output or sizes.output == "separate"
        direct = separate or (sizes.head == "where_needed" and width == sizes.embedding_size)
        self.head = nn.Identity() if direct else nn.Linear(width, sizes.embedding_size)
        self.output = nn.Embedding(sizes.n_items, width, padding_idx=0, sparse=sizes.lazy) if separate else None
        if separate and not self.uses_items:
            self.item_embedding.requires_grad_(False)  # nothing reads it
        output_size = width if separate else sizes.embedding_size
        self.output_side = FeatureEmbedding(features, output_size, sizes.pooling) if sizes.output_features else None

    def _forget_unseen(self) -> None:
        """Zero what no training event can teach: the vectors of items that training never saw."""
        for table in (self.item_embedding, self.output):
            if table is not None:
                table.weight.data[self.n_seen :] = 0

    @abstractmethod
    def build(self) -> int:
        """Create the variant's own layers and return the width of what it feeds to the head."""

    @abstractmethod
    def fuse(self, items: torch.Tensor, batch_sizes: torch.Tensor) -> torch.Tensor:
        """Return what the head reads: (n, width) for n events in packed order."""

    def encode(self, items: torch.Tensor, batch_sizes: torch.Tensor) -> torch.Tensor:
        """Return one vector (n, D) per event, from the events of its session up to it.

        Args:
            items: (n,) item indices in packed order.
            batch_sizes: (T,) number of sessions at each step, never rising; on the CPU.
        """
        return self.head(self.fuse(items, batch_sizes))

    def scores(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return the scores (n, N) of all items, the padding column included."""
        return vectors @ self.output_vectors(slice(self.sizes.n_items)).T

    def output_vectors(self, items: slice | torch.Tensor) -> torch.Tensor:
        """Return what items are scored with, (n, D), for a slice of the catalogue or item indices (n,)."""
        table = self.item_embedding if self.output is None else self.output
        vectors = table.weight[items] if isinstance(items, slice) else table(items)
        if self.output_side is None:
            return vectors
        indices = torch.arange(self.sizes.n_items, device=vectors.device)[items]
        by_feature = self.output_side(indices).rows()
        return vectors + by_feature.view(len(vectors), -1, vectors.shape[1]).sum(dim=1)

    def loss(self, vectors: torch.Tensor, targets: torch.Tensor, negatives: Negatives | None = None) -> torch.Tensor:
        """Return the mean loss () of targets (n,) given vectors (n, D).

        Args:
            vectors: what `encode` returns.
            targets: item indices.
            negatives: drawn for this step; None stands for all items seen in training.
        """
        if negatives is not None:
            return self._sampled_loss(vectors, targets, negatives)
        weight = self.output_vectors(slice(self.n_seen))
        if self.sizes.loss == "cross_entropy":
            return linear_cross_entropy(vectors, weight, targets)
        return LOSSES[self.sizes.loss](vectors @ weight.T, targets)

    def _sampled_loss(self, vectors: torch.Tensor, targets: torch.Tensor, negatives: Negatives) -> torch.Tensor:
        weight = self.output_vectors(torch.cat([targets, negatives.items]))
        of_target = (vectors * weight[: len(targets)]).sum(dim=1)
        is_target = targets[:, None] == negatives.items
        return sampled_cross_entropy(of_target, vectors @ weight[len(targets) :].T, negatives.log_expected, is_target)

    def embed_items(self, items: torch.Tensor) -> torch.Tensor:
        """Return item embeddings (n, E) after dropout."""
        return self.dropout(self.item_embedding(items))

    def recurrent(self, n_inputs: int) -> Recurrent:
        """Create a GRU from `n_inputs` embeddings to the hidden size."""
        return Recurrent(n_inputs * self.sizes.embedding_size, self.sizes.hidden_size, self.sizes.n_layers)

    def forward(self, item_seq: torch.Tensor, item_seq_len: torch.Tensor) -> torch.Tensor:
        """Return the vector (B, D) after the last event of each right-padded sequence; D is E with RecBole's head.

        Args:
            item_seq: (B, L) item indices, 0 behind the end.
            item_seq_len: (B,) lengths from 1 to L.
        """
        packed = pack_padded_sequence(item_seq, item_seq_len.cpu(), batch_first=True, enforce_sorted=False)
        vectors = self.encode(packed.data, packed.batch_sizes)
        padded, _ = pad_packed_sequence(packed._replace(data=vectors), batch_first=True)
        return padded[torch.arange(len(item_seq_len)), item_seq_len - 1]

    def calculate_loss(self, interaction: Interaction) -> torch.Tensor:
        """Return the mean loss () of the targets `item_id`; bpr reads `neg_item_id` too."""
        vectors = self._last_vectors(interaction)
        if self.sizes.loss == "bpr":
            return bpr(*(self._score_of(vectors, interaction[name]) for name in ("item_id", "neg_item_id")))
        return self.loss(vectors, interaction["item_id"])

    def predict(self, interaction: Interaction) -> torch.Tensor:
        """Return the score (B,) of each row's `item_id`."""
        return self._score_of(self._last_vectors(interaction), interaction["item_id"])

    def full_sort_predict(self, interaction: Interaction) -> torch.Tensor:
        """Return the scores (B, N) of all items after each row's sequence."""
        return self.scores(self._last_vectors(interaction))

    def _last_vectors(self, interaction: Interaction) -> torch.Tensor:
        return self(interaction["item_id_list"], interaction["item_length"])

    def _score_of(self, vectors: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        return (vectors * self.output_vectors(items)).sum(dim=1)


def _initialise(module: nn.Module) -> None:
    """Initialise as RecBole 1.2.1 does: Xavier normal, row 0 of every table too; GRUs keep torch's default."""
    if isinstance(module, nn.Embedding | nn.EmbeddingBag | nn.Linear):
        nn.init.xavier_normal_(module.weight)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
