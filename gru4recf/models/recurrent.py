"""A GRU over sessions in packed order, written as one differentiable function.

    r = sigmoid(W_ir x + W_hr h)    z = sigmoid(W_iz x + W_hz h)    n = tanh(W_in x + r * (W_hn h))
    h' = (1 - z) * n + z * h

It computes what `torch.nn.GRU(bias=False)` does, with the same parameters, and is faster on a CPU because:

* inputs are projected for all steps at once, and once per distinct item where the input depends on the item alone;
* gates are computed in place, and the derivatives' factors for all steps at once;
* the first step, before which all states are zero, takes no product;
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
    """The steps of a GRU in time: projected inputs (n, 3H), recurrent weights (3H, H), batch sizes -> states (n, H).

    The inputs are used up: their memory becomes that of the gates.
    """

    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor, weight: torch.Tensor, steps: list[int]) -> torch.Tensor:
        size = weight.shape[1]
        gates = inputs.detach()  # becomes r, z, n in place
        states, candidate = gates.new_empty(2, len(gates), size)  # candidate: W_hn h
        by_gates, by_candidate = weight[: 2 * size].t(), weight[2 * size :].t()
        views = (gates[:, : 2 * size], *gates.split(size, dim=1), candidate, states)
        before = None
        for both, reset, update, new, product, state in zip(*(view.split(steps) for view in views), strict=True):
            if before is None:  # sessions start from zero: no product
                both.sigmoid_()
                product.zero_()
                torch.addcmul(new.tanh_(), new, update, value=-1, out=state)
            else:
                before = before[: len(state)]
                both.addmm_(before, by_gates).sigmoid_()
                torch.mm(before, by_candidate, out=product)
                torch.lerp(new.addcmul_(reset, product).tanh_(), before, update, out=state)
            before = state
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
        # step by step, factors become gradients in place, and each gradient goes on to the state before
        of_products = factors.view(-1, 3, size).split(steps)
        of_state, updates, flat = grads.split(steps), update.split(steps), factors.split(steps)
        for step in reversed(range(len(steps))):
            grad = of_state[step]
            of_products[step].mul_(grad[:, None, :])
            if step:
                of_state[step - 1][: len(grad)].addcmul_(grad, updates[step]).addmm_(flat[step], weight)
        grad_weight = factors[steps[0] :].t() @ previous[steps[0] :]
        torch.mul(by_new, grads, out=factors[:, 2 * size :])
        return factors, grad_weight, None


def _previous_states(states: torch.Tensor, steps: list[int]) -> torch.Tensor:
    """Return (n, H) the state before each event: zero at the first step."""
    previous = torch.zeros_like(states)
    first = 0
    for n_before, n_lanes in itertools.pairwise(steps):
        previous[first + n_before : first + n_before + n_lanes] = states[first : first + n_lanes]
        first += n_before
    return previous
