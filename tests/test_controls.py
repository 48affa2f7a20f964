"""The control panel and the answers of the first screen, on evidence with known structure."""

import dataclasses
import re
import types

import numpy as np
import pandas as pd
import pytest
from test_comparison import made_up

from gru4recf import answers, comparison, controls, limits, reading, wording
from gru4recf.wording import percent

VARIANTS = ["popularity", "id_only", "concat_input", "parallel_concat", "id_only_matched", "parallel_permuted"]


def checks_of(evidence):
    return {check.control: check for check in controls.control_panel(evidence)}


def as_control(evidence, kind):
    evidence.datasets["available"]["shop"]["control"] = kind
    return evidence


@pytest.mark.parametrize(("gain", "passed"), [(0, True), (8, False)])
def test_permuted_features_must_not_gain(gain, passed):
    found = checks_of(made_up(variants=VARIANTS, harder_by={"parallel_permuted": -gain}))
    assert found["features of other items"].passed == passed
    assert "id_only_matched" in found["features of other items"].should


@pytest.mark.parametrize(("twin", "passed"), [(-8, True), (0, False)])
def test_a_gain_that_a_second_network_brings_fails_the_rule_and_is_told_beside_it(twin, passed):
    harder = {"parallel_permuted": -8, "parallel_item_twice": twin}
    found = checks_of(made_up(variants=[*VARIANTS, "parallel_item_twice"], harder_by=harder))
    assert not found["features of other items"].passed
    assert found["features of other items, two networks"].passed == passed
    assert found["features of other items, two networks"].should == "no gain over parallel_item_twice"


@pytest.mark.parametrize("variant", ["id_only_matched", "weighted_sum_matched"])
@pytest.mark.parametrize(("factor", "passed"), [(1.0, True), (1.02, True), (1.0208, False), (0.97, False)])
def test_networks_of_equal_size_must_have_as_many_parameters_within_two_percent(variant, factor, passed):
    evidence = made_up(variants=[*VARIANTS, "weighted_sum_matched"])
    sizes = {variant: round(100_000 * factor)}
    evidence.results["n_parameters"] = evidence.results["variant"].map(lambda variant: sizes.get(variant, 100_000))
    check = checks_of(evidence)["equal parameters"]
    assert check.passed == passed
    assert f"{variant} {sizes[variant]:,} of 100,000" in check.showed


@pytest.mark.parametrize(("kind", "gain", "passed"), [("positive", 8, True), ("positive", 0, False)])
def test_telling_features_must_gain(kind, gain, passed):
    (check,) = controls.control_panel(as_control(made_up(shift=gain), kind))
    assert (check.control, check.passed) == ("telling features", passed)


@pytest.mark.parametrize(("gain", "passed"), [(8, False), (0, True)])
def test_useless_features_must_not_gain(gain, passed):
    (check,) = controls.control_panel(as_control(made_up(shift=gain), "negative"))
    assert (check.control, check.passed) == ("useless features", passed)


@pytest.mark.parametrize(
    ("of_targets", "places", "others", "n_events", "showed"),
    [
        ([9, 5, 5, 2], [1, 2.5, 2.5, 4], [0, 1, 1, 0], 21, "3 ranks, which account for 21 of 21"),
        # two items between these have 3 to 8 events each
        ([9, 2], [1, 4], [0, 0], 21, "2 ranks, which account for 17 to 27 of 21"),
        ([5, 5], [2.5, 2.5], [1, 1], 21, "1 ranks, which account for 17 to 35 of 21"),
    ],
)
def test_popularity_must_be_at_its_closed_form(of_targets, places, others, n_events, showed):
    evidence = made_up()
    evidence.datasets["available"]["shop"]["counts"] |= {"items": 4, "train events": n_events}
    frame = evidence.ranks["shop"].iloc[: len(places)].assign(support=of_targets)
    frame["popularity/simultaneous/0"] = np.array(places, np.float32)
    frame["popularity/simultaneous/0/ties"] = np.array(others, np.int32)
    evidence.ranks["shop"] = frame
    check = checks_of(evidence)["popularity"]
    assert (check.showed, check.passed) == (showed, True)
    for wrong in (np.array(places[::-1]), np.array(places) + 0.5, np.array(places) + np.arange(len(places))):
        frame["popularity/simultaneous/0"] = wrong.astype(np.float32)
        if not np.array_equal(wrong, places):
            assert not checks_of(evidence)["popularity"].passed
    evidence.datasets["available"]["shop"]["counts"]["train events"] = 40
    assert not checks_of(evidence)["popularity"].passed


