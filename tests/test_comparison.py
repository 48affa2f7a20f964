import numpy as np
import pandas as pd
import pytest

from gru4recf import comparison, gains, reading
from gru4recf.errors import StudyError
from gru4recf.evidence import Evidence, rank_matrix, slice_by_support

VARIANTS = ["popularity", "id_only", "concat_input", "parallel_concat", "weighted_sum"]
PARTS, COUNTED = ("train", "validation", "test"), ("sessions", "events", "targets")
COUNTS = {f"{part} {what}": 1000 for part in PARTS for what in COUNTED}

SIZES = {"popularity": 0, "id_only": 10}  # numbers of parameters


def made_up(shift=0.0, n_sessions=300, n_seeds=3, variants=VARIANTS, harder_by=None):
    """Return evidence in which parallel_concat ranks the same events better than the others by `shift`."""
    rng = np.random.default_rng(0)
    session = np.repeat(np.arange(n_sessions), 4)
    support = rng.integers(5, 100, size=50)
    target = rng.integers(0, 50, size=len(session))
    frame = pd.DataFrame({"session": session.astype(str), "position": 2, "target": target.astype(str)})
    frame = frame.assign(support=support[target], session_length=5)
    difficulty = rng.gamma(2, 10, len(session))
    rows = []
    for variant in variants:
        for seed in range(1 if variant == "popularity" else n_seeds):
            harder = {"popularity": 40, "parallel_concat": -shift, **(harder_by or {})}.get(variant, 0)
            ranks = np.maximum(np.round(difficulty * np.exp(harder / 20 + rng.normal(0, 0.1, len(session)))), 1)
            frame[f"{variant}/simultaneous/{seed}"] = ranks.astype(np.float32)
            facts = {"dataset": "shop", "variant": variant, "strategy": "simultaneous", "seed": seed}
            facts |= {"run": f"{variant}-{seed}", "n_parameters": SIZES.get(variant, 20)}
            facts |= {"best_epoch": 3, "epochs": 4, "at_epoch_limit": False, "validation": 0.1}
            for metric in ("Recall@20", "MRR@20"):
                value = comparison.per_event(metric, ranks).mean()
                rows.append({**facts, "metric": metric, "value": value, "value_all_targets": value / 2})
    claims = [
        {
            "name": "best",
            "text": "It is best.",
            "better": ["parallel_concat"],
            "worse": ["concat_input", "weighted_sum"],
        },
        {"name": "pays", "text": "It pays.", "better": ["concat_input", "parallel_concat"], "worse": ["id_only"]},
    ]
    claims = [{**claim, "against": "every"} for claim in claims]
    study = {
        "name": "made_up",
        "title": "Made up",
        "variants": variants,
        "seeds": n_seeds,
        "strategies": ["simultaneous"],
        "datasets": [{"name": "shop", "label": "", "settings": {}, "variants": []}],
        "claims": claims,
        "tuned": False,
        "notes": ["It is small."],
    }
    facts = {
        "dataset": "shop",
        "counts": {**COUNTS, "items": 50, "test targets not ranked": 3},
        "data_sha256": "0" * 64,
    }
    facts |= {"control": "", "own_settings": {"id_only": {"learning_rate": 0.01}}}
    facts |= {"settings": {"dropout": 0.1, "output_features": False}}
    facts |= {"versions": {"torch": "2"}, "code_sha256": {"parallel_concat": "1" * 64}}
    datasets = {"available": {"shop": facts}, "unavailable": {"other": "other cannot be had here."}}
    return Evidence(study, pd.DataFrame(rows), pd.DataFrame(), datasets, {"shop": frame})


def test_a_planted_gain_is_supported_and_its_absence_is_not():
    verdict = comparison.decide(made_up(shift=8))
    assert verdict["overall"]["best"]["datasets"]["shop"]["verdict"] == "supported"
    verdict = comparison.decide(made_up(shift=0))
    assert verdict["overall"]["best"]["datasets"]["shop"]["verdict"] != "supported"


def test_claims_about_variants_without_results_are_named_and_not_judged():
    evidence = made_up(variants=["popularity", "id_only", "concat_input", "parallel_concat"])
    verdict = comparison.decide(evidence)
    assert list(verdict["overall"]) == ["pays"]
    assert "* shop: best is not judged for want of ranks of weighted_sum." in reading.limits(evidence, verdict)
    with pytest.raises(StudyError, match="no claim about these alone"):
        comparison.claims_of(made_up(variants=["id_only"]))


def test_a_claim_whose_variant_a_data_set_lacks_is_named_and_the_others_are_judged():
    evidence = made_up()
    other = evidence.ranks["shop"].drop(columns=[c for c in evidence.ranks["shop"] if c.startswith("weighted")])
    results = evidence.results[evidence.results["variant"] != "weighted_sum"].assign(dataset="half")
    evidence.ranks["half"] = other
    evidence.datasets["available"]["half"] = evidence.datasets["available"]["shop"]
    both = Evidence(
        evidence.study, pd.concat([evidence.results, results]), pd.DataFrame(), evidence.datasets, evidence.ranks
    )
    verdict = comparison.decide(both)
    assert verdict["undecided"] == {"half": "half: best is not judged for want of ranks of weighted_sum"}
    assert set(verdict["overall"]["best"]["datasets"]) == {"shop"}
    assert set(verdict["overall"]["pays"]["datasets"]) == {"shop", "half"}
    assert "half: best is not judged" in reading.limits(both, verdict)


