import subprocess
import sys
from collections import defaultdict
from math import exp, log, sqrt

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load, save
from scipy import sparse

from gru4recf.data.features import TokenFeature, TokenSequenceFeature, VectorFeature
from gru4recf.data.sessions import Sessions
from gru4recf.errors import StudyError
from gru4recf.evaluation import rank_targets
from gru4recf.models.baselines import BASELINES, WITHOUT_FEATURES, build_baseline
from gru4recf.models.baselines.base import Histories, histories_of
from gru4recf.models.baselines.feature_values import values_of
from gru4recf.models.baselines.markov_features import neys_discount
from gru4recf.models.baselines.sparse_rows import keep_first, keep_largest
from gru4recf.models.baselines.transitions import transitions
from gru4recf.sensitivity import by_repeat, repeated


def sessions_of(*lists):
    lengths = [len(items) for items in lists]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    is_target = np.ones(offsets[-1], dtype=bool)
    is_target[offsets[:-1]] = False
    items = np.concatenate([np.asarray(items, dtype=np.int64) for items in lists])
    return Sessions(items, offsets, is_target, np.arange(len(lists)))


def histories(*lists):
    made = sessions_of(*lists)
    return Histories(made.items, made.offsets)


# 11 events; item 6 is in the catalogue and never seen
TOY = sessions_of([1, 2, 3], [2, 3], [1, 2, 1, 4], [5, 3])
N_ITEMS = 7
COLOUR = TokenFeature("colour", np.array([0, 1, 1, 2, 2, 1, 2]), 3)


def dense(scores):
    return scores.toarray() if sparse.issparse(scores) else scores.numpy()


def scores_after(name, *history, features=(COLOUR,), train=TOY, n_items=N_ITEMS, **options):
    baseline = build_baseline(name, train, n_items, list(features), **options)
    return dense(baseline.score(histories(list(history))))[0]


