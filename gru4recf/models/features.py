"""From item features to vectors: each feature becomes one embedding of width E, all of them side by side.

The features of an item are pooled once per batch for each distinct item, then looked up for every event.
"""

import numpy as np
import torch
from torch import nn
from torch.nn.functional import embedding_bag

from gru4recf.data.features import Feature, TokenFeature, TokenSequenceFeature, VectorFeature, gather_lists
from gru4recf.errors import StudyError
from gru4recf.models.recurrent import Lookup

POOLINGS = ("mean", "sum", "max")


class FeatureEmbedding(nn.Module):
    """Look up F features of an item as one vector (F * E)."""

    def __init__(self, features: list[Feature], embedding_size: int, pooling: str = "mean"):
        super().__init__()
        if pooling not in POOLINGS:
            raise StudyError(f"pooling is {pooling!r}; choose one of {', '.join(POOLINGS)}.")
        self.n_features = len(features)
        self.tables = nn.ModuleList(_TABLES[type(feature)](feature, embedding_size, pooling) for feature in features)

    def forward(self, items: torch.Tensor) -> Lookup:
        """Return (n, F * E) for item indices (n,), as a look-up in the vectors of the distinct ones."""
        distinct, place = torch.unique(items, return_inverse=True)
        return Lookup(torch.cat([table(distinct) for table in self.tables], dim=1), place)


class _Tokens(nn.Module):
    """One row per value; row 0 stands for a missing one and is trained like the others."""

    def __init__(self, feature: TokenFeature, embedding_size: int, pooling: str):
        super().__init__()
        self.embedding = nn.Embedding(feature.n_values, embedding_size)
        self.register_buffer("codes", torch.from_numpy(feature.codes), persistent=False)

    def forward(self, items: torch.Tensor) -> torch.Tensor:
        return self.embedding(self.codes[items])


class _TokenSequences(nn.Module):
    """The mean, sum or maximum of the rows of a list; an empty list is row 0."""

    def __init__(self, feature: TokenSequenceFeature, embedding_size: int, pooling: str):
        super().__init__()
        self.embedding = nn.Embedding(feature.n_values, embedding_size)
        self.pooling = pooling
        self.lists = (feature.codes, feature.offsets)

    def forward(self, items: torch.Tensor) -> torch.Tensor:
        codes, offsets = gather_lists(*self.lists, items.cpu().numpy())
        device = self.embedding.weight.device
        return embedding_bag(
            torch.from_numpy(codes).to(device),
            self.embedding.weight,
            torch.from_numpy(offsets[:-1].astype(np.int64)).to(device),
            mode=self.pooling,
        )


class _Vectors(nn.Module):
    """A learned projection of a dense vector (of one number for a float), or a vector of its own where missing."""

    def __init__(self, feature: VectorFeature, embedding_size: int, pooling: str):
        super().__init__()
        self.projection = nn.Linear(feature.vectors.shape[1], embedding_size, bias=False)
        self.missing_embedding = nn.Embedding(1, embedding_size)
        self.register_buffer("vectors", torch.from_numpy(feature.vectors), persistent=False)
        self.register_buffer("missing", torch.from_numpy(feature.missing)[:, None], persistent=False)

    def forward(self, items: torch.Tensor) -> torch.Tensor:
        known = self.projection(self.vectors[items])
        return torch.where(self.missing[items], self.missing_embedding.weight, known)


_TABLES = {TokenFeature: _Tokens, TokenSequenceFeature: _TokenSequences, VectorFeature: _Vectors}
