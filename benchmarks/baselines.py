"""Every baseline on Diginetica and RetailRocket: HR@20 and MRR@20 beside session-rec's published figures, CPU seconds.

    python benchmarks/baselines.py [DATASET ...]        default: diginetica retailrocket
    python benchmarks/baselines.py --page               baselines.md from the committed measurements

Baselines are fitted to all sessions before the test part and rank every item for every event after the first of a test
session; HR@20 is Recall@20. Each has its defaults, and once more the settings that session-rec chose for this data set,
where it published them. The figures were not measured on the same test sessions: what differs is said beside them.
"""

import sys
import time
from typing import Any

import torch
from machine import REPORTS, markdown_table, save, sgemm_gflops

from gru4recf.data.features import encode_features
from gru4recf.data.registry import open_dataset
from gru4recf.data.split import split
from gru4recf.evaluation import rank_targets
from gru4recf.files import read_json, write_text
from gru4recf.metrics import summarise
from gru4recf.models.baselines import BASELINES, build_baseline
from gru4recf.results import peak_memory_bytes

MAX_LENGTH = 50
SOURCES = {
    "single": "Ludewig, Mauro, Latifi, Jannach 2019 (RecSys), additional results: one split, the last 7 days are test; "
    "github.com/rn5l/session-rec, docs/tables_single and docs/tables_opt/opt_table_single.html",
    "windows": "Ludewig, Mauro, Latifi, Jannach 2021 (UMUAI 31), full result tables: mean over five windows of 25 days "
    "of training each; github.com/rn5l/session-rec, docs/umuai/tables_window and docs/umuai/tables_opt",
}
# (source, method) -> (HR@20, MRR@20, settings where they differ from the defaults here; days / 25 for lambda_snh)
PUBLISHED = {
    "diginetica": {
        ("single", "markov"): (0.3441, 0.1307, {}),
        ("single", "sequential_rules"): (0.4085, 0.1431, {"steps": 15}),
        ("single", "vsknn"): (0.5203, 0.1841, {"idf_weight": 10}),
        ("windows", "markov"): (0.2424, 0.1059, {}),
        ("windows", "sequential_rules"): (0.3277, 0.1216, {"steps": 25}),
        ("windows", "vsknn"): (0.4729, 0.1784, {}),
        ("windows", "vstan"): (
            *(0.4803, 0.1837),
            {"k": 1500, "lambda_spw": 4.9, "lambda_snh": 1.6, "lambda_inh": 4.9, "lambda_ipw": 1.225, "lambda_idf": 10},
        ),
    },
    "retailrocket": {
        ("windows", "markov"): (0.3583, 0.2295, {}),
        ("windows", "sequential_rules"): (0.4174, 0.2453, {"steps": 7}),
        ("windows", "vsknn"): (
            *(0.5745, 0.3395),
            {"k": 1500, "sample_size": 2500, "weighting": "same", "score_weighting": "linear", "idf_weight": 10},
        ),
        ("windows", "vstan"): (
            *(0.5932, 0.3636),
            {"k": 1000, "sample_size": 2500, "similarity": "dot", "lambda_spw": 3.62, "lambda_snh": 4}
            | {"lambda_inh": 0.4525, "lambda_ipw": 3.62, "lambda_idf": 1},
        ),
    },
}
DIFFERENCES = [
    "Test: here the published last sessions of the data set, once. session-rec's windows test on the days after each "
    "of five windows and average; its single split is the last 7 days, as Diginetica's test part here.",
    "Training: here all sessions before test. A window trains on 25 days, so on far fewer sessions.",
    "Data: here the cut of Diginetica that SR-GNN published and a filtered part of RetailRocket. session-rec filters "
    "the owners' files itself: items with 5 events, then sessions with 2 events, both over all days, test included.",
    "Items: the data sets are filtered already, so that nothing more is removed here but test events whose item was "
    "never seen in training; session-rec removes these too.",
    "Repeats: how often an item comes again within a session shows in session popularity, for which session-rec gives "
    "no figure; every method here and there may recommend an item again.",
    "Time: here sessions have an order and no times. VSTAN's decay runs over the share of later training sessions; the "
    "sample of V-SKNN and VSTAN holds the sessions that began last, in session-rec those that ended last.",
    "Ties: here equal items count half. session-rec takes them in the order its sort leaves them in, which gives a "
    "higher MRR where many are tied, as in a Markov chain: the mean of 1 / rank is above 1 / the mean rank.",
    "Pruning: session-rec keeps 20 rules per item in its Markov chain and 100 in sequential rules; here all are kept.",
    "History: here a target is predicted from the 50 events before it at most; session-rec reads the whole session.",
    "Equally similar neighbours: here the most recent ones; session-rec leaves them in the order of a set.",
]


