import pytest
import torch
from torch.nn.functional import cross_entropy

from gru4recf.models import softmax
from gru4recf.models.softmax import LinearCrossEntropy, linear_cross_entropy, rows_at_a_time


def inputs(n_events, n_items, width=8, dtype=torch.float32, scale=1.0):
    generator = torch.Generator().manual_seed(n_events + n_items)
    vectors = torch.randn(n_events, width, generator=generator, dtype=dtype) * scale
    weight = torch.randn(n_items, width, generator=generator, dtype=dtype) * scale
    targets = torch.randint(n_items, (n_events,), generator=generator)
    return vectors.requires_grad_(), weight.requires_grad_(), targets


def plain(vectors, weight, targets):
    return cross_entropy(vectors @ weight.T, targets)


def gradients(loss, vectors, weight, targets):
    return torch.autograd.grad(loss(vectors, weight, targets), (vectors, weight))


@pytest.fixture
def small_chunks(monkeypatch):
    """Make 3 rows at a time the rule, so that a few events need several passes."""
    monkeypatch.setattr(softmax, "rows_at_a_time", lambda n_items: 3)


@pytest.mark.parametrize(
    ("n_events", "n_items"), [(1, 1), (1, 7), (7, 1), (3, 5), (6, 5), (7, 5), (700, 217), (130, 9000)]
)
def test_loss_and_gradients_are_those_of_the_plain_expression(n_events, n_items):
    values = inputs(n_events, n_items)
    assert abs(linear_cross_entropy(*values) - plain(*values)) <= 1e-6 * max(1, plain(*values).item())
    found, expected = gradients(linear_cross_entropy, *values), gradients(plain, *values)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("n_events", [1, 3, 6, 7])
def test_chunks_add_up(n_events):
    values = inputs(n_events, 5, dtype=torch.float64)
    torch.testing.assert_close(linear_cross_entropy(*values), plain(*values))
    torch.testing.assert_close(gradients(linear_cross_entropy, *values), gradients(plain, *values))


@pytest.mark.usefixtures("small_chunks")
def test_gradients_are_those_of_finite_differences():
    vectors, weight, targets = inputs(7, 5, width=2, dtype=torch.float64)
    # three times the loss: what comes from above has to be multiplied in
    assert torch.autograd.gradcheck(lambda v, w: 3 * LinearCrossEntropy.apply(v, w, targets), (vectors, weight))


@pytest.mark.parametrize("scale", [3.0, 30.0])
def test_targets_of_vanishing_probability_keep_their_loss_and_gradients(scale):
    values = inputs(40, 50, scale=scale)
    assert plain(*values) > 40
    torch.testing.assert_close(linear_cross_entropy(*values), plain(*values), rtol=1e-6, atol=0)
    found, expected = gradients(linear_cross_entropy, *values), gradients(plain, *values)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_equal_scores_give_the_logarithm_of_the_number_of_items():
    loss = linear_cross_entropy(torch.zeros(3, 2), torch.ones(8, 2), torch.tensor([0, 3, 7]))
    torch.testing.assert_close(loss, torch.tensor(8.0).log())


def test_without_gradients_none_are_made():
    vectors, weight, targets = inputs(5, 4)
    with torch.no_grad():
        loss = linear_cross_entropy(vectors, weight, targets)
    assert not loss.requires_grad
    torch.testing.assert_close(loss, plain(vectors, weight, targets).detach())


@pytest.mark.parametrize("frozen", [0, 1])
def test_one_input_alone_can_be_trained(frozen):
    values = inputs(5, 4)
    trained = values[1 - frozen]
    values[frozen].requires_grad_(False)
    (found,) = torch.autograd.grad(linear_cross_entropy(*values), trained)
    (expected,) = torch.autograd.grad(plain(*values), trained)
    torch.testing.assert_close(found, expected)


def test_going_backward_twice_adds_the_same_gradient_twice():
    vectors, weight, targets = inputs(5, 4)
    loss = linear_cross_entropy(vectors, weight, targets)
    loss.backward(retain_graph=True)
    once = weight.grad.clone()
    loss.backward()
    torch.testing.assert_close(weight.grad, 2 * once)


def test_a_weight_changed_between_forward_and_backward_is_an_error():
    vectors, weight, targets = inputs(5, 4)
    loss = linear_cross_entropy(vectors, weight, targets)
    with torch.no_grad():
        weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_inputs_stay_and_the_same_inputs_give_the_same_bytes():
    vectors, weight, targets = inputs(300, 217)
    before = vectors.detach().clone(), weight.detach().clone()
    first, second = (gradients(linear_cross_entropy, vectors, weight, targets) for _ in range(2))
    assert torch.equal(vectors, before[0])
    assert torch.equal(weight, before[1])
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_no_events_give_what_the_plain_expression_gives():
    vectors, weight = torch.zeros(0, 2), torch.zeros(4, 2)
    assert linear_cross_entropy(vectors, weight, torch.zeros(0, dtype=torch.int64)).isnan()


@pytest.mark.parametrize("n_items", [1, 217, 3_791, 43_097, 1_000_000, 100_000_000])
def test_the_scores_held_are_bounded(n_items):
    n_rows = rows_at_a_time(n_items)
    assert n_rows >= 1
    assert n_rows == 1 or n_rows * n_items <= softmax.MOST_SCORES
