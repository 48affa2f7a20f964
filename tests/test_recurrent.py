import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from gru4recf.models.recurrent import GatedSteps, Lookup, Recurrent

STEPS = torch.tensor([5, 3, 3, 1])
N = int(STEPS.sum())


def both(n_layers=1, input_size=4, hidden_size=3):
    """Return our GRU and torch's with the same weights, in float64."""
    torch.manual_seed(0)
    ours = Recurrent(input_size, hidden_size, n_layers).double()
    theirs = nn.GRU(input_size, hidden_size, n_layers, bias=False).double()
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@pytest.mark.parametrize("n_layers", [1, 2])
@pytest.mark.parametrize("steps", [STEPS, torch.tensor([1]), torch.tensor([4]), torch.tensor([1, 1, 1])])
def test_states_and_gradients_are_torchs(n_layers, steps):
    ours, theirs = both(n_layers)
    ours_in = torch.randn(int(steps.sum()), 4, dtype=torch.float64, requires_grad=True)
    theirs_in = ours_in.detach().clone().requires_grad_()
    found = ours(ours_in, batch_sizes=steps)
    expected = theirs(PackedSequence(theirs_in, steps))[0].data
    torch.testing.assert_close(found, expected)
    weight = torch.randn_like(found)
    (found * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(ours_in.grad, theirs_in.grad)
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, theirs.get_parameter(name).grad)


def test_gradients_are_those_of_finite_differences():
    inputs = torch.randn(N, 9, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(9, 3, dtype=torch.float64, requires_grad=True)
    # the function uses its inputs up
    assert torch.autograd.gradcheck(lambda x, w: GatedSteps.apply(x.clone(), w, STEPS.tolist()), (inputs, weight))


def test_gradients_of_two_layers_are_those_of_finite_differences():
    gru, _ = both(n_layers=2)
    inputs = torch.randn(N, 4, dtype=torch.float64, requires_grad=True)

    def states(x, *_):
        return gru(x, batch_sizes=STEPS)

    assert torch.autograd.gradcheck(states, (inputs, *gru.parameters()))


def test_elsewhere_than_on_the_cpu_torchs_own_gru_runs(monkeypatch):
    gru = Recurrent(6, 3, 2).to("meta")  # shapes without numbers, on any machine
    monkeypatch.setattr(GatedSteps, "apply", None)
    passed = []
    plain = nn.GRU.forward
    monkeypatch.setattr(nn.GRU, "forward", lambda self, packed: passed.append(packed) or plain(self, packed))
    table = torch.empty(7, 4, device="meta")
    blocks = torch.empty(N, 2, device="meta"), Lookup(table, torch.zeros(N, dtype=torch.long, device="meta"))
    assert gru(*blocks, batch_sizes=STEPS).shape == (N, 3)
    (packed,) = passed
    assert packed.data.shape == (N, 6)
    assert packed.batch_sizes is STEPS


def test_a_look_up_is_the_rows_spelled_out():
    ours, _ = both(input_size=7)
    dense = torch.randn(N, 4, dtype=torch.float64, requires_grad=True)
    table = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    place = torch.arange(N) % 2
    looked_up = ours(dense, Lookup(table, place), batch_sizes=STEPS)
    spelled_out = ours(torch.cat([dense, table[place]], dim=1), batch_sizes=STEPS)
    torch.testing.assert_close(looked_up, spelled_out)
    gradients = [torch.autograd.grad(output.square().sum(), (dense, table)) for output in (looked_up, spelled_out)]
    torch.testing.assert_close(gradients[0], gradients[1])


def test_inputs_are_not_changed():
    ours, _ = both()
    inputs = torch.randn(N, 4, dtype=torch.float64)
    before = inputs.clone()
    ours(inputs, batch_sizes=STEPS)
    torch.testing.assert_close(inputs, before, rtol=0, atol=0)