@pytest.mark.parametrize(("share", "passed"), [(20 / 50, True), (0.9, False)])
def test_an_untrained_network_must_be_at_chance(share, passed):
    evidence = made_up(variants=[*VARIANTS, "parallel_untrained"])
    generator = np.random.default_rng(0)
    for seed in range(3):
        hit = generator.random(len(evidence.ranks["shop"])) < share
        evidence.ranks["shop"][f"parallel_untrained/simultaneous/{seed}"] = np.where(hit, 5, 30).astype(np.float32)
    assert checks_of(evidence)["untrained network"].passed == passed


def test_controls_without_their_runs_are_left_out():
    assert set(checks_of(made_up())) == {"popularity"}


def test_a_generated_data_set_is_no_claim_and_no_row_of_the_answers():
    evidence = made_up(shift=8)
    evidence.ranks["made"] = evidence.ranks["shop"]
    facts = evidence.datasets["available"]["shop"]
    evidence.datasets["available"]["made"] = {**facts, "control": "positive"}
    results = evidence.results.assign(dataset="made")
    both = dataclasses.replace(evidence, results=comparison.pd.concat([evidence.results, results]))
    verdict = comparison.decide(both)
    assert {row["dataset"] for row in verdict["claims"]} == {"shop"}
    assert answers.answer_table(both, verdict).index.tolist() == ["shop"]
    assert set(comparison.variant_summary(both)["dataset"]) == {"shop"}


def test_the_first_screen_answers_both_questions():
    evidence = made_up(shift=8, variants=[*VARIANTS, "weighted_sum", "weighted_sum_matched"])
    verdict = comparison.decide(evidence)
    row = answers.answer_table(evidence, verdict).loc["shop"]
    assert row["best?"] == "supported"
    assert row["parallel_concat, best other fusion"].startswith("+")
    assert row["targets ranked"] == "99.7%"
    assert row["best fusion, best without features"].endswith(("(id_only_matched, 100%)", "(id_only, 50%)"))
    assert row["best fusion, ID-only with parallel_concat's parameters"].endswith("%] (100%)")
    assert row["best fusion, best simple baseline"].endswith("(popularity)")
    assert row["parallel_concat, best other fusion"].endswith(", 100%)")
    assert row["parallel_concat, best other with its parameters"].endswith("%] (weighted_sum_matched, 100%)")
    assert row.index[:3].tolist() == ["best?", "pays?", "events per item"]
    verdict["runs"] = limits.runs_made(evidence)
    verdict["answers"] = answers.answer_table(evidence, verdict).reset_index().to_dict("records")
    assert reading.answers_table(verdict).loc["shop"].tolist() == row.tolist()
    text = reading.answers_text(verdict)
    assert reading.counts_text(verdict) in text
    assert "* **Best?** " in text
    assert text.splitlines()[-1] == f"| shop | {' | '.join(row.iloc[2:])} |"


def test_the_readmes_table_has_the_first_claims_differences_with_their_intervals():
    evidence = made_up(shift=8, variants=[*VARIANTS, "weighted_sum", "weighted_sum_matched"])
    verdict = comparison.decide(evidence)
    verdict["answers"] = answers.answer_table(evidence, verdict).reset_index().to_dict("records")
    text = reading.contrasts_text(verdict).splitlines()
    metrics = ("Recall@20", "MRR@20")
    rivals = [f"{rival}, {metric}" for rival in ("concat_input", "weighted_sum") for metric in metrics]
    assert text[0] == "It is best. Of 1 data sets: supported on 1."
    of_equal_size = "best other with its parameters, MRR@20"
    assert text[2] == f"| data set | {' | '.join([*rivals, of_equal_size])} | verdict |"
    row = next(row for row in verdict["claims"] if (row["worse"], row["metric"]) == ("concat_input", "Recall@20"))
    ends = ", ".join(percent(row[name]) for name in ("relative_low", "relative_high"))
    assert text[4].startswith(f"| shop | {percent(row['relative'])} [{ends}] | ")
    assert text[4].endswith("%] (weighted_sum_matched, 100%) | supported |")


