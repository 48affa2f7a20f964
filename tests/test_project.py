"""What the project promises about itself: equal dependency lists, a README whose numbers are generated."""

import dataclasses
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CONDA_NAMES = {"torch": "pytorch"}
NOT_ON_CONDA_FORGE = {"snakemake"}  # on bioconda; `pip: [-e .]` brings it


def _ranges(requirements):
    pairs = (re.fullmatch(r"([\w.-]+?)\s*([<>=!~].*)?", r) for r in requirements)
    return {pair[1].lower(): set((pair[2] or "").split(",")) for pair in pairs}


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def environment():
    return yaml.safe_load((ROOT / "environment.yml").read_text())


def test_conda_and_pip_ask_for_the_same_versions(project, environment):
    conda = _ranges(d for d in environment["dependencies"] if isinstance(d, str))
    pip = {CONDA_NAMES.get(n, n): v for n, v in _ranges(project["dependencies"]).items() if n not in NOT_ON_CONDA_FORGE}
    assert conda.pop("python") == set(project["requires-python"].split(","))
    conda.pop("pip")
    assert conda == pip


def test_the_conda_environment_is_plain(environment):
    assert environment["name"] == "gru4recf"
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    assert "prefix" not in environment
    assert environment["dependencies"][-1] == {"pip": ["-e ."]}
    specifications = [d for d in environment["dependencies"] if isinstance(d, str)]
    assert not [d for d in specifications if re.search(r"[,=<>] ", d) or d.count("=") > 2]


def test_constraints_pin_every_dependency_within_its_range(project):
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = dict(line.lower().split("==") for line in lines if line and not line.startswith("#"))
    extras = [r for name in ("test", "lint") for r in project["optional-dependencies"][name]]
    for name in _ranges([*project["dependencies"], *extras]):
        assert name in pinned, name
    assert pinned["torch"] == "2.13.0"


def test_no_tracked_file_is_data_or_very_large():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    files = [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).exists()]
    samples = (ROOT / "tests" / "fuzz", ROOT / "tests" / "recbole")  # made up by hand or by a script
    files = [f for f in files if not any(folder in f.parents for folder in samples)]
    assert not [f for f in files if f.suffix in {".inter", ".item", ".csv", ".xlsx", ".zip", ".pt", ".safetensors"}]
    # ranks grow with the runs of a data set, and are read in place of them
    assert not [f for f in files if f.stat().st_size > (4_000_000 if f.parent.name == "ranks" else 3_000_000)]


@pytest.fixture
def published():
    """The folder of the committed report; skips where `make study` has written another one over it."""
    folder = ROOT / "reports" / "default"
    command = ["git", "status", "--porcelain", "--", str(folder)]
    changed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if changed.returncode or changed.stdout:
        pytest.skip("reports/default is not the committed one: a study was run here, or this is no git checkout")
    return folder


def test_the_readmes_verdict_is_the_reports(published):
    from gru4recf.files import read_json
    from gru4recf.reading import with_verdict

    readme = (ROOT / "README.md").read_text()
    folders = (published, published.parent / "full", published.parent / "equal_settings")
    assert with_verdict(readme, *(read_json(folder / "verdict.json") for folder in folders)) == readme


def test_the_committed_report_is_whole(published):
    from gru4recf.files import read_json, sha256_of

    files = read_json(published / "manifest.json")["files"]
    assert read_json(published / "datasets.json")["unavailable"] == {}
    assert {"verdict.json", "results.parquet", "report.html", "figures/forest.png"} <= set(files)
    assert {name for name, digest in files.items() if sha256_of(published / name) != digest} == set()
    assert "...</td>" not in (published / "report.html").read_text()  # no table is cut


def test_the_committed_verdict_follows_from_the_committed_ranks(published):
    from gru4recf.comparison import decide
    from gru4recf.evidence import load_evidence
    from gru4recf.files import read_json

    decided, committed = decide(load_evidence(published)), read_json(published / "verdict.json")
    verdicts = [{k: row[k] for k in ("dataset", "better", "worse", "metric", "verdict")} for row in decided["claims"]]
    assert verdicts == [{k: row[k] for k in verdicts[0]} for row in committed["claims"]]
    for ours, theirs in zip(decided["claims"], committed["claims"], strict=True):
        assert ours["difference"] == pytest.approx(theirs["difference"], abs=1e-9)


