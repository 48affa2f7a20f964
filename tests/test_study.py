import json
from pathlib import Path

import pytest
import yaml

from gru4recf import plan as plans
from gru4recf import study as studies
from gru4recf.errors import StudyError
from gru4recf.settings import RunSpec, Settings, run_from, validated

REPOSITORY = Path(__file__).parents[1]
SMALL = {
    "name": "small",
    "title": "A small study",
    "datasets": [{"name": "synthetic"}, {"name": "synthetic", "label": "half", "settings": {"train_fraction": 0.5}}],
    "variants": ["popularity", "id_only", "parallel_concat"],
    "seeds": 2,
    "settings": {"n_epochs": 1},
    "claims": [{"name": "pays", "text": "It pays.", "better": ["parallel_concat"], "worse": ["id_only"]}],
}


@pytest.fixture
def write(tmp_path):
    def write(**changes):
        path = tmp_path / "small.yaml"
        path.write_text(yaml.safe_dump({**SMALL, **changes}))
        return path

    return write


def test_a_study_is_the_product_of_its_lists_and_a_baseline_needs_one_seed(write, tmp_path):
    plan = plans.make_plan(studies.read_study(write()), tmp_path / "out", tmp_path / "runs")
    made = [(run.dataset, run.variant, run.seed) for run in plan.runs]
    per_dataset = [("popularity", 0), *((v, s) for v in ("id_only", "parallel_concat") for s in (0, 1))]
    assert made == [(label, *run) for label in ("synthetic", "half") for run in per_dataset]
    assert len({run.folder for run in plan.runs}) == len(plan.runs)


def test_a_plan_survives_being_written_and_read(write, tmp_path):
    plan = plans.make_plan(studies.read_study(write()), tmp_path, tmp_path / "runs")
    plans.write_plan(plan, tmp_path)
    assert plans.read_plan(tmp_path) == plan
    assert str(tmp_path) not in (tmp_path / "plan.json").read_text()


def test_the_command_of_a_run_says_what_differs_from_the_defaults():
    spec = RunSpec(dataset="eshop", variant="id_only", seed=3, settings=Settings(learning_rate=0.01, dropout=0.1))
    command = "run --dataset eshop --variant id_only --strategy simultaneous --seed 3 --set learning_rate=0.01"
    assert plans.run_command(spec) == command


def test_a_runs_folder_changes_with_settings_seed_data_and_code():
    from gru4recf.results import run_key

    spec = RunSpec(dataset="eshop", variant="id_only")
    other = [
        run_key(spec.model_copy(update={"seed": 1}), "data", "code"),
        run_key(spec.model_copy(update={"settings": Settings(dropout=0.4)}), "data", "code"),
        run_key(spec, "other data", "code"),
        run_key(spec, "data", "other code"),
    ]
    assert len({run_key(spec, "data", "code"), *other}) == 5
    assert run_key(spec, "data", "code") == run_key(spec, "data", "code")


def test_code_that_decides_other_variants_alone_makes_no_run_stale(monkeypatch):
    from gru4recf import results

    edited = {}
    digest_of = results.sha256_of
    monkeypatch.setattr(results, "sha256_of", lambda path: edited.get(path.name) or digest_of(path))
    variants = (
        "id_only",
        "parallel_concat",
        "id_only_wide",
        "id_only_matched",
        "weighted_sum_matched",
        "markov",
        "vsknn",
    )
    before = {variant: results.code_digest(variant) for variant in variants}
    everything = results.code_digest()

    def changed_by(name):
        edited.clear()
        edited[name] = "another"
        assert results.code_digest() != everything
        return {variant for variant in variants if results.code_digest(variant) != before[variant]}

    assert changed_by("id_only_matched.py") == {"id_only_matched"}
    assert changed_by("matched.py") == {"id_only_matched", "weighted_sum_matched"}
    assert changed_by("vsknn.py") == {"markov", "vsknn"}
    assert changed_by("parallel_concat.py") == set(variants)
    assert changed_by("training.py") == set(variants)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"variants": ["paralel_concat"]}, "did you mean 'parallel_concat'"),
        ({"strategies": ["simultanous"]}, "did you mean 'simultaneous'"),
        ({"settings": {"learning_rat": 1}}, "did you mean 'learning_rate'"),
        ({"settings": {"learning_rate": -1}}, "learning_rate is -1; input should be greater than 0"),
        ({"settings": {"n_epochs": "many"}}, "n_epochs is 'many'"),
        ({"datasets": [{"name": "synthetic", "settings": {"dropot": 1}}]}, "did you mean 'dropout'"),
        ({"datasets": [{"name": "synthetic"}, {"name": "synthetic"}]}, "two data sets are called synthetic"),
        ({"datasets": []}, "datasets is"),
        ({"seeds": 0}, "seeds is 0"),
        ({"sedes": 3}, "did you mean 'seeds'"),
        ({"variants": ["id_onli"]}, "small.yaml, variants"),
        ({"variants": "id_only"}, r"variants is 'id_only'; write a list, such as \[id_only\]"),
        ({"variants": ["id_only", "popularity", "id_only"]}, "small.yaml, variants: id_only is listed more than once"),
        ({"claims": [{"name": "x", "text": "y", "better": ["id_only"], "worse": ["wieghted_sum"]}]}, "weighted_sum"),
    ],
)
def test_a_mistake_in_a_study_gets_a_sentence(write, changes, told):
    with pytest.raises(StudyError, match=told) as error:
        studies.read_study(write(**changes))
    assert "\n" not in str(error.value)


