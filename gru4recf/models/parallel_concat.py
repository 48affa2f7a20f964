"""Parallel, outputs concatenated: one GRU for items, one for features. This is RecBole's GRU4RecF.

    h_x = GRU(E_item[x]);  h_f = GRU(E_features[x]);  scores = (A [h_x ; h_f] + b) E_item^T

Source: Hidasi et al., RecSys 2016, section 3 ("parallel"), with RecBole's head; architecture (2) of its GRU4RecF page.
"""

import torch

from gru4recf.models.base import SessionNetwork


class ParallelConcat(SessionNetwork):
    """Two GRUs whose outputs are concatenated."""

    def build(self) -> int:
        self.item_rnn = self.recurrent(1)
        self.feature_rnn = self.recurrent(self.features.n_features)
        return 2 * self.sizes.hidden_size

    def fuse(self, items: torch.Tensor, batch_sizes: torch.Tensor) -> torch.Tensor:
        item_state = self.item_rnn(self.embed_items(items), batch_sizes=batch_sizes)
        feature_state = self.feature_rnn(self.features(items), batch_sizes=batch_sizes)
        return torch.cat([item_state, feature_state], dim=1)
