"""CPU seconds of training until RecBole's best test NDCG@10 is reached (`recbole_speed.py --until-best DATASET`).

Settings are those of recbole_parity.py on RecBole's side, without anomaly detection (as shipped RecBole is slower
still), and thrice on ours: the same ones; those of `GRIDS` with the best validation MRR@10 of any epoch, the mean of
seeds that are not used again; and those of them that arrive first on validation: the mean curve of those seeds comes,
after the fewest CPU seconds, within 5% of the highest point of all cells' mean curves. RecBole trains until
validation MRR@10 has not been better for four epochs, 20 epochs at most on ml-100k and 40 on the newest tenth of
eshop's sessions, where an epoch is short; ours trains as many epochs as RecBole may. Test is ranked after every epoch
and selects nothing. RecBole's seconds are those until the best epoch of its own test curve; the goal is the mean of
these bests over seeds; our seconds are those until a seed's test curve first reaches the goal. Seconds are training
and validation; medians over seeds, one that never arrives being infinite. The final metrics are those of the epoch
with the best validation MRR@10, on both sides.

The rule for equal settings was fixed before any of these runs. The chosen settings were added when it was seen that
no seed reaches the goal with equal ones on ml-100k: windows of whole sequences make a step of other, fewer users than
RecBole's rows. eshop was added after ml-100k was finished; its rule was written before its first run. The settings
that arrive first near the best were added when the best ones had arrived on ml-100k in a tenth of RecBole's seconds;
with them the grid of ml-100k moved to higher rates and larger batches, as the larger of two batches had been chosen,
and a third seed chooses.

RecBole's finished seeds lie below runs/recbole-speed and are kept, so that a stopped call goes on.
"""

import itertools
import time
from dataclasses import dataclass
from statistics import mean, median, stdev
from typing import Any

import torch
from machine import cpu
from recbole_parity import BATCH, MAX_LENGTH, METRICS, OURS, PYTHON, RECBOLE, recboles_data
from sequences import write_sequences

from gru4recf.data.atomic import read_atomic
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

STOPPING_STEP = 3  # RecBole stops when more than this many epochs were no better
GOAL, SELECTED_ON = "NDCG@10", "validation MRR@10"
FOLDER = RUNS / "recbole-speed" / "until-best"
RECBOLE_WITHOUT_DATA = {k: v for k, v in RECBOLE.items() if k not in ("dataset", "load_col", "selected_features")}
GRIDS = {  # a batch in windows: RecBole's 512 targets fill 13 of ml-100k and 83 of eshop
    "ml-100k": {"learning_rate": (0.002, 0.004, 0.008), "batch_size": (32, 64)},
    "eshop-10pct": {"learning_rate": (0.001, 0.002, 0.005), "batch_size": (32, 128)},
}
CHOOSING_SEEDS = (101, 102, 103)
NEAR = 0.95
RULE = " ".join(" ".join(__doc__.split("\n\n")[1:3]).split())
KEPT = ("epoch", "cpu_seconds", SELECTED_ON, *METRICS)
ROUNDING = 1e-6  # RecBole rounds its metrics

Curve = list[dict[str, float]]


@dataclass(frozen=True)
class Work:
    """What both sides train on, and their settings: RecBole's, and equal ones of ours."""

    name: str
    data: Dataset
    recbole: dict[str, Any]
    ours: Settings


def ml_100k() -> Work:
    """Return RecBole's own data set, with its list of genres."""
    return _work("ml-100k", recboles_data()[0], RECBOLE, "class", n_epochs=20)


def eshop() -> Work:
    """Return the newest tenth of eshop's sessions as users, with all features."""
    from recbole_speed import recboles_settings

    folder = FOLDER / "eshop-10pct"
    where = recboles_settings(write_sequences("eshop", folder, share=0.1), folder, MAX_LENGTH, BATCH)
    return _work(folder.name, read_atomic(folder), {**where, **RECBOLE_WITHOUT_DATA}, "", n_epochs=40)


def _work(name: str, data: Dataset, recbole: dict[str, Any], features: str, n_epochs: int) -> Work:
    recbole = {**recbole, "model": "GRU4RecF", "epochs": n_epochs, "stopping_step": STOPPING_STEP}
    train = split(data, min_support=0).train
    # as many windows a step as hold RecBole's number of targets on average
    per_batch = round(BATCH * len(cut_windows(train, MAX_LENGTH)) / train.n_targets)
    own = {"features": features, "batch_size": per_batch, "n_epochs": n_epochs, "patience": n_epochs}
    return Work(name, data, recbole, OURS.model_copy(update=own))


WORKS = {"ml-100k": ml_100k, "eshop-10pct": eshop}