class TestByHand:
    def test_popularity_counts_events(self):
        assert scores_after("popularity", 4).tolist() == [0, 3, 3, 3, 1, 1, 0]

    def test_session_popularity_counts_the_session_and_breaks_ties_by_popularity(self):
        expected = [0, 1 + 3 / 4, 3 / 4, 3 / 4, 2 + 1 / 2, 1 / 2, 0]
        np.testing.assert_allclose(scores_after("session_popularity", 4, 1, 4), expected)

    def test_markov_counts_what_came_directly_after_the_last_item(self):
        assert scores_after("markov", 3, 1).tolist() == [0, 0, 2, 0, 1, 0, 0]
        assert scores_after("markov", 1, 3).tolist() == [0] * 7

    def test_sequential_rules_weigh_by_distance(self):
        # 1 2 3: 2 at distance 1, 3 at 2; 1 2 1 4: from the first 1, 2 at 1, 1 at 2, 4 at 3; from the second, 4 at 1
        np.testing.assert_allclose(
            scores_after("sequential_rules", 1), [0, 1 / 2, 2, 1 / 2, 1 / 3 + 1, 0, 0], rtol=1e-6
        )
        np.testing.assert_allclose(scores_after("sequential_rules", 1, steps=2), [0, 1 / 2, 2, 1 / 2, 1, 0, 0])

    def test_item_knn_is_a_damped_cosine_of_shared_sessions(self):
        # 1 is in two sessions with 2, in one with 3 and with 4; support 3, 3, 3, 1
        expected = [0, 0, 2 / 23, 1 / 23, 1 / sqrt(23 * 21), 0, 0]
        np.testing.assert_allclose(scores_after("item_knn", 3, 1), expected, rtol=1e-6)

    def test_item_knn_keeps_the_most_similar_items(self):
        np.testing.assert_allclose(scores_after("item_knn", 1, n_similar=1), [0, 0, 2 / 23, 0, 0, 0, 0], rtol=1e-6)

    def test_item_knn_with_alpha_one_is_the_confidence_of_a_rule(self):
        found = scores_after("item_knn", 1, regularisation=0, alpha=1)
        np.testing.assert_allclose(found, [0, 0, 2 / 3, 1 / 3, 1 / 3, 0, 0], rtol=1e-6)

    def test_vsknn_adds_up_similarities(self):
        # w(1) = 1, w(2) = 2: 1 2 1 4 has both (3), 2 3 has 2 (2), 1 2 3 has both (3); 2 is last, so each counts fully
        options = {"weighting": "div", "idf_weight": 0}
        assert scores_after("vsknn", 1, 2, **options).tolist() == [0, 6, 8, 5, 3, 0, 0]
        # w(2) = 1, w(1) = 2; 2 3 has only 2, one step further back: 1 / 2 of 1
        assert scores_after("vsknn", 2, 1, **options).tolist() == [0, 6, 6.5, 3.5, 3, 0, 0]
        assert scores_after("vsknn", 2, 1, **options, score_weighting="quadratic").tolist() == [
            *[0, 6, 6.25, 3.25, 3, 0, 0]
        ]

    def test_vsknn_weighs_a_repeated_item_by_its_last_event(self):
        # w(1) = 2, w(2) = 3 in 2 1 2, for the first 2 does not count
        assert scores_after("vsknn", 2, 1, 2, weighting="div", idf_weight=0).tolist() == [0, 10, 13, 8, 5, 0, 0]

    def test_vsknn_raises_rare_items(self):
        found = scores_after("vsknn", 1, 2, weighting="div", idf_weight=2)
        np.testing.assert_allclose(found[[3, 4]], [5 * (1 + 2 * log(4 / 3)), 3 * (1 + 2 * log(4 / 1))], rtol=1e-6)

    def test_vsknn_prefers_recent_sessions_among_equally_similar_ones(self):
        assert scores_after("vsknn", 1, 2, weighting="div", idf_weight=0, k=1).tolist() == [0, 3, 3, 0, 3, 0, 0]

    def test_vsknn_samples_the_most_recent_sessions_that_share_an_item(self):
        found = scores_after("vsknn", 1, 2, weighting="div", idf_weight=0, sample_size=2)
        assert found.tolist() == [0, 3, 5, 2, 3, 0, 0]

    def test_vstan_multiplies_its_decays(self):
        options = {"lambda_spw": 1, "lambda_snh": 1, "lambda_inh": 1, "lambda_ipw": 1, "lambda_idf": 0}
        found = scores_after("vstan", 2, 1, **options)
        both = (1 + exp(-1)) / sqrt(3)  # 1 2 3 and 1 2 1 4 have both items, 1 being last
        oldest, old, recent = exp(-3 / 4), exp(-2 / 4), exp(-1 / 4)
        one = exp(-1) / sqrt(2) * exp(-1)  # 2 3 has only 2, met one step back
        assert found[3] == pytest.approx(both * oldest * exp(-1) + one * old * exp(-1))
        assert found[4] == pytest.approx(both * recent * exp(-1))  # 4 comes directly after the second 1
        assert found[1] == pytest.approx(both * oldest * exp(-1) + both * recent)
        assert found[5] == 0

    def test_content_knn_scores_equal_values_and_orders_them_by_popularity(self):
        found = scores_after("content_knn", 3, 1)
        assert found.round(5).tolist()[1:] == [1, 1, 0.5, 0.5, 1, 0.5]
        assert found[1] == found[2] > found[5]
        assert found[3] > found[4] > found[6]

    def test_content_knn_takes_the_mean_over_features_and_0_where_one_is_missing(self):
        size = TokenFeature("size", np.array([0, 1, 2, 1, 0, 0, 1]), 3)
        found = scores_after("content_knn", 1, features=[COLOUR, size])
        assert found.round(5).tolist()[1:] == [1, 0.5, 0.5, 0, 0.5, 0.5]

    def test_content_knn_compares_lists_by_tf_idf(self):
        # item 1 has a b, item 2 has b c, items 3 to 6 have c alone: b is in two of seven rows, a in one, c in five
        codes = np.array([0, 1, 2, 2, 3, 3, 3, 3, 3])
        words = TokenSequenceFeature("words", codes, np.array([0, 1, 3, 5, 6, 7, 8, 9]), 4)
        a, b, c = (log(8 / (1 + n)) + 1 for n in (1, 2, 5))
        cosine = b * b / sqrt((a * a + b * b) * (b * b + c * c))
        assert scores_after("content_knn", 1, features=[words])[2] == pytest.approx(cosine, abs=1e-5)

    def test_content_knn_finds_near_numbers_alike(self):
        price = VectorFeature("price", np.float32([[0], [0], [0], [1], [9], [0], [-9]]), np.array([True, *[False] * 6]))
        price.missing[5] = True
        found = scores_after("content_knn", 1, features=[price]).round(5)
        share = 0.8413447460685429  # Phi(1)
        assert found[2] == 1
        assert found[3] == pytest.approx(np.cos((share - 0.5) * np.pi / 2), abs=1e-5)
        assert found[4] == pytest.approx(sqrt(0.5), abs=1e-5)
        assert found[6] == pytest.approx(sqrt(0.5), abs=1e-5)
        assert found[5] == 0

    def test_content_knn_takes_nearly_equal_similarities_as_equal(self):
        vectors = np.float32([[0, 0], [1, 0], [1, 1e-5], [1, 0], [0, 1], [0, 1], [0, 1]])
        found = scores_after("content_knn", 1, features=[VectorFeature("image", vectors, np.arange(7) == 0)])
        assert found[1] == found[2] == found[3]  # as popular as each other

    def test_markov_features_backs_off_to_transitions_between_values(self):
        # colours: 1 2 5 are a, 3 4 6 are b; c(a, a) = 3, c(a, b) = 4; support + 1: a has 4 4 2, b has 4 2 1
        found = scores_after("markov_features", 1, discount=0.5)
        a_after_a, b_after_a = (3 + 10 / 17) / 8, (4 + 7 / 17) / 8
        # from 1: twice 2, once 4; .5 is taken from each of the two counts of 3 in all
        expected = [0, a_after_a * 4 / 30, 1.5 / 3 + a_after_a * 4 / 30, b_after_a * 4 / 21]
        expected += [0.5 / 3 + b_after_a * 2 / 21, a_after_a * 2 / 30, b_after_a * 1 / 21]
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        # nothing ever came after 3, nor after its colour: popularity, with 1 added
        np.testing.assert_allclose(scores_after("markov_features", 3), np.array([0, 4, 4, 4, 2, 2, 1]) / 17, rtol=1e-6)

    def test_neys_discount_of_the_toy_transitions(self):
        assert neys_discount(transitions(TOY, N_ITEMS)) == pytest.approx(3 / (3 + 2 * 2))


