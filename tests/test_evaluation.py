import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from gru4recf import evaluation, metrics
from gru4recf.data.features import encode_features
from gru4recf.data.sessions import Sessions
from gru4recf.data.split import split
from gru4recf.errors import RunError, StudyError
from gru4recf.evaluation import rank_targets, ranks_from_scores, ranks_from_sparse_scores, require_few_ties
from gru4recf.models import build
from gru4recf.models.base import Sizes
from gru4recf.models.baselines.base import Histories


def test_rank_counts_better_items_and_half_the_equal_ones():
    # column 0 is padding and never counts, whatever its score
    scores = torch.tensor([[9.0, 3.0, 5.0, 5.0, 1.0]])
    for target, rank in [(1, 3.0), (2, 1.5), (3, 1.5), (4, 4.0)]:
        ranks, equal = ranks_from_scores(scores, torch.tensor([target]))
        assert ranks.tolist() == [rank]
        assert equal.tolist() == [1 if target in (2, 3) else 0]


def test_a_constant_scorer_ranks_every_item_in_the_middle():
    ranks, equal = ranks_from_scores(torch.zeros(2, 11), torch.tensor([1, 7]))
    assert ranks.tolist() == [5.5, 5.5]
    assert equal.tolist() == [9, 9]


def test_a_score_that_is_not_a_number_is_an_error():
    with pytest.raises(RunError, match="diverged"):
        ranks_from_scores(torch.tensor([[0.0, float("nan"), 1.0]]), torch.tensor([2]))


def test_metrics_by_hand():
    ranks = np.array([1.0, 2.5, 20.0, 20.5, 3.0])
    assert metrics.recall_at(ranks, 20).tolist() == [1, 1, 1, 0, 1]
    np.testing.assert_allclose(metrics.mrr_at(ranks, 20), [1, 0.4, 0.05, 0, 1 / 3])
    np.testing.assert_allclose(metrics.ndcg_at(ranks, 5), [1, 1 / np.log2(3.5), 0, 0, 0.5])
    assert metrics.summarise(ranks)["Recall@5"] == pytest.approx(3 / 5)
    assert metrics.per_event("MRR@20", np.array([np.inf])).tolist() == [0]


@pytest.mark.parametrize("name", ["MRR", "MRR@0", "Hit@5", "MRR@20x"])
def test_an_unknown_metric_is_refused(name):
    with pytest.raises(StudyError, match="Unknown metric"):
        metrics.per_event(name, np.ones(1))


def _network(data, parts, variant="parallel_concat"):
    torch.manual_seed(0)
    sizes = Sizes(n_items=parts.n_items, embedding_size=8, hidden_size=6)
    return build(variant, sizes, encode_features(data, parts.catalogue), parts.train)


def test_ranks_agree_with_full_sort_predict_one_event_at_a_time(synthetic):
    parts = split(synthetic)
    network = _network(synthetic, parts).eval()
    found = rank_targets(network, parts.test, max_length=50).ranks
    expected = []
    for a, b in zip(parts.test.offsets[:-1], parts.test.offsets[1:], strict=True):
        session = torch.from_numpy(parts.test.items[a:b])
        for n in range(1, len(session)):
            row = {"item_id_list": session[None, :n], "item_length": torch.tensor([n])}
            scores = network.full_sort_predict(row)[0, 1:]
            expected.append(1 + (scores > scores[session[n] - 1]).sum().item())
    np.testing.assert_array_equal(found, expected)


def test_memory_is_bounded_without_changing_ranks(synthetic, monkeypatch):
    parts = split(synthetic)
    network = _network(synthetic, parts)
    whole = rank_targets(network, parts.test, max_length=50)
    monkeypatch.setattr(evaluation, "SCORES_AT_ONCE", 3 * parts.n_items)
    in_pieces = rank_targets(network, parts.test, max_length=50, batch_size=7)
    np.testing.assert_array_equal(whole.ranks, in_pieces.ranks)
    np.testing.assert_array_equal(whole.ties, in_pieces.ties)


def test_popularity_is_at_its_closed_form(synthetic):
    parts = split(synthetic)
    ranks = rank_targets(_network(synthetic, parts, "popularity"), parts.test, max_length=50).ranks
    support = parts.support[1:]
    own = parts.support[parts.test.items[parts.test.is_target]][:, None]
    np.testing.assert_array_equal(ranks, 1 + (support > own).sum(1) + ((support == own).sum(1) - 1) / 2)


