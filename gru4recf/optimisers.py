"""Optimisers by name, with lazy state for tables of which a step touches some rows only."""

import inspect
from typing import Any

import torch
from torch import nn


def _not_compiled(kind: type[torch.optim.Optimizer]) -> type[torch.optim.Optimizer]:
    """Return an optimiser with torch's plain methods.

    Around them torch loads its compiler, two seconds of every process, to tell it to keep out; nothing is compiled.
    """
    names = ("add_param_group", "zero_grad", "step", "state_dict", "load_state_dict")
    plain = {name: inspect.unwrap(getattr(kind, name)) for name in names}
    return type(kind.__name__, (kind,), {**plain, "step": torch.no_grad()(plain["step"])})


DENSE = {"adam": _not_compiled(torch.optim.Adam), "adagrad": _not_compiled(torch.optim.Adagrad)}
LAZY = {"adam": _not_compiled(torch.optim.SparseAdam), "adagrad": _not_compiled(torch.optim.Adagrad)}
OPTIMISERS = tuple(DENSE)


class Together:
    """Several optimisers used as one, each with parameters of its own."""

    def __init__(self, *parts: torch.optim.Optimizer):
        self.parts = parts

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for part in self.parts:
            part.zero_grad()

    def step(self) -> None:
        """Take one step with each."""
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of all, as tensors and numbers."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        for part, of_part in zip(self.parts, state["parts"], strict=True):
            part.load_state_dict(of_part)


def make_optimiser(name: str, network: nn.Module, learning_rate: float) -> Together:
    """Return the optimiser of a network's parameters.

    Tables built with `sparse=True` are updated where a step touched them, and so is their optimiser's state: a step
    costs as much as it has events, however large the catalogue.

    Args:
        name: one of `OPTIMISERS`.
        network: whose parameters to step.
        learning_rate: the step size.
    """
    lazy = [m.weight for m in network.modules() if isinstance(m, nn.Embedding) and m.sparse and m.weight.requires_grad]
    places = {id(weight) for weight in lazy}
    dense = [parameter for parameter in network.parameters() if id(parameter) not in places]
    parts = [DENSE[name](dense, lr=learning_rate, fused=True)] if dense else []
    if lazy:
        torch.sparse.check_sparse_tensor_invariants.disable()  # said outright, or torch warns that it is so
        parts.append(LAZY[name](lazy, lr=learning_rate))
    return Together(*parts)
