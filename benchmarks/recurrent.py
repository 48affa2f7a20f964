"""The whole training step of `parallel_concat` with our GRU and with torch's, side by side on the same batches.

    python benchmarks/recurrent.py [DATASET ...]        default: eshop ml-100k; one thread

The two take turns, epoch by epoch, so that other work on the machine meets both alike; the best of three epochs counts.
"""

import sys
import time
from unittest import mock

import torch
from machine import save, sgemm_gflops
from ready import ready
from torch.nn.utils.rnn import PackedSequence

from gru4recf.models.recurrent import Block, Lookup, Recurrent
from gru4recf.settings import Settings
from gru4recf.training import train_epoch

N_EPOCHS = 3
BATCH_SIZE = {"ml-100k": 16}


def torchs(self: Recurrent, *blocks: Block, batch_sizes: torch.Tensor) -> torch.Tensor:
    """Stand in for `Recurrent.forward`: torch's GRU over the blocks spelled out."""
    inputs = torch.cat([b.rows() if isinstance(b, Lookup) else b for b in blocks], dim=1)
    return torch.nn.GRU.forward(self, PackedSequence(inputs, batch_sizes))[0].data


def rates(dataset: str) -> dict[str, float]:
    """Return training events per CPU second of both, and their ratio."""
    made = ready(dataset, settings=Settings(batch_size=BATCH_SIZE.get(dataset, 128), learning_rate=0.002))
    epoch = list(made.epoch())
    found: dict[str, list[float]] = {"ours": [], "torch": []}
    for _ in range(N_EPOCHS):
        for name, forward in {"ours": Recurrent.forward, "torch": torchs}.items():
            with mock.patch.object(Recurrent, "forward", forward):
                begin = time.process_time()
                train_epoch(made.network, made.optimiser, epoch)
                found[name].append(made.parts.train.n_targets / (time.process_time() - begin))
    best = {name: round(max(values)) for name, values in found.items()}
    return {**best, "ratio": round(best["ours"] / best["torch"], 2)}


def main() -> None:
    torch.set_num_threads(1)
    measured = {name: rates(name) for name in sys.argv[1:] or ["eshop", "ml-100k"]}
    save("recurrent", {"events_per_cpu_second": measured, "sgemm_gflops": round(sgemm_gflops(), 1)})


if __name__ == "__main__":
    main()
