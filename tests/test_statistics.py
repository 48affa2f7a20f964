import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from gru4recf import moderation, statistics
from gru4recf.claims import Claim, DatasetRanks, best_of, rivals_of
from gru4recf.decision import compare
from gru4recf.errors import StudyError
from gru4recf.intervals import holm, holm_levels, interval, p_equivalence, p_value
from gru4recf.moderation import moderate
from gru4recf.power import MoreEvidence, detectable, detection_power, equivalence_power, more_evidence
from gru4recf.statistics import bootstrap, session_draws, session_sums
from gru4recf.variances import SeedSpread, Variances, seed_spreads, seed_variance
from gru4recf.verdicts import decide, judge
from gru4recf.wording import claim_sentence, count_sentence, needed_sentence, percent, probability

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import interval_coverage
import simulated_studies
from simulated_studies import Design

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


BETTER, WORSE = ("better", "metric"), ("worse", "metric")


def contrast(better, worse, sizes, n_draws=4000, seed=0):
    sums = {BETTER: np.atleast_2d(better), WORSE: np.atleast_2d(worse)}
    return bootstrap(sums, sizes, [(BETTER, WORSE)], n_draws=n_draws, rng=rng(seed))[BETTER, WORSE]


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

    def test_the_order_of_adding_changes_no_digit(self):
        sums = rng().random((3, 20_000)) * 50
        assert any(sum(row) != sum(row[::-1]) for row in sums)
        for row, exact in zip(sums, statistics._exact(sums), strict=True):
            assert sum(exact) == sum(exact[::-1]) == exact.sum() == math.fsum(exact)
            assert exact == pytest.approx(row, abs=1e-9)

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
        variance, noise = seed_variance(np.array([[1.0, 1.0], [3.0, 3.0]]), np.ones(2))
        assert (variance, noise) == (1, 0)

    def test_noise_by_hand(self):
        """Both seeds have the value 1; sessions +-1 in turn: sum of squares 4 over 2 events squared, 2 seeds, 1 df."""
        variance, noise = seed_variance(np.array([[0.0, 2.0], [2.0, 0.0]]), np.ones(2))
        assert (variance, noise) == (0, 0.5)

    def test_noise_of_a_session_under_a_seed_is_counted_once(self):
        """Counted twice the ratio would be above 2, in products of weights above 3; 1.2 is what the floor leaves,
        times 1.1 for the degrees of freedom."""
        sums = {(f"{i}", "m"): rng(i).normal(10, 1, (10, 500)) for i in range(40)}
        pairs = [(key, WORSE) for key in sums]
        sums[WORSE] = np.full((1, 500), 10.0)
        found = bootstrap(sums, np.ones(500), pairs, n_draws=1000, rng=rng())
        assert 0.95 < np.mean([c.draws.var() for c in found.values()]) / (1 / (10 * 500)) < 1.6

    @pytest.mark.parametrize("alpha", [0.05, 0.05 / 18])
    def test_seeds_alone_give_the_interval_of_student(self, alpha):
        values = stats.norm.ppf((np.arange(10) + 0.5) / 10)[:, None]
        found = contrast(10 + values + np.zeros((10, 50)), np.full((1, 50), 10.0), np.ones(50), n_draws=40_000)
        expected = stats.t.ppf(1 - alpha / 2, 9) * values.std(ddof=1) / np.sqrt(10)
        assert interval(found.draws, alpha) == pytest.approx((-expected, expected), rel=0.1)
        assert interval(found.relative_draws, alpha) == pytest.approx((-expected / 10, expected / 10), rel=0.1)
        oracle = stats.ttest_1samp(values[:, 0] + 10.5, 10.0)
        shifted = contrast(10.5 + values + np.zeros((10, 50)), np.full((1, 50), 10.0), np.ones(50), n_draws=40_000)
        assert p_value(shifted.draws) == pytest.approx(oracle.pvalue, rel=0.1)

    def test_variances_of_both_variants_add_up(self):
        shift = np.array([-1.0, 0, 1])[:, None]
        one_sided = contrast(10 + shift + np.zeros((3, 50)), np.full((1, 50), 9.0), np.ones(50))
        both = contrast(10 + shift + np.zeros((3, 50)), np.array([[9.0], [11]]) + np.zeros((2, 50)), np.ones(50))
        assert one_sided.variances.seeds == (SeedSpread(pytest.approx(1 / 3), 0.0, 2, 0),)
        assert (one_sided.seed_sd_better, one_sided.seed_sd_worse, one_sided.seed_sd_difference) == (1, 0, 1)
        assert (both.seed_sd_better, both.seed_sd_worse) == (1, pytest.approx(np.sqrt(2)))
        assert both.seed_sd_difference == pytest.approx(np.sqrt(1 + 2))
        # three degrees of freedom in all, and the variances of a seed, 1 and 2, drawn towards each other
        first, second = both.variances.seeds
        assert (first.freedom, second.freedom) == (3, 3)
        assert 1 < 2 * second.variance / (3 * first.variance) < 2

    def test_no_pairs_give_no_contrasts(self):
        assert bootstrap({BETTER: np.ones((2, 5))}, np.ones(5), [], n_draws=10, rng=rng()) == {}

    def test_equal_ranks_differ_by_nothing(self):
        values = rng().random((3, 50))
        assert interval(contrast(values, values, np.ones(50)).draws) == (0, 0)

    def test_variants_set_apart_tell_nothing_of_others(self):
        sums = {(name, "m"): rng(i).normal(10, 1, (4, 50)) for i, name in enumerate("abc")}
        alone = seed_spreads({k: v for k, v in sums.items() if k[0] != "c"}, np.ones(50))
        apart = seed_spreads(sums, np.ones(50), apart=("c",))
        assert {k: v for k, v in apart.items() if k[0] != "c"} == alone
        assert apart["c", "m"].freedom == 3
        assert seed_spreads(sums, np.ones(50))["a", "m"] != alone["a", "m"]

    def test_equal_runs_under_two_names_tell_once(self):
        sums = {(name, "m"): rng(i).normal(10, 1, (4, 50)) for i, name in enumerate("abc")}
        twice = seed_spreads({**sums, ("d", "m"): sums["c", "m"]}, np.ones(50))
        assert twice.pop(("d", "m")) == twice["c", "m"]
        assert twice == seed_spreads(sums, np.ones(50))

    def test_metrics_tell_nothing_of_one_another(self):
        sums = {("a", m): rng(i).normal(10, 1 + i, (4, 50)) for i, m in enumerate("xy")}
        assert [part.freedom for part in seed_spreads(sums, np.ones(50)).values()] == [3, 3]

    def test_each_variance_has_its_own_student_factor(self):
        parts = Variances(4.0, (SeedSpread(1.0, 0.5, 2, 0), SeedSpread(2.0, 0.0, 4, 0)), 10)
        t = [stats.t.ppf(0.99, freedom) for freedom in (10, 2, 4)]
        assert parts.half_width(0.01) == pytest.approx(np.sqrt(4 * t[0] ** 2 + t[1] ** 2 + 2 * t[2] ** 2))

    def test_seeds_that_agree_by_luck_leave_the_interval_of_sessions(self):
        """All seeds have the same value, in sessions that differ: the sessions' error is known whatever the seeds."""
        parts = Variances(4.0, (SeedSpread(0.0, 5.0, 2, 0),), 10)
        assert parts.half_width(0.025) == pytest.approx(3 * stats.t.ppf(0.975, 10))
        better = 10 + rng().normal(size=(3, 400))
        better -= better.mean(axis=1, keepdims=True) - 10
        found = contrast(better, np.full((1, 400), 10.0), np.ones(400), n_draws=20_000)
        expected = stats.sem(better.mean(axis=0)) * stats.t.ppf(0.975, 399)
        assert interval(found.draws) == pytest.approx((-expected, expected), rel=0.05)