def made_up(seed, n_sessions, n_items=15, longest=9):
    generator = np.random.default_rng(seed)
    return [generator.integers(1, n_items, size=generator.integers(1, longest)) for _ in range(n_sessions)]


class TestAgainstPlainLoops:
    """The sparse products give what loops over sessions and items give, ties and repeated items included."""

    def test_vsknn(self):
        train, test = made_up(0, 80), made_up(1, 40)
        weightings = {"div": lambda p, n: p / n, "quadratic": lambda p, n: (p / n) ** 2, "same": lambda p, n: 1}
        for weighting, k, sample_size in [("div", 5, 12), ("quadratic", 3, 30), ("same", 7, 9), ("div", 500, 5000)]:
            options = {"k": k, "sample_size": sample_size}
            found = self.found("vsknn", train, test, weighting=weighting, score_weighting="div", **options)
            for history, row in zip(test, found, strict=True):
                weight = {item: weightings[weighting](p, len(history)) for p, item in enumerate(history, start=1)}
                scores = defaultdict(float)
                for s, similarity in self.neighbours(train, weight, lambda s: 1, **options):
                    step = next(d for d, item in enumerate(reversed(history), start=1) if item in train[s])
                    for item in set(train[s]):
                        scores[item] += similarity / step
                self.same(row, scores, train, len(history) ** {"div": 1, "quadratic": 2, "same": 0}[weighting])

    def test_vstan(self):
        train, test = made_up(2, 80), made_up(3, 40)
        for k, sample_size in [(5, 12), (500, 5000)]:
            options = {"k": k, "sample_size": sample_size}
            found = self.found("vstan", train, test, lambda_spw=1.5, lambda_snh=0.3, lambda_ipw=0.8, **options)
            for history, row in zip(test, found, strict=True):
                n = len(history)
                weight = {item: exp((p - n) / 1.5) for p, item in enumerate(history, start=1)}
                scores = defaultdict(float)
                for s, similarity in self.neighbours(train, weight, self.cosine_and_age(train), **options):
                    step = next(d for d, item in enumerate(reversed(history), start=1) if item in train[s])
                    shared = max(q for q, item in enumerate(train[s]) if item in weight)
                    for item, q in {item: q for q, item in enumerate(train[s])}.items():
                        scores[item] += similarity * exp((1 - step) / 0.8) * exp(-abs(q - shared) / 2.05)
                self.same(row, scores, train)

    def found(self, name, train, test, **options):
        return dense(build_baseline(name, sessions_of(*train), 15, [], **options).score(histories(*test)))

    def cosine_and_age(self, train):
        return lambda s: exp(-(len(train) - 1 - s) / len(train) / 0.3) / sqrt(len(set(train[s])))

    def neighbours(self, train, weight, factor, *, k, sample_size):
        sharing = [s for s in reversed(range(len(train))) if weight.keys() & set(train[s])][:sample_size]
        similar = [(s, sum(weight[i] for i in sorted(weight.keys() & set(train[s]))) * factor(s)) for s in sharing]
        return sorted(similar, key=lambda pair: -round(pair[1], 9))[:k]

    def same(self, row, scores, train, scale=1):
        items = np.concatenate(train)
        expected = np.zeros(15)
        for item, score in scores.items():
            expected[item] = score * (1 + 5 * log(len(train) / (items == item).sum()))
        np.testing.assert_allclose(row, expected * scale, rtol=1e-5)

    def test_markov_features(self):
        train = made_up(4, 60)
        price = np.random.default_rng(5).normal(size=(15, 1)).astype(np.float32)
        lists = TokenSequenceFeature("l", np.arange(30) % 4, np.arange(0, 31, 2), 4)
        features = [lists, VectorFeature("price", price, np.arange(15) % 5 == 0)]
        baseline = build_baseline("markov_features", sessions_of(*train), 15, features, discount=0.4, additive=2)
        found = dense(baseline.score(histories(*[[i] for i in range(1, 15)])))
        count = np.zeros((15, 15))
        for items in train:
            np.add.at(count, (items[:-1], items[1:]), 1)
        weight = 1.0 + np.bincount(np.concatenate(train), minlength=15)
        weight[0] = 0
        back = np.mean([self.backed_off(values_of(f).toarray(), count, weight) for f in features], axis=0)
        for i in range(1, 15):
            direct = np.maximum(count[i] - 0.4, 0) / max(count[i].sum(), 1)
            np.testing.assert_allclose(found[i - 1], direct + (1 - direct.sum()) * back[i], rtol=1e-5)

    def backed_off(self, values, count, weight):
        share = values / values.sum(axis=1, keepdims=True)
        between = share.T @ count @ share
        q = share.T @ weight / weight.sum()
        step = (between + 2 * q) / (between.sum(axis=1, keepdims=True) + 2)
        item = share.T * weight
        return share @ step @ (item / item.sum(axis=1, keepdims=True))