def test_what_the_readme_says_in_words_is_what_the_reports_have():
    from gru4recf.answers import OTHER_SAME_SIZE
    from gru4recf.files import read_json
    from gru4recf.metrics import PRIMARY

    names = ("full", "equal_settings", "default")
    full, equal, default = (read_json(ROOT / "reports" / name / "verdict.json") for name in names)

    def interval(told):
        return tuple(map(float, re.search(r"\[(\S+)%, (\S+)%\]", told).groups()))

    at_equal_size = {row["data set"]: interval(row[OTHER_SAME_SIZE]) for row in full["answers"] if row[OTHER_SAME_SIZE]}
    assert all(low <= 0 for low, _ in at_equal_size.values()), "nowhere ahead of the best other fusion"
    parts = [*(f"eshop-{n}pct" for n in (1, 2, 5, 10, 25, 50)), "onlineretail-1pct", "onlineretail-2pct"]
    assert all(at_equal_size[label][1] < 0 for label in parts), "behind it on these"
    for row in equal["answers"]:
        low, high = interval(row["best fusion, best simple baseline"])
        assert row["best fusion, best simple baseline"].endswith("(markov_features)")
        assert low <= 0, "nowhere above"
        assert high < 0 or equal["sources"][row["data set"]] == "eshop", "below on all of Online Retail"
    pays = full["overall"]["features_pay"]["datasets"]
    assert pays["eshop"]["verdict"] == "equivalent"
    assert {pays[label]["verdict"] for label in pays if label.startswith(("retail", "ml"))} == {"inconclusive"}
    refuted = [row for row in full["claims"] if (row["claim"], row["verdict"]) == ("features_pay", "refuted")]
    assert [(row["dataset"], row["worse"], row["metric"]) for row in refuted] == [
        ("onlineretail-2pct", "parallel_item_twice", "MRR@20")
    ]
    newest = [row for row in full["claims"] if (row["claim"], row["dataset"]) == ("features_pay", "eshop-1pct")]
    assert all(row["relative_low"] > 0 for row in newest), "above every network without features"
    assert 2 * sum(row["verdict"] == "supported" for row in newest) == len(newest), "half of its contrasts hold"
    hold = {(row["worse"], row["metric"]) for row in newest if row["verdict"] == "supported"}
    both = {(rival, metric) for rival in ("parallel_item_twice", "parallel_permuted") for metric in PRIMARY}
    assert hold == {*both, ("id_only", "MRR@20")}
    assert not full["overall"]["features_pay"]["counts"]["supported"]
    recall = [row for row in full["claims"] if (row["worse"], row["metric"]) == ("id_only", "Recall@20")]
    verdicts = {row["dataset"]: row["verdict"] for row in recall}
    assert {verdicts[label] for label in ("eshop", *(f"eshop-{n}pct" for n in (2, 5, 10, 25, 50)))} == {"equivalent"}
    assert verdicts["onlineretail-1pct"] == "supported"
    alone = {row["data set"]: interval(row["best fusion, features alone"]) for row in full["answers"]}
    assert all(low > 0 for low, _ in alone.values()), "below the best fusion everywhere"
    of_eshop = ("eshop", *(f"eshop-{n}pct" for n in (1, 2, 5, 10, 25, 50)))
    assert all(alone[label][1] < 5 for label in of_eshop), "by little"
    assert all(alone[label][0] > 25 for label in alone if label.startswith("retail")), "by far"
    assert not [check for check in full["controls"] if check["passed"] is False], "none failed"
    refuted = [row for row in default["claims"] if (row["claim"], row["verdict"]) == ("features_pay", "refuted")]
    (row,) = refuted
    assert (row["dataset"], row["worse"], row["metric"], row["within"]) == ("eshop", "id_only", "Recall@20", True)
    beside = [row for row in full["claims"] if row["claim"] == "networks_beat_neighbours"]
    small = [row for row in beside if row["dataset"].startswith(("retail", "online"))]
    assert {row["verdict"] for row in small if row["metric"] == "MRR@20"} == {"refuted"}, "they lose in MRR@20"
    lost = {row["dataset"]: row["verdict"] for row in small if row["metric"] == "Recall@20"}
    assert [label for label in lost if lost[label] == "refuted"] == ["onlineretail-1pct"], "lose on this alone"
    assert [label for label in lost if lost[label] == "supported"] == ["retailrocket-5pct"], "win on this"
    with_map = [row for row in equal["claims"] if row["dataset"].endswith("-linear")]
    with_map = [row for row in with_map if row["claim"] == "parallel_concat_is_best"]
    words = ("supported", "refuted")
    found = {word: {row["dataset"] for row in with_map if row["verdict"] == word} for word in words}
    assert found["refuted"] == {"eshop-5pct-as-parallel_concat-128-linear"}, "below weighted_sum"
    assert all(equal["sources"][label] == "onlineretail" for label in found["supported"]), "above it on Online Retail"
    above = {(row["worse"], row["metric"]) for row in with_map if row["verdict"] == "supported"}
    assert above == {("weighted_sum", "MRR@20")}
    assert len(found["supported"]) == 2
    best = equal["overall"]["parallel_concat_is_best"]["datasets"]
    assert "supported" not in {best[row["dataset"]]["verdict"] for row in with_map}, "with the map nowhere"