class TestModeration:
    """Smyth's formulas, by hand and by simulation from his model."""

    def test_variances_that_agree_are_drawn_to_their_typical_one(self):
        """Less spread than luck alone gives: four prior degrees, typical exp(mean log - e(2) + e(4)), e(d) the mean of
        log(chi2(d) / d): digamma(1) - log 1 = -.5772 and digamma(2) - log 2 = -.2704."""
        moderated, prior = moderate([1.0, 1.5, 2.0, 1.0], [2, 2, 2, 2])
        typical = np.exp(np.log([1.0, 1.5, 2.0, 1.0]).mean() + 0.577216 - 0.270363)
        assert prior.tolist() == [4, 4, 4, 4]
        assert moderated == pytest.approx((4 * typical + 2 * np.array([1, 1.5, 2, 1])) / 6, rel=1e-5)

    def test_others_add_no_more_degrees_than_they_have(self):
        assert moderate([1.0, 1.1], [2, 1])[1].tolist() == [1, 2]

    def test_one_alone_and_none_above_zero_stay(self):
        for variances, freedom in (([2.0], [3]), ([0.0, 0.0], [2, 2]), ([], [])):
            moderated, prior = moderate(variances, freedom)
            assert moderated.tolist() == variances
            assert not prior.any()

    def test_one_zero_among_many_hides_nothing(self):
        moderated, prior = moderate([0.0, *[1.0] * 6], [4] * 7)
        assert 0 < moderated[0] < moderated[1]
        assert prior.min() > 1

    def test_a_network_that_spreads_far_more_keeps_its_own(self):
        moderated, prior = moderate([1.0, 1.2, 0.9, 1.1, 30.0], [4] * 5)
        assert (moderated[-1], prior[-1]) == (30.0, 0.0)
        assert prior[:-1].min() > 1
        assert moderate([1.0, 30.0], [4, 4])[1].min() > 0  # of two nobody can tell which is the odd one

    def test_the_limit_keeps_small_levels_from_crying_wolf(self):
        """Three seeds of networks that differ much: benchmarks/interval_coverage.py has more."""
        cell = (3, 7, 2.0, 1.0, 600)
        limited = interval_coverage.missed_times(*cell)["first of 214"]
        with mock.patch.object(moderation, "MOST_PRIOR", 1e4):
            assert interval_coverage.missed_times(*cell)["first of 214"] > 1.5 * limited
        assert interval_coverage.missed_times(5, 7, 4.0, 1.0, 600)["first of 18"] < 1.3

    @pytest.mark.parametrize("d0", [1.0, 2.5])
    def test_recovers_the_model(self, d0):
        generator = rng(5)
        true = 3.0 * d0 / generator.chisquare(d0, 1000)
        found = true * generator.chisquare(6, 1000) / 6
        moderated, prior = moderate(found, np.full(1000, 6))
        assert prior.max() == pytest.approx(d0, rel=0.2)
        typical = ((prior + 6) * moderated - 6 * found)[prior > 0] / prior.max()
        assert np.median(typical) == pytest.approx(3.0, rel=0.2)
        assert 0.01 < np.mean(prior == 0) < 0.1  # taken for too large by chance

    def test_the_moderated_one_is_nearer_to_the_truth(self):
        generator = rng(6)
        true = 4 / generator.chisquare(4, (400, 8))
        found = true * generator.chisquare(2, (400, 8)) / 2
        moderated = np.array([moderate(row, np.full(8, 2))[0] for row in found])
        errors = [np.mean(np.abs(np.log(values / true))) for values in (moderated, found)]
        assert errors[0] < 0.75 * errors[1]