FEATURES = [
    COLOUR,
    TokenSequenceFeature("words", np.array([0, 1, 2, 0, 1, 1, 2, 3]), np.array([0, 1, 3, 4, 5, 6, 7, 8]), 4),
    VectorFeature("price", np.float32([[0], [1], [-1], [0.5], [0], [2], [-2]]), np.array([1, 0, 0, 0, 1, 0, 0]) > 0),
    VectorFeature("image", np.float32([[0, 0], [1, 1], [1, 2], [0, 3], [0, 0], [2, 1], [1, 0]]), np.arange(7) % 4 == 0),
]


@pytest.mark.parametrize("name", BASELINES)
class TestEveryBaseline:
    """The contract: scores of all items from the history alone, the same each time, for any catalogue and training."""

    def build(self, name, train=TOY, n_items=N_ITEMS, features=FEATURES):
        return build_baseline(name, train, n_items, features)

    def test_a_row_depends_on_its_own_history_alone(self, name):
        baseline = self.build(name)
        lists = [[1, 2], [3], [6], [2, 6, 2, 1], [5, 5], [4, 3, 2, 1]]
        together = dense(baseline.score(histories(*lists)))
        assert together.shape == (6, N_ITEMS)
        assert np.isfinite(together).all()
        for row, items in zip(together, lists, strict=True):
            np.testing.assert_array_equal(dense(baseline.score(histories(items)))[0], row)

    def test_the_same_training_gives_the_same_scores(self, name):
        first, second = (dense(self.build(name).score(histories([1, 2], [3, 4]))) for _ in range(2))
        np.testing.assert_array_equal(first, second)

    def test_an_item_never_seen_is_ranked_where_its_score_puts_it(self, name):
        baseline = self.build(name)
        test = sessions_of([1, 6], [6, 2, 6])
        scores = dense(baseline.score(histories([1], [6], [6, 2])))
        own = scores[np.arange(3), [6, 2, 6]][:, None]
        found = rank_targets(baseline, test, max_length=20)
        expected = 1 + (scores[:, 1:] > own).sum(1) + ((scores[:, 1:] == own).sum(1) - 1) / 2
        np.testing.assert_array_equal(found.ranks, expected)

    @pytest.mark.parametrize("train", [sessions_of([1, 1]), sessions_of([1]), sessions_of([2, 1])])
    def test_one_session_and_one_item_are_enough(self, name, train):
        features = [TokenFeature("colour", np.array([0, 1, 2]), 3)]
        baseline = self.build(name, train, n_items=3, features=features)
        scores = dense(baseline.score(histories([1], [2], [1, 2, 1])))
        assert scores.shape == (3, 3)
        assert np.isfinite(scores).all()

    def test_no_history_is_no_error(self, name):
        empty = Histories(np.zeros(0, dtype=np.int64), np.zeros(1, dtype=np.int64))
        assert self.build(name).score(empty).shape == (0, N_ITEMS)

    def test_building_and_scoring_leave_their_inputs_as_they_were(self, name):
        features = [COLOUR, TokenSequenceFeature("words", np.array([0, 2, 1, 1, 3, 2, 1, 1]), np.arange(0, 9, 2), 4)]
        train, read = sessions_of([1, 1, 3], [3, 2, 3, 1]), histories([1, 1], [2, 1, 2])
        arrays = [train.items, train.offsets, read.items, read.offsets, features[1].codes, features[1].offsets]
        before = [array.copy() for array in arrays]
        self.build(name, train, n_items=4, features=[TokenFeature("c", COLOUR.codes[:4], 3), features[1]]).score(read)
        for array, copy in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(array, copy)

    def test_it_stands_where_a_network_does(self, name):
        baseline = self.build(name).to("cpu").eval()
        assert not baseline.trainable
        assert not list(baseline.parameters())
        saved = load(save(baseline.state_dict()))
        torch.testing.assert_close(saved["support"], torch.tensor([0.0, 3, 3, 3, 1, 1, 0]))


