"""How long the two commands of the README take in a fresh clone with an empty HOME, and how much memory a run needs.

    python benchmarks/study.py [--keep DIR]

Clones the committed state, then times `make setup`, `make study`, a second `make study`, `make test`,
`make bench-quick` and `gru4recf --help` there.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import save

CHECKOUT = Path(__file__).parents[1]


def timed(command: list[str], folder: Path, environment: dict[str, str]) -> float:
    """Run a command, show what it prints, and return wall seconds."""
    begin = time.monotonic()
    subprocess.run(command, cwd=folder, env=environment, check=True)
    return round(time.monotonic() - begin, 2)


def measure(root: Path) -> dict[str, object]:
    """Clone into `root` and time every command there."""
    clone, home = root / "clone", root / "home"
    home.mkdir(parents=True)
    subprocess.run(["git", "clone", "--quiet", str(CHECKOUT), str(clone)], check=True)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("VIRTUAL_ENV", "GRU4RECF_RUNS", "PYTHONPATH"))}
    environment = {**kept, "HOME": str(home)}
    seconds = {}
    for name, command in {
        "make setup": ["make", "setup"],
        "make study": ["make", "study"],
        "second make study": ["make", "study"],
        "make test": ["make", "test"],
        "make bench-quick": ["make", "bench-quick"],
        "gru4recf --help": [".venv/bin/gru4recf", "--help"],
    }.items():
        seconds[name] = timed(command, clone, environment)
    records = [json.loads(p.read_text()) for p in (clone / "runs").glob("*/result.json")]
    return {
        "wall_seconds": seconds,
        "n_runs": len(records),
        "largest_run_megabytes": round(max(r["peak_memory_bytes"] for r in records) / 1e6),
        "megabytes_on_disk": {name: _megabytes(clone / name) for name in (".venv", "runs")},
        "cores": os.cpu_count(),
    }


def _megabytes(folder: Path) -> int:
    return round(sum(p.stat().st_size for p in folder.rglob("*") if p.is_file() and not p.is_symlink()) / 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, help="work in this new folder and keep it")
    keep = parser.parse_args().keep
    if keep:
        save("study", measure(keep.resolve()))
    else:
        with tempfile.TemporaryDirectory() as root:
            save("study", measure(Path(root)))


if __name__ == "__main__":
    sys.exit(main())
