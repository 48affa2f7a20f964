"""ID only: GRU4Rec, the network that every fusion has to beat.

    h = GRU(E_item[x]);  scores = (A h + b) E_item^T

Source: Hidasi et al., RecSys 2016, section 3 ("ID only"), with RecBole's embedding and head (GRU4Rec).
"""

import torch

from gru4recf.models.base import SessionNetwork


class IdOnly(SessionNetwork):
    """One GRU over item embeddings."""

    uses_features = False

    def build(self) -> int:
        self.item_rnn = self.recurrent(1)
        return self.sizes.hidden_size

    def fuse(self, items: torch.Tensor, batch_sizes: torch.Tensor) -> torch.Tensor:
        return self.item_rnn(self.embed_items(items), batch_sizes=batch_sizes)