def test_parts_of_one_source_are_counted_as_such():
    verdict = comparison.decide(made_up(shift=8))
    claim, (found,) = verdict["overall"]["best"], verdict["overall"]["best"]["datasets"].values()
    assert verdict["sources"] == {"shop": "shop"}
    claim["datasets"] = {"shop": found, "shop-5pct": {**found, "verdict": "refuted"}, "other": found}
    verdict["sources"] = {"shop": "shop", "shop-5pct": "shop", "other": "other"}
    assert (
        "Of 3 data sets, parts or settings of 2 sources (shop 2, other 1): supported on 2 (shop 1, other 1), "
        "refuted on 1 (shop 1)."
    ) in reading.counts_text(verdict)
    evidence = made_up()
    assert "share their test sessions" not in limits.limits(evidence, verdict)
    evidence.ranks["part"] = evidence.ranks["shop"]
    evidence.datasets["available"]["part"] = evidence.datasets["available"]["shop"]
    assert "Parts and settings of one source (shop) share their test sessions" in limits.limits(evidence, verdict)


def test_failed_controls_stand_in_the_row_of_their_data_set():
    evidence = made_up(shift=8, variants=VARIANTS)
    verdict = comparison.decide(evidence)
    check = {"dataset": "shop", "control": "popularity", "passed": True}
    verdict["controls"] = [check, {**check, "control": "width alone", "passed": None}]
    assert answers.answer_table(evidence, verdict).loc["shop", "failed controls"] == "none"
    failed = [{**check, "control": name, "passed": False} for name in ("untrained network", "popularity")]
    verdict["controls"] = [*failed, {**check, "dataset": "elsewhere", "passed": False}]
    assert answers.answer_table(evidence, verdict).loc["shop", "failed controls"] == "untrained network; popularity"


def test_what_cannot_fail_is_measured_against_id_only_as_it_is_and_as_large():
    evidence = made_up(variants=[*VARIANTS, "parallel_item_twice"], harder_by={"parallel_permuted": 8})
    found = checks_of(evidence)
    for control in ("cost of other items' features", "the item twice"):
        assert found[control].passed is None
        assert re.fullmatch(r"over id_only Recall.*; over id_only_matched Recall.*", found[control].showed)
    assert re.search(r"over id_only Recall@20 -\d", found["cost of other items' features"].showed)


def test_a_failed_control_is_printed_beside_the_verdict():
    evidence = made_up(variants=VARIANTS, harder_by={"parallel_permuted": -8})
    verdict = comparison.decide(evidence) | {"controls": controls.as_rows(controls.control_panel(evidence))}
    text = reading.failed_controls(verdict)
    assert "2 of 3 controls failed" in text
    assert "features of other items should show no gain over id_only_matched" in text
    assert reading.controls_table(verdict)["result"].tolist() == ["FAIL", "FAIL", "", "pass", ""]
    passed = {"controls": [{**check, "passed": True} for check in verdict["controls"]]}
    assert reading.failed_controls(passed) == "All 5 controls came out right."
    assert "No control was run" in reading.failed_controls({"controls": []})


@pytest.mark.parametrize("best", ["id_only", "id_only_matched"])
def test_the_worth_of_features_is_that_of_the_best_fusion_over_the_best_network_without_on_validation(best):
    evidence = made_up(shift=8, variants=VARIANTS)
    evidence.results["validation"] += evidence.results["variant"] == best
    worth = answers.worth_of_features(evidence)
    over = worth.groupby("over", sort=False)["worse"].agg(set)
    assert over.to_dict() == {"the best network without features": {best}, "ID-only": {"id_only"}}
    assert set(worth["better"]) <= {"concat_input", "parallel_concat"}
    assert worth["metric"].tolist() == ["Recall@20", "MRR@20"] * 2
    assert worth["events_per_item"].tolist() == [20.0] * 4
    table = reading.worth_table(worth)
    assert table.columns.tolist() == [
        f"over {rival}, {metric}" for rival in over.index for metric in ("Recall@20", "MRR@20")
    ]
    row = worth.iloc[1]
    told = f"{wording.percent(row['relative'])} [{wording.percent(row['low'])}, {wording.percent(row['high'])}]"
    assert table.loc["shop"].iloc[1] == f"{told} ({row['better']}, {best})"
    html = reading.breakable(table)
    assert "id_<wbr>only" in html
    assert html.replace("_<wbr>", "_") == table.to_html()