def test_what_the_readme_says_of_gains_is_what_the_long_study_has():
    from gru4recf.answers import OVER_BEST, OVER_TWIN, worth_of_features
    from gru4recf.evidence import load_evidence
    from gru4recf.gains import EQUAL_SIZE, gain_by_repeat, gains
    from gru4recf.sensitivity import by_repeat

    whole = load_evidence(ROOT / "reports" / "full")
    small, large = [f"eshop-{n}pct" for n in (1, 2, 5, 10)], ["eshop-25pct", "eshop-50pct", "eshop"]
    sparse, other = [f"retailrocket-{n}pct" for n in (5, 10, 25)], ["onlineretail-1pct", "onlineretail-2pct"]
    chosen = {label: whole.ranks[label] for label in (*small, *large, *sparse, *other)}
    worth = worth_of_features(dataclasses.replace(whole, ranks=chosen))
    best, twin = (worth[worth["over"] == over].set_index("dataset") for over in (OVER_BEST, OVER_TWIN))
    by_metric = {metric: rows.loc[small] for metric, rows in best.groupby("metric")}
    assert (by_metric["MRR@20"]["low"] > 0).all(), "above the best network without features"
    assert by_metric["MRR@20"]["relative"].is_monotonic_decreasing, "by less from part to part"
    above = by_metric["Recall@20"]["low"] > 0
    assert list(above[above].index) == ["eshop-1pct", "eshop-2pct", "eshop-10pct"]
    assert (best.loc[large, "low"] > -0.02).all()
    assert (best.loc[large, "high"] < 0.02).all()
    on_rocket = best[best["metric"] == "MRR@20"].loc[sparse]
    assert list(on_rocket["high"] < 0) == [False, True, False], "below it on the newest 10%"
    assert (on_rocket["low"] < 0).all(), "and else not distinguishable from it"
    assert (twin.loc[["eshop-50pct", *other], "high"] < 0).all(), "below its twin"
    assert (twin.loc[["eshop-1pct", "eshop-2pct", *sparse], "low"] > 0).all(), "above it"
    doubled = {label: gains(chosen[label], ["parallel_item_twice"], "id_only", "MRR@20")[0] for label in chosen}
    assert all(doubled[label]["low"] > 0 for label in (*large, *other)), "two networks above a single one"
    assert all(doubled[label]["high"] < 0 for label in ("eshop-1pct", "eshop-2pct", *sparse)), "below it"
    fusions = ["concat_input", "parallel_concat", "weighted_sum", "parallel_scores", "interaction"]
    unseen = [by_repeat(chosen[label])["new"] for label in sparse]
    for metric, above in (
        ("Recall@20", ["concat_input", "parallel_concat", "parallel_scores"]),
        ("MRR@20", ["parallel_concat", "parallel_scores"]),
    ):
        lows = [{row["better"]: row["low"] for row in gains(part, fusions, EQUAL_SIZE, metric)} for part in unseen]
        assert [fusion for fusion in fusions if all(low[fusion] > 0 for low in lows)] == above
    found = gain_by_repeat(dataclasses.replace(whole, ranks={label: chosen[label] for label in sparse}))
    alike = found[(found["better"] == EQUAL_SIZE) & (found["label"] == "new")]
    assert (alike["low"] > 0).all(), "no merit of features"
    found = found[~found["better"].isin(["feature_only", EQUAL_SIZE])]
    repeat, new = found[found["label"] == "repeat"], found[found["label"] == "new"]
    assert (repeat["n_events"].to_numpy() > new["n_events"].to_numpy()).all(), "most are repeats"
    others = ["concat_input", "interaction", "parallel_concat", "parallel_scores"]
    ahead = new.groupby("better")["low"].min()
    assert sorted(ahead[ahead > 0].index) == others, "above where the target is new to the session"
    below = repeat[repeat["high"] < 0].groupby("dataset")["better"].agg(set)
    assert [set(others) - below[label] for label in sparse] == [set(), set(), {"concat_input"}], "below where it is not"
