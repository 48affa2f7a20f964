"""What `gru4recf export` writes, read back as RecBole reads it: the same ranks come out."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from click.testing import CliRunner
from safetensors.torch import load_file

from gru4recf import experiment, results
from gru4recf.cli import main
from gru4recf.data.registry import open_dataset
from gru4recf.errors import StudyError
from gru4recf.evaluation import rank_targets, ranks_from_scores
from gru4recf.files import read_json
from gru4recf.metrics import summarise
from gru4recf.recbole import RecBoleModel, export_run, from_recbole, read_recboles_items
from gru4recf.settings import RunSpec, Settings

DATA = json.loads((Path(__file__).parent / "recbole" / "data.json").read_text())
SMALL = {"embedding_size": 4, "hidden_size": 5, "n_epochs": 1, "max_length": 4, "min_support": 0}


@pytest.fixture
def make_run(atomic_folder, tmp_path):
    """Return a function that trains a small run, on the recorded data if no others are given, and saves it."""

    def make(variant="parallel_concat", files=(DATA["inter"], DATA["item"]), **settings):
        dataset = atomic_folder(*files)
        run = RunSpec(dataset=str(dataset), variant=variant, settings=Settings(**{**SMALL, **settings}))
        data = open_dataset(run.dataset)
        trained = experiment.retrain(run, data, experiment.select(run, data))
        ranks = rank_targets(trained.network, trained.parts.test, max_length=4).ranks
        record = {**run.model_dump(), "metrics": summarise(ranks), "data_sha256": data.digest}
        frames = {"ranks": pd.DataFrame({"rank": ranks}), "history": trained.history()}
        results.save_run(tmp_path / "run", weights=trained.network.state_dict(), record=record, **frames)
        return tmp_path / "run"

    return make


def rank_as_recbole(out):
    """Return metrics of the test rows in `out`, from its files alone."""
    settings = yaml.safe_load((out / "recbole.yaml").read_text())
    folder = out / settings["dataset"]
    names = dict.fromkeys(settings["benchmark_filename"])
    tables = {name: pd.read_csv(folder / f"{folder.name}.{name}.inter", sep="\t", dtype=str) for name in names}
    events = pd.concat(tables.values()).rename(columns={"session_id:token": "user_id:token"})
    events["timestamp:float"] = 0.0
    inter = folder / "all.inter"
    events[["user_id:token", "item_id:token", "timestamp:float"]].to_csv(inter, sep="\t", index=False)
    features = settings.get("selected_features", [])
    items, features = read_recboles_items(inter, folder / f"{folder.name}.item", features)
    weights = load_file(out / "weights.safetensors")
    network = from_recbole(RecBoleModel(weights, items, features, settings.get("pooling_mode")))
    number = {item: place for place, item in enumerate(items)}
    test = tables["test"]
    rows = [torch.tensor([number[i] for i in row.split(" ")]) for row in test["item_id_list:token_seq"]]
    sequences = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    interaction = {"item_id_list": sequences, "item_length": torch.tensor([len(row) for row in rows])}
    targets = torch.tensor([number[item] for item in test["item_id:token"]])
    assert sequences.shape[1] <= settings["MAX_ITEM_LIST_LENGTH"]
    with torch.no_grad():
        return summarise(ranks_from_scores(network.full_sort_predict(interaction), targets)[0].numpy())


@pytest.mark.parametrize(
    ("variant", "settings"),
    [
        ("parallel_concat", {"pooling": "mean"}),
        ("parallel_concat", {"pooling": "max", "n_layers": 2, "features": "tags,colour"}),
        ("parallel_concat", {"head": "where_needed", "retrain": True, "features": "words"}),
        ("id_only", {"min_support": 2}),
    ],
)
def test_the_files_give_the_metrics_of_the_run(make_run, tmp_path, variant, settings):
    run = make_run(variant, **settings)
    export_run(run, tmp_path / "out")
    expected = read_json(run / "result.json")["metrics"]
    assert rank_as_recbole(tmp_path / "out") == pytest.approx(expected, abs=1e-9)
    assert read_json(tmp_path / "out" / "metrics.json") == expected


def test_sessions_with_many_targets_and_awkward_names_come_through(make_run, tmp_path):
    generator = np.random.default_rng(5)
    names = ["NA", 'quo"ted', "null", "nan", "[PAD]", "100%", "%4EA", "c d", "é", "None"]
    lines = ["session_id:token\titem_id:token\ttimestamp:float"]
    for session in range(60):
        picked = generator.choice(names, generator.integers(2, 9))
        lines += [f"s{session}\t{item}\t{1000 * session + place}" for place, item in enumerate(picked)]
    item = ["item_id:token\tcolour:token\tprice:float"]
    item += [f"{name}\t{['None', 'light blue', 'NA'][i % 3]}\t{i}.5" for i, name in enumerate(names)]
    run = make_run(files=("\n".join(lines) + "\n", "\n".join(item) + "\n"))
    export_run(run, tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "shop-exported" / "shop-exported.item", sep="\t", dtype=str)
    assert len(table) == len(names)
    assert not table.isna().any(axis=None)  # pandas, and so RecBole, takes none of these names for a missing value
    assert sorted(table["colour:token"].unique()) == ["%4EA", "%4Eone", "light%20blue"]
    assert rank_as_recbole(tmp_path / "out") == pytest.approx(read_json(run / "result.json")["metrics"], abs=1e-9)


def test_only_what_recbole_has_is_exported(make_run, tmp_path):
    run = make_run("weighted_sum")
    with pytest.raises(StudyError, match="RecBole has no weighted_sum; only runs of parallel_concat"):
        export_run(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_run_is_not_exported_with_other_data(make_run, tmp_path, atomic_folder):
    run = make_run("id_only")
    atomic_folder(DATA["inter"] + "u0\ti0\t9999\n", DATA["item"])
    with pytest.raises(StudyError, match="is not the data that"):
        export_run(run, tmp_path / "out")


def test_the_command_tells_a_mistake_in_a_sentence(tmp_path):
    done = CliRunner().invoke(main, ["export", str(tmp_path), "--out", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert "has not finished" in done.stderr


def test_the_command_tells_what_to_run(make_run, tmp_path):
    done = CliRunner().invoke(main, ["export", str(make_run("id_only")), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0
    assert "python evaluate.py" in done.stdout
    compile((tmp_path / "out" / "evaluate.py").read_text(), "evaluate.py", "exec")
