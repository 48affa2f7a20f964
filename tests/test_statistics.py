import json

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from gru4recf import statistics
from gru4recf.claims import Claim, DatasetRanks, best_of
from gru4recf.decision import compare, decide, judge
from gru4recf.errors import StudyError
from gru4recf.statistics import bootstrap, holm, holm_levels, interval, p_value, session_draws, session_sums
from gru4recf.wording import claim_sentence, count_sentence, percent, probability

CLAIM = Claim("pays", "a is better than b", ("a",), ("b",))


def rng(seed=0):
    return np.random.default_rng(seed)


def ranks_of(generator, n_events, n_seeds, *, base=None, luck=0.3):
    """Ranks around a difficulty of each event that all variants share, with luck of each seed at each event."""
    base = generator.geometric(0.05, n_events) if base is None else base
    return np.maximum(1, np.round(base * generator.lognormal(0, luck, (n_seeds, n_events))))


def evidence(n_seeds=3, n_events=1200, seed=0, dataset="toy", **other_ranks):
    generator = rng(seed)
    base = generator.geometric(0.05, n_events)
    ranks = {name: ranks_of(generator, n_events, n_seeds, base=base) for name in "abc"}
    sessions = np.repeat(np.arange(n_events // 4), 4)
    return DatasetRanks(dataset, sessions, ranks | other_ranks, dict.fromkeys("abc", 0.1))


def contrast(better, worse, sizes, n_draws=4000, seed=0):
    sums = {"better": np.atleast_2d(better), "worse": np.atleast_2d(worse)}
    return bootstrap(sums, sizes, [("better", "worse")], n_draws=n_draws, rng=rng(seed))["better", "worse"]


def within_binomial_error(hits, n, rate):
    return stats.binom.ppf(0.0005, n, rate) <= hits <= stats.binom.ppf(0.9995, n, rate)


class TestSums:
    def test_events_are_added_by_session_whatever_their_order(self):
        sums = session_sums(np.array([[1.0, 2, 3, 4], [0, 1, 0, 1]]), np.array([1, 0, 1, 1]))
        assert sums.tolist() == [[2, 8], [1, 1]]


class TestSessions:
    def test_standard_error_is_that_of_a_ratio_in_closed_form(self):
        sizes = 1 + rng(1).geometric(0.3, 2000)
        sums = rng(2).binomial(sizes, 0.3).astype(float)
        draws = session_draws(sums[None], sizes, 4000, rng())[:, 0]
        residual = sums - sums.sum() / sizes.sum() * sizes
        expected = np.sqrt((residual**2).sum()) / sizes.sum()
        assert draws.std() == pytest.approx(expected, rel=4 / np.sqrt(2 * 4000))

    def test_two_sessions_are_drawn_as_counted_by_hand(self):
        """Both the first, one of each, both the second: 1/1, (1 + 0) / (1 + 3), 0/3 with odds 1:2:1."""
        draws = session_draws(np.array([[1.0, 0.0]]), np.array([1, 3]), 8000, rng())[:, 0]
        values, counts = np.unique(draws, return_counts=True)
        assert values.tolist() == [0, 0.25, 1]
        assert counts / 8000 == pytest.approx([0.25, 0.5, 0.25], abs=0.02)

    def test_chunks_leave_no_draw_empty(self, monkeypatch):
        monkeypatch.setattr(statistics, "CHUNK", 70)
        assert session_draws(np.ones((2, 30)), np.ones(30), 101, rng()) == pytest.approx(np.ones((101, 2)))

    def test_agrees_with_scipy_for_one_seed(self):
        sizes = 1 + rng(1).geometric(0.3, 1000)
        better, worse = rng(2).binomial(sizes, 0.33).astype(float), rng(3).binomial(sizes, 0.3).astype(float)
        ours = contrast(better, worse, sizes, n_draws=5000)

        def statistic(b, w, m, axis=-1):
            return np.stack([(b - w).sum(axis) / m.sum(axis), b.sum(axis) / w.sum(axis) - 1])

        theirs = stats.bootstrap(
            (better, worse, sizes), statistic, paired=True, method="percentile", n_resamples=5000, rng=rng(4)
        )
        for i, draws in enumerate([ours.draws, ours.relative_draws]):
            low, high = interval(draws)
            error = 0.2 * theirs.standard_error[i]  # four standard errors of the difference of two such quantiles
            assert low == pytest.approx(theirs.confidence_interval.low[i], abs=error)
            assert high == pytest.approx(theirs.confidence_interval.high[i], abs=error)


class TestSeeds:
    def test_variance_by_hand(self):
        """Values 1 and 3: variance of their mean 2 / 2 = 1. One event a session, equal within a seed: no noise."""
        variance, noise = statistics.seed_variance(np.array([[1.0, 1.0], [3.0, 3.0]]), np.ones(2))
        assert (variance, noise) == (1, 0)

    def test_noise_by_hand(self):
        """Both seeds have the value 1; sessions +-1 in turn: sum of squares 4 over 2 events squared, 2 seeds, 1 df."""
        variance, noise = statistics.seed_variance(np.array([[0.0, 2.0], [2.0, 0.0]]), np.ones(2))
        assert (variance, noise) == (0, 0.5)

    @pytest.mark.parametrize("n_seeds", [2, 3, 10])
    def test_resampled_mean_has_the_unbiased_variance(self, n_seeds):
        values = rng(n_seeds).normal(size=n_seeds)
        drawn = statistics.seed_weights(n_seeds, 40_000, rng()) @ values
        assert drawn.var() == pytest.approx(values.var(ddof=1) / n_seeds, rel=0.05)

    def test_one_seed_has_no_variance(self):
        assert not statistics.seed_weights(1, 5, rng()).any()

    @pytest.mark.parametrize("degrees_of_freedom", [2, 7.5, 1e6])
    def test_stretched_normal_deviations_follow_student(self, degrees_of_freedom):
        factors = statistics.student_factors(degrees_of_freedom, rng(1).random(200_000))
        drawn = rng(2).normal(size=200_000) * factors
        assert np.mean(np.abs(drawn) > stats.t.ppf(0.975, degrees_of_freedom)) == pytest.approx(0.05, abs=0.002)

    def test_noise_of_a_session_under_a_seed_is_counted_once(self):
        """Counted twice the ratio would be above 2, in products of weights above 3; 1.2 is what cutting an estimate
        at zero leaves, times 1.3 for nine degrees of freedom."""
        sums = {i: rng(i).normal(10, 1, (10, 500)) for i in range(40)}
        sums["worse"] = np.full((10, 500), 10.0)
        found = bootstrap(sums, np.ones(500), [(i, "worse") for i in range(40)], n_draws=1000, rng=rng())
        assert 0.95 < np.mean([c.draws.var() for c in found.values()]) / (1 / (10 * 500)) < 1.8

    def test_seeds_alone_give_the_interval_of_student(self):
        values = stats.norm.ppf((np.arange(10) + 0.5) / 10)[:, None]
        found = contrast(10 + values + np.zeros((10, 50)), np.full((10, 50), 10.0), np.ones(50), n_draws=40_000)
        assert found.degrees_of_freedom == pytest.approx(9)
        expected = stats.t.ppf(0.975, 9) * values.std(ddof=1) / np.sqrt(10)
        assert interval(found.draws) == pytest.approx((-expected, expected), rel=0.05)
        assert interval(found.relative_draws) == pytest.approx((-expected / 10, expected / 10), rel=0.05)

    def test_unequal_numbers_are_resampled_independently(self):
        shift = np.array([-1.0, 0, 1])[:, None]
        one_sided = contrast(10 + shift + np.zeros((3, 50)), np.full((1, 50), 9.0), np.ones(50))
        paired = contrast(10 + shift + np.zeros((3, 50)), 9 + shift + np.zeros((3, 50)), np.ones(50))
        assert one_sided.degrees_of_freedom == pytest.approx(2)
        assert (one_sided.seed_sd_better, one_sided.seed_sd_worse) == (1, 0)
        assert interval(paired.draws) == (1, 1)


class TestCoverage:
    """The 95% interval covers the truth in 95% of simulated studies; 400 studies share one resampling of sessions."""

    @pytest.mark.parametrize(("n_seeds", "spread"), [(1, 0), (3, 0.5), (3, 2), (5, 2), (10, 0.5)])
    def test_interval_covers_the_truth(self, n_seeds, spread):
        """`spread` is the sd between seeds over the standard error of sessions; what a session adds under one seed
        varies as much as what it adds under all."""
        generator, n_sessions, n_studies = rng(n_seeds), 600, 400
        sizes = 1 + generator.geometric(0.25, n_sessions)
        error = np.sqrt((1 + 1 / n_seeds) * (sizes**2).sum()) / sizes.sum()
        sums = {"worse": np.tile(100.0 * sizes, (n_seeds, 1))}
        for study in range(n_studies):
            of_session = generator.standard_exponential(n_sessions) - 1
            of_both = generator.normal(size=(n_seeds, n_sessions))
            of_seed = generator.normal(0, spread * error, (n_seeds, 1))
            sums[study] = sums["worse"] + sizes * (of_session + of_both + of_seed)
        pairs = [(study, "worse") for study in range(n_studies)]
        found = bootstrap(sums, sizes, pairs, n_draws=1000, rng=generator)
        for kind in ("draws", "relative_draws"):
            bounds = [interval(getattr(found[pair], kind)) for pair in pairs]
            assert within_binomial_error(sum(low <= 0 <= high for low, high in bounds), n_studies, 0.95)

    def test_false_alarms_stay_below_five_percent(self):
        """No variant differs: any supported or refuted contrast of two claims and two metrics is a false alarm."""
        claims = [CLAIM, Claim("also", "", ("c",), ("a", "b"))]
        alarms = sum(
            any(row["verdict"] in ("supported", "refuted") for row in compare([data], claims, n_draws=1000)["claims"])
            for data in (evidence(n_seeds=3, n_events=800, seed=seed) for seed in range(200))
        )
        assert alarms <= stats.binom.ppf(0.999, 200, 0.05)


class TestHolm:
    @pytest.mark.parametrize("seed", range(5))
    def test_agrees_with_statsmodels(self, seed):
        p_values = np.round(rng(seed).random(30) ** 4, 2)  # ties among them
        assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])

    def test_by_hand(self):
        assert holm([0.04, 0.01, 0.9]).tolist() == [0.08, 0.03, 0.9]
        assert holm([0.5]).tolist() == [0.5]

    def test_levels_by_hand(self):
        """.01 passes .05/3, .03 fails .05/2, and the step-down procedure ends there although .04 is below .05."""
        assert holm_levels([0.04, 0.01, 0.03]).tolist() == [0.05 / 2, 0.05 / 3, 0.05 / 2]

    @pytest.mark.parametrize("seed", range(20))
    def test_corrected_intervals_leave_out_zero_where_adjusted_p_values_say_so(self, seed):
        generator = rng(seed)
        draws = [generator.normal(shift, 1, 999) for shift in generator.uniform(0, 5, 8)]
        p_values = np.array([p_value(d) for d in draws])
        bounds = [interval(d, level) for d, level in zip(draws, holm_levels(p_values), strict=True)]
        assert [low > 0 or high < 0 for low, high in bounds] == (holm(p_values) <= 0.05).tolist()


