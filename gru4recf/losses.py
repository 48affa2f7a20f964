"""Losses as pure functions of scores. A name in a study stands for one of `LOSSES`."""

import torch
from torch.nn import functional


def cross_entropy(scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the mean softmax cross-entropy over all N columns, the padding column included, as RecBole takes it.

    Args:
        scores: (B, N).
        targets: (B,) int64 item indices.

    Source: Hidasi & Karatzoglou, CIKM 2018, eq. 6, with every item as a negative.
    """
    return functional.cross_entropy(scores, targets)


def sampled_cross_entropy(
    of_target: torch.Tensor, of_negatives: torch.Tensor, log_expected: torch.Tensor, is_target: torch.Tensor
) -> torch.Tensor:
    """Return the mean softmax cross-entropy among each row's target and M shared negatives.

    A negative's score less the log of how often it is expected among the draws makes the sum over negatives an unbiased
    estimate of the sum over all items save the target: with many draws this is `cross_entropy`.

    Args:
        of_target: (B,) scores of the targets.
        of_negatives: (B, M) scores of the negatives.
        log_expected: (M,) log of the expected number of draws of each negative.
        is_target: (B, M) where a negative is the row's own target, which then is no negative.

    Source: Bengio & Senécal, IEEE Trans. Neural Networks 2008 (importance sampling); in this form Rawat et al.,
    NeurIPS 2019, eq. 6.
    """
    corrected = (of_negatives - log_expected).masked_fill(is_target, -torch.inf)
    return (torch.logaddexp(corrected.logsumexp(dim=1), of_target) - of_target).mean()


def bpr(positive: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
    """Return the mean of -log(1e-10 + sigmoid(positive - negative)) over rows of shape (B,).

    Source: Rendle et al., UAI 2009, sec. 4.1; the constant is RecBole 1.2.1's.
    """
    return -torch.log(1e-10 + torch.sigmoid(positive - negative)).mean()


def bpr_max(scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the mean of -log sum_j s_j sigmoid(r_t - r_j) + sum_j s_j r_j^2 over rows of scores (B, N).

    s is the softmax over the negatives j: all items save the target t and the padding item in column 0.

    Source: Hidasi & Karatzoglou, CIKM 2018, eq. 12, regularisation 1.
    """
    positive, shares = _positive_and_shares(scores, targets)
    wins = (shares * torch.sigmoid(positive - scores)).sum(dim=1)
    return (-torch.log(1e-10 + wins) + (shares * scores**2).sum(dim=1)).mean()


def top1(scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the mean over rows (B, N) and negatives j of sigmoid(r_j - r_t) + sigmoid(r_j^2).

    Source: Hidasi et al., ICLR 2016, sec. 3.1.2 (TOP1), the paper's loss, with every item as a negative.
    """
    positive = scores.gather(1, targets[:, None])
    _, shares = _positive_and_shares(torch.zeros_like(scores), targets)
    return (shares * (torch.sigmoid(scores - positive) + torch.sigmoid(scores**2))).sum(dim=1).mean()


def top1_max(scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return TOP1 with each negative weighted by its softmax share s_j, scores (B, N).

    Source: Hidasi & Karatzoglou, CIKM 2018, eq. 9.
    """
    positive, shares = _positive_and_shares(scores, targets)
    return (shares * (torch.sigmoid(scores - positive) + torch.sigmoid(scores**2))).sum(dim=1).mean()


LOSSES = {"cross_entropy": cross_entropy, "bpr_max": bpr_max, "top1": top1, "top1_max": top1_max}


def _positive_and_shares(scores: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the targets' scores (B, 1) and the softmax (B, N) over the negatives, zero at target and padding item."""
    excluded = functional.one_hot(targets, scores.shape[1]).to(torch.bool)
    excluded[:, 0] = True
    return scores.gather(1, targets[:, None]), scores.masked_fill(excluded, -torch.inf).softmax(dim=1)
