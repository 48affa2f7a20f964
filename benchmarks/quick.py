"""The key ratios of a few minutes beside the committed ones, so that a change that costs speed is seen at once.

    python benchmarks/quick.py

Ratios of two programs that take turns in one process say more on a shared machine than rates; the share of the sgemm
rate stands for the rest. The committed ones are of this kind of processor where it was measured; on another kind a
ratio may differ, and a share of sgemm will. Nothing is written.
"""

from pathlib import Path

import recurrent
import sampled
import softmax
import torch
from machine import REPORTS, cpu

from gru4recf.files import read_json


def ours() -> dict[str, float]:
    """Return what is measured now."""
    recurrent.N_EPOCHS, softmax.N_TURNS, sampled.N_STEPS = 2, 8, 30
    small, large = (softmax.rates(name) for name in ("eshop", "onlineretail"))
    return {
        "GRU: ours / torch's, eshop": recurrent.rates("eshop")["ratio"],
        "soft-max: ours / torch's, onlineretail": large["ratio"],
        "share of sgemm, eshop": small["share_of_sgemm"],
        "share of sgemm, onlineretail": large["share_of_sgemm"],
        "step with negatives: 1,000,000 / 10,000 items": sampled.step_seconds()["ratio"],
    }


def measured_here(reports: Path, processor: str) -> Path:
    """Return the folder of committed measurements made on `processor`, or `reports` where there are none."""
    folders = [path.parent for path in sorted(reports.rglob("recurrent.json"))]
    return next((folder for folder in folders if read_json(folder / "recurrent.json")["cpu"] == processor), reports)


def committed(folder: Path) -> list[float]:
    """Return the same from a folder of committed measurements."""
    read = {name: read_json(folder / f"{name}.json") for name in ("recurrent", "softmax", "sampled")}
    rates = read["softmax"]["events_per_cpu_second"]
    return [
        read["recurrent"]["events_per_cpu_second"]["eshop"]["ratio"],
        rates["onlineretail"]["ratio"],
        rates["eshop"]["share_of_sgemm"],
        rates["onlineretail"]["share_of_sgemm"],
        read["sampled"]["step_cpu_seconds"]["ratio"],
    ]


def main() -> None:
    torch.set_num_threads(1)
    folder = measured_here(REPORTS, cpu())
    print(f"{'':48s} {'now':>6s} {'committed':>10s}")
    for (name, now), before in zip(ours().items(), committed(folder), strict=True):
        print(f"{name:48s} {now:6.2f} {before:10.2f}")
    print(f"now: {cpu()}; committed: {read_json(folder / 'recurrent.json')['cpu']}")


if __name__ == "__main__":
    main()