def test_vstan_without_the_norm_prefers_long_sessions():
    train = sessions_of([1, 2], [1, 3, 4, 5])
    options = {"lambda_snh": 1e9, "lambda_inh": 1e9, "lambda_idf": 0}
    cosine = scores_after("vstan", 1, train=train, **options)
    dot = scores_after("vstan", 1, train=train, similarity="dot", **options)
    np.testing.assert_allclose(cosine[[2, 3]], [1 / sqrt(2), 1 / 2], rtol=1e-6)
    np.testing.assert_allclose(dot[[2, 3]], [1, 1], rtol=1e-6)


def test_histories_end_before_the_target_and_are_cut_to_max_length():
    sessions = sessions_of([1, 2, 3, 4], [5, 6])
    read = histories_of(sessions, np.array([1, 3, 5]), max_length=2)
    assert read.items.tolist() == [1, 2, 3, 5]
    assert read.offsets.tolist() == [0, 1, 3, 4]
    assert read.last.tolist() == [1, 3, 5]
    assert read.positions.tolist() == [1, 1, 2, 1]


@given(
    st.lists(st.lists(st.integers(0, 3).map(float), max_size=6), min_size=1, max_size=5),
    st.integers(1, 4),
    st.integers(0, 2**32 - 1),
)
def test_the_largest_entries_of_each_row_are_kept_and_of_equal_ones_the_first(rows, n, seed):
    generator = np.random.default_rng(seed)
    columns = [np.sort(generator.permutation(6)[: len(row)]) for row in rows]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    array = sparse.csr_array((np.concatenate(rows), np.concatenate(columns).astype(int), offsets), (len(rows), 6))
    found, first = keep_largest(array, n), keep_first(array, n)
    for r, (row, column) in enumerate(zip(rows, columns, strict=True)):
        best = sorted(np.argsort(-np.array(row), kind="stable")[:n])
        stretch = slice(found.indptr[r], found.indptr[r + 1])
        assert found.indices[stretch].tolist() == column[best].tolist()
        assert found.data[stretch].tolist() == [row[i] for i in best]
        assert first.indices[first.indptr[r] : first.indptr[r + 1]].tolist() == column[:n].tolist()