def test_the_projects_studies_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert studies.read_study(Path("studies/default.yaml")).name == "default"


def test_a_study_that_is_not_there_or_not_yaml_is_named(tmp_path):
    with pytest.raises(StudyError, match="no such study file"):
        studies.read_study(tmp_path / "nothing.yaml")
    (tmp_path / "odd.yaml").write_text("a: [1")
    with pytest.raises(StudyError, match="not readable as YAML"):
        studies.read_study(tmp_path / "odd.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(StudyError, match="a study is a mapping"):
        studies.read_study(tmp_path / "list.yaml")


def test_a_wrong_entry_is_told_without_its_list_being_called_too_short(write):
    with pytest.raises(StudyError) as told:
        studies.read_study(write(datasets=[{"nam": "synthetic"}]))
    assert "datasets.0.nam is not a setting here" in str(told.value)
    assert "at least 1 item" not in str(told.value)


def test_a_key_that_is_there_twice_is_refused_and_a_merged_one_is_not(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("name: x\nsettings: {n_epochs: 3}\nvariants: [id_only]\nsettings: {dropout: 0.3}\n")
    with pytest.raises(StudyError, match="line 4: settings is there a second time"):
        studies.read_study(path)
    small = yaml.safe_dump({**SMALL, "datasets": []}).replace("datasets: []\n", "")
    own = "datasets:\n- {name: synthetic, settings: &own {dropout: 0.2}}\n"
    path.write_text(small + own + "- {name: synthetic, label: b, settings: {<<: *own, dropout: 0.3}}\n")
    assert [one.settings["dropout"] for one in studies.read_study(path).datasets] == [0.2, 0.3]


def test_a_folder_is_meant_from_where_the_study_is_called(write, atomic_folder, tmp_path, monkeypatch):
    folder = atomic_folder("session_id:token\titem_id:token\ttimestamp:float\ns\ti\t1\n")
    monkeypatch.chdir(tmp_path)
    (dataset,) = studies.read_study(write(datasets=[{"name": "./shop"}])).datasets
    assert (dataset.name, dataset.shown_as) == (str(folder), "shop")


def test_another_studys_folder_and_a_damaged_plan_are_refused(write, tmp_path):
    plans.write_plan(plans.make_plan(studies.read_study(write()), tmp_path, tmp_path / "runs"), tmp_path)
    plans.require_same_study(tmp_path, "small")
    with pytest.raises(StudyError, match="holds study small, not large; choose another --out"):
        plans.require_same_study(tmp_path, "large")
    (tmp_path / "plan.json").write_text('{"study": {')
    with pytest.raises(StudyError, match="not what `gru4recf study` writes"):
        plans.read_plan(tmp_path)


def test_settings_from_the_command_line_win_over_a_data_sets_own(write):
    study = studies.read_study(write(), {"train_fraction": 0.2})
    assert [studies.settings_of(study, d).train_fraction for d in study.datasets] == [0.2, 0.2]
    assert studies.settings_of(study, study.datasets[0]).n_epochs == 1


def test_a_data_set_that_cannot_be_had_is_left_out_with_its_reason(write, tmp_path, monkeypatch):
    from gru4recf.data import registry
    from gru4recf.errors import DataUnavailable

    real = registry.open_dataset

    def only_synthetic(name, **options):
        if name == "eshop":
            raise DataUnavailable("eshop cannot be had here.")
        return real(name, **options)

    monkeypatch.setattr(registry, "open_dataset", only_synthetic)
    both = studies.read_study(write(datasets=[{"name": "eshop"}, {"name": "synthetic"}]))
    plan = plans.make_plan(both, tmp_path, tmp_path / "runs")
    assert plan.unavailable == {"eshop": "eshop cannot be had here."}
    assert {run.dataset for run in plan.runs} == {"synthetic"}
    with pytest.raises(DataUnavailable, match="No data set of this study"):
        plans.make_plan(studies.read_study(write(datasets=[{"name": "eshop"}])), tmp_path, tmp_path / "runs")


def test_a_notebooks_variables_become_a_run():
    run = run_from({"dataset": "synthetic", "variant": "id_only", "seed": 2, "dropout": 0.4, "pd": object()})
    assert (run.seed, run.settings.dropout, run.settings.n_epochs) == (2, 0.4, Settings().n_epochs)
    with pytest.raises(StudyError, match="dropout is 2"):
        run_from({"dataset": "synthetic", "variant": "id_only", "dropout": 2})


def test_the_training_notebook_declares_every_setting_and_no_other():
    from gru4recf.notebooks import declared_parameters

    declared = declared_parameters(REPOSITORY / "notebooks" / "02-train.ipynb")
    assert set(declared) == {*Settings.model_fields, "dataset", "variant", "strategy", "seed", "out"}
    run_from(declared)


@pytest.mark.parametrize("path", sorted((REPOSITORY / "studies").glob("*.yaml")), ids=lambda path: path.name)
def test_every_study_of_the_project_is_valid_and_tests_its_claims(path):
    study = studies.read_study(path)
    assert study.name == path.stem
    assert study.claims
    for claim in study.claims:
        assert {*claim.better, *claim.worse} <= set(study.variants)


def test_settings_are_frozen_and_json():
    settings = validated(Settings, {"features": " colour, price "}, "settings")
    assert settings.feature_names == ("colour", "price")
    assert json.loads(settings.model_dump_json()) == settings.model_dump()


def test_training_sizes_become_data_sets_of_their_own_that_share_tuned_settings(write):
    study = studies.read_study(write(datasets=[{"name": "synthetic", "train_fractions": [0.05, 0.25, 1]}]))
    assert [d.shown_as for d in study.datasets] == ["synthetic-5pct", "synthetic-25pct", "synthetic"]
    assert [studies.settings_of(study, d).train_fraction for d in study.datasets] == [0.05, 0.25, 1]
    assert {d.tuned_as for d in study.datasets} == {"synthetic"}


def test_tuned_settings_win_over_the_data_sets_and_the_command_line_over_them(write, monkeypatch):
    asked = []

    def settings_for(folder, label, variant, digest):
        asked.append((folder.name, label, variant, digest))
        return {"learning_rate": 0.009, "dropout": 0.3}

    monkeypatch.setattr("gru4recf.tuned.settings_for", settings_for)
    monkeypatch.setattr("gru4recf.winners.tuned_path", lambda folder, label: Path(__file__))
    path = write(tuned=True, datasets=[{"name": "synthetic", "settings": {"learning_rate": 0.001}}])
    study = studies.read_study(path, {"dropout": 0.4})
    found = studies.settings_of(study, study.datasets[0], "id_only", "digest")
    assert (found.learning_rate, found.dropout) == (0.009, 0.4)
    assert asked == [("tuned", "synthetic", "id_only", "digest")]
    assert studies.settings_of(study, study.datasets[0], "vsknn").learning_rate == 0.001
    control = study.datasets[0].model_copy(update={"control": "positive"})
    assert studies.settings_of(study, control, "id_only").learning_rate == 0.001
    untuned = studies.read_study(write(datasets=[{"name": "synthetic"}]))
    assert studies.settings_of(untuned, untuned.datasets[0], "id_only").learning_rate == Settings().learning_rate


def test_a_data_set_may_have_variants_of_its_own(write, tmp_path):
    datasets = [{"name": "synthetic"}, {"name": "synthetic", "label": "two", "variants": ["id_only", "concat_input"]}]
    plan = plans.make_plan(studies.read_study(write(datasets=datasets)), tmp_path, tmp_path / "runs")
    assert {run.variant for run in plan.runs if run.dataset == "two"} == {"id_only", "concat_input"}
    with pytest.raises(StudyError, match="did you mean 'concat_input'"):
        studies.read_study(write(datasets=[{"name": "synthetic", "variants": ["concat_inptu"]}]))


def test_items_never_seen_need_an_output_side_that_knows_features(write, tmp_path):
    study = studies.read_study(write(), {"min_support": 0})
    with pytest.raises(StudyError, match="set output_features too"):
        plans.make_plan(study, tmp_path, tmp_path / "runs")


def test_a_data_set_that_was_not_tuned_is_left_out_with_the_fix(write, tmp_path):
    study = studies.read_study(write(tuned=True, datasets=[{"name": "synthetic", "label": "never-tuned"}]))
    with pytest.raises(StudyError, match="never-tuned has not been tuned; run `gru4recf tune`"):
        plans.make_plan(study, tmp_path, tmp_path / "runs")