def test_the_best_fusion_is_one_as_large_as_parallel_concat_where_that_is_best_on_validation():
    evidence = made_up(shift=8, variants=[*VARIANTS, "weighted_sum", "weighted_sum_matched", "feature_only"])
    evidence.results["validation"] += evidence.results["variant"] == "weighted_sum_matched"
    row = answers.answer_table(evidence, comparison.decide(evidence)).loc["shop"]
    assert row["best fusion"] == "weighted_sum_matched"
    assert row["best fusion, features alone"].endswith("%] (100%)")
    assert not row["parallel_concat, best other fusion"].endswith("(weighted_sum_matched, 100%)")
    worth = answers.worth_of_features(evidence)
    assert set(worth["better"]) == {"weighted_sum_matched"}
    assert set(worth["search"]) == {""}
    evidence.study["tuned"], evidence.study["datasets"][0]["tuned_as"] = True, "mall"
    assert set(answers.worth_of_features(evidence)["search"]) == {"mall"}


def test_the_worth_of_features_leaves_out_what_a_second_network_brings():
    worth = answers.worth_of_features(made_up(shift=8, variants=[*VARIANTS, "parallel_item_twice"]))
    twin = worth[worth["over"] == "its twin without features"]
    assert set(twin["better"]) == {"parallel_concat"}
    assert set(twin["worse"]) == {"parallel_item_twice"}
    assert len(twin) == len(worth) / 3


def test_where_every_network_scores_items_by_features_none_counts_as_one_without():
    evidence = made_up(shift=8, variants=[*VARIANTS, "weighted_sum", "parallel_item_twice"])
    evidence.datasets["available"]["shop"]["settings"]["output_features"] = True
    row = answers.answer_table(evidence, comparison.decide(evidence)).loc["shop"]
    assert not [column for column in row.index if "without features" in column]
    assert answers.worth_of_features(evidence).empty


def test_a_single_seed_is_said_to_leave_out_the_variation_between_seeds():
    evidence = made_up()
    told = reading.limits(
        dataclasses.replace(evidence, study={**evidence.study, "seeds": 1}), comparison.decide(evidence)
    )
    assert "a single seed: its intervals hold the variation between sessions alone" in told
    assert "1 seeds" not in told


def test_the_report_says_that_training_sessions_are_not_drawn_anew():
    evidence = made_up()
    evidence.datasets["available"]["shop"]["counts"]["train sessions"] = 1234
    told = limits.limits(evidence, comparison.decide(evidence))
    assert "not what other training sessions would; shop has the fewest, 1,234." in told


def test_networks_without_any_simple_baseline_are_pointed_at():
    evidence = made_up()
    assert "No simple baseline" not in limits.limits(evidence, comparison.decide(evidence))
    alone = made_up(variants=["id_only", "concat_input", "parallel_concat", "weighted_sum"])
    assert "No simple baseline was run on shop:" in limits.limits(alone, comparison.decide(alone))


def test_the_report_says_which_seeds_are_not_made_yet():
    evidence = made_up()
    verdict = comparison.decide(evidence)
    made = evidence.results.loc[evidence.results["variant"] == "id_only", "seed"].nunique()
    asked = {**evidence.study, "seeds": made + 5}
    told = reading.limits(dataclasses.replace(evidence, study=asked), verdict)
    assert f"Not all of the {made + 5} seeds are made: shop {made}." in told
    assert "seeds are made" not in reading.limits(
        dataclasses.replace(evidence, study={**asked, "seeds": made}), verdict
    )


def test_the_report_counts_the_runs_made_of_those_described():
    evidence = made_up()
    made = {"planned": 13, "made": 13, "without": []}
    assert limits.runs_made(evidence) == made
    assert "runs that the study describes" not in limits.limits(evidence, comparison.decide(evidence))
    more = [
        {"name": name, "label": "", "settings": {}, "variants": ["popularity", "id_only"]}
        for name in ("other", "market")
    ]
    study = {**evidence.study, "datasets": [*evidence.study["datasets"], *more]}
    longer = dataclasses.replace(evidence, study=study)
    assert limits.runs_made(longer) == {"planned": 21, "made": 13, "without": ["other", "market"]}
    told = limits.limits(longer, comparison.decide(evidence))
    assert "* 13 of the 21 runs that the study describes are made. None yet on market." in told
    assert "* Not part of it: other (other cannot be had here)." in told