class TestCoverage:
    """The 95% interval covers the truth in 95% of simulated studies; benchmarks/interval_coverage.py has many more."""

    @pytest.mark.parametrize(
        ("n_seeds", "spread", "noise", "agreement"), [(1, 0, 1, None), (3, 3, 10, 4), (5, 3, 10, 4), (10, 3, 10, None)]
    )
    def test_interval_covers_the_truth(self, n_seeds, spread, noise, agreement):
        """With spreads as in practice."""
        for ends in interval_coverage.intervals_of(n_seeds, spread, noise, agreement, 400, n_sessions=300).values():
            held = np.sum((ends[:, 0, 0] <= 0) & (ends[:, 0, 1] >= 0))
            assert within_binomial_error(held, 400, 0.95)

    @pytest.mark.parametrize(("n_seeds", "spread", "noise"), [(2, 2, 0), (2, 5, 1), (3, 0.5, 1), (3, 5, 0)])
    def test_interval_never_covers_too_little(self, n_seeds, spread, noise):
        ends = interval_coverage.intervals_of(n_seeds, spread, noise, None, 400, n_sessions=100)["draws"]
        assert np.sum((ends[:, 0, 0] <= 0) & (ends[:, 0, 1] >= 0)) >= stats.binom.ppf(0.0005, 400, 0.95)

    def test_small_levels_hold_too(self):
        """Of 1,000 intervals at the first level of a family of 18, 2.8 may miss."""
        ends = interval_coverage.intervals_of(3, 5, 5, 4, 1000, n_sessions=60)["draws"]
        missed = np.sum((ends[:, 1, 0] > 0) | (ends[:, 1, 1] < 0))
        assert missed <= stats.binom.ppf(0.999, 1000, interval_coverage.HOLM)

    def test_false_alarms_stay_below_five_percent(self):
        """No variant differs: any supported or refuted contrast of two claims and two metrics is a false alarm."""
        claims = [CLAIM, Claim("also", "", ("c",), ("a", "b"))]
        alarms = sum(
            any(row["verdict"] in ("supported", "refuted") for row in compare([data], claims, n_draws=1000)["claims"])
            for data in (evidence(n_seeds=3, n_events=800, seed=seed) for seed in range(200))
        )
        assert alarms <= stats.binom.ppf(0.999, 200, 0.05)