def test_numbers_and_vectors_become_bins_of_equal_size():
    numbers = VectorFeature("price", np.arange(21, dtype=np.float32)[:, None], np.arange(21) == 0)
    counts = values_of(numbers).toarray()
    assert counts.sum(axis=0).tolist() == [1, *[2] * 10]
    line = np.outer(np.arange(21), [2.0, -1.0]).astype(np.float32)
    bins = values_of(VectorFeature("image", line, np.arange(21) == 0)).toarray().argmax(axis=1)
    assert sorted(np.bincount(bins)) == [1, *[2] * 10]
    assert (np.diff(bins[1:]) >= 0).all() or (np.diff(bins[1:]) <= 0).all()


def test_methods_on_features_say_so_where_there_are_none():
    with pytest.raises(StudyError, match="content_knn needs item features"):
        build_baseline("content_knn", TOY, N_ITEMS, [])
    assert set(BASELINES) - set(WITHOUT_FEATURES) == {"content_knn", "markov_features"}


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("vsknm", {}, "did you mean 'vsknn'"),
        ("vsknn", {"weighting": "quadratc"}, "did you mean 'quadratic'"),
        ("vstan", {"similarity": "cosin"}, "did you mean 'cosine'"),
    ],
)
def test_an_unknown_name_points_at_the_nearest(name, options, sentence):
    with pytest.raises(StudyError, match=sentence):
        build_baseline(name, TOY, N_ITEMS, [], **options)


def test_the_names_are_known_without_loading_torch_or_scipy():
    code = "import sys, gru4recf.models.baselines; sys.exit('torch' in sys.modules or 'scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_repeats_are_read_off_the_ranks_of_the_two_popularities():
    rng = np.random.default_rng(0)
    drawn = [rng.geometric(0.1, rng.integers(2, 9)) % 60 + 1 for _ in range(400)]
    train, test = sessions_of(*drawn[:300]), sessions_of(*drawn[300:])
    lengths = np.diff(test.offsets)
    chosen, session = test.is_target, np.repeat(np.arange(len(lengths)), lengths)
    frame = pd.DataFrame({"session": session, "target": test.items, "position": np.arange(len(session))})
    truth = frame.duplicated(["session", "target"]).to_numpy()[chosen]
    frame = frame[chosen].reset_index(drop=True)
    for name in ("popularity", "session_popularity"):
        ranks = rank_targets(build_baseline(name, train, 61, []), test, max_length=50).ranks
        frame[f"{name}/simultaneous/0"] = ranks
    found = repeated(frame)
    assert not found[~truth].any()
    missed = frame[truth & ~found]
    assert 0 < len(missed) < truth.sum() / 5
    assert (missed["popularity/simultaneous/0"] <= lengths.max()).all()  # as popular as a session is long
    assert [len(part) for part in by_repeat(frame).values()] == [found.sum(), (~found).sum()]
    assert repeated(frame.sample(frac=1, random_state=0)).sum() == found.sum()
