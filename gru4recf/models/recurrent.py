"""A GRU over sessions in packed order, written as one differentiable function.

    r = sigmoid(W_ir x + W_hr h)    z = sigmoid(W_iz x + W_hz h)    n = tanh(W_in x + r * (W_hn h))
    h' = (1 - z) * n + z * h

It computes what `torch.nn.GRU(bias=False)` does, with the same parameters, and is faster on a CPU because:

* inputs are projected for all steps at once, and once per distinct item where the input depends on the item alone;
* gates are computed in place, and the derivatives' factors for all steps at once;
* weight gradients are one product over all steps instead of one per step.

On other devices torch's own kernel (cuDNN) is used.

Source: Cho et al., EMNLP 2014, in the form of torch.nn.GRU (the reset gate applied after the recurrent product).
"""

import itertools
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.functional import linear
from torch.nn.utils.rnn import PackedSequence


class Lookup(NamedTuple):
    """Rows of a small table, one per event: `table[place]` of shape (n, D), not spelled out."""

    table: torch.Tensor
    place: torch.Tensor

    def rows(self) -> torch.Tensor:
        """Return (n, D)."""
        return self.table[self.place]


Block = torch.Tensor | Lookup

# torch's own passes: the first argument times the derivative, y (1 - y) and 1 - y^2, read off the value y
sigmoid_backward, tanh_backward = torch.ops.aten.sigmoid_backward, torch.ops.aten.tanh_backward


class Recurrent(nn.GRU):
    """A GRU without biases; each session starts from a zero state.

    `forward(*blocks, batch_sizes=(T,)) -> (n, H)`: the input of an event is its blocks side by side, each (n, D) or a
    `Lookup` of that shape.
    """

    def __init__(self, input_size: int, hidden_size: int, n_layers: int):
        super().__init__(input_size, hidden_size, n_layers, bias=False)

    def forward(self, *blocks: Block, batch_sizes: torch.Tensor) -> torch.Tensor:
        if not self.weight_hh_l0.is_cpu:
            inputs = torch.cat([b.rows() if isinstance(b, Lookup) else b for b in blocks], dim=1)
            output, _ = super().forward(PackedSequence(inputs, batch_sizes))
            return output.data
        steps = batch_sizes.tolist()
        for layer in range(self.num_layers):
            inputs = _project(blocks, getattr(self, f"weight_ih_l{layer}"))
            states = GatedSteps.apply(inputs, getattr(self, f"weight_hh_l{layer}"), steps)
            blocks = (states,)
        return states


def _project(blocks: tuple[Block, ...], weight: torch.Tensor) -> torch.Tensor:
    """Return the input's share of all gates (n, 3H): the product of `weight` (3H, sum of D) with the blocks."""
    projected = []
    for block, columns in zip(blocks, weight.split([_width(block) for block in blocks], dim=1), strict=True):
        if isinstance(block, Lookup):
            projected.append(nn.functional.embedding(block.place, linear(block.table, columns)))
        else:
            projected.append(linear(block, columns))
    return sum(projected[1:], start=projected[0])


def _width(block: Block) -> int:
    return block.table.shape[1] if isinstance(block, Lookup) else block.shape[1]


class GatedSteps(torch.autograd.Function):
    """The steps of a GRU in time: projected inputs (n, 3H), recurrent weights (3H, H), batch sizes -> states (n, H)."""

    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor, weight: torch.Tensor, steps: list[int]) -> torch.Tensor:
        n_events, size = inputs.shape[0], weight.shape[1]
        states = inputs.new_empty(n_events, size)
        gates = inputs.detach().clone()  # becomes r, z, n
        candidate = inputs.new_empty(n_events, size)  # W_hn h
        transposed = weight.t()
        recurrent = inputs.new_empty(steps[0], 3 * size)
        before = inputs.new_zeros(steps[0], size)
        first = 0
        for n_lanes in steps:
            step = slice(first, first + n_lanes)
            h, products, gate = before[:n_lanes], recurrent[:n_lanes], gates[step]
            torch.mm(h, transposed, out=products)
            reset_update, new = gate[:, : 2 * size], gate[:, 2 * size :]
            reset_update.add_(products[:, : 2 * size]).sigmoid_()
            candidate[step] = products[:, 2 * size :]
            new.addcmul_(reset_update[:, :size], products[:, 2 * size :]).tanh_()
            before = torch.lerp(new, h, reset_update[:, size:], out=states[step])
            first += n_lanes
        ctx.steps = steps
        ctx.save_for_backward(gates, candidate, states, weight)
        return states

    @staticmethod
    def backward(ctx: Any, grad_states: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        gates, candidate, states, weight = ctx.saved_tensors
        steps, size = ctx.steps, weight.shape[1]
        previous = _previous_states(states, steps)
        reset, update, new = gates.split(size, dim=1)
        # factors (n, 3H) that turn the gradient of a state into those of the recurrent products
        factors = torch.empty_like(gates)
        by_new = tanh_backward(1 - update, new)
        sigmoid_backward(previous - new, update, grad_input=factors[:, size : 2 * size])
        torch.mul(by_new, reset, out=factors[:, 2 * size :])
        sigmoid_backward(by_new * candidate, reset, grad_input=factors[:, :size])
        grads = grad_states.clone(memory_format=torch.contiguous_format)
        products = factors.view(-1, 3, size)  # multiplied in place, step by step
        last = len(states)
        carried = None
        for n_lanes in reversed(steps):
            step = slice(last - n_lanes, last)
            grad = grads[step]
            if carried is not None:
                grad[: len(carried)] += carried
            products[step] *= grad[:, None, :]
            if step.start:
                carried = torch.addmm(grad * update[step], factors[step], weight)
            last -= n_lanes
        grad_weight = factors[steps[0] :].t() @ previous[steps[0] :]
        grad_inputs = factors
        torch.mul(by_new, grads, out=grad_inputs[:, 2 * size :])
        return grad_inputs, grad_weight, None


def _previous_states(states: torch.Tensor, steps: list[int]) -> torch.Tensor:
    """Return (n, H) the state before each event: zero at the first step."""
    previous = torch.zeros_like(states)
    first = 0
    for n_before, n_lanes in itertools.pairwise(steps):
        previous[first + n_before : first + n_before + n_lanes] = states[first : first + n_lanes]
        first += n_before
    return previous
