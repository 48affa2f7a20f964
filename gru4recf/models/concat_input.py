"""Concatenated input: one GRU reads item and features side by side.

    h = GRU([E_item[x] ; E_features[x]]);  scores = (A h + b) E_item^T

Source: Hidasi et al., RecSys 2016, section 3 ("concatenated input"); architecture (1) of RecBole's GRU4RecF page.
"""

import torch

from gru4recf.models.base import SessionNetwork


class ConcatInput(SessionNetwork):
    """One GRU over the concatenation of item and feature embeddings."""

    def build(self) -> int:
        self.rnn = self.recurrent(1 + self.features.n_features)
        return self.sizes.hidden_size

    def fuse(self, items: torch.Tensor, batch_sizes: torch.Tensor) -> torch.Tensor:
        return self.rnn(self.embed_items(items), self.features(items), batch_sizes=batch_sizes)
