"""The commands as a user types them; the study here is small and synthetic, but everything in it is real."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from gru4recf import results
from gru4recf.cli import main
from gru4recf.data.registry import open_dataset
from gru4recf.errors import StudyError
from gru4recf.files import sha256_of
from gru4recf.settings import RunSpec

STUDY = {
    "name": "tiny",
    "title": "A tiny study",
    "datasets": [{"name": "synthetic"}],
    "variants": ["popularity", "id_only", "parallel_concat"],
    "seeds": 2,
    "settings": {"n_epochs": 2, "embedding_size": 16, "hidden_size": 16, "learning_rate": 0.01},
    "claims": [{"name": "pays", "text": "It pays.", "better": ["parallel_concat"], "worse": ["id_only"]}],
}


def call(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Run the tiny study once and return (folder of runs, folder of the study, the study file, what was told)."""
    root = tmp_path_factory.mktemp("tiny")
    (root / "tiny.yaml").write_text(yaml.safe_dump(STUDY))
    told = _study_process(root, "first").communicate()[0]
    return root, told


def _study_process(root, out, *options, **environment):
    command = [sys.executable, "-m", "gru4recf.cli", "study", str(root / "tiny.yaml"), "--out", str(root / out)]
    environment = {**os.environ, "GRU4RECF_RUNS": str(root / "runs"), **environment}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen([*command, "--jobs", "2", *options], env=environment, start_new_session=True, **pipes)


def digests(folder):
    kept = ("*.json", "*.parquet", "figures/*", "ranks/*", "report.html")
    return {p.name: sha256_of(p) for pattern in kept for p in folder.glob(pattern)}


