"""Sampled negatives: the loss by hand and in the limit, the draws, and optimisers that touch some rows only."""

import math

import numpy as np
import pytest
import torch

from gru4recf import training
from gru4recf.data.features import encode_features
from gru4recf.data.split import split
from gru4recf.errors import StudyError
from gru4recf.losses import cross_entropy, sampled_cross_entropy
from gru4recf.models import NETWORKS, build
from gru4recf.models.base import Sizes
from gru4recf.models.negatives import POWER, NegativeSampler
from gru4recf.optimisers import OPTIMISERS, make_optimiser
from gru4recf.settings import Settings, validated

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def parts(synthetic):
    return split(synthetic)


@pytest.fixture
def make(synthetic, parts):
    def make(variant="parallel_concat", **options):
        generator = training.seed_everything(0)
        sizes = Sizes(n_items=parts.n_items, embedding_size=8, hidden_size=8, dropout=0.2, **options)
        return build(variant, sizes, encode_features(synthetic, parts.catalogue), parts.train), generator

    return make


def test_the_loss_is_that_of_the_corrected_scores_by_hand():
    of_target, of_negatives = torch.tensor([1.0]), torch.tensor([[0.5, 2.0, 9.0]])
    log_expected = torch.tensor([2.0, 0.5, 1.0]).log()
    is_target = torch.tensor([[False, False, True]])
    total = math.e + math.exp(0.5) / 2 + math.exp(2.0) / 0.5
    loss = sampled_cross_entropy(of_target, of_negatives, log_expected, is_target)
    assert loss.item() == pytest.approx(math.log(total) - 1)


def test_with_many_draws_the_loss_and_its_gradient_are_those_of_all_items():
    torch.manual_seed(0)
    items = np.repeat(np.arange(1, 8), [40, 1, 9, 3, 2, 20, 5])
    scores = torch.randn(4, 8, requires_grad=True)
    targets = torch.tensor([2, 1, 7, 2])
    negatives = NegativeSampler(items, 400_000, CPU).draw()
    is_target = targets[:, None] == negatives.items
    of_target = scores.gather(1, targets[:, None])[:, 0]
    sampled = sampled_cross_entropy(of_target, scores[:, negatives.items], negatives.log_expected, is_target)
    full = cross_entropy(scores[:, 1:], targets - 1)
    assert sampled.item() == pytest.approx(full.item(), rel=0.01)
    (of_sampled,), (of_full,) = (torch.autograd.grad(loss, scores) for loss in (sampled, full))
    torch.testing.assert_close(of_sampled, of_full, atol=0.003, rtol=0.05)


def test_a_loss_that_left_out_the_correction_would_not_converge():
    torch.manual_seed(0)
    negatives = NegativeSampler(np.repeat([1, 2], [99, 1]), 100_000, CPU).draw()
    of_negatives, target = torch.tensor([0.0, 0.0, 2.0])[negatives.items][None], torch.zeros(1)
    no_target = torch.zeros_like(of_negatives, dtype=torch.bool)
    right = sampled_cross_entropy(target, of_negatives, negatives.log_expected, no_target).item()
    flat = sampled_cross_entropy(target, of_negatives, torch.tensor(len(negatives.items) / 2).log(), no_target).item()
    expected = math.log(1 + 1 + math.exp(2))
    assert right == pytest.approx(expected, rel=0.02)
    assert abs(flat - expected) > 0.5


def test_items_are_drawn_by_the_power_of_their_counts():
    torch.manual_seed(0)
    counts = np.array([0, 16, 1, 0, 81])  # padding, and an item that training never saw
    sampler = NegativeSampler(np.repeat(np.arange(5), counts), 100_000, CPU)
    drawn = np.bincount(sampler.draw().items, minlength=5) / 100_000
    expected = counts**POWER / (counts**POWER).sum()
    assert drawn[[0, 3]].tolist() == [0, 0]
    np.testing.assert_allclose(drawn, expected, atol=0.01)
    np.testing.assert_allclose(sampler.log_expected.exp(), 100_000 * expected, rtol=1e-5)


@pytest.mark.parametrize("variant", NETWORKS)
def test_every_network_trains_on_negatives(make, parts, variant):
    network, generator = make(variant, lazy=True)
    options = {"learning_rate": 0.01, "batch_size": 32, "n_epochs": 3, "patience": 9, "max_length": 20}
    progress = training.fit(network, parts.train, parts.validation, generator, n_negatives=16, **options)
    assert progress.history[-1]["loss"] < progress.history[0]["loss"]
    assert progress.best_value > 0.1


def test_an_output_side_that_knows_features_scores_the_drawn_items_as_all_are_scored(make, parts):
    network, _ = make(lazy=True, output_features=True)
    drawn = torch.tensor([3, 1, 3])
    torch.testing.assert_close(network.output_vectors(drawn), network.output_vectors(slice(parts.n_items))[drawn])


@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_lazy_step_moves_touched_rows_as_a_full_one_does_and_no_others(name):
    def table(sparse):
        torch.manual_seed(0)
        embedding = torch.nn.Embedding(6, 3, sparse=sparse)
        optimiser = make_optimiser(name, embedding, 0.1)
        for _ in range(3):  # the same rows each time, so that laziness makes no difference to them
            optimiser.zero_grad()
            (embedding(torch.tensor([4, 1, 4])) ** 2).sum().backward()
            optimiser.step()
        return embedding.weight.detach()

    torch.manual_seed(0)
    before = torch.nn.Embedding(6, 3).weight.detach()
    lazy, full = table(True), table(False)
    torch.testing.assert_close(lazy, full)
    assert torch.equal(lazy[[0, 2, 3, 5]], before[[0, 2, 3, 5]])


def test_a_killed_run_on_negatives_continues_to_the_same_bytes(make, parts, tmp_path):
    options = {"learning_rate": 0.01, "batch_size": 32, "patience": 9, "max_length": 20, "n_negatives": 16}
    whole, generator = make(lazy=True)
    training.fit(whole, parts.train, parts.validation, generator, n_epochs=4, **options)
    for n_epochs in (2, 4):
        network, generator = make(lazy=True)
        checkpoint = tmp_path / "state.pt"
        training.fit(
            network, parts.train, parts.validation, generator, n_epochs=n_epochs, checkpoint=checkpoint, **options
        )
    pairs = zip(whole.state_dict().values(), network.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_negatives_with_another_loss_are_refused():
    with pytest.raises(StudyError, match=r"^--set: n_negatives goes with loss=cross_entropy, not top1"):
        validated(Settings, {"n_negatives": 8, "loss": "top1"}, "--set")
