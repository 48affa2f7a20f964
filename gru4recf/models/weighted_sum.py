"""Parallel, outputs summed: one GRU for items, one for features, and a weighted sum of the two.

    h_x = GRU(E_item[x]);  h_f = GRU(E_features[x]);  scores = (A (w_x h_x + w_f h_f) + b) E_item^T

Both weights start at one half; `fusion_weights` says whether they are "learned" or stay "fixed".

Source: Hidasi et al., RecSys 2016, section 3 ("parallel shared-W", fixed weights), with RecBole's head; architecture
(3) of RecBole's GRU4RecF page.
"""

import torch
from torch import nn

from gru4recf.models.base import SessionNetwork


class WeightedSum(SessionNetwork):
    """Two GRUs whose outputs are added with one weight each."""

    def build(self) -> int:
        self.item_rnn = self.recurrent(1)
        self.feature_rnn = self.recurrent(self.features.n_features)
        learned = self.sizes.fusion_weights == "learned"
        self.fusion_weights = nn.Parameter(torch.full((2,), 0.5), requires_grad=learned)
        return self.sizes.hidden_size

    def fuse(self, items: torch.Tensor, batch_sizes: torch.Tensor) -> torch.Tensor:
        item_state = self.item_rnn(self.embed_items(items), batch_sizes=batch_sizes)
        feature_state = self.feature_rnn(self.features(items), batch_sizes=batch_sizes)
        item_weight, feature_weight = self.fusion_weights
        return item_weight * item_state + feature_weight * feature_state
