"""What another kind of processor changes: a study run anew beside the published one.

    gru4recf study studies/default.yaml --out runs/anew
    python benchmarks/replicated.py runs/anew [PUBLISHED]        default: reports/default

A folder of some of the published study's runs will do (its file with fewer data sets or seeds, under a name of its
own); nothing is said of verdicts then.

The same settings, seeds and versions give the same bytes on one kind of processor; another may add up in another order.
Told are the runs that came out with the same ranks, how many ranks differ (of a network's, those among the first 50,
which evidence keeps), how far a variant's metrics moved (the root mean square over seeds, in parts of the published
mean), beside how far all its seeds lie apart (their standard deviation, in the same parts), and every contrast, claim
and control whose verdict is another.
"""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from machine import REPORTS, cpu, save

from gru4recf.errors import StudyError
from gru4recf.evidence import TIES, load_evidence
from gru4recf.files import read_json
from gru4recf.metrics import PRIMARY

RUN = ["dataset", "variant", "strategy", "seed"]
CONTRAST = ("dataset", "claim", "metric", "better", "worse")
Ranks = Mapping[str, pd.DataFrame]


def compared(published: Path, anew: Path) -> dict[str, Any]:
    """Return what differs between the runs of a study and all or some of them made anew.

    Args:
        published: a study's folder, with its evidence and verdict.json.
        anew: likewise; a verdict is read where it has all runs. Runs that are not published are refused.
    """
    evidence = [load_evidence(folder) for folder in (published, anew)]
    before, after = (_runs(one.results) for one in evidence)
    if len(unknown := after.index.difference(before.index)):
        raise SystemExit(f"{len(unknown)} runs are not published, such as {unknown[0]}; take the same study's.")
    runs = before.join(after, suffixes=("", " anew"))
    runs["made"] = runs["ranks_sha256 anew"].notna()
    runs["same"] = runs["ranks_sha256"] == runs["ranks_sha256 anew"]
    n_ranks, n_others = _ranks(*(one.ranks for one in evidence), after.index.unique("dataset"))
    return {
        "cpu": cpu(),
        "runs": len(after),
        "runs published": len(before),
        "runs with the same ranks": int(runs["same"].sum()),
        "ranks": n_ranks,
        "ranks that differ": n_others,
        "moved": _moved(runs),
        **(_verdicts(published, anew) if len(after) == len(before) else {}),
    }


def _runs(results: pd.DataFrame) -> pd.DataFrame:
    """Return one row per run: the digest of its ranks and its primary metrics."""
    rows = results[results["metric"].isin(PRIMARY)]
    return rows.pivot(index=[*RUN, "ranks_sha256"], columns="metric", values="value").reset_index("ranks_sha256")


def _ranks(published: Ranks, anew: Ranks, datasets: Iterable[str]) -> tuple[int, int]:
    """Return how many ranks the runs made anew have together, and how many of them differ."""
    n_ranks = n_others = 0
    for dataset in datasets:
        before, after = published[dataset], anew[dataset]
        columns = [name for name in after if "/" in name and not name.endswith(TIES)]
        n_ranks += after[columns].size
        n_others += int((before[columns].to_numpy() != after[columns].to_numpy()).sum())
    return n_ranks, n_others


def _moved(runs: pd.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """Return data set -> variant -> how far its metrics moved and its seeds lie apart, where any ranks are others."""
    moved: dict[str, dict[str, dict[str, float]]] = {}
    for (dataset, variant), own in runs.groupby(["dataset", "variant"], sort=False):
        made = own[own["made"]]
        if made["same"].all():
            continue
        told = {"runs": len(made), "with the same ranks": int(made["same"].sum())}
        for metric in PRIMARY:
            mean, apart = own[metric].mean(), made[f"{metric} anew"] - made[metric]
            told[metric] = round(float(np.sqrt((apart**2).mean()) / mean), 6)
            told[f"{metric}, seeds"] = round(float(own[metric].std() / mean), 6) if len(own) > 1 else None
        moved.setdefault(dataset, {})[variant] = told
    return moved


def _verdicts(published: Path, anew: Path) -> dict[str, Any]:
    """Return how many contrasts, claims and controls there are, and those whose verdict is another."""
    found: dict[str, list[dict[str, Any]]] = {"contrasts": [], "claims": [], "controls": []}
    for verdict in (read_json(folder / "verdict.json") for folder in (published, anew)):
        rows = verdict["answers"]
        found["contrasts"].append({" / ".join(row[k] for k in CONTRAST): row["verdict"] for row in verdict["claims"]})
        found["claims"].append({f"{row['data set']}: {k}": row[k] for row in rows for k in row if k.endswith("?")})
        found["controls"].append({f"{row['dataset']}: {row['control']}": row["passed"] for row in verdict["controls"]})
    return {
        what: {
            "all": len(before),
            "with another verdict": {k: [before[k], after.get(k)] for k in before if before[k] != after.get(k)},
        }
        for what, (before, after) in found.items()
    }


def main() -> None:
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    published = Path(sys.argv[2]) if sys.argv[2:] else Path(__file__).parents[1] / "reports" / "default"
    path = REPORTS / "replicated.json"
    known = read_json(path)["studies"] if path.exists() else {}
    try:
        found = compared(published, Path(sys.argv[1]))
    except StudyError as error:
        raise SystemExit(str(error)) from None
    save("replicated", {"studies": {**known, read_json(published / "verdict.json")["study"]: found}})


if __name__ == "__main__":
    main()
