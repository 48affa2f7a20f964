"""RecBole 1.2.1 and this package, the same weights and the same training: do they give the same test metrics?

    make recbole-env                                        once: RecBole in .venv-recbole
    python benchmarks/recbole_parity.py                     the same weights, both ways: about 6 CPU minutes
    python benchmarks/recbole_parity.py --train --seeds 5   training from scratch, both sides: about 85 CPU minutes

Results go to reports/benchmarks/recbole_parity.json; RecBole's finished runs lie below runs/recbole and are kept.

* From RecBole: it trains on its own ml-100k for an epoch, the README's lines write the weights, ours ranks its rows.
* To RecBole: `gru4recf export` writes runs of ours and RecBole ranks with them: ml-100k, and sessions with each kind of
  feature, some values missing.
* Training: equal settings, every seed's best epoch on validation, the test rows of leave-one-out.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from math import sqrt
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import torch
from machine import REPORTS, save

from gru4recf import experiment
from gru4recf.data.atomic import read_events, sort_events
from gru4recf.data.dataset import Dataset
from gru4recf.data.registry import locate, open_dataset
from gru4recf.data.sessions import cut_windows
from gru4recf.data.split import split
from gru4recf.evaluation import rank_targets
from gru4recf.files import read_json, write_json, write_text
from gru4recf.metrics import summarise
from gru4recf.recbole import HOW_TO_WRITE, from_recbole, read_recbole
from gru4recf.results import CHECKOUT, RUNS
from gru4recf.settings import RunSpec, Settings

PYTHON = CHECKOUT / ".venv-recbole" / "bin" / "python"
DRIVER = Path(__file__).parent / "recbole" / "driver.py"
WORK = RUNS / "recbole"
METRICS = ("Recall@10", "MRR@10", "NDCG@10")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}
MAX_LENGTH, BATCH, LEARNING_RATE, EPOCHS = 50, 512, 0.005, 8
RECBOLE = {
    "dataset": "ml-100k",
    "load_col": {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", "class"]},
    "selected_features": ["class"],
    "pooling_mode": "sum",
    "embedding_size": 64,
    "hidden_size": 128,
    "num_layers": 1,
    "dropout_prob": 0.3,
    "loss_type": "CE",
    "learning_rate": LEARNING_RATE,
    "train_batch_size": BATCH,
    "MAX_ITEM_LIST_LENGTH": MAX_LENGTH,
    "stopping_step": EPOCHS,
}
OURS = Settings(
    min_support=0, features="class", pooling="sum", embedding_size=64, hidden_size=128, n_layers=1, dropout=0.3,
    max_length=MAX_LENGTH, learning_rate=LEARNING_RATE, n_epochs=EPOCHS, patience=EPOCHS,
)  # fmt: skip
DATA_RULES = {
    "min_support": "0, as in RecBole: every item is ranked, those that training never saw too",
    "times": "RecBole's settings of ml-100k scale them to 0 to 1, and it keeps them in float32: what falls together "
    "keeps the file's order. Ours are rounded in the same way here; `changed_by_float32` counts what that changes",
    "inputs": f"at most the {MAX_LENGTH} events before a target, from a zero state, on both sides",
    "ids": "RecBole numbers items by first appearance; the weights are matched by raw id",
    "selection": "the best of the epochs by validation MRR@10 there, MRR@20 here",
    "batches": f"{BATCH} targets there; whole windows with as many targets on average here",
}


def recboles_data() -> tuple[Dataset, dict[str, int]]:
    """Return ml-100k in the order in which RecBole reads it, and how much of the true order that changes."""
    data = open_dataset("ml-100k", progress=True)
    events, _ = read_events(locate("ml-100k")["ml-100k.inter"])
    times = events["time"].to_numpy(np.float64)
    times = ((times - times.min()) / (times.max() - times.min())).astype(np.float32)
    changed = replace(data, events=sort_events(events.assign(time=times.astype(np.float64))))
    by_user = [d.events.groupby("session")["item"].agg(list) for d in (data, changed)]
    users = sum(true != read for true, read in zip(*(s.sort_index() for s in by_user), strict=True))
    last = sum(true[-1] != read[-1] for true, read in zip(*(s.sort_index() for s in by_user), strict=True))
    return changed, {"users": int(users), "test targets": int(last)}


def run_recbole(arguments: list[str], folder: Path) -> str:
    """Run Python in RecBole's environment on one thread and return what it prints."""
    options = {"cwd": folder, "env": {**os.environ, **ONE_THREAD}, "text": True, "capture_output": True}
    done = subprocess.run([str(PYTHON), *arguments], check=False, **options)
    if done.returncode:
        raise SystemExit(f"RecBole failed in {folder}:\n{done.stderr[-2000:]}")
    return done.stdout