class TestSimulatedStudies:
    """A short run of benchmarks/simulated_studies.py, the negative and the positive control of the whole decision."""

    def test_no_false_alarm_too_many(self):
        verdicts = simulated_studies.decided(Design(5, 0.7, n_sessions=500), 60, n_draws=500)
        assert simulated_studies.false_alarms(verdicts) <= stats.binom.ppf(0.999, 60, 0.05)

    def test_a_planted_effect_of_five_percent_is_found(self):
        verdicts = simulated_studies.decided(Design(5, 0.7, 0.05, n_sessions=2000), 20, n_draws=1000)
        assert simulated_studies.found(verdicts) >= stats.binom.ppf(0.001, 20, 0.9)


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


class TestEquivalence:
    def test_by_hand(self):
        """Of 19 draws, 2 lie at or below -1 and 3 at or above 1: (1 + 3) / 20."""
        assert p_equivalence(np.array([-2.0, -1, 1, 2, 3] + [0.0] * 14), 1.0) == 4 / 20
        assert p_equivalence(np.zeros(99), 0.02) == 1 / 100

    @pytest.mark.parametrize("shift", [0.0, 0.01, 0.018, -0.03])
    def test_agrees_with_statsmodels_for_seeds_alone(self, shift):
        values = 1 + shift + 0.03 * stats.norm.ppf((np.arange(10) + 0.5) / 10)
        found = contrast(values[:, None] + np.zeros((10, 50)), np.ones((1, 50)), np.ones(50), n_draws=40_000)
        expected = ttost_paired(values, np.ones(10), -0.02, 0.02)[0]
        assert p_equivalence(found.relative_draws, 0.02) == pytest.approx(expected, rel=0.1, abs=0.002)

    @pytest.mark.parametrize("shift", [0, 0.3, 0.34, 0.36, 0.4, 0.6])
    def test_is_at_most_five_percent_where_the_ninety_percent_interval_lies_within(self, shift):
        draws = rng(1).normal(shift, 1, 999)
        low, high = interval(draws, alpha=0.1)
        assert (p_equivalence(draws, 2.0) <= 0.05) == (low > -2 and high < 2)


SESSIONS_ONLY = Variances(1.0, (), 10**6)
FEW_SEEDS = Variances(0.5, (SeedSpread(1.5, 0.5, 4, 0),), 999)
TWO_GROUPS = Variances(0.5, (SeedSpread(1.0, 0.2, 2, 0), SeedSpread(0.5, 0.5, 9, 4)), 999)


class TestPower:
    def test_many_sessions_alone_give_the_textbook_formula(self):
        """(z(1 - alpha / 2) + z(.8)) standard errors: 1.96 + .84 = 2.80."""
        assert detectable(SESSIONS_ONLY, 0.05) == pytest.approx(stats.norm.ppf(0.975) + stats.norm.ppf(0.8), rel=1e-3)

    def test_seeds_alone_give_the_noncentral_t(self):
        effect = detectable(Variances(0.0, (SeedSpread(1.0, 0.0, 4, 0),), 10**6), 0.01)
        critical = stats.t.ppf(0.995, 4)
        assert stats.nct.sf(critical, 4, effect) + stats.nct.cdf(-critical, 4, effect) == pytest.approx(0.8, abs=0.005)

    @pytest.mark.parametrize("variances", [FEW_SEEDS, TWO_GROUPS])
    @pytest.mark.parametrize("level", [0.05, 0.005])
    def test_the_detectable_difference_is_found_four_times_out_of_five(self, variances, level):
        effect = detectable(variances, level)
        estimates, half_widths = simulated_tests(variances, level, 40_000)
        assert np.mean(np.abs(effect + estimates) > half_widths) == pytest.approx(0.8, abs=0.015)

    @pytest.mark.parametrize("effect", [0.0, 1.5])
    def test_equivalence_power_is_that_of_simulated_studies(self, effect):
        estimates, half_widths = simulated_tests(FEW_SEEDS, 0.05, 40_000)
        shown = np.mean(np.abs(effect + estimates) + half_widths < 6)
        assert equivalence_power(effect, FEW_SEEDS, 0.05, 6.0) == pytest.approx(shown, abs=0.01)

    def test_no_spread_says_nothing(self):
        nothing = Variances(0.0, (SeedSpread(0.0, 0.0, 2, 0),), 9)
        assert detectable(nothing, 0.05) is None
        assert more_evidence(0.0, nothing, level=0.05, alpha=0.05, margin=0.02) is None


def simulated_tests(variances, level, n):
    """Return errors of estimates and half widths of intervals of `n` studies whose true variances are these."""
    generator = rng(7)
    drawn = [part.variance * generator.chisquare(part.freedom, n) / part.freedom for part in variances.seeds]
    squares = stats.t.ppf(1 - level / 2, variances.session_freedom) ** 2 * variances.sessions
    for value, part in zip(drawn, variances.seeds, strict=True):
        squares = squares + stats.t.ppf(1 - level / 2, part.freedom) ** 2 * value
    floor = stats.t.ppf(1 - level / 2, variances.session_freedom) ** 2 * (variances.sessions + variances.noise)
    return generator.normal(0, np.sqrt(variances.total), n), np.sqrt(np.maximum(squares, floor))


