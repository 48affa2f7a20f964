"""Feature only: what can be said about the next item without knowing which item was seen.

    h = GRU(E_features[x]);  scores = (A h + b) E_item^T

Source: Hidasi et al., RecSys 2016, section 3 ("feature only"), with RecBole's embedding and head.
"""

import torch

from gru4recf.models.base import SessionNetwork


class FeatureOnly(SessionNetwork):
    """One GRU over feature embeddings."""

    uses_items = False

    def build(self) -> int:
        self.feature_rnn = self.recurrent(self.features.n_features)
        return self.sizes.hidden_size

    def fuse(self, items: torch.Tensor, batch_sizes: torch.Tensor) -> torch.Tensor:
        return self.feature_rnn(self.features(items), batch_sizes=batch_sizes)