def test_the_report_names_seeds_that_ended_on_an_early_plateau():
    evidence = made_up()
    verdict = comparison.decide(evidence)
    assert "stopped well before" not in reading.limits(evidence, verdict)
    own = (evidence.results["variant"] == "id_only") & (evidence.results["seed"] == 0)
    evidence.results.loc[evidence.results["variant"] == "id_only", ["best_epoch", "epochs"]] = [20, 25]
    evidence.results.loc[own, ["best_epoch", "epochs"]] = [2, 7]
    assert "best for another seed: 1 of id_only on shop." in reading.limits(evidence, verdict)


def test_the_report_names_seeds_that_fall_behind_on_test_alone():
    evidence = made_up()
    verdict = comparison.decide(evidence)
    assert "than on validation" not in reading.limits(evidence, verdict)
    runs = evidence.results
    own = (runs["variant"] == "id_only") & (runs["seed"] == 0) & (runs["metric"] == "MRR@20")
    runs.loc[own, ["value", "validation"]] *= 0.5
    assert "than on validation" not in reading.limits(evidence, verdict)
    runs.loc[own, "validation"] *= 2
    assert "20% lower on test than on validation: 1 of id_only on shop." in reading.limits(evidence, verdict)


def test_the_report_counts_the_runs_that_ended_at_their_limit():
    evidence = made_up()
    verdict = comparison.decide(evidence)
    assert "limit of epochs" not in reading.limits(evidence, verdict)
    cut = (evidence.results["variant"] == "id_only") & (evidence.results["seed"] <= 1)
    evidence.results.loc[cut, "at_epoch_limit"] = True
    assert "might have improved further: 2 of id_only on shop." in reading.limits(evidence, verdict)


def test_settings_that_variants_do_not_share_are_shown_per_variant():
    evidence = made_up()
    assert reading.settings_table(evidence).loc["learning_rate", "shop"] == "tuned"
    assert reading.tuned_table(evidence).loc[("shop", "id_only"), "learning_rate"] == 0.01
    evidence.datasets["available"]["shop"]["own_settings"]["weighted_sum"] = {"fusion_weights": "fixed"}
    assert reading.tuned_table(evidence).loc[("shop", "weighted_sum")].tolist() == ["", "fixed"]


def test_the_report_says_where_settings_come_from_random_trials_or_single_trainings_alone(monkeypatch):
    evidence = made_up()
    verdict = comparison.decide(evidence)
    evidence.study["tuned"] = True
    evidence.study["datasets"][0]["tuned_as"] = ""
    evidence.datasets["available"]["shop"]["settings"] |= {"patience": 3, "n_epochs": 30}
    record = types.SimpleNamespace(trials=10, random_trials=10, repeats=0, patience=3, n_epochs=30, fixed={})
    record.variants, record.space = {}, {"learning_rate": {"low": 0.001, "high": 0.02}, "hidden_size": [64, 128]}
    monkeypatch.setattr("gru4recf.winners.read_record", lambda folder, label: record)
    trials = pd.DataFrame({"variant": ["id_only", "id_only", "concat_input"], "trial": [1, 2, 1], "epochs": [9, 29, 5]})
    monkeypatch.setattr("gru4recf.winners.read_trials", lambda folder, label: trials)
    assert "Settings on shop are the best of random trials" in limits.limits(evidence, verdict)
    record.trials = 11
    assert "random trials" not in limits.limits(evidence, verdict)
    assert "Settings on shop are the best of single trainings" in limits.limits(evidence, verdict)
    record.repeats = 2
    told = limits.limits(evidence, verdict)
    assert "Settings on" not in told
    assert "Settings were" not in told
    evidence.study["datasets"][0]["tuned_as"] = "half"
    assert "another part or setting of the same source: on half for shop." in limits.limits(evidence, verdict)
    evidence.study["datasets"][0]["tuned_as"] = ""
    assert "that another search may find others" in told
    assert "ended at its limit" not in told
    record.fixed = {"output_features": True, "dropout": 0.1, "min_support": 1, "pooling": "sum"}
    assert "another option than they are used with: output_features on shop." in limits.limits(evidence, verdict)
    trials["epochs"] = [9, 30, 30]
    middle, end = ({"learning_rate": rate, "hidden_size": 64} for rate in (0.004, 0.019))
    winners = {"id_only": middle, "concat_input": end}
    record.variants = {name: types.SimpleNamespace(trial=1, settings=own) for name, own in winners.items()}
    told = limits.limits(evidence, verdict)
    assert "ended at its limit of epochs: 2 of 3 on shop, the one taken for concat_input among them." in told
    assert "better ones may lie: learning_rate of concat_input on shop." in told
    end |= {"learning_rate": 0.0012, "hidden_size": 128}
    told = limits.limits(evidence, verdict)
    assert "better ones may lie: a largest size for 1 of 2 networks on shop." in told
    record.variants["id_only_matched"] = record.variants["id_only"]
    told = limits.limits(evidence, verdict)  # a control's size is given
    assert "a largest size for 1 of 2 networks on shop." in told


