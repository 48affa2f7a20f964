"""Parallel, interaction: the states of two GRUs meet in an element-wise product.

    h_x = GRU(E_item[x]);  h_f = GRU(E_features[x]);  scores = W_x h_x + W_f (h_x * h_f)

The sum is one product of [W_x W_f] with [h_x ; h_x * h_f].

Source: Hidasi et al., RecSys 2016, section 3 ("parallel interaction"), with embedded instead of one-hot inputs and
without tanh.
"""

import torch

from gru4recf.models.base import SessionNetwork


class Interaction(SessionNetwork):
    """Two GRUs; the item state and its product with the feature state."""

    separate_output = True

    def build(self) -> int:
        self.item_rnn = self.recurrent(1)
        self.feature_rnn = self.recurrent(self.features.n_features)
        return 2 * self.sizes.hidden_size

    def fuse(self, items: torch.Tensor, batch_sizes: torch.Tensor) -> torch.Tensor:
        item_state = self.item_rnn(self.embed_items(items), batch_sizes=batch_sizes)
        feature_state = self.feature_rnn(self.features(items), batch_sizes=batch_sizes)
        return torch.cat([item_state, item_state * feature_state], dim=1)