def train_recbole(name: str, settings: dict) -> dict:
    """Return the driver's record of a training run; one that is finished is not made again."""
    folder = WORK / name
    result = folder / "result.json"
    if not (result.is_file() and read_json(folder / "settings.json") == settings):
        folder.mkdir(parents=True, exist_ok=True)
        result.unlink(missing_ok=True)
        write_json(folder / "settings.json", settings)
        run_recbole([str(DRIVER), str(folder / "settings.json"), str(result)], folder)
    return read_json(result)


def chosen(metrics: dict[str, float]) -> dict[str, float]:
    """Return the metrics compared, under our names."""
    lower = {name.lower(): value for name, value in metrics.items()}
    return {name: lower[name.lower()] for name in METRICS}


def side_by_side(recbole: dict[str, float], ours: dict[str, float], **about: object) -> dict:
    """Return both sides' metrics, and whether they are equal to four decimals."""
    recbole, ours = chosen(recbole), chosen(ours)
    largest = max(abs(recbole[name] - ours[name]) for name in METRICS)
    verdict = {"largest_difference": largest, "equal_to_4_decimals": largest < 5e-5}
    return {**about, "recbole": recbole, "ours": ours, **verdict}


def from_theirs(model: str, data: Dataset) -> dict:
    """Rank RecBole's test rows with the weights that RecBole trained."""
    only = {"GRU4RecF": {}, "GRU4Rec": {"selected_features": None, "pooling_mode": None}}[model]
    trained = train_recbole(f"weights-{model}", {**RECBOLE, **only, "model": model, "epochs": 1, "seed": 1})
    folder = WORK / f"weights-{model}"
    run_recbole(["-c", HOW_TO_WRITE.replace("saved/GRU4RecF-DATE.pth", trained["checkpoint"])], folder)
    parts = split(data, min_support=0)
    network = from_recbole(read_recbole(folder / "recbole.pt"), parts.catalogue)
    ours = summarise(rank_targets(network, parts.test, max_length=MAX_LENGTH).ranks)
    rows = {"test_rows": {"recbole": trained["test_rows"], "ours": parts.test.n_targets}}
    return side_by_side(trained["test"], ours, model=model, **rows)


def to_theirs(dataset: str, variant: str, **settings: object) -> dict:
    """Train a run of ours, export it, and let RecBole rank with it."""
    name = f"{Path(dataset).name}-{variant}"
    run, out = WORK / f"run-{name}", WORK / f"export-{name}"
    for folder in (run, out):
        shutil.rmtree(folder, ignore_errors=True)
    options = ["--variant", variant, *(f"--set={key}={value}" for key, value in settings.items())]
    command = [sys.executable, "-m", "gru4recf.cli"]
    subprocess.run([*command, "run", "--dataset", dataset, *options, "--out", str(run)], check=True)
    subprocess.run([*command, "export", str(run), "--out", str(out)], check=True)
    theirs = json.loads(run_recbole([str(out / "evaluate.py")], out).splitlines()[-1])
    about = {"dataset": Path(dataset).name, "variant": variant, "settings": settings}
    return side_by_side(theirs, read_json(out / "metrics.json"), **about)


def make_shop() -> str:
    """Write sessions whose items have every kind of feature, some of it missing; return their folder."""
    generator = np.random.default_rng(0)
    n_items, folder = 60, WORK / "shop"
    inter = ["session_id:token\titem_id:token\ttimestamp:float"]
    for session in range(600):
        items = (generator.integers(n_items) + np.cumsum(generator.integers(1, 4, generator.integers(2, 12)))) % n_items
        inter += [f"s{session}\ti{item}\t{1000 * session + place}" for place, item in enumerate(items)]
    item_lines = ["item_id:token\timage:float_seq\tcolour:token\tprice:float\ttags:token_seq\tweight:float"]
    for item in range(n_items):
        image = "" if item % 11 == 3 else " ".join(f"{x:.4f}" for x in generator.normal(size=3))
        colour = ["", "red", "None", "light blue"][item % 4]
        tags = " ".join(f"t{tag}" for tag in range(item % 5))
        price = "" if item % 7 == 2 else f"{generator.uniform(1, 50):.2f}"
        item_lines.append(f"i{item}\t{image}\t{colour}\t{price}\t{tags}\t{generator.normal():.4f}")
    for kind, lines in (("inter", inter), ("item", item_lines)):
        write_text(folder / f"shop.{kind}", "\n".join(lines) + "\n")
    return str(folder)