class TestPValue:
    def test_by_hand(self):
        assert p_value(np.array([-1.0] + [1.0] * 18)) == 2 * 2 / 20
        assert p_value(np.ones(99)) == 2 / 100
        assert p_value(np.zeros(9)) == 1

    def test_interval_by_hand(self):
        assert interval(np.arange(1.0, 40)) == (1, 39)  # the first and last of 39 leave out 1/40 each
        assert interval(np.arange(39.0, 0, -1), alpha=0.1) == (2, 38)

    @pytest.mark.parametrize("shift", [1.5, 1.8, 1.95, 2.0, 2.2])
    def test_is_below_alpha_exactly_where_the_interval_leaves_out_zero(self, shift):
        draws = rng(1).normal(shift, 1, 999)
        for alpha in (0.01, 0.05, 0.1):
            assert (p_value(draws) <= alpha) == (interval(draws, alpha)[0] > 0)


class TestRule:
    @pytest.mark.parametrize(
        ("low", "high", "within", "verdict"),
        [
            (0.1, 0.2, False, "supported"),
            (0.1, 0.2, True, "supported"),
            (-0.2, -0.1, False, "refuted"),
            (-0.2, -0.1, True, "refuted"),
            (-0.1, 0.1, True, "equivalent"),
            (-0.1, 0.1, False, "inconclusive"),
            (0, 0.1, False, "inconclusive"),
            (0, 0, True, "equivalent"),
        ],
    )
    def test_contrast(self, low, high, within, verdict):
        assert judge(low, high, within=within) == verdict

    @pytest.mark.parametrize(
        ("verdicts", "within", "decision"),
        [
            ("ss", "--", ("supported", False, [0, 1])),
            ("ss", "w-", ("supported", True, [0, 1])),
            ("sr", "--", ("refuted", False, [1])),
            ("rr", "w-", ("refuted", False, [0, 1])),
            ("rs", "w-", ("refuted", True, [0])),
            ("re", "ww", ("refuted", True, [0])),
            ("ri", "--", ("refuted", False, [0])),
            ("se", "ww", ("equivalent", False, [0, 1])),
            ("ee", "ww", ("equivalent", False, [0, 1])),
            ("se", "-w", ("inconclusive", False, [1])),
            ("si", "--", ("inconclusive", False, [1])),
            ("ei", "w-", ("inconclusive", False, [0, 1])),
        ],
    )
    def test_claim(self, verdicts, within, decision):
        names = {"s": "supported", "r": "refuted", "e": "equivalent", "i": "inconclusive"}
        assert decide([names[v] for v in verdicts], [w == "w" for w in within]) == decision

    def test_the_candidate_is_chosen_by_validation(self):
        data = DatasetRanks("toy", [0, 1], {}, {"a": 0.1, "b": 0.3, "c": 0.3})
        assert best_of(("a", "b", "c"), data) == "b"
        assert best_of(("x",), data) == "x"