def test_choices_say_in_words_where_parallel_concat_wins():
    won = made_up(shift=8, variants=[*VARIANTS, "weighted_sum", "parallel_scores"])
    found = answers.choices(won)
    told = reading.choices_text(found)
    assert "`parallel_concat` is above all its rivals on 1 of 1 data sets and below one of them on 0." in told
    assert "rivals, the paper's own heads; " in told
    assert told.endswith(", and loses on more under 0.")
    table = reading.choices_table(found)
    assert table.loc[("metric", "MRR@20")].tolist() == ["shop", "", "", 0]


def test_a_data_set_with_another_loss_alone_is_a_choice_of_the_one_without():
    evidence = made_up(shift=8, variants=[*VARIANTS, "weighted_sum"])
    facts, results = evidence.datasets["available"], evidence.results
    shop, settings = facts["shop"], {**facts["shop"]["settings"], "loss": "cross_entropy", "output": "tied"}
    other = {"top": {"loss": "top1"}, "both": {"loss": "top1", "output": "separate"}, "market": {"loss": "top1"}}
    for name, changed in ({"shop": {}} | other).items():
        source = "market" if name == "market" else "shop"
        facts[name] = {**shop, "dataset": source, "settings": settings | changed}
        evidence.ranks[name] = evidence.ranks["shop"]
    all_results = comparison.pd.concat([results.assign(dataset=name) for name in evidence.ranks])
    found = answers.choices(dataclasses.replace(evidence, results=all_results))
    loss = found[found["choice"] == "loss"]
    assert set(loss["dataset"]) == {"shop"}
    assert loss.groupby("value")["protocol"].all().to_dict() == {"cross_entropy": True, "top1": False}
    assert set(loss["worse"]) == {"concat_input", "weighted_sum"}
    assert set(found.loc[found["choice"] == "output", "dataset"]) == {"top"}


def test_choices_look_again_at_the_claim_on_parallel_concat():
    evidence = made_up(shift=8, variants=[*VARIANTS, "weighted_sum", "id_only_wide"])
    found = answers.choices(evidence)
    assert set(found["worse"]) == {"concat_input", "weighted_sum", "id_only_wide", "id_only_matched"}
    assert set(found["claim"]) == {"best"}
    assert (found.loc[found["protocol"], "verdict"] == "supported").all()
    assert answers.choices(made_up(variants=["popularity", "id_only", "concat_input"])).empty


def test_trials_are_those_of_the_labels_that_data_sets_with_runs_were_tuned_on(monkeypatch):
    evidence = made_up()
    label = evidence.real[0]
    dataset = {"name": "shop", "label": label, "tuned_as": "shop", "control": ""}
    not_tuned_yet = {"name": "market", "label": "", "tuned_as": "", "control": ""}
    evidence.study.update(tuned=False, datasets=[dataset, not_tuned_yet])
    assert answers.trials(evidence).empty
    evidence.study["tuned"] = True
    asked = comparison.pd.DataFrame({"dataset": ["shop"], "variant": "id_only", "trial": 1, "value": 0.1})
    monkeypatch.setattr("gru4recf.winners.read_trials", lambda folder, label: asked.assign(dataset=label))
    assert answers.trials(evidence)["dataset"].tolist() == ["shop"]
