"""Time and memory from a parquet log to trained-on batches: reading, splitting, cutting windows, one pass of batches.

    python benchmarks/input.py [N_EVENTS ...]        default: 1,000,000 2,000,000 5,000,000 10,000,000

Each size is generated into a temporary folder (sessions of geometric length, items drawn with a Zipf-like law, one
feature of each kind, events in order of time over all sessions) and read in a process of its own, whose peak memory is
what the system says. The sgemm rate of the same minute tells how fast the machine was, its load whether seconds of the
wall clock count.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from machine import save, sgemm_gflops

SIZES = (1_000_000, 2_000_000, 5_000_000, 10_000_000)
EVENTS_PER_SESSION = 6.0
EVENTS_PER_ITEM = 100
BATCH_SIZE = 128
SECONDS_PER_EVENT = 0.37


def generate(folder: Path, n_events: int, seed: int = 0) -> None:
    """Write `log.inter.parquet` and `log.item.parquet` with about this many events into `folder`."""
    generator = np.random.default_rng(seed)
    n_items = n_events // EVENTS_PER_ITEM
    session = np.repeat(*_sessions(generator, n_events))[:n_events]
    starts = np.sort(generator.uniform(0, n_events * SECONDS_PER_EVENT, session[-1] + 1))
    time_of = 1.7e9 + starts[session] + 20.0 * np.arange(n_events) % 997
    item = (n_items * generator.random(n_events) ** 2.5).astype(np.int64)
    order = np.argsort(time_of, kind="stable")
    names = pd.Series([f"visit-{number:09d}" for number in range(session[-1] + 1)])
    events = {
        "session_id:token": names.to_numpy()[session[order]],
        "item_id:token": item[order],
        "timestamp:float": time_of[order],
    }
    pd.DataFrame(events).to_parquet(folder / "log.inter.parquet", index=False)
    words = np.array([f"word{i}" for i in range(500)])
    items = {
        "item_id:token": np.arange(n_items),
        "brand:token": words[generator.integers(500, size=n_items)],
        "price:float": generator.lognormal(size=n_items),
        "tags:token_seq": [" ".join(row) for row in words[generator.integers(500, size=(n_items, 3))]],
        "image:float_seq": list(generator.normal(size=(n_items, 16)).astype(np.float32)),
    }
    pd.DataFrame(items).to_parquet(folder / "log.item.parquet", index=False)


def _sessions(generator: np.random.Generator, n_events: int) -> tuple[np.ndarray, np.ndarray]:
    lengths = 1 + generator.geometric(1 / (EVENTS_PER_SESSION - 1), size=int(n_events / EVENTS_PER_SESSION * 1.1) + 50)
    return np.arange(len(lengths)), lengths


def measure(folder: Path) -> dict[str, float]:
    """Go from the files to batches in this process; return seconds of each step, of all, and peak gigabytes."""
    from gru4recf.data.atomic import read_atomic
    from gru4recf.data.batches import batches
    from gru4recf.data.sessions import cut_windows
    from gru4recf.data.split import split

    marks, wall = [time.process_time()], time.perf_counter()
    data = read_atomic(folder)
    marks.append(time.process_time())
    parts = split(data)
    marks.append(time.process_time())
    windows = cut_windows(parts.train, 50)
    n_inputs = sum(len(b.items) for b in batches(parts.train, windows, BATCH_SIZE, generator=np.random.default_rng(0)))
    marks.append(time.process_time())
    assert n_inputs == parts.train.n_targets
    read, cut, batched = np.diff(marks)
    return {
        "n_events": len(data.events),
        "wall_seconds": time.perf_counter() - wall,
        "cpu_seconds": marks[-1] - marks[0],
        "read_cpu_seconds": read,
        "split_cpu_seconds": cut,
        "batches_cpu_seconds": batched,
        "peak_gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
    }


def main() -> None:
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(measure(Path(sys.argv[2]))))
        return
    rows = []
    for n_events in [int(size) for size in sys.argv[1:]] or SIZES:
        with tempfile.TemporaryDirectory() as folder:
            generate(Path(folder), n_events)
            command = [sys.executable, __file__, "--measure", folder]
            rows.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    machine = {"load_average": round(os.getloadavg()[0], 1), "sgemm_gflops": round(sgemm_gflops(), 1)}
    save("input", {"sizes": [_rounded(row) for row in rows], **machine})


def _rounded(row: dict[str, float]) -> dict[str, float]:
    return {name: value if name == "n_events" else round(value, 2) for name, value in row.items()}


if __name__ == "__main__":
    main()