@pytest.mark.slow
class TestStudy:
    def test_a_study_leaves_verdict_results_figures_and_report(self, study):
        root, told = study
        assert "[5/5]" in told, told
        folder = root / "first"
        verdict = json.loads((folder / "verdict.json").read_text())
        assert {row["metric"] for row in verdict["claims"]} == {"Recall@20", "MRR@20"}
        assert verdict["overall"]["pays"]["datasets"]["synthetic"]["sentence"] in told
        page = (folder / "report.html").read_text()
        assert page.count("data:image/png;base64") >= 5
        assert "http" not in page.split("<body>")[0]
        assert "<script" not in page
        assert len(list((folder / "figures").glob("*.png"))) == len(list((folder / "figures").glob("*.pdf"))) >= 5

    def test_a_second_call_runs_nothing_again(self, study):
        root, _ = study
        runs = {p: p.stat().st_mtime_ns for p in (root / "runs").rglob("result.json")}
        before = digests(root / "first")
        told = _study_process(root, "first").communicate()[0]
        assert "runs to make" not in told
        assert "Comparing" not in told
        assert runs == {p: p.stat().st_mtime_ns for p in (root / "runs").rglob("result.json")}
        assert before == digests(root / "first")

    def test_the_same_study_gives_the_same_bytes(self, study, tmp_path):
        root, _ = study
        (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(STUDY))
        _study_process(tmp_path, "first").communicate()
        first, again = digests(root / "first"), digests(tmp_path / "first")
        assert first == again

    def test_status_counts_what_is_there(self, study):
        root, _ = study
        told = call("status", root / "first")
        assert told.output.startswith("tiny: 5 of 5 runs done, 0 running, 0 failed, 0 left.")

    @pytest.mark.parametrize("whole_group", [False, True], ids=["the study alone", "everything it started"])
    def test_a_study_that_was_killed_continues_to_the_same_bytes(self, study, tmp_path, whole_group):
        (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(STUDY))
        process = _study_process(tmp_path, "first")
        deadline = time.monotonic() + 120
        while not list((tmp_path / "runs").glob("*/result.json")) and time.monotonic() < deadline:
            time.sleep(0.1)
        if whole_group:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.communicate()
        assert not (tmp_path / "first" / "verdict.json").exists()
        again = _study_process(tmp_path, "first")
        told = again.communicate()[0]
        assert again.returncode == 0, told
        # what was left running is waited for, never raced; what was killed is not waited for
        assert ("waiting for them to end" in told) != whole_group, told
        root, _ = study
        assert digests(root / "first") == digests(tmp_path / "first")

    def test_a_report_alone_is_made_from_what_is_finished(self, study, tmp_path):
        root, _ = study
        (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(STUDY))
        told = _study_process(tmp_path, "first", "--report-only").communicate()[0]
        assert "No run of tiny finished" in told
        shutil.copytree(root / "runs", tmp_path / "runs")
        shutil.rmtree(next((tmp_path / "runs").glob("synthetic-popularity-*")))
        process = _study_process(tmp_path, "first", "--report-only")
        assert "4 of 5 runs are finished; the report is made from these." in process.communicate()[0]
        assert process.returncode == 0
        assert len(list((tmp_path / "runs").glob("*/result.json"))) == 4
        assert json.loads((tmp_path / "first" / "verdict.json").read_text())["claims"]

    def test_claims_that_cannot_be_judged_are_refused_before_any_run(self, tmp_path):
        (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({**STUDY, "variants": ["popularity", "id_only"]}))
        process = _study_process(tmp_path, "first")
        told = process.communicate()[0]
        assert process.returncode == 2
        assert "No claim of tiny is about these variants alone" in told
        assert "add parallel_concat (--variants)" in told
        assert not (tmp_path / "runs").exists()

    def test_what_is_not_judged_is_told_and_strict_does_not_pass_it(self, study, tmp_path):
        root, _ = study
        shutil.copytree(root / "runs", tmp_path / "runs")
        sure = {"name": "sure", "text": "A chance.", "better": ["id_only"], "worse": ["popularity"]}
        for claims, code in (([sure], 0), ([sure, {**sure, "name": "open", "worse": ["markov"]}], 3)):
            (tmp_path / "tiny.yaml").write_text(yaml.safe_dump({**STUDY, "claims": claims}))
            process = _study_process(tmp_path, "first", "--report-only", "--strict")
            told = process.communicate()[0]
            assert process.returncode == code, told
        assert "synthetic: open is not judged for want of ranks of markov." in told

    def test_a_run_made_from_other_data_is_not_compared(self, study, tmp_path):
        root, _ = study
        (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(STUDY))
        shutil.copytree(root / "runs", tmp_path / "runs")
        result = next((tmp_path / "runs").glob("synthetic-id_only-*")) / "result.json"
        result.write_text(json.dumps({**json.loads(result.read_text()), "data_sha256": "0" * 64}))
        process = _study_process(tmp_path, "first")
        told = process.communicate()[0]
        assert "made from data with SHA-256 0000000000000000..., and those of synthetic have" in told
        assert process.returncode == 1

    def test_published_results_take_the_place_of_runs(self, study, tmp_path):
        root, _ = study
        (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(STUDY))
        shutil.copytree(root / "runs", tmp_path / "runs")
        _study_process(tmp_path, "first", "--seeds", "1").communicate()
        shutil.rmtree(tmp_path / "runs")
        told = call("status", tmp_path / "first").output
        assert told.startswith("tiny: 0 of 3 runs done")
        assert "3 of the runs left are published" in told
        told = _study_process(tmp_path, "first", "--report-only").communicate()[0]
        assert "has the results of 3 of 5 runs that are not at hand" in told
        assert "add --published to keep them" in told
        assert not (tmp_path / "runs").exists()
        told = _study_process(tmp_path, "first", "--published").communicate()[0]
        assert "3 of 5 runs are taken" in told, told
        assert "2 of 5 runs to make" in told
        assert len(list((tmp_path / "runs").glob("*/result.json"))) == 2
        assert digests(root / "first") == digests(tmp_path / "first")
        told = _study_process(tmp_path, "first", "--published").communicate()[0]
        assert "Comparing" not in told

    def test_published_results_that_were_changed_are_not_taken(self, study, tmp_path):
        root, _ = study
        (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(STUDY))
        shutil.copytree(root / "first", tmp_path / "first")
        ranks = tmp_path / "first" / "ranks" / "synthetic.parquet"
        ranks.write_bytes(ranks.read_bytes()[:-1] + b"!")
        process = _study_process(tmp_path, "first", "--published")
        assert "synthetic.parquet: missing or changed since its report was made" in process.communicate()[0]
        assert process.returncode == 2
        assert not (tmp_path / "runs").exists()

    def test_published_results_are_not_dropped_for_want_of_their_data(self, study, tmp_path):
        root, _ = study
        (tmp_path / "tiny.yaml").write_text(
            yaml.safe_dump({**STUDY, "datasets": [*STUDY["datasets"], {"name": "diginetica"}]})
        )
        shutil.copytree(root / "first", tmp_path / "first")
        ranks = tmp_path / "first" / "ranks"
        shutil.copy(ranks / "synthetic.parquet", ranks / "diginetica.parquet")
        before = digests(tmp_path / "first")
        elsewhere = {"GRU4RECF_DATA": "", "GRU4RECF_CACHE": str(tmp_path / "cache")}
        process = _study_process(tmp_path, "first", "--published", **elsewhere)
        assert (
            "has results of diginetica, and a report without them would take their place; get"
            in process.communicate()[0]
        )
        assert process.returncode == 2
        assert digests(tmp_path / "first") == before

    def test_failed_runs_keep_their_notebooks_and_the_others_are_reported(self, tmp_path):
        diverging = {"name": "synthetic", "label": "diverging", "settings": {"learning_rate": 1e30}}
        study = {**STUDY, "datasets": [*STUDY["datasets"], diverging], "seeds": 1}
        (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(study))
        process = _study_process(tmp_path, "first")
        told = process.communicate()[0]
        assert process.returncode == 1
        assert "2 runs failed, the others are reported." in told
        assert "diverged" in told
        assert len(list((tmp_path / "runs").glob("diverging-*/02-train.failed.ipynb"))) == 2
        assert len(list((tmp_path / "runs").glob("*/result.json"))) == 4
        verdict = json.loads((tmp_path / "first" / "verdict.json").read_text())
        why = "diverging: pays is not judged for want of ranks of parallel_concat, id_only"
        assert verdict["undecided"] == {"diverging": why}
        assert set(verdict["overall"]["pays"]["datasets"]) == {"synthetic"}
        assert why in (tmp_path / "first" / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.mirror
@pytest.mark.slow
def test_folders_may_be_named_from_where_a_study_is_called(tmp_path):
    study = {**STUDY, "datasets": [{"name": "eshop", "train_fractions": [0.01]}], "variants": ["popularity", "markov"]}
    study["claims"] = [{**STUDY["claims"][0], "better": ["markov"], "worse": ["popularity"]}]
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(study))
    folders = {"GRU4RECF_DATA": os.path.relpath(os.environ["GRU4RECF_DATA"], tmp_path), "GRU4RECF_RUNS": "runs"}
    command = [sys.executable, "-m", "gru4recf.cli", "study", "tiny.yaml", "--out", "out"]
    ended = subprocess.run(command, cwd=tmp_path, env={**os.environ, **folders}, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert len(list((tmp_path / "runs").glob("*/result.json"))) == 2


def test_a_run_leaves_its_files_and_is_not_made_twice(tmp_path):
    arguments = ["run", "--dataset", "synthetic", "--variant", "weighted_sum", "--seed", 7]
    arguments += ["--set", "n_epochs=1", "--out", tmp_path / "run"]
    assert call(*arguments).exit_code == 0
    names = {p.name for p in (tmp_path / "run").iterdir()}
    assert names == {"02-train.ipynb", "history.parquet", "ranks.parquet", "result.json", "weights.safetensors"}
    record = results.load_run(tmp_path / "run")
    assert (record["dataset"], record["variant"], record["seed"]) == ("synthetic", "weighted_sum", 7)
    assert record["epochs"] == record["best_epoch"] == 1
    assert "finished before" in call(*arguments).output
    other = call(*arguments, "--seed", 8)
    assert other.exit_code == 2
    assert "holds the results of another run (other seed)" in other.output
    (tmp_path / "run" / "ranks.parquet").write_bytes(b"not ranks")
    with pytest.raises(results.RunError, match=r"ranks\.parquet: missing or not the file"):
        results.load_run(tmp_path / "run")


@pytest.mark.slow
def test_a_study_has_checked_its_data_and_its_runs_do_not_again(tmp_path, monkeypatch):
    def check_data(*arguments):
        raise AssertionError("checked again")

    monkeypatch.setattr("gru4recf.study.check_data", check_data)
    digest = open_dataset("synthetic").digest
    arguments = ["run", "--dataset", "synthetic", "--variant", "popularity", "--out", tmp_path / "run"]
    assert call(*arguments, "--checked-data", digest).exit_code == 0
    assert "finished before" in call(*arguments, "--checked-data", digest).output
    assert "another run (other data_sha256)" in call(*arguments, "--checked-data", "0" * 64).output
    assert isinstance(call(*arguments).exception, AssertionError)
    shutil.rmtree(tmp_path / "run")
    changed = call(*arguments, "--checked-data", "0" * 64)  # since the study looked
    assert (changed.exit_code, "another run (other data_sha256)" in changed.output) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--dataset", "synthetic", "--variant", "paralel_concat"], "did you mean 'parallel_concat'"),
        (["--dataset", "synthetic", "--variant", "id_only", "--strategy", "residuel"], "Unknown strategy"),
        (["--dataset", "synthetic", "--variant", "id_only", "--set", "learning_rat=1"], "did you mean 'learning_rate'"),
        (["--dataset", "synthetic", "--variant", "id_only", "--set", "learning_rate"], "write it as name=value"),
        (["--dataset", "synthetic", "--variant", "id_only", "--seed", "-1"], "seed is -1"),
        (["--dataset", "esho", "--variant", "id_only"], "did you mean 'eshop'"),
        (["--dataset", "./no/such/folder", "--variant", "id_only"], "no/such/folder"),
    ],
)
def test_a_mistake_in_a_run_exits_with_2_and_one_sentence(tmp_path, arguments, told):
    answer = call("run", *arguments, "--out", tmp_path / "run")
    assert answer.exit_code == 2
    assert told in answer.output
    assert answer.output.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--dataset", "synthetic", "--variant", "id_only"],
        ["study", results.CHECKOUT / "studies" / "default.yaml"],
        ["tune", results.CHECKOUT / "studies" / "default.yaml", "--trials", "1"],
    ],
)
def test_a_file_in_the_place_of_the_folder_for_results_is_refused_before_the_work(tmp_path, arguments):
    (tmp_path / "results").write_text("not a folder")
    answer = call(*arguments, "--out", tmp_path / "results")
    assert answer.exit_code == 2
    assert "is a file" in answer.output


@pytest.mark.parametrize("arguments", [["study"], ["tune", "--trials", "1"]])
def test_no_variant_is_not_all_variants(arguments):
    answer = call(*arguments, results.CHECKOUT / "studies" / "default.yaml", "--variants", "")
    assert (answer.exit_code, "Known: " in answer.output) == (2, True)


@pytest.mark.parametrize("command", [[], ["run"], ["study"], ["status"], ["data"], ["doctor"]])
def test_help_teaches(command):
    answer = call(*command, "--help")
    assert answer.exit_code == 0
    assert "Usage:" in answer.output


def test_a_checkpoint_belongs_to_one_run_data_and_code(tmp_path):
    run = RunSpec(dataset="synthetic", variant="id_only")
    own = results.checkpoint_path(tmp_path, run, "data", "selection")
    assert own == results.checkpoint_path(tmp_path, run, "data", "selection")
    assert own != results.checkpoint_path(tmp_path, run.model_copy(update={"seed": 1}), "data", "selection")
    assert own != results.checkpoint_path(tmp_path, run, "other data", "selection")
    assert own != results.checkpoint_path(tmp_path, run, "data", "retraining")


def test_help_loads_nothing_heavy():
    code = "import sys; from gru4recf.cli import main; print({'torch', 'pandas', 'papermill'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_data_lists_and_describes():
    listed = call("data").output
    assert "eshop" in listed
    assert "CC BY 4.0" in listed
    described = call("data", "synthetic").output
    assert "feature group (token): known for 100.0% of the items." in described
    assert "test targets" in described


def test_doctor_tells_device_and_settings():
    told = call("doctor").output
    assert "device: " in told
    assert "learning_rate = 0.005" in told


def test_status_of_a_folder_without_a_plan_is_refused(tmp_path):
    answer = call("status", tmp_path)
    assert answer.exit_code == 2
    assert "no plan.json" in answer.output


def test_without_its_checkout_the_package_says_where_notebooks_belong(monkeypatch, tmp_path):
    monkeypatch.setattr(results, "CHECKOUT", Path(tmp_path))
    with pytest.raises(StudyError, match="in a checkout"):
        results.find_in_checkout("notebooks")
