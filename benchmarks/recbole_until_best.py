"""CPU seconds of training until RecBole's best test NDCG@10 on ml-100k is reached (`recbole_speed.py --until-best`).

Settings are those of recbole_parity.py on RecBole's side, without anomaly detection (as shipped RecBole is slower
still), and twice on ours: the same ones, and those of `GRID` with the best validation MRR@10 of any epoch, the mean of
seeds that are not used again. RecBole trains until validation MRR@10 has not been better for four epochs, 20 epochs at
most; ours trains 20 epochs. Test is ranked after every epoch and selects nothing. RecBole's seconds are those until the
best epoch of its own test curve; the goal is the mean of these bests over seeds; our seconds are those until a seed's
test curve first reaches the goal. Seconds are training and validation; medians over seeds, one that never arrives being
infinite. The final metrics are those of the epoch with the best validation MRR@10, on both sides.

The rule for equal settings was fixed before any of these runs. The chosen settings were added when it was seen that no
seed reaches the goal with equal ones: windows of whole sequences make a step of other, fewer users than RecBole's rows.

RecBole's finished seeds lie below runs/recbole-speed and are kept, so that a stopped call goes on.
"""

import itertools
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
from gru4recf.settings import RunSpec, Settings
from gru4recf.training import fit

N_EPOCHS, STOPPING_STEP = 20, 3  # RecBole stops when more than this many epochs were no better
GOAL, SELECTED_ON = "NDCG@10", "validation MRR@10"
FOLDER = RUNS / "recbole-speed" / "until-best"
GRID = {"learning_rate": (0.001, 0.002, 0.005), "batch_size": (10, 32)}  # windows; 13 hold RecBole's 512 targets
CHOOSING_SEEDS = (101, 102)
ROUNDING = 1e-6  # RecBole rounds its metrics

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


def equal_settings(data: Dataset) -> Settings:
    """Return RecBole's settings, with as many windows a step as hold its number of targets on average."""
    train = split(data, min_support=0).train
    per_batch = round(BATCH * len(cut_windows(train, MAX_LENGTH)) / train.n_targets)
    return OURS.model_copy(update={"batch_size": per_batch, "n_epochs": N_EPOCHS, "patience": N_EPOCHS})


def choose(equal: Settings, data: Dataset) -> Settings:
    """Return the settings of the grid that are best on validation."""
    cells = [equal.model_copy(update=dict(zip(GRID, v, strict=True))) for v in itertools.product(*GRID.values())]
    curves = {cell: [our_curve(seed, cell, data) for seed in CHOOSING_SEEDS] for cell in cells}
    return max(cells, key=lambda cell: mean(max(row[SELECTED_ON] for row in curve) for curve in curves[cell]))


def our_curve(seed: int, settings: Settings, data: Dataset) -> Curve:
    """Return the same rows for `parallel_concat`."""
    parts = split(data, min_support=0)
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
    finite = median(own) < float("inf")
    return {
        "goal": {GOAL: goal},
        "cpu_seconds": {"recbole": theirs, "ours": [None if seconds == float("inf") else seconds for seconds in own]},
        "ratio": round(median(theirs) / median(own), 1) if finite else None,
        "final": final,
        "not_worse": {n: final["ours"][n]["mean"] >= final["recbole"][n]["mean"] - ROUNDING for n in METRICS},
        "epochs": {"recbole": [len(curve) for curve in recbole], "ours": [len(curve) for curve in ours]},
    }


def until_best(n_seeds: int) -> dict[str, Any]:
    """Train both sides with every seed and compare them."""
    torch.set_num_threads(1)
    data, _ = recboles_data()
    seeds, equal = range(1, n_seeds + 1), equal_settings(data)
    recbole = [recboles_curve(seed) for seed in seeds]
    found = {}
    for name, settings in {"equal settings": equal, "settings chosen on validation": choose(equal, data)}.items():
        ours = [our_curve(seed, settings, data) for seed in seeds]
        used = {option: getattr(settings, option) for option in GRID}
        found[name] = {"settings": used, **compare(recbole, ours), "curves": ours}
        print(name, {key: value for key, value in found[name].items() if key != "curves"}, flush=True)
    rule = " ".join(" ".join(__doc__.split("\n\n")[1:3]).split())
    return {"rule": rule, "recbole": recbole, **found}
