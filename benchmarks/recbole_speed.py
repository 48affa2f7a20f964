"""RecBole 1.2.1's GRU4RecF and `parallel_concat` side by side: training, full ranking, data preparation, memory.

    make recbole-env                                               once: RecBole in .venv-recbole
    python benchmarks/recbole_speed.py [DATASET ...]               default: eshop ml-100k ml-1m-sized; about 30 minutes
    python benchmarks/recbole_speed.py --until-best eshop-10pct    see recbole_until_best.py: hours, resumes

Both sides read the same atomic files (sequences.py), leave out each sequence's last events for validation and test as
RecBole does, and have the same sizes, dropout, optimiser and number of targets per step. A process of its own measures
each side on one thread, the two taking turns `N_TURNS` times; the best counts, because other work on the machine can
only slow a measurement down. Importing is in no figure but memory.

* Training: targets per CPU second of whole steps, loading included. RecBole trains parts of an epoch
  (recbole/speed.py), as shipped and with torch's anomaly detection off, ours whole epochs; both have as many tries.
  What our matrix products come to is told in shares of the sgemm rate, the highest of those measured after a turn.
* Ranking: test rows per CPU second, among all items, metrics included; of whole sessions too (recbole_ranking.py).
* Preparation: from the files to what an epoch draws batches from. Memory: the peak of the process that did all this.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import recbole_ranking
import torch
from flops import step_flops
from machine import REPORTS, cpu, save, sgemm_gflops
from recbole.memory import peak_megabytes
from sequences import ML_1M, write_sequences

from gru4recf.data.atomic import read_atomic
from gru4recf.data.batches import Batch, batches
from gru4recf.data.dataset import Dataset
from gru4recf.data.features import encode_features
from gru4recf.data.sessions import cut_windows
from gru4recf.data.split import split
from gru4recf.evaluation import rank_targets
from gru4recf.files import read_json, write_json
from gru4recf.metrics import summarise
from gru4recf.models import build
from gru4recf.models.base import SessionNetwork, Sizes
from gru4recf.optimisers import make_optimiser
from gru4recf.results import CHECKOUT, RUNS
from gru4recf.training import seed_everything, train_epoch

PYTHON = CHECKOUT / ".venv-recbole" / "bin" / "python"
SCRIPTS = Path(__file__).parent / "recbole"
FOLDER = RUNS / "recbole-speed"
N_TURNS, N_TRIES, TARGETS_PER_TRY, ROWS_PER_TRY = 2, 3, 4096, 5000
# L and targets per step: RecBole's defaults are 50 and 2048; ml-1m's are those of the published figure
WORK = {
    "eshop": ((50, 2048), (50, 512), (20, 2048)),
    "ml-100k": ((50, 2048), (50, 512), (20, 2048)),
    "ml-1m-sized": ((50, 4096),),
}
AS_SESSIONS = ("eshop", "ml-100k")
KEY = ("dataset", "max_length", "targets_per_step")
SIZES = {"embedding_size": 64, "hidden_size": 128, "dropout": 0.3}
PUBLISHED = {
    "events_per_second": 20_900,
    "of": "GRU4RecF on ml-1m, TITAN V: 39.09 s per epoch of 834,449 - 3 x 6,034 targets; L = 50, E = 64, batch 4,096",
    "source": "RecBole, asset/time_test_result/Sequential_recommendation.md, github.com/RUCAIBox/RecBole",
    "here": "generated: {n_sequences:,} sequences, {n_events:,} events, {n_items:,} items, one list feature of "
    "{n_genres} values".format(**ML_1M),
}
RULES = {
    "data": "the same files: sessions as users, places as times; leave one out, twice; all items ranked",
    "inputs": "RecBole pads every target's inputs to L. Ours cuts sequences into windows of L inputs, aligned to the "
    "end, and reads each once: early targets of a window see fewer inputs, test targets the same on both sides",
    "steps": "as many targets per step on both sides: rows there, whole windows here",
}


def measure(folder: Path, max_length: int, targets_per_step: int) -> dict[str, Any]:
    """Return CPU seconds and rates of our side, and the sgemm rate of the same minute."""
    torch.set_num_threads(1)
    begin = time.process_time()
    data = read_atomic(folder)
    parts = split(data, min_support=0)
    features = encode_features(data, parts.catalogue)
    windows = cut_windows(parts.train, max_length)
    prepared = time.process_time() - begin
    generator = seed_everything(0)
    network = build("parallel_concat", Sizes(parts.n_items, pooling="sum", **SIZES), features, parts.train)
    optimiser = make_optimiser("adam", network, 0.001)
    per_step = max(1, round(targets_per_step * len(windows) / parts.train.n_targets))
    rates, ranked, n_rankings = [], [], ceil(ROWS_PER_TRY / parts.test.n_targets)
    for _ in range(N_TRIES):
        begin = time.process_time()
        train_epoch(network, optimiser, batches(parts.train, windows, per_step, generator=generator))
        rates.append(parts.train.n_targets / (time.process_time() - begin))
    for _ in range(N_TRIES):
        begin = time.process_time()
        for _ in range(n_rankings):
            summarise(rank_targets(network, parts.test, max_length=max_length).ranks)
        ranked.append(n_rankings * parts.test.n_targets / (time.process_time() - begin))
    read = cut_windows(parts.test, max_length)
    return {
        "training_targets": parts.train.n_targets,
        "test_rows": parts.test.n_targets,
        "inputs_per_test_row": int((read.stop - read.start - 1).sum()) / parts.test.n_targets,
        "prepare_cpu_seconds": prepared,
        "events_per_cpu_second": {"ours": rates},
        "ranked_rows_per_cpu_second": ranked,
        "peak_megabytes": peak_megabytes(),
        "sgemm_gflops": sgemm_gflops(),
        "flops_per_event": flops_per_event(network, batches(parts.train, windows, per_step, generator=generator)),
    }


def flops_per_event(network: SessionNetwork, epoch: Iterable[Batch]) -> int:
    """Return the operations of the matrix products that an epoch needs, by its targets."""
    counted = [(step_flops(network, batch), len(batch.targets)) for batch in epoch]
    return round(sum(flops for flops, _ in counted) / sum(n for _, n in counted))


def recboles_settings(data: Dataset, folder: Path, max_length: int, targets_per_step: int) -> dict[str, Any]:
    """Return RecBole's settings of the same work, and how much of it to do."""
    features = list(data.kinds)
    return {
        "model": "GRU4RecF",
        "dataset": folder.name,
        "data_path": str(folder.parent),
        "load_col": {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", *features]},
        "selected_features": features,
        "numerical_features": [name for name, kind in data.kinds.items() if kind == "float"],
        "pooling_mode": "sum",
        "embedding_size": SIZES["embedding_size"],
        "hidden_size": SIZES["hidden_size"],
        "num_layers": 1,
        "dropout_prob": SIZES["dropout"],
        "loss_type": "CE",
        "learning_rate": 0.001,
        "train_batch_size": targets_per_step,
        "MAX_ITEM_LIST_LENGTH": max_length,
        "n_batches": max(2, TARGETS_PER_TRY // targets_per_step),
        "n_tries": N_TRIES,
        "rows_per_try": ROWS_PER_TRY,
    }


def in_a_process(*command: object) -> dict[str, Any]:
    """Run a program on one thread; return what it writes to the file named last."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    options = {"env": {**os.environ, **threads}, "text": True, "capture_output": True}
    done = subprocess.run([str(part) for part in command], check=False, **options)
    if done.returncode:
        raise SystemExit(f"{command} failed:\n{done.stderr[-2000:]}")
    return read_json(command[-1])


def best(turns: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the best of all tries in all turns."""
    rates = {name: [t["events_per_cpu_second"][name] for t in turns] for name in turns[0]["events_per_cpu_second"]}
    return {
        "events_per_cpu_second": {name: round(max(map(max, tries))) for name, tries in rates.items()},
        "ranked_rows_per_cpu_second": round(max(max(t["ranked_rows_per_cpu_second"]) for t in turns)),
        "prepare_cpu_seconds": round(min(t["prepare_cpu_seconds"] for t in turns), 2),
        "peak_megabytes": min(t["peak_megabytes"] for t in turns),
    }


def ratios(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, float]:
    """Return how many times faster, or smaller, our side is."""
    rate, rates = ours["events_per_cpu_second"]["ours"], theirs["events_per_cpu_second"]
    found = {name: rate / value for name, value in rates.items()}
    found["ranking"] = ours["ranked_rows_per_cpu_second"] / theirs["ranked_rows_per_cpu_second"]
    for name in ("prepare_cpu_seconds", "peak_megabytes"):
        found[name.split("_")[0]] = theirs[name] / ours[name]
    return {name: round(ratio, 1) for name, ratio in found.items()}


def compare(dataset: str, max_length: int, targets_per_step: int) -> dict[str, Any]:
    """Measure both sides in turns and return them with their ratios."""
    folder = FOLDER / f"{dataset}-sequences"
    data = write_sequences(dataset, folder)
    settings, result = FOLDER / "settings.json", FOLDER / "result.json"
    write_json(settings, recboles_settings(data, folder, max_length, targets_per_step))
    ours, theirs = [], []
    for _ in range(N_TURNS):
        own = (sys.executable, __file__, "--measure", folder, max_length, targets_per_step, result)
        ours.append(in_a_process(*own))
        theirs.append(in_a_process(PYTHON, SCRIPTS / "speed.py", settings, result))
    counts = {name: ours[0][name] for name in ("training_targets", "test_rows")}
    if any(turn[name] != n for turn in theirs for name, n in counts.items()):
        raise SystemExit(f"{dataset}: RecBole has other targets or rows than the {counts} here.")
    ours_best, theirs_best = best(ours), best(theirs)
    flops, sgemm = ours[0]["flops_per_event"], max(turn["sgemm_gflops"] for turn in ours)
    return {
        **dict(zip(KEY, (dataset, max_length, targets_per_step), strict=True)),
        **counts,
        "inputs_per_test_row": round(ours[0]["inputs_per_test_row"], 2),
        "ours": ours_best,
        "recbole": theirs_best,
        "ratios": ratios(ours_best, theirs_best),
        "flops_per_event": flops,
        "share_of_sgemm": round(ours_best["events_per_cpu_second"]["ours"] * flops / (sgemm * 1e9), 3),
        "sgemm_gflops": round(sgemm, 1),
        "cpu": cpu(),
        "load_average": round(os.getloadavg()[0], 1),
    }


def compare_sessions(dataset: str) -> dict[str, Any]:
    """Measure the ranking of whole sessions on both sides, one after the other."""
    run, out = recbole_ranking.export(dataset, FOLDER)
    settings, result = FOLDER / "settings.json", FOLDER / "result.json"
    write_json(settings, recbole_ranking.recboles_settings(out, N_TRIES))
    theirs = in_a_process(PYTHON, SCRIPTS / "ranking.py", settings, result)
    return recbole_ranking.compared(dataset, recbole_ranking.ours(run, N_TRIES), theirs)


def reported(part: str | None = None) -> dict[str, Any]:
    """Return what the report holds so far, or one part of it; nothing where it is missing."""
    path = REPORTS / "recbole_speed.json"
    found = read_json(path) if path.exists() else {}
    return found if part is None else found.get(part, {})


def add(measured: dict[str, Any], rows: Sequence[dict[str, Any]] = ()) -> None:
    """Put measurements into the report, in place of earlier ones of the same work."""
    kept = {k: v for k, v in reported().items() if k not in ("cpu", "versions")}
    known = {tuple(row[name] for name in KEY): row for row in [*kept.get("rows", []), *rows]}
    ordered = [known[d, *work] for d, works in WORK.items() for work in works if (d, *work) in known]
    recboles = dict(line.split("==") for line in (SCRIPTS / "requirements.txt").read_text().split() if "==" in line)
    about = {"published": PUBLISHED, "rules": RULES, "recbole_versions": recboles}
    save("recbole_speed", {**kept, "rows": ordered, **about, **measured})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="*", default=list(WORK), metavar="DATASET")
    parser.add_argument("--until-best", metavar="DATASET", help="train both sides until RecBole's best is reached")
    parser.add_argument("--seeds", type=int, default=5, help="seeds per side with --until-best")
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        folder, max_length, targets_per_step, result = options.measure
        write_json(Path(result), measure(Path(folder), int(max_length), int(targets_per_step)))
        return
    if not PYTHON.exists():
        raise SystemExit("RecBole is not installed; run `make recbole-env` first.")
    torch.set_num_threads(1)
    if options.until_best:
        from recbole_until_best import RULE, until_best

        found = {"rule": RULE, **until_best(options.until_best, options.seeds)}
        add({"until_best": {"data": {**reported("until_best").get("data", {}), options.until_best: found}}})
        return
    for dataset in options.datasets:
        rows = [compare(dataset, *work) for work in WORK[dataset]]
        sessions = {dataset: compare_sessions(dataset)} if dataset in AS_SESSIONS else {}
        add({"session_ranking": {**reported("session_ranking"), **sessions}}, rows)


if __name__ == "__main__":
    main()
