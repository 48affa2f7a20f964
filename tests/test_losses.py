"""Losses against values computed by hand from their formulas."""

import math

import pytest
import torch

from gru4recf.losses import LOSSES, bpr_max, top1, top1_max

SCORES = torch.tensor([[9.0, 1.0, 0.0, -1.0]], dtype=torch.float64)  # column 0, the padding item, is no negative
TARGET = torch.tensor([1])


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


SHARES = [math.exp(0.0) / (math.exp(0.0) + math.exp(-1.0)), math.exp(-1.0) / (math.exp(0.0) + math.exp(-1.0))]


def test_bpr_max_weighs_wins_over_negatives_by_their_softmax():
    wins = SHARES[0] * sigmoid(1.0) + SHARES[1] * sigmoid(2.0)
    expected = -math.log(1e-10 + wins) + SHARES[1] * 1.0
    assert bpr_max(SCORES, TARGET).item() == pytest.approx(expected)


def test_top1_is_the_mean_over_negatives():
    first, second = sigmoid(-1.0) + sigmoid(0.0), sigmoid(-2.0) + sigmoid(1.0)
    assert top1(SCORES, TARGET).item() == pytest.approx((first + second) / 2)


def test_top1_max_weighs_negatives_by_their_softmax():
    first, second = sigmoid(-1.0) + sigmoid(0.0), sigmoid(-2.0) + sigmoid(1.0)
    assert top1_max(SCORES, TARGET).item() == pytest.approx(SHARES[0] * first + SHARES[1] * second)


@pytest.mark.parametrize("name", LOSSES)
def test_a_higher_target_score_lowers_every_loss(name):
    torch.manual_seed(0)
    scores = torch.randn(5, 7, dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([1, 2, 3, 4, 6])
    LOSSES[name](scores, targets).backward()
    assert (scores.grad[torch.arange(5), targets] < 0).all()


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_agree_with_differences(name):
    torch.manual_seed(0)
    scores = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: LOSSES[name](s, torch.tensor([1, 3, 4])), (scores,))