class TestMoreEvidence:
    def needed(self, difference, variances, level=0.05, margin=0.02):
        return more_evidence(difference, variances, level=level, alpha=0.05, margin=margin)

    def test_sessions_alone_by_the_textbook_formula(self):
        """Twice the difference needs a fourth of the variance: half of 2.80 standard errors, four times as many."""
        more = self.needed(1.4, SESSIONS_ONLY)
        assert more.outcome == "supported"
        assert more.sessions == pytest.approx((2.8015 / 1.4) ** 2, rel=0.03)
        assert more.seeds is None
        assert self.needed(-1.4, SESSIONS_ONLY).outcome == "refuted"

    def test_a_difference_too_small_to_matter_is_shown_equivalent(self):
        """z(.975) + z(.9) standard errors have to fit into the margin of 2: (3.24 / 2) squared."""
        more = self.needed(0.0, SESSIONS_ONLY, margin=2.0)
        assert more.outcome == "equivalent"
        assert more.sessions == pytest.approx((3.2415 / 2) ** 2, rel=0.03)

    def test_more_sessions_are_no_help_where_seeds_differ(self):
        more = self.needed(1.0, Variances(0.01, (SeedSpread(1.0, 0.01, 2, 0),), 999))
        assert more.sessions is None
        assert 1 < more.seeds < 20

    def test_more_seeds_are_no_help_where_sessions_are_few(self):
        more = self.needed(1.0, Variances(1.0, (SeedSpread(0.01, 0.01, 4, 0),), 99))
        assert more.seeds is None
        assert 1 < more.sessions < 20

    def test_what_is_needed_gives_the_power(self):
        more = self.needed(3.0, FEW_SEEDS, level=0.01)
        n = more.seeds
        grown = replace(FEW_SEEDS, seeds=(SeedSpread(1.5 / n, 0.5 / n, 5 * n - 1, 0),))
        assert detection_power(3.0, grown, 0.01) == pytest.approx(0.8, abs=0.02)

    def test_sentences(self):
        def told(*parts, seeds=(3, 3)):
            return needed_sentence(MoreEvidence(*parts), *seeds)

        assert told("supported", 6.04, None, 2.0) == (
            "about 6.0 times as many sessions would support this contrast, seeds alone would not"
        )
        assert told("refuted", 21.2, 2.1, 2.0) == (
            "about 21 times as many sessions or about 7 seeds in place of 3 would refute this contrast"
        )
        assert told("equivalent", None, 2.1, 2.0, seeds=(3, 1)) == (
            "about 2.1 times as many seeds would show the two equivalent, sessions alone would not"
        )
        assert told("supported", None, None, 9.0) == (
            "about 9.0 times as many sessions and seeds together would support this contrast, neither alone would"
        )
        assert told("supported", None, None, None) == "not even 100 times as much evidence would support this contrast"
        assert told("supported", 2.0, None, 2.0, seeds=(1, 1)) == (
            "about 2.0 times as many sessions would support this contrast; what seeds would add cannot be told from one"
        )


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
            ("ss", "w-", ("supported", False, [0, 1])),
            ("ss", "ww", ("supported", True, [0, 1])),
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

    def test_so_is_the_rival_where_the_best_has_to_be_beaten(self):
        data = DatasetRanks("toy", [0, 1], {}, {"a": 0.1, "b": 0.3, "c": 0.2})
        assert rivals_of(Claim("t", "t", ("a",), ("c", "b", "c")), data) == ("c", "b")
        assert rivals_of(Claim("t", "t", ("a",), ("c", "b"), "best"), data) == ("b",)


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
        found = compare([data], [CLAIM], n_draws=3000)
        assert found["overall"]["pays"]["datasets"]["toy"]["verdict"] == "equivalent"
        assert found["overall"]["pays"]["datasets"]["toy"]["sentence"].count("their ranks are identical") == 1
        for row in found["claims"]:
            assert [row[k] for k in ("difference", "ci_low", "ci_high", "relative_low", "relative_high")] == [0] * 5
            assert (row["p_value"], row["p_holm"], row["p_equivalence"]) == (1, 1, 1 / 3001)
            assert (row["detectable"], row["more_evidence"]) == (None, None)

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
        alone = compare([evidence()], [CLAIM], n_draws=5000)["claims"][0]
        other, _, joined, _ = compare([evidence(dataset="other"), evidence()], [CLAIM], n_draws=5000)["claims"]
        corrected = {"ci_holm_low", "ci_holm_high", "p_holm", "verdict", "negligible", "detectable", "more_evidence"}
        assert {k: v for k, v in alone.items() if k not in corrected} == {
            k: v for k, v in joined.items() if k not in corrected
        }
        assert joined["ci_holm_low"] < alone["ci_holm_low"] < joined["ci_low"]
        assert joined["detectable"] > alone["detectable"]
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
        """At Holm's smallest level, .05 / 2 contrasts, 25 draws lie beyond each end of the interval."""
        found = compare([evidence()], [CLAIM], n_draws=10)["settings"]
        assert found["n_draws"] * 0.05 / found["family"] / 2 == 25

    @pytest.mark.parametrize(("share", "verdict"), [(0.03, "inconclusive"), (0.045, "supported")])
    def test_verdicts_do_not_hang_on_the_seed_of_the_draws(self, share, verdict):
        """With one draw beyond each end, p-values spread twice as far and a verdict turns with the seed."""
        ranks = evidence().ranks["b"]
        better = np.where(rng(1).random(ranks.shape) < share, np.maximum(1, ranks - 4), ranks)
        better = np.where(rng(2).random(ranks.shape) < 0.4 * share, ranks + 8, better)
        found = [compare([evidence(a=better)], [CLAIM], n_draws=10, seed=seed)["claims"][1] for seed in range(10)]
        assert {row["verdict"] for row in found} == {verdict}
        p_values = [row["p_holm"] for row in found]
        assert np.std(p_values) / np.mean(p_values) < 0.2

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

    def test_an_open_contrast_says_what_would_decide_it(self):
        found = compare([evidence()], [CLAIM], n_draws=500)
        row = found["claims"][0]
        assert row["verdict"] == "inconclusive"
        assert abs(row["relative"]) < row["detectable"]
        assert set(row["more_evidence"]) == {"outcome", "sessions", "seeds", "both", "sentence"}
        sentence = found["overall"]["pays"]["datasets"]["toy"]["sentence"]
        assert "This design finds a true difference of" in sentence
        assert "nan" not in sentence
        assert compare([planted(0.05)], [CLAIM], n_draws=500)["claims"][0]["more_evidence"] is None

    @pytest.mark.parametrize(
        "data",
        [
            pytest.param(lambda: evidence(n_seeds=1), id="one seed"),
            pytest.param(lambda: evidence(n_seeds=1, n_events=40), id="ten sessions"),
            pytest.param(lambda: evidence(a=np.full((3, 1200), np.inf)), id="all missed"),
            pytest.param(lambda: evidence(a=np.ones((3, 1200)), b=np.ones((3, 1200))), id="perfect"),
            pytest.param(lambda: evidence(b=np.full((1, 1200), 7.0)), id="constant"),
        ],
    )
    def test_extreme_ranks_give_plain_numbers(self, data):
        found = compare([data()], [CLAIM], n_draws=500)
        assert json.loads(json.dumps(found, allow_nan=False)) == found

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
        assert [percent(v) for v in (0.0083, -0.001, -0.0001, 0)] == ["+0.8%", "-0.1%", "-0.0%", "+0.0%"]
        assert [probability(v) for v in (0.0402, 0.31, 1.0, 0.0004)] == [".04", ".31", "1", "< .001"]

    def test_a_claim_names_what_decided_it(self):
        row = {"dataset": "eshop", "better": "a", "worse": "b", "metric": "MRR@20", "relative": 0.008, "p_holm": 0.31}
        row |= {"relative_low": -0.001, "relative_high": 0.017, "p_value": 0.04, "n_sessions": 5300}
        row |= {"n_seeds_better": 3, "n_seeds_worse": 3, "verdict": "inconclusive", "note": "", "within": True}
        numbers = "eshop: a against b, MRR@20 +0.8% [-0.1%, +1.7%], p = .04 (Holm .31), 5,300 sessions, 3 seeds: "
        assert claim_sentence("inconclusive", False, [row], 1) == numbers + "inconclusive."
        equivalent = row | {"worse": "c", "relative_low": -0.01, "verdict": "equivalent"}
        told = claim_sentence("inconclusive", False, [equivalent, row], 2)
        assert told.endswith(
            "inconclusive with none of 2 contrasts supported, 1 equivalent, 1 open, the lowest open shown."
        )
        told = claim_sentence("inconclusive", False, [equivalent], 2)
        assert "inconclusive with 1 of 2 contrasts supported, 1 equivalent, none open, the lowest shown." in told
        above = row | {"worse": "c", "relative_low": 0.1, "relative_high": 0.2, "within": False}
        expected = numbers + "supported on 2 of 4 contrasts, 1 of them negligible, the weakest shown."
        assert claim_sentence("supported", False, [above, row], 4) == expected
        expected = numbers + "supported but negligible on 2 of 4 contrasts, the weakest shown."
        assert claim_sentence("supported", True, [row, row], 4) == expected
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
        b[0, 0] = 1
        self.told("toy", "b has so few hits", build=lambda: compare([evidence(b=b)], [CLAIM], n_draws=100))

    def test_a_data_set_that_cannot_be_judged_leaves_the_others(self):
        data = evidence(dataset="never", b=np.full((3, 1200), np.inf))
        found = compare([data, evidence()], [CLAIM], n_draws=100)
        assert list(found["overall"]["pays"]["datasets"]) == ["toy"]
        assert found["undecided"]["never"].startswith("never: b has Recall@20 = 0")

    def test_variants_that_were_not_run(self):
        claim = Claim("x", "", ("a",), ("z",))
        self.told("toy", "x is not judged for want of ranks of z", build=lambda: compare([evidence()], [claim]))
        both = compare([evidence()], [claim, CLAIM], n_draws=100)
        assert both["undecided"] == {"toy": "toy: x is not judged for want of ranks of z"}
        assert list(both["overall"]) == ["pays"]
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