def recboles_curve(seed: int, work: Work) -> Curve:
    """Return RecBole's curve; one that is finished is not made again."""
    from recbole_speed import SCRIPTS, in_a_process

    settings, folder = {**work.recbole, "seed": seed}, FOLDER / f"{work.name}-seed{seed}"
    result = folder / "result.json"
    if not (result.is_file() and read_json(folder / "settings.json") == settings):
        folder.mkdir(parents=True, exist_ok=True)
        result.unlink(missing_ok=True)
        write_json(folder / "settings.json", settings)
        in_a_process(PYTHON, SCRIPTS / "curve.py", folder / "settings.json", result)
    made = read_json(result)
    if made["test_rows"] != (n_rows := split(work.data, min_support=0).test.n_targets):
        raise SystemExit(f"{work.name}: RecBole has {made['test_rows']} test rows, ours {n_rows}.")
    names = {name.lower(): name for name in KEPT}
    return [{names[name.lower()]: v for name, v in row.items() if name.lower() in names} for row in made["rows"]]


def choose(work: Work) -> dict[str, Settings]:
    """Return the settings of the grid that are best on validation, and those that arrive first near the best."""
    options = itertools.product(*GRIDS[work.name].values())
    cells = [work.ours.model_copy(update=dict(zip(GRIDS[work.name], values, strict=True))) for values in options]
    best, means = {}, {}
    for cell in cells:
        curves = [our_curve(seed, cell, work.data) for seed in CHOOSING_SEEDS]
        best[cell] = mean(max(row[SELECTED_ON] for row in curve) for curve in curves)
        means[cell] = mean_curve(curves)
        chosen = {option: getattr(cell, option) for option in GRIDS[work.name]}
        print(f"{chosen}: {SELECTED_ON} {best[cell]:.4f}, curve {means[cell]}", flush=True)
    goal = NEAR * max(row[SELECTED_ON] for curve in means.values() for row in curve)
    seconds = {cell: seconds_until(curve, goal, SELECTED_ON) for cell, curve in means.items()}
    return {
        "best on validation": max(best, key=best.__getitem__),
        "first on validation": min(seconds, key=seconds.__getitem__),
    }


def mean_curve(curves: list[Curve]) -> Curve:
    """Return seconds and validation after each epoch, the mean of all seeds."""
    columns = ("cpu_seconds", SELECTED_ON)
    return [{column: mean(row[column] for row in rows) for column in columns} for rows in zip(*curves, strict=True)]


def our_curve(seed: int, settings: Settings, data: Dataset) -> Curve:
    """Return the same rows for `parallel_concat`."""
    parts = split(data, min_support=0)
    run = RunSpec(dataset=data.name, variant="parallel_concat", seed=seed, settings=settings)
    network, generator = start(run, data, parts)
    rows, seconds, begin = [], 0.0, time.process_time()

    def after_epoch(row: dict[str, float]) -> None:
        nonlocal seconds, begin
        seconds += time.process_time() - begin
        metrics = summarise(rank_targets(network, parts.test, max_length=MAX_LENGTH).ranks)
        values = {**row, **metrics, "cpu_seconds": seconds}
        rows.append({name: values[name] for name in KEPT})
        begin = time.process_time()

    fit(network, parts.train, parts.validation, generator, **settings.training_options(), on_epoch=after_epoch)
    return rows


def seconds_until(curve: Curve, goal: float, metric: str = GOAL) -> float:
    """Return the CPU seconds after which the curve first reaches the goal, infinity where it never does."""
    return next((row["cpu_seconds"] for row in curve if row[metric] >= goal), float("inf"))


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


def until_best(name: str, n_seeds: int) -> dict[str, Any]:
    """Train both sides with every seed and compare them."""
    torch.set_num_threads(1)
    work, seeds = WORKS[name](), range(1, n_seeds + 1)
    kinds = {"equal settings": work.ours, **{f"settings {kind}": found for kind, found in choose(work).items()}}
    recbole, ours, found = [], {kind: [] for kind in kinds}, {}
    for seed in seeds:  # in turns, as other work on the machine slows down whoever runs beside it
        recbole.append(recboles_curve(seed, work))
        for kind, settings in kinds.items():
            ours[kind].append(our_curve(seed, settings, work.data))
    for kind, settings in kinds.items():
        used = {option: getattr(settings, option) for option in GRIDS[name]}
        found[kind] = {"settings": used, **compare(recbole, ours[kind]), "curves": ours[kind]}
        print(name, kind, {key: value for key, value in found[kind].items() if key != "curves"}, flush=True)
    return {"recbole": recbole, **found, "cpu": cpu()}
