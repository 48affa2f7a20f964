"""How long the hierarchical bootstrap of a large study takes, and how much memory, in one process with one thread.

    python benchmarks/bootstrap.py

Made-up ranks of 8 variants with 10 seeds on 100,000 test events of 25,000 sessions, both primary metrics, 10,000 draws;
the claims of the default study and one against every rival: decided by `compare`, as a study is.
"""

import json
import os
import resource
import subprocess
import sys
import time

N_EVENTS, N_SESSIONS, N_SEEDS, N_DRAWS = 100_000, 25_000, 10, 10_000
VARIANTS = ("id_only", "concat_input", "parallel_concat", "weighted_sum", "parallel_scores", "interaction")
VARIANTS += ("feature_only", "id_only_wide")
CLAIMS = {
    "best": (("parallel_concat",), ("concat_input", "weighted_sum")),
    "pays": (("concat_input", "parallel_concat", "weighted_sum"), ("id_only",)),
    "all": (("parallel_concat",), tuple(name for name in VARIANTS if name != "parallel_concat")),
}


def measure() -> None:
    """Decide the study, and print seconds, memory and size of the family as JSON."""
    import numpy as np

    from gru4recf.claims import Claim, DatasetRanks
    from gru4recf.decision import compare

    rng = np.random.default_rng(0)
    sessions = np.sort(np.concatenate([np.arange(N_SESSIONS), rng.integers(N_SESSIONS, size=N_EVENTS - N_SESSIONS)]))
    difficulty = rng.geometric(0.05, N_EVENTS)
    ranks = {
        name: np.maximum(1, difficulty * rng.lognormal(0, 0.3, (N_SEEDS, N_EVENTS))).astype(np.float32)
        for name in VARIANTS
    }
    data = DatasetRanks("made_up", sessions, ranks, dict.fromkeys(VARIANTS, 0.1))
    begin = time.process_time()
    found = compare([data], [Claim(name, "", *sides) for name, sides in CLAIMS.items()], n_draws=N_DRAWS)
    print(
        json.dumps(
            {
                "cpu_seconds": round(time.process_time() - begin, 1),
                "peak_memory_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
                "contrasts": found["settings"]["family"],
            }
        )
    )


def main() -> None:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, __file__, "--alone"]  # a process of its own: the peak of memory is that of the bootstrap
    told = subprocess.run(command, env={**os.environ, **threads}, capture_output=True, text=True, check=True)
    from machine import save  # only now: it loads torch, and a process starts with its parent's peak of memory

    study = {"events": N_EVENTS, "sessions": N_SESSIONS, "seeds": N_SEEDS, "variants": len(VARIANTS), "draws": N_DRAWS}
    save("bootstrap", {**study, **json.loads(told.stdout)})


if __name__ == "__main__":
    measure() if sys.argv[1:] == ["--alone"] else main()
