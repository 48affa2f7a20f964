"""The parts of benchmarks that are no timing: generated data, and how curves and tries become figures."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gru4recf.figures import CAPTIONS
from gru4recf.metrics import PRIMARY

FOLDER = Path(__file__).parents[1] / "benchmarks"
BENCHMARKS = FOLDER.parent / "reports" / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    """Import a benchmark by name, as running it does."""
    monkeypatch.syspath_prepend(str(FOLDER))

    def load(name):
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    captions = dict(CAPTIONS)  # a benchmark's own figures are none of a study's
    yield load
    for caption in set(CAPTIONS) - set(captions):
        del CAPTIONS[caption]
    for name in [name for name, module in sys.modules.items() if str(FOLDER) in str(getattr(module, "__file__", ""))]:
        del sys.modules[name]


def test_the_generated_data_have_exactly_the_counts_asked_for(load):
    counts = {"n_sequences": 40, "n_events": 700, "n_items": 60, "n_genres": 8}
    data = load("sequences").ml_1m_sized(np.random.default_rng(0), **counts)
    assert len(data.events) == 700
    assert data.events["session"].nunique() == 40
    assert data.events.groupby("session").size().min() >= 10
    assert set(data.events["item"]) == set(data.items.index)
    assert len(data.items) == 60
    assert data.items["genre"].map(len).between(1, 6).all()
    assert data.items["genre"].explode().nunique() == 8


def test_written_sequences_are_read_back_in_order_with_one_target_per_event_but_the_held_out(load, tmp_path):
    from gru4recf.data.atomic import read_atomic
    from gru4recf.data.split import split

    data = load("sequences").write_sequences("synthetic", tmp_path / "made")
    read = read_atomic(tmp_path / "made")
    for _, label in zip(range(5), data.events["session"], strict=False):
        own, same = (d.events.loc[d.events["session"] == label, "item"].tolist() for d in (data, read))
        assert own == same
    lengths = data.events.groupby("session").size()
    parts = split(read, min_support=0)
    assert parts.train.n_targets == (lengths - 3).clip(lower=1).sum()
    assert parts.test.n_targets == (lengths >= 3).sum()


def test_seconds_count_until_the_goal_is_first_reached_and_are_infinite_otherwise(load):
    until = load("recbole_until_best")
    ndcg, seconds = [0.1, 0.3, 0.2], [5.0, 9.0, 14.0]
    curve = [{"cpu_seconds": s, "NDCG@10": value} for s, value in zip(seconds, ndcg, strict=True)]
    assert until.seconds_until(curve, 0.1) == 5
    assert until.seconds_until(curve, 0.25) == 9
    assert until.seconds_until(curve, 0.31) == float("inf")


def test_a_goal_that_the_median_seed_never_reaches_has_no_ratio_and_rounding_is_no_worse_metric(load):
    until = load("recbole_until_best")

    def curve(ndcg, seconds, rounded=0.0):
        row = {"cpu_seconds": seconds, "validation MRR@10": 0.1, "Recall@10": 0.2 - rounded, "MRR@10": 0.1}
        return [{**row, "NDCG@10": ndcg}]

    recbole = [curve(0.3, 100.0), curve(0.5, 200.0)]
    found = until.compare(recbole, [curve(0.4, 5.0, 1e-9), curve(0.6, 7.0)])
    assert found["goal"] == {"NDCG@10": pytest.approx(0.4)}
    assert found["ratio"] == 25.0
    assert found["not_worse"] == {"Recall@10": True, "MRR@10": True, "NDCG@10": True}
    found = until.compare(recbole, [curve(0.3, 5.0, 0.1), curve(0.6, 7.0)])
    assert (found["ratio"], found["cpu_seconds"]["ours"]) == (None, [None, 7.0])
    assert not found["not_worse"]["Recall@10"]


def test_settings_are_chosen_that_are_best_and_that_arrive_first_near_the_best_on_validation(load, monkeypatch):
    until = load("recbole_until_best")
    slow, quick, wild = until.GRIDS["ml-100k"]["learning_rate"]
    curves = {
        slow: [(10, 0.2), (20, 0.4)],
        quick: [(5, 0.3), (10, 0.39)],
        wild: [(1, 0.3), (2, 0.2)],
    }

    def our_curve(seed, settings, data):
        below = 0.2 if settings.learning_rate == wild and seed == until.CHOOSING_SEEDS[0] else 0.0
        return [{"cpu_seconds": s, until.SELECTED_ON: v - below} for s, v in curves[settings.learning_rate]]

    monkeypatch.setattr(until, "our_curve", our_curve)
    chosen = until.choose(until.Work("ml-100k", None, {}, until.OURS))
    assert chosen["best on validation"].learning_rate == slow
    assert chosen["first on validation"].learning_rate == quick


def test_the_best_of_all_tries_counts(load):
    first = {"prepare_cpu_seconds": 2.0, "peak_megabytes": 700, "ranked_rows_per_cpu_second": [3, 5]}
    second = {"prepare_cpu_seconds": 1.5, "peak_megabytes": 800, "ranked_rows_per_cpu_second": [4, 4]}
    turns = [
        first | {"events_per_cpu_second": {"ours": [10, 20]}},
        second | {"events_per_cpu_second": {"ours": [30, 5]}},
    ]
    assert load("recbole_speed").best(turns) == {
        "events_per_cpu_second": {"ours": 30},
        "ranked_rows_per_cpu_second": 5,
        "prepare_cpu_seconds": 1.5,
        "peak_megabytes": 700,
    }


def test_the_page_of_baselines_stands_published_figures_beside_the_settings_they_belong_to(load):
    row = {"settings": "defaults", "HR@20": 0.5, "MRR@20": 0.2, "fit_cpu_seconds": 1.0, "rank_cpu_seconds": 2.04}
    published = {"windows": {"HR@20": 0.4, "MRR@20": 0.1}}
    results = {"vsknn": [row, {**row, "settings": {"k": 1500, "steps": 7}, "published": published}]}
    found = {"shop": {"training_sessions": 9000, "items": 5, "targets": 60, "results": results}}
    record = {"datasets": found, "published": {"windows": "Here"}, "differences": ["Test: the last day."]}
    lines = load("baselines").page(record).splitlines()
    assert "9,000 training sessions, 5 items, 60 targets." in lines
    assert "| vsknn | defaults | 0.5000 |  |  | 0.2000 |  |  | 3.0 |" in lines
    assert "| vsknn | k 1500, steps 7 | 0.5000 |  | 0.4000 | 0.2000 |  | 0.1000 | 3.0 |" in lines
    assert lines[-1] == "* Test: the last day."


def test_the_committed_page_of_baselines_is_that_of_the_committed_measurements(load):
    baselines = load("baselines")
    record = json.loads((baselines.REPORTS / "baselines.json").read_text())
    assert (baselines.REPORTS / "baselines.md").read_text() == baselines.page(record)


def test_tuned_baselines_start_from_the_published_settings_and_are_chosen_on_validation(load):
    from gru4recf.data.features import encode_features
    from gru4recf.data.registry import open_dataset
    from gru4recf.data.split import split
    from gru4recf.evaluation import rank_targets
    from gru4recf.metrics import summarise
    from gru4recf.models.baselines import build_baseline
    from gru4recf.settings import Settings

    tuning, data = load("tuned_baselines"), open_dataset("synthetic")
    parts = split(data, min_support=1)
    features = encode_features(data, parts.catalogue, Settings().feature_names)
    for name in tuning.SPACES:
        trials = tuning.draws(name)
        assert trials == tuning.draws(name)
        assert (trials[0], len(trials)) == ({}, 11 if name == "sequential_rules" else 20)
        found = tuning.tuned(name, parts, features, Settings(), {})
        published = build_baseline(name, parts.train, parts.n_items, features)
        own = summarise(rank_targets(published, parts.validation, max_length=50).ranks)["MRR@20"]
        assert found["validation_published"] == own
        assert found["validation"] >= own
        assert found["settings"] in trials
        known = {**found, "settings": trials[-1]}
        assert tuning.tuned(name, parts, features, Settings(), known) == known
        for other in ({"validation_published": own / 2}, {"settings": {"k": 7}}):
            assert tuning.tuned(name, parts, features, Settings(), known | other) == found


def test_tuned_baselines_stand_beside_the_best_fusions_of_the_long_study():
    reports = FOLDER.parent / "reports"
    found = json.loads((reports / "benchmarks" / "tuned_baselines.json").read_text())
    rows = json.loads((reports / "full" / "verdict.json").read_text())["answers"]
    assert {row["data set"]: row["best fusion"] for row in rows} == {
        row["data set"]: found[row["data set"]]["best_fusion"] for row in rows
    }


def test_tuning_simple_baselines_changes_nowhere_whether_they_or_the_networks_are_ahead():
    reports = FOLDER.parent / "reports"
    found = json.loads((reports / "benchmarks" / "tuned_baselines.json").read_text())
    for row in json.loads((reports / "full" / "verdict.json").read_text())["answers"]:
        own = found[row["data set"]]
        gains = {gain["metric"]: gain for gain in own[own["best_tuned"]]["best_fusion_above_tuned"]}
        published = row["best fusion, best simple baseline"]
        assert f"{gains['MRR@20']['relative']:+}"[0] == published[0], "README says so"


@pytest.mark.parametrize("page", sorted(BENCHMARKS.rglob("speed.md")), ids=lambda page: page.parent.name)
def test_the_page_about_speed_says_what_the_measurements_say(load, page):
    report = load("speed_report")
    assert page.read_text(encoding="utf-8") == report.page(report.measured(page.parent))


def test_quality_with_negatives_is_the_least_of_all_times_and_no_row_where_it_was_not_measured(load):
    report = load("speed_report")
    found = report.measured()
    reached = {(0, 75): 0.10, (0, 150): 0.20, (2048, 75): 0.15, (2048, 150): 0.19}
    found["sampled"]["diginetica_validation"] = [
        {"n_negatives": n, "cpu_seconds": seconds, "learning_rate": rate, "MRR@20": value * share}
        for (n, seconds), value in reached.items()
        for rate, share in {0.002: 0.5, 0.004: 1.0}.items()
    ]
    row = ("MRR@20 with 2,048 negatives, of that with all, Diginetica", "0.98x or more", "0.95x", "no")
    assert row in report.aims(found)
    del found["sampled"]["diginetica_validation"]
    assert row[0] not in {what for what, *_ in report.aims(found)}


def test_an_aim_is_reached_or_not_and_one_that_was_never_met_is_said_to_be(load):
    report = load("speed_report")
    found = report.measured()
    rows = {what: (aim, told, reached) for what, aim, told, reached in report.aims(found)}
    assert rows["training, eshop, RecBole as shipped"][0] == "100x or more"
    kinds = found["recbole_speed"]["until_best"]["data"]["ml-100k"]
    kinds["equal settings"] |= {"ratio": 25.0, "not_worse": {"MRR@10": False, "NDCG@10": True}}
    found["recbole_speed"]["rows"][0]["ratios"]["prepare"] = 4.9
    found["sampled"]["step_cpu_seconds"]["ratio"] = 2.1
    found["recbole_speed"]["rows"][0]["share_of_sgemm"] = 0.5
    rows = {what: (aim, told, reached) for what, aim, told, reached in report.aims(found)}
    assert rows["until RecBole's best, ml-100k, equal settings (MRR@10 worse at the end)"][1:] == ("25x", "no")
    assert rows["data preparation, eshop"][1:] == ("4.9x", "no")
    assert rows["whole epochs in shares of sgemm, eshop, beside RecBole, 2,048 targets a step"][1:] == ("50%", "yes")
    assert rows["a step with 1,000,000 items, of one with 10,000"] == ("2x at most", "2.1x", "no")
    kinds["equal settings"]["not_worse"]["MRR@10"] = True
    assert ("until RecBole's best, ml-100k, equal settings", "25x or more", "25x", "yes") in report.aims(found)
    kinds["equal settings"]["ratio"] = None
    assert ("until RecBole's best, ml-100k, equal settings", "25x or more", "never", "no") in report.aims(found)


def test_a_study_made_anew_is_held_against_the_published_one(load, tmp_path):
    replicated = load("replicated")
    published = FOLDER.parent / "reports" / "default"
    none = replicated.compared(published, published)
    assert none["runs"] == none["runs with the same ranks"]
    assert none["ranks that differ"] == 0
    assert none["moved"] == {}
    assert not any(none[part]["with another verdict"] for part in ("contrasts", "claims"))

    results = pd.read_parquet(published / "results.parquet")
    one = (results["dataset"] == "eshop") & (results["variant"] == "id_only") & (results["seed"] == 1)
    results.loc[one, ["value", "ranks_sha256"]] = [[value + 0.01, "other"] for value in results.loc[one, "value"]]
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    results.to_parquet(tmp_path / "results.parquet")
    ranks = pd.read_parquet(published / "ranks" / "eshop.parquet")
    ranks.loc[[3, 5], "id_only/simultaneous/1"] += 1
    ranks.to_parquet(tmp_path / "ranks" / "eshop.parquet")
    verdict = json.loads((published / "verdict.json").read_text())
    first = verdict["claims"][0]
    name = " / ".join(first[part] for part in ("dataset", "claim", "metric", "better", "worse"))
    before, first["verdict"] = first["verdict"], "turned"
    (tmp_path / "verdict.json").write_text(json.dumps(verdict))
    found = replicated.compared(published, tmp_path)
    assert found["runs with the same ranks"] == none["runs"] - 1
    assert (found["ranks"], found["ranks that differ"]) == (none["ranks"], 2)
    moved = found["moved"]["eshop"]["id_only"]
    mrr = results[(results["metric"] == "MRR@20") & (results["dataset"] == "eshop") & (results["variant"] == "id_only")]
    mean = mrr["value"].mean() - 0.01 / len(mrr)
    assert moved["MRR@20"] == pytest.approx(0.01 / len(mrr) ** 0.5 / mean, abs=1e-6)
    assert moved["with the same ranks"] == len(mrr) - 1
    assert found["contrasts"]["with another verdict"] == {name: [before, "turned"]}

    some = results[(results["dataset"] == "eshop") & (results["seed"] == 1)]
    some.to_parquet(tmp_path / "results.parquet")
    ranks[[name for name in ranks if name.endswith("/1")]].to_parquet(tmp_path / "ranks" / "eshop.parquet")
    part = replicated.compared(published, tmp_path)
    assert part["runs"] == part["runs with the same ranks"] + 1 == some["variant"].nunique()
    assert (part["ranks"], part["ranks that differ"]) == (len(ranks) * part["runs"], 2)
    assert part["moved"]["eshop"]["id_only"]["MRR@20, seeds"] == pytest.approx(moved["MRR@20, seeds"])
    assert "contrasts" not in part
    some.assign(seed=7).to_parquet(tmp_path / "results.parquet")
    with pytest.raises(SystemExit, match="not published"):
        replicated.compared(published, tmp_path)


@pytest.mark.parametrize(("study", "most"), [("default", 1 / 100), ("full", 1 / 5)])
def test_runs_made_anew_on_another_processor_are_as_near_as_the_readme_says(study, most):
    record = json.loads((BENCHMARKS / "replicated.json").read_text())
    found = record["studies"][study]
    assert found["cpu"] != json.loads((BENCHMARKS / "study.json").read_text())["cpu"]
    parts = ("contrasts", "claims", "controls")
    assert not any(found[part]["with another verdict"] for part in parts if study == "default")
    moved = [told for variants in found["moved"].values() for told in variants.values()]
    assert moved
    for told in moved:
        for metric in PRIMARY:
            assert told[metric] <= told[f"{metric}, seeds"] * most


def test_another_machines_measurements_go_to_the_folder_that_is_named(load, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("GRU4RECF_BENCHMARKS", str(tmp_path))
    machine = load("machine")
    machine.save("something", {"rate": 7})
    assert json.loads((tmp_path / "something.json").read_text()) == json.loads(capsys.readouterr().out)
    monkeypatch.setenv("GRU4RECF_BENCHMARKS", "")
    assert load("machine").REPORTS == BENCHMARKS


def test_speed_is_held_against_what_was_measured_on_the_same_kind_of_processor(load, tmp_path):
    quick = load("quick")
    for folder, processor in (("", "one"), ("other", "another")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "recurrent.json").write_text(json.dumps({"cpu": processor}))
    assert quick.measured_here(tmp_path, "one") == tmp_path
    assert quick.measured_here(tmp_path, "another") == tmp_path / "other"
    assert quick.measured_here(tmp_path, "a third") == tmp_path
    committed = {folder: quick.committed(folder) for folder in (BENCHMARKS, BENCHMARKS / "intel-xeon")}
    assert len({len(ratios) for ratios in committed.values()}) == 1
    assert committed[BENCHMARKS] != committed[BENCHMARKS / "intel-xeon"]
