"""CPU seconds of training until RecBole's best test NDCG@10 on ml-100k is reached (`recbole_speed.py --until-best`).

The rule, fixed before any of these runs. Settings are those of recbole_parity.py on both sides, without anomaly
detection (as shipped RecBole is slower still). RecBole trains until validation MRR@10 has not been better for four
epochs, 20 epochs at most; ours trains 20 epochs. Test is ranked after every epoch and selects nothing. RecBole's
seconds are those until the best epoch of its own test curve; the goal is the mean of these bests over seeds; our
seconds are those until a seed's test curve first reaches the goal. Seconds are training and validation; medians over
seeds, one that never arrives being infinite. The final metrics are those of the epoch with the best validation MRR@10,
on both sides.

RecBole's finished seeds lie below runs/recbole-speed and are kept, so that a stopped call goes on.
"""

import time
from statistics import mean, median, stdev
from typing import Any

import torch
from recbole_parity import BATCH, MAX_LENGTH, METRICS, OURS, PYTHON, RECBOLE, recboles_data

from gru4recf.data.dataset import Dataset
from gru4recf.data.sessions import cut_windows
from gru4recf.data.split import split
from gru4recf.evaluation import rank_targets
from gru4recf.experiment import start
from gru4recf.files import read_json, write_json
from gru4recf.metrics import summarise
from gru4recf.results import RUNS
from gru4recf.settings import RunSpec
from gru4recf.training import fit

N_EPOCHS, STOPPING_STEP = 20, 3  # RecBole stops when more than this many epochs were no better
GOAL, SELECTED_ON = "NDCG@10", "validation MRR@10"
FOLDER = RUNS / "recbole-speed" / "until-best"

Curve = list[dict[str, float]]


def recboles_curve(seed: int) -> Curve:
    """Return RecBole's curve; one that is finished is not made again."""
    from recbole_speed import SCRIPTS, in_a_process

    own = {"model": "GRU4RecF", "epochs": N_EPOCHS, "stopping_step": STOPPING_STEP, "seed": seed}
    settings, folder = {**RECBOLE, **own}, FOLDER / f"seed{seed}"
    result = folder / "result.json"
    if not (result.is_file() and read_json(folder / "settings.json") == settings):
        folder.mkdir(parents=True, exist_ok=True)
        result.unlink(missing_ok=True)
        write_json(folder / "settings.json", settings)
        in_a_process(PYTHON, SCRIPTS / "curve.py", folder / "settings.json", result)
    names = {name.lower(): name for name in METRICS} | {SELECTED_ON.lower(): SELECTED_ON}
    return [{names.get(name.lower(), name): value for name, value in row.items()} for row in read_json(result)["rows"]]


def our_curve(seed: int, data: Dataset) -> Curve:
    """Return the same rows for `parallel_concat`."""
    parts = split(data, min_support=0)
    windows = cut_windows(parts.train, MAX_LENGTH)
    per_batch = round(BATCH * len(windows) / parts.train.n_targets)
    settings = OURS.model_copy(update={"batch_size": per_batch, "n_epochs": N_EPOCHS, "patience": N_EPOCHS})
    run = RunSpec(dataset="ml-100k", variant="parallel_concat", seed=seed, settings=settings)
    network, generator = start(run, data, parts)
    rows, seconds, begin = [], 0.0, time.process_time()

    def after_epoch(row: dict[str, float]) -> None:
        nonlocal seconds, begin
        seconds += time.process_time() - begin
        metrics = summarise(rank_targets(network, parts.test, max_length=MAX_LENGTH).ranks)
        rows.append({"epoch": row["epoch"], "cpu_seconds": seconds, SELECTED_ON: row[SELECTED_ON], **metrics})
        begin = time.process_time()

    fit(network, parts.train, parts.validation, generator, **settings.training_options(), on_epoch=after_epoch)
    return rows


def seconds_until(curve: Curve, goal: float) -> float:
    """Return the CPU seconds after which the curve first reaches the goal, infinity where it never does."""
    return next((row["cpu_seconds"] for row in curve if row[GOAL] >= goal), float("inf"))


def compare(recbole: list[Curve], ours: list[Curve]) -> dict[str, Any]:
    """Return seconds and final metrics of both sides' curves, one per seed."""
    bests = [max(row[GOAL] for row in curve) for curve in recbole]
    goal = mean(bests)
    theirs = [seconds_until(curve, best) for curve, best in zip(recbole, bests, strict=True)]
    own = [seconds_until(curve, goal) for curve in ours]
    final = {}
    for side, curves in {"recbole": recbole, "ours": ours}.items():
        chosen = [max(curve, key=lambda row: row[SELECTED_ON]) for curve in curves]
        of_seeds = {name: [row[name] for row in chosen] for name in METRICS}
        final[side] = {name: {"mean": mean(v), "sd": stdev(v) if len(v) > 1 else 0.0} for name, v in of_seeds.items()}
    return {
        "goal": {GOAL: goal},
        "cpu_seconds": {"recbole": theirs, "ours": [None if seconds == float("inf") else seconds for seconds in own]},
        "ratio": round(median(theirs) / median(own), 1),
        "final": final,
        "not_worse": {name: final["ours"][name]["mean"] >= final["recbole"][name]["mean"] for name in METRICS},
        "epochs": {"recbole": [len(curve) for curve in recbole], "ours": [len(curve) for curve in ours]},
    }


def until_best(n_seeds: int) -> dict[str, Any]:
    """Train both sides with every seed and compare them."""
    torch.set_num_threads(1)
    data, _ = recboles_data()
    seeds = range(1, n_seeds + 1)
    curves = {"ours": [our_curve(seed, data) for seed in seeds], "recbole": [recboles_curve(seed) for seed in seeds]}
    rule = " ".join(__doc__.split("\n\n")[1].split())
    return {"rule": rule, **compare(curves["recbole"], curves["ours"]), "curves": curves}