def test_the_summary_is_the_plain_mean_within_its_interval():
    evidence = made_up()
    summary = comparison.variant_summary(evidence).set_index(["variant", "metric"])
    for variant in VARIANTS:
        ranks = rank_matrix(evidence.ranks["shop"], variant)
        row = summary.loc[(variant, "Recall@20")]
        assert row["value"] == pytest.approx((ranks <= 20).mean())
        assert row["low"] < row["value"] < row["high"]
        assert row["n_seeds"] == len(ranks)


def test_parts_of_one_data_set_are_a_family_but_not_what_is_treated_otherwise():
    evidence = made_up()
    part = {"name": "data/shop", "label": "part", "settings": {"train_fraction": 0.1, "batch_size": 16}}
    other = {"name": "data/shop", "label": "other", "settings": {"train_fraction": 0.1, "min_support": 0}}
    evidence.study["datasets"] += [part, other]
    evidence.datasets["available"] |= {label: {"dataset": "data/shop"} for label in ("part", "other")}
    assert [comparison.family(evidence, label) for label in ("shop", "part", "other")] == ["shop", "shop", "other"]


def test_support_slices_hold_equal_numbers_of_items_rarest_first():
    sliced = slice_by_support(made_up().ranks["shop"])
    assert sliced.groupby("slice")["target"].nunique().tolist() == [10] * 5
    assert sliced.groupby("slice")["support"].max().is_monotonic_increasing


def test_gains_by_support_compare_networks_with_id_only():
    found = gains.gain_by_support(made_up(shift=8))
    assert set(found["better"]) == {"concat_input", "parallel_concat", "weighted_sum"}
    parallel = found[found["better"] == "parallel_concat"]
    assert (parallel["low"] > 0).all()
    assert parallel["n_events"].sum() == 1200


def test_gains_by_place_count_events_before_the_target_and_of_the_session():
    evidence = made_up(shift=8)
    frame = evidence.ranks["shop"]
    frame["position"] = np.tile([2, 3, 4, 5], 300)
    frame["session_length"] = np.where(frame["session"].isin(frame["session"].unique()[:100]), 5, 12)
    found = gains.gain_by_place(evidence)
    parallel = found[found["better"] == "parallel_concat"]
    assert (parallel["low"] > 0).all()
    slices = parallel.set_index("slice")
    assert slices["label"].to_dict() == {0: "1", 1: "2", 2: "3 to 5", 6: "3 to 5", 8: "11 or more"}
    counts = [(frame["position"] == 2).sum(), (frame["position"] == 3).sum(), (frame["position"] > 3).sum()]
    short = (frame["session_length"] == 5).sum()
    assert slices["n_events"].tolist() == [*counts, short, len(frame) - short]


def test_gains_by_repeat_tell_what_the_session_had_before_from_what_is_new_to_it():
    evidence = made_up(shift=8)
    assert gains.gain_by_repeat(evidence).empty  # no ranks of popularity in the session
    frame = evidence.ranks["shop"]
    frame["position"], frame["target"] = np.tile([2, 3, 4, 5], 300), np.arange(1200)
    frame["popularity/simultaneous/0"] = np.float32(5)
    frame["session_popularity/simultaneous/0"] = np.where(frame["position"] > 4, 1, 6).astype(np.float32)
    found = gains.gain_by_repeat(evidence)
    parallel = found[found["better"] == "parallel_concat"]
    assert parallel.set_index("label")["n_events"].to_dict() == {"repeat": 300, "new": 900}
    assert (parallel["low"] > 0).all()
    frame["session_popularity/simultaneous/0"] = np.float32(6)
    assert gains.gain_by_repeat(evidence).empty  # no repeats


def test_tables_say_what_was_measured():
    evidence = made_up()
    table = comparison.results_table(evidence)
    assert table.index.get_level_values("variant").tolist() == VARIANTS
    assert "±" in table.loc[("shop", "id_only"), "MRR@20"]
    verdict = comparison.decide(evidence)
    assert len(comparison.contrasts_table(verdict)) == len(verdict["claims"]) == 6


def test_the_opening_states_every_verdict_and_what_limits_it():
    evidence = made_up(shift=8)
    verdict = comparison.decide(evidence) | {"controls": []}
    text = reading.opening(evidence, verdict)
    assert "It is best." in text
    assert verdict["overall"]["best"]["datasets"]["shop"]["sentence"] in text
    assert "makes do with 3 seeds" in text
    assert "It is small." in text
    assert "other cannot be had here" in text


def test_a_variant_without_runs_is_named():
    with pytest.raises(StudyError, match="No finished run of interaction"):
        rank_matrix(made_up().ranks["shop"], "interaction")


def test_variants_that_one_data_set_alone_names_are_compared_there():
    evidence = made_up(variants=[*VARIANTS, "markov"])
    evidence.study["datasets"][0]["variants"] = evidence.study["variants"]
    evidence.study["variants"] = ["parallel_concat", "id_only"]
    assert evidence.variants == [
        "parallel_concat",
        "id_only",
        *(v for v in VARIANTS if v not in ("parallel_concat", "id_only")),
        "markov",
    ]
    assert "markov" in comparison.dataset_ranks(evidence, "shop").ranks