def test_an_untrained_network_scores_at_chance(synthetic):
    parts = split(synthetic)
    n_items = parts.n_items - 1
    values = [
        metrics.recall_at(rank_targets(_seeded(synthetic, parts, seed), parts.test, max_length=50).ranks, 10).mean()
        for seed in range(20)
    ]
    standard_error = np.std(values, ddof=1) / np.sqrt(len(values))
    assert abs(np.mean(values) - 10 / n_items) < 4 * standard_error


def _seeded(data, parts, seed):
    torch.manual_seed(seed)
    sizes = Sizes(n_items=parts.n_items, embedding_size=8, hidden_size=6)
    return build("id_only", sizes, encode_features(data, parts.catalogue), parts.train)


def test_a_network_that_ties_its_targets_is_refused_and_a_baseline_is_not():
    tied = evaluation.Ranks(np.ones(100, dtype=np.float32), ties=np.repeat([3, 0], [2, 98]))
    with pytest.raises(RunError, match=r"2\.0% of the targets"):
        require_few_ties(tied, "id_only")
    require_few_ties(tied, "popularity")


def test_ties_give_conservative_and_optimistic_ranks():
    class Constant(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("row", torch.tensor([9.0, 2.0, 1.0, 1.0, 1.0, 0.0]))

        def encode(self, items, batch_sizes):
            return self.row.new_zeros(len(items), 1)

        def scores(self, vectors):
            return self.row.expand(len(vectors), -1)

    sessions = Sessions(np.array([1, 3, 5]), np.array([0, 3]), np.array([False, True, True]), np.array(["a"]))
    ranks = rank_targets(Constant(), sessions, max_length=5)
    assert ranks.ranks.tolist() == [3, 5]
    assert ranks.ties.tolist() == [2, 0]
    assert (ranks.ranks + ranks.ties / 2).tolist() == [4, 5]
    assert (ranks.ranks - ranks.ties / 2).tolist() == [2, 5]
    assert ranks.tied_share == 0.5


@st.composite
def sparse_scores(draw):
    """A few scores, stored zeros and scores of the padding item among them, and a target per row."""
    n_rows, n_items = draw(st.integers(1, 4)), draw(st.integers(2, 7))
    stored = draw(st.sets(st.tuples(st.integers(0, n_rows - 1), st.integers(0, n_items - 1))))
    values = draw(st.lists(st.integers(-2, 2), min_size=len(stored), max_size=len(stored)))
    rows, columns = np.array(sorted(stored), dtype=int).reshape(-1, 2).T
    scores = sparse.csr_array(sparse.coo_array((np.array(values, dtype=float), (rows, columns)), (n_rows, n_items)))
    return scores, np.array(draw(st.lists(st.integers(1, n_items - 1), min_size=n_rows, max_size=n_rows)))


@given(sparse_scores())
def test_sparse_scores_rank_as_the_dense_ones_do(made):
    scores, targets = made
    ranks, equal = ranks_from_sparse_scores(scores, targets)
    expected, expected_equal = ranks_from_scores(torch.from_numpy(scores.toarray()), torch.from_numpy(targets))
    np.testing.assert_array_equal(ranks, expected)
    np.testing.assert_array_equal(equal, expected_equal)


@pytest.mark.parametrize("name", ["markov", "vsknn", "markov_features"])
def test_a_baseline_is_ranked_target_by_target_from_what_came_before(synthetic, monkeypatch, name):
    monkeypatch.setattr(evaluation, "TARGETS_AT_ONCE", 7)
    parts = split(synthetic)
    baseline = _network(synthetic, parts, name)
    found = rank_targets(baseline, parts.test, max_length=3)
    expected = []
    for a, b in zip(parts.test.offsets[:-1], parts.test.offsets[1:], strict=True):
        session = parts.test.items[a:b]
        for n in range(1, len(session)):
            read = session[max(0, n - 3) : n]
            scores = baseline.score(Histories(read, np.array([0, len(read)])))
            scores = torch.from_numpy(scores.toarray()) if sparse.issparse(scores) else scores
            expected.append(ranks_from_scores(scores, torch.tensor([session[n]]))[0].item())
    np.testing.assert_array_equal(found.ranks, np.array(expected, dtype=np.float32))
