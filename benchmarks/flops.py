"""Model FLOPs of a training step: the matrix products that forward and backward need, whatever a program spends.

A product of (n, K) and (K, M) takes 2 n K M operations; backward takes as many again for the gradient of each factor
that is trained. The GRUs' sessions start from zero, so no recurrent product is needed at their first step; an input
that depends on the item alone is projected once per distinct item. Everything else in a step (gates, softmax, look-ups,
optimiser) counts as nothing: it is overhead beside the products.
"""

from typing import Any

import torch
from torch import nn

from gru4recf.data.batches import Batch
from gru4recf.models.base import SessionNetwork
from gru4recf.models.recurrent import Block, Lookup, Recurrent


def product_flops(n: int, inner: int, m: int, *, n_trained: int = 2) -> int:
    """Return the operations of a product (n, inner) x (inner, m), forward and backward.

    Args:
        n: rows of the first factor.
        inner: columns of the first factor.
        m: columns of the second factor.
        n_trained: how many of the two factors need a gradient.
    """
    return 2 * n * inner * m * (1 + n_trained)


def step_flops(network: SessionNetwork, batch: Batch) -> int:
    """Return the operations of one step on `batch`: recurrent layers, linear layers and the scores of all items."""
    counted: list[int] = []

    def count(module: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any]) -> None:
        if isinstance(module, Recurrent):
            counted.append(recurrent_flops(module, inputs, options["batch_sizes"]))
        else:
            counted.append(linear_flops(module, inputs[0]))

    hooks = [
        module.register_forward_pre_hook(count, with_kwargs=True)
        for module in network.modules()
        if isinstance(module, Recurrent | nn.Linear)
    ]
    with torch.random.fork_rng():  # dropout draws; the caller's generator stays where it is
        vectors = network.encode(batch.items, batch.batch_sizes)
    for hook in hooks:
        hook.remove()
    return sum(counted) + product_flops(len(vectors), vectors.shape[1], network.n_seen)


def recurrent_flops(gru: Recurrent, blocks: tuple[Block, ...], batch_sizes: torch.Tensor) -> int:
    """Return the operations of all layers of `gru` over n events, inputs and states."""
    n_events, first, gates = int(batch_sizes.sum()), int(batch_sizes[0]), 3 * gru.hidden_size
    inputs = [block.table if isinstance(block, Lookup) else block for block in blocks]
    total = sum(product_flops(*x.shape, gates, n_trained=1 + x.requires_grad) for x in inputs)
    total += (gru.num_layers - 1) * product_flops(n_events, gru.hidden_size, gates)
    return total + gru.num_layers * product_flops(n_events - first, gru.hidden_size, gates)


def linear_flops(layer: nn.Linear, inputs: torch.Tensor) -> int:
    """Return the operations of a linear layer on inputs (n, K)."""
    return product_flops(*inputs.shape, layer.out_features, n_trained=1 + inputs.requires_grad)