def train_ours(seed: int, data: Dataset) -> dict[str, float]:
    """Return the test metrics of `parallel_concat` trained from scratch; a finished seed is not trained again."""
    windows = cut_windows(split(data, min_support=0).train, MAX_LENGTH)
    per_batch = round(BATCH / float((windows.stop - windows.start - 1).mean()))
    settings = OURS.model_copy(update={"batch_size": per_batch})
    run = RunSpec(dataset="ml-100k", variant="parallel_concat", seed=seed, settings=settings)
    path = WORK / f"ours-seed{seed}.json"
    if not (path.is_file() and read_json(path)["run"] == run.model_dump()):
        trained = experiment.select(run, data)
        metrics = summarise(rank_targets(trained.network, trained.parts.test, max_length=MAX_LENGTH).ranks)
        seconds = sum(row["train_cpu_seconds"] for row in trained.progress.history)
        write_json(path, {"run": run.model_dump(), "test": metrics, "train_cpu_seconds": seconds})
    return read_json(path)


def from_scratch(n_seeds: int, data: Dataset) -> dict:
    """Train both sides with every seed and compare means with the spread over seeds."""
    settings = {**RECBOLE, "model": "GRU4RecF", "epochs": EPOCHS}
    theirs = [train_recbole(f"train-seed{seed}", {**settings, "seed": seed}) for seed in range(1, n_seeds + 1)]
    ours = [train_ours(seed, data) for seed in range(1, n_seeds + 1)]
    columns = {"recbole": [chosen(r["test"]) for r in theirs], "ours": [chosen(r["test"]) for r in ours]}
    compared = {}
    for metric in METRICS:
        values = {side: [row[metric] for row in rows] for side, rows in columns.items()}
        spreads = {side: stdev(v) if n_seeds > 1 else 0.0 for side, v in values.items()}
        spread = sqrt(mean(sd**2 for sd in spreads.values()))  # of one run, both sides pooled
        compared[metric] = {
            **{f"{side}_mean": mean(v) for side, v in values.items()},
            **{f"{side}_sd": sd for side, sd in spreads.items()},
            "pooled_sd": spread,
            "reached": mean(values["ours"]) >= mean(values["recbole"]) - spread,
        }
    return {
        "metrics": compared,
        "seeds": columns,
        "settings": {"recbole": settings, "ours": ours[0]["run"]["settings"]},
        "train_cpu_seconds": {
            "recbole, validation included, anomaly detection off": mean(r["fit_cpu_seconds"] for r in theirs),
            "ours": mean(r["train_cpu_seconds"] for r in ours),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", action="store_true", help="train both sides from scratch")
    parser.add_argument("--seeds", type=int, default=5, help="seeds per side")
    options = parser.parse_args()
    if not PYTHON.exists():
        raise SystemExit("RecBole is not installed; run `make recbole-env` first.")
    torch.set_num_threads(1)
    data, changed = recboles_data()
    path = REPORTS / "recbole_parity.json"
    measured = read_json(path) if path.exists() else {}
    measured = {name: value for name, value in measured.items() if name not in ("cpu", "versions")}
    if options.train:
        measured["training"] = from_scratch(options.seeds, data)
    else:
        measured["data_rules"] = {**DATA_RULES, "changed_by_float32": changed}
        measured["from_recbole"] = [from_theirs(model, data) for model in ("GRU4RecF", "GRU4Rec")]
        measured["to_recbole"] = [
            to_theirs("ml-100k", "parallel_concat", min_support=1, n_epochs=2),
            to_theirs("ml-100k", "id_only", min_support=5, n_epochs=2),
            *(to_theirs(make_shop(), "parallel_concat", pooling=pooling, n_epochs=4) for pooling in ("mean", "max")),
        ]
    save("recbole_parity", measured)


if __name__ == "__main__":
    main()
