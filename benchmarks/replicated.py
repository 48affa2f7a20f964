"""What another kind of processor changes: a study run anew beside the published one.

    gru4recf study studies/default.yaml --out runs/anew
    python benchmarks/replicated.py runs/anew [PUBLISHED]        default: reports/default

The same settings, seeds and versions give the same bytes on one kind of processor; another may add up in another order.
Told are the runs that came out with the same ranks, how many ranks differ (of a network's, those among the first 50,
which evidence keeps), how far a variant's metrics moved (the root mean square over seeds, in parts of the published
mean), beside how far its seeds lie apart (their standard deviation, in the same parts), and every contrast, claim and
control whose verdict is another.
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from machine import save

from gru4recf.files import read_json
from gru4recf.metrics import PRIMARY

RUN = ["dataset", "variant", "strategy", "seed"]
RANKS = "VARIANT/STRATEGY/SEED"
CONTRAST = ("dataset", "claim", "metric", "better", "worse")


def compared(published: Path, anew: Path) -> dict[str, Any]:
    """Return what differs between two folders of one study.

    Args:
        published: with results.parquet and verdict.json.
        anew: likewise; other runs than the published ones are refused.
    """
    runs = _runs(published).join(_runs(anew), suffixes=("", " anew"), how="outer")
    if runs.isna().any(axis=None):
        missing = runs.index[runs.isna().any(axis=1)].unique()
        raise SystemExit(f"{len(missing)} runs are in one folder only, such as {missing[0]}; both need the same.")
    verdicts = [read_json(folder / "verdict.json") for folder in (published, anew)]
    contrasts = [{" / ".join(row[name] for name in CONTRAST): row["verdict"] for row in v["claims"]} for v in verdicts]
    claims = [{f"{r['data set']}: {k}": r[k] for r in v["answers"] for k in r if k.endswith("?")} for v in verdicts]
    controls = [{f"{row['dataset']}: {row['control']}": row["passed"] for row in v["controls"]} for v in verdicts]
    same = runs["ranks_sha256"] == runs["ranks_sha256 anew"]
    n_ranks, n_others = _ranks(published, anew, runs.index.unique("dataset"))
    return {
        "study": verdicts[0]["study"],
        "runs": len(runs),
        "runs with the same ranks": int(same.sum()),
        "ranks": n_ranks,
        "ranks that differ": n_others,
        "moved": _moved(runs.assign(same=same)),
        **{
            name: {"all": len(before), "with another verdict": _changed(before, after)}
            for name, (before, after) in {"contrasts": contrasts, "claims": claims, "controls": controls}.items()
        },
    }


def _runs(folder: Path) -> pd.DataFrame:
    """Return one row per run: the digest of its ranks and its primary metrics."""
    rows = pd.read_parquet(folder / "results.parquet")
    rows = rows[rows["metric"].isin(PRIMARY)]
    return rows.pivot(index=[*RUN, "ranks_sha256"], columns="metric", values="value").reset_index("ranks_sha256")


def _ranks(published: Path, anew: Path, datasets: Iterable[str]) -> tuple[int, int]:
    """Return how many ranks all runs have together, and how many of them differ."""
    n_ranks = n_others = 0
    for dataset in datasets:
        before, after = (pd.read_parquet(folder / "ranks" / f"{dataset}.parquet") for folder in (published, anew))
        columns = [name for name in before if name.count("/") == RANKS.count("/")]
        n_ranks += before[columns].size
        n_others += int((before[columns].to_numpy() != after[columns].to_numpy()).sum())
    return n_ranks, n_others


def _moved(runs: pd.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """Return data set -> variant -> how far its metrics moved and its seeds lie apart, where any ranks are others."""
    moved: dict[str, dict[str, dict[str, float]]] = {}
    for (dataset, variant), own in runs.groupby(["dataset", "variant"], sort=False):
        if own["same"].all():
            continue
        told = {"runs": len(own), "with the same ranks": int(own["same"].sum())}
        for metric in PRIMARY:
            mean, apart = own[metric].mean(), own[f"{metric} anew"] - own[metric]
            told[metric] = round(float(np.sqrt((apart**2).mean()) / mean), 6)
            told[f"{metric}, seeds"] = round(float(own[metric].std() / mean), 6) if len(own) > 1 else None
        moved.setdefault(dataset, {})[variant] = told
    return moved


def _changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, list[Any]]:
    return {name: [before[name], after.get(name)] for name in before if before[name] != after.get(name)}


def main() -> None:
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    default = Path(__file__).parents[1] / "reports" / "default"
    save("replicated", compared(Path(sys.argv[2]) if sys.argv[2:] else default, Path(sys.argv[1])))


if __name__ == "__main__":
    main()