def measure(name: str, parts: Any, features: list, settings: dict[str, Any]) -> dict[str, Any]:
    """Return metrics, CPU seconds and share of ties of one baseline."""
    begin = time.process_time()
    baseline = build_baseline(name, parts.train, parts.n_items, features, **settings)
    fitted = time.process_time()
    ranks = rank_targets(baseline, parts.test, max_length=MAX_LENGTH)
    ranked = time.process_time()
    metrics = summarise(ranks.ranks)
    return {
        "settings": settings or "defaults",
        "HR@20": round(metrics["Recall@20"], 4),
        "MRR@20": round(metrics["MRR@20"], 4),
        "tied_share": round(ranks.tied_share, 3),
        "fit_cpu_seconds": round(fitted - begin, 2),
        "rank_cpu_seconds": round(ranked - fitted, 2),
    }


def compare(dataset: str) -> dict[str, Any]:
    """Return every baseline's results on a data set, each with the published figures that belong to it."""
    data = open_dataset(dataset, progress=True)
    parts = split(data, min_support=1, merge_validation=True)
    features = encode_features(data, parts.catalogue)
    results = {name: [measure(name, parts, features, {})] for name in BASELINES}
    for (source, name), (hit_rate, mrr, settings) in PUBLISHED.get(dataset, {}).items():
        if settings:
            results[name].append(measure(name, parts, features, settings))
        results[name][-1 if settings else 0].setdefault("published", {})[source] = {"HR@20": hit_rate, "MRR@20": mrr}
    return {
        "items": parts.n_items - 1,
        "training_sessions": parts.train.n_sessions,
        "test_sessions": parts.test.n_sessions,
        "targets": parts.test.n_targets,
        "targets_not_ranked": parts.counts["test targets not ranked"],
        "sgemm_gflops": round(sgemm_gflops(), 1),
        "results": results,
    }


def page(record: dict[str, Any]) -> str:
    """Return the measurements beside the published figures as Markdown."""
    header = ("baseline", "settings", "HR@20", *(f"HR@20, {source}" for source in SOURCES), "MRR@20")
    header += (*(f"MRR@20, {source}" for source in SOURCES), "CPU seconds of fit and ranks")
    parts = [
        "# Baselines beside session-rec's published figures",
        "Generated by `benchmarks/baselines.py`. One thread.",
    ]
    for dataset, found in record["datasets"].items():
        lines = [_line(name, row) for name, rows in found["results"].items() for row in rows]
        counts = ", ".join(
            f"{found[name]:,} {name.replace('_', ' ')}" for name in ("training_sessions", "items", "targets")
        )
        parts += [f"## {dataset}", f"{counts}.", markdown_table(header, lines)]
    for title, lines in (
        ("Published", [f"{n}: {s}." for n, s in record["published"].items()]),
        ("What differs", record["differences"]),
    ):
        parts += [f"## {title}", "\n".join(f"* {line}" for line in lines)]
    return "\n\n".join(parts) + "\n"


def _line(name: str, row: dict[str, Any]) -> list[str]:
    settings = row["settings"]
    told = settings if isinstance(settings, str) else ", ".join(f"{key} {value}" for key, value in settings.items())
    cells = [name, told]
    for metric in ("HR@20", "MRR@20"):
        values = [row[metric], *(row.get("published", {}).get(source, {}).get(metric) for source in SOURCES)]
        cells += ["" if value is None else f"{value:.4f}" for value in values]
    return [*cells, round(row["fit_cpu_seconds"] + row["rank_cpu_seconds"], 1)]


def main() -> None:
    path = REPORTS / "baselines"
    if sys.argv[1:] == ["--page"]:
        write_text(path.with_suffix(".md"), page(read_json(path.with_suffix(".json"))))
        return
    torch.set_num_threads(1)
    measured = {name: compare(name) for name in sys.argv[1:] or PUBLISHED}
    record = {"datasets": measured, "published": SOURCES, "differences": DIFFERENCES}
    record["peak_memory_megabytes"] = round(peak_memory_bytes() / 1e6)
    save("baselines", record)
    write_text(path.with_suffix(".md"), page(record))


if __name__ == "__main__":
    main()