def planted(effect, n_seeds=3, n_events=40_000):
    """Ranks of `a` and `b`, alike but for events drawn at random that the worse one misses: -5% or +1 / .95 - 1."""
    generator = rng(5)
    b = ranks_of(generator, n_events, n_seeds, luck=0.1)
    a = np.where(generator.random(n_events) < abs(effect), np.inf, b)
    better, worse = (a, b) if effect < 0 else (b, a)
    return DatasetRanks("planted", np.repeat(np.arange(n_events // 4), 4), {"a": better, "b": worse}, {})


class TestCompare:
    @pytest.mark.parametrize(
        ("effect", "verdict", "negligible"),
        [(0.05, "supported", False), (-0.05, "refuted", False), (0.01, "supported", True), (-0.01, "refuted", True)],
    )
    def test_a_planted_effect_is_found(self, effect, verdict, negligible):
        found = compare([planted(effect)], [CLAIM])
        entry = found["overall"]["pays"]["datasets"]["planted"]
        assert (entry["verdict"], entry["negligible"]) == (verdict, negligible)
        assert len(entry["decided_by"]) == 2
        truth = effect if effect < 0 else 1 / (1 - effect) - 1
        for row in found["claims"]:
            assert row["relative_low"] < truth < row["relative_high"]
            assert row["relative"] == pytest.approx(row["difference"] / row["value_worse"])
            assert row["ci_holm_low"] <= row["ci_low"] < row["difference"] < row["ci_high"] <= row["ci_holm_high"]

    def test_equal_ranks_are_equivalent(self):
        data = evidence()
        data = evidence(a=data.ranks["b"])
        found = compare([data], [CLAIM], n_draws=500)
        assert found["overall"]["pays"]["datasets"]["toy"]["verdict"] == "equivalent"
        for row in found["claims"]:
            assert [row[k] for k in ("difference", "ci_low", "ci_high", "relative_low", "relative_high")] == [0] * 5
            assert (row["p_value"], row["p_holm"]) == (1, 1)

    def test_rounding_is_no_difference(self):
        """The same ranks in another order within each session add up to the same but for rounding."""
        ranks = evidence().ranks["b"]
        turned = ranks.reshape(3, -1, 4)[:, :, ::-1].reshape(3, -1)
        rows = compare([evidence(a=turned, b=ranks)], [CLAIM], n_draws=500)["claims"]
        assert [(row["ci_low"], row["ci_high"], row["p_value"]) for row in rows] == [(0, 0, 1)] * 2

    def test_the_same_seed_gives_the_same_bytes(self):
        first, second = (json.dumps(compare([evidence()], [CLAIM], n_draws=500)) for _ in range(2))
        assert first == second
        assert first != json.dumps(compare([evidence()], [CLAIM], n_draws=500, seed=1))

    def test_another_data_set_changes_only_the_correction(self):
        alone = compare([evidence()], [CLAIM], n_draws=500)["claims"][0]
        other, _, joined, _ = compare([evidence(dataset="other"), evidence()], [CLAIM], n_draws=500)["claims"]
        corrected = {"ci_holm_low", "ci_holm_high", "p_holm", "verdict", "negligible"}
        assert {k: v for k, v in alone.items() if k not in corrected} == {
            k: v for k, v in joined.items() if k not in corrected
        }
        assert joined["ci_holm_low"] < alone["ci_holm_low"] < joined["ci_low"]
        assert other["difference"] == joined["difference"]
        assert other["ci_low"] != joined["ci_low"]  # the same ranks under another name are resampled independently

    def test_a_contrast_listed_twice_counts_once_and_its_reverse_counts(self):
        claims = [CLAIM, Claim("again", "", ("a",), ("b", "b")), Claim("reverse", "", ("b",), ("a",))]
        found = compare([evidence()], claims, n_draws=500)
        assert found["settings"]["family"] == 4
        assert [row["claim"] for row in found["claims"]] == ["pays"] * 2 + ["again"] * 2 + ["reverse"] * 2
        first, again, reverse = (found["claims"][i] for i in (0, 2, 4))
        assert {**first, "claim": "again"} == again
        assert reverse["difference"] == -first["difference"]

    def test_a_large_family_gets_the_draws_it_needs(self):
        assert compare([evidence()], [CLAIM], n_draws=10)["settings"]["n_draws"] == 80

    def test_one_seed_is_said_so(self):
        popularity = np.full((1, 1200), 9.0)
        rows = compare([evidence(popularity=popularity)], [Claim("x", "", ("a",), ("popularity",))], n_draws=500)[
            "claims"
        ]
        assert (rows[0]["n_seeds"], rows[0]["n_seeds_better"], rows[0]["seed_sd_worse"]) == (1, 3, 0)
        assert rows[0]["note"].startswith("n_seeds=1 for popularity:")
        alone = compare([evidence(n_seeds=1)], [CLAIM], n_draws=500)
        assert alone["claims"][0]["note"].startswith("n_seeds=1 for a and b:")
        assert "1 seed (sessions only)" in alone["overall"]["pays"]["datasets"]["toy"]["sentence"]

    def test_everything_is_plain_json(self):
        found = compare([evidence(), evidence(dataset="two", seed=1)], [CLAIM], n_draws=500)
        assert json.loads(json.dumps(found, allow_nan=False)) == found
        overall = found["overall"]["pays"]
        assert set(overall["datasets"]) == {"toy", "two"}
        assert sum(overall["counts"].values()) == 2

    def test_sessions_may_be_labels_in_any_order(self):
        data = evidence()
        order = rng().permutation(1200)
        labels = np.array([f"s{code:04d}" for code in data.sessions])[order]
        ranks = {name: values[:, order] for name, values in data.ranks.items()}
        rows = [compare([d], [CLAIM], n_draws=500)["claims"][0] for d in (data, DatasetRanks("toy", labels, ranks, {}))]
        assert rows[0]["ci_low"] == pytest.approx(rows[1]["ci_low"])


class TestSentences:
    def test_numbers_are_readable(self):
        assert [percent(v) for v in (0.0083, -0.001, -0.0001, 0)] == ["+0.8%", "-0.1%", "+0.0%", "+0.0%"]
        assert [probability(v) for v in (0.0402, 0.31, 1.0, 0.0004)] == [".04", ".31", "1", "< .001"]

    def test_a_claim_names_what_decided_it(self):
        row = {"dataset": "eshop", "better": "a", "worse": "b", "metric": "MRR@20", "relative": 0.008, "p_holm": 0.31}
        row |= {"relative_low": -0.001, "relative_high": 0.017, "p_value": 0.04, "n_sessions": 5300}
        row |= {"n_seeds_better": 3, "n_seeds_worse": 3}
        numbers = "eshop: a against b, MRR@20 +0.8% [-0.1%, +1.7%], p = .04 (Holm .31), 5,300 sessions, 3 seeds: "
        assert claim_sentence("inconclusive", False, [row], 1) == numbers + "inconclusive."
        above = row | {"worse": "c", "relative_low": 0.1, "relative_high": 0.2}
        expected = numbers + "supported but negligible on 2 of 4 contrasts, the weakest shown."
        assert claim_sentence("supported", True, [above, row], 4) == expected
        below = row | {"worse": "c", "relative_low": -0.3, "relative_high": -0.2, "n_seeds_worse": 1, "p_holm": 0.0001}
        sentence = claim_sentence("refuted", False, [row, below], 3)
        assert sentence.startswith("eshop: a against c, MRR@20 +0.8% [-30.0%, -20.0%], p = .04 (Holm < .001), 5,300 ")
        assert sentence.endswith("3 and 1 seeds: refuted by 2 of 3 contrasts, the strongest shown.")

    def test_data_sets_are_counted(self):
        verdicts = {"eshop": "supported", "toy": "refuted", "two": "supported"}
        expected = "pays: of 3 data sets, supported on 2 (eshop, two); refuted on 1 (toy)."
        assert count_sentence("pays", verdicts) == expected


class TestMistakes:
    """Each is told in one sentence that names the data set, the variant and what to do."""

    def told(self, *words, build):
        with pytest.raises(StudyError) as told:
            build()
        assert [word for word in words if word not in str(told.value)] == []

    def test_ranks(self):
        nan, low = np.ones((3, 1200)), np.ones((3, 1200))
        nan[1, 7], low[2, 3] = np.nan, 0
        self.told("toy", "a has the rank nan", "row 1, event 7", "run it again", build=lambda: evidence(a=nan))
        self.told("toy", "a has the rank 0.0", build=lambda: evidence(a=low))
        self.told("toy", "ranks of a have shape (3, 5)", build=lambda: evidence(a=np.ones((3, 5))))
        self.told("toy", "ranks of a have shape (1200,)", build=lambda: evidence(a=np.ones(1200)))
        self.told("toy", "ranks of a have shape (0, 1200)", build=lambda: evidence(a=np.ones((0, 1200))))

    @pytest.mark.parametrize("sessions", [[], [7, 7, 7]])
    def test_fewer_than_two_sessions(self, sessions):
        self.told("toy", "at least two", build=lambda: DatasetRanks("toy", np.array(sessions), {}, {}))

    def test_a_metric_that_is_zero(self):
        data = evidence(b=np.full((3, 1200), np.inf))
        self.told("toy", "b has Recall@20 = 0", "take it out", build=lambda: compare([data], [CLAIM], n_draws=100))

    def test_a_metric_that_is_nearly_zero(self):
        b = np.full((3, 1200), np.inf)
        b[:, 0] = 1
        self.told("toy", "b has so few hits", build=lambda: compare([evidence(b=b)], [CLAIM], n_draws=100))

    def test_variants_that_were_not_run(self):
        claim = Claim("x", "", ("a",), ("z",))
        self.told("toy", "'x' needs ranks of z", "a, b, c", build=lambda: compare([evidence()], [claim]))
        data = DatasetRanks("toy", [0, 1], {}, {"a": 0.1, "b": float("nan")})
        self.told("toy", "b has no validation value", build=lambda: best_of(("a", "b"), data))

    def test_claims(self):
        self.told("'x'", "under 'worse'", build=lambda: Claim("x", "", ("a",), ()))
        self.told("'x'", "under 'better'", build=lambda: Claim("x", "", "a", ("b",)))
        self.told("'x'", "a with itself", build=lambda: Claim("x", "", ("a",), ("b", "a")))
        self.told("'pays' is listed 2 times", build=lambda: compare([evidence()], [CLAIM, CLAIM]))
        self.told("'toy' is listed 2 times", build=lambda: compare([evidence(), evidence()], [CLAIM]))
        for arguments in ([], [CLAIM]), ([evidence()], []):
            self.told("nothing to compare", build=lambda arguments=arguments: compare(*arguments))
        self.told("nothing to compare", build=lambda: compare([evidence()], [CLAIM], metrics=[]))
        self.told("Hits@20", build=lambda: compare([evidence()], [CLAIM], metrics=["Hits@20"]))
