"""A network on a data set, ready for its first step, as the measurements of training need it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch import nn

from gru4recf.data.batches import Batch, batches
from gru4recf.data.features import encode_features
from gru4recf.data.registry import open_dataset
from gru4recf.data.sessions import Windows, cut_windows
from gru4recf.data.split import Split, split
from gru4recf.models import build
from gru4recf.models.base import Sizes
from gru4recf.optimisers import Together, make_optimiser
from gru4recf.settings import Settings
from gru4recf.training import seed_everything


@dataclass(frozen=True)
class Ready:
    """What a training loop holds before it begins."""

    network: nn.Module
    optimiser: Together
    parts: Split
    windows: Windows
    batch_size: int
    generator: np.random.Generator

    def epoch(self) -> Iterator[Batch]:
        """Yield the batches of one epoch, shuffled."""
        return batches(self.parts.train, self.windows, self.batch_size, generator=self.generator)


def ready(dataset: str, variant: str = "parallel_concat", settings: Settings | None = None) -> Ready:
    """Return a new network of `variant` on a registered data set, with the default settings or others."""
    settings = settings or Settings()
    data = open_dataset(dataset, progress=True)
    parts = split(data)
    generator = seed_everything(0)
    sizes = Sizes(n_items=parts.n_items, n_seen=parts.n_seen, **settings.network_options())
    network = build(variant, sizes, encode_features(data, parts.catalogue), parts.train)
    optimiser = make_optimiser("adam", network, settings.learning_rate)
    windows = cut_windows(parts.train, settings.max_length)
    return Ready(network, optimiser, parts, windows, settings.batch_size, generator)
