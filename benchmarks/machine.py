"""What a measurement needs beside it: the machine, the versions and the sgemm rate of the same minute."""

import json
import os
import platform
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from gru4recf.files import write_json
from gru4recf.results import versions

REPORTS = Path(os.environ.get("GRU4RECF_BENCHMARKS") or Path(__file__).parents[1] / "reports" / "benchmarks")
"""Where measurements lie; the committed ones, unless GRU4RECF_BENCHMARKS names a folder for another machine's."""


def sgemm_gflops(n: int = 1536, seconds: float = 1.0) -> float:
    """Return the rate of float32 matrix products on one thread, in 10^9 operations per CPU second."""
    torch.set_num_threads(1)
    a, b = torch.randn(n, n), torch.randn(n, n)
    a @ b
    begin, count = time.process_time(), 0
    while time.process_time() - begin < seconds:
        a @ b
        count += 1
    return 2 * n**3 * count / (time.process_time() - begin) / 1e9


def save(name: str, measured: dict[str, Any]) -> None:
    """Print the measurements and write them, with machine and versions, to NAME.json among the reports."""
    record = {**measured, "cpu": cpu(), "versions": versions()}
    write_json(REPORTS / f"{name}.json", record)
    print(json.dumps(record, indent=2))


def markdown_table(header: Iterable[str], lines: Iterable[Iterable[Any]]) -> str:
    """Return a Markdown table; whole numbers with commas."""
    rows = [header, ["---"] * len(tuple(header)), *lines]
    return "\n".join("| " + " | ".join(f"{c:,}" if isinstance(c, int) else str(c) for c in row) + " |" for row in rows)


def cpu() -> str:
    """Return the name of this machine's processor."""
    return next(
        (line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), platform.machine()
    )


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []
