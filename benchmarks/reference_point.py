"""Is ID-only as strong as official GRU4Rec? The protocol's reference point: eshop, the last 28 days, every item kept.

    python benchmarks/reference_point.py

`id_only` with the settings that tuning chose on validation (studies/tuned/eshop.yaml) and its limits of epochs, trained
anew on training and validation, seeds 0 to 4. Official GRU4Rec (PyTorch port, conservative ranks, one run each) reached
Recall@20 .7146 and MRR@20 .2719 with 2,048 extra samples, .7049 and .2601 with in-batch negatives alone, on the same
30,480 test events.
"""

import time
from pathlib import Path

import numpy as np
import torch
from machine import save

from gru4recf.data.registry import open_dataset
from gru4recf.evaluation import rank_targets
from gru4recf.experiment import retrain, select
from gru4recf.metrics import PRIMARY, summarise
from gru4recf.settings import RunSpec, Settings
from gru4recf.winners import read_record

N_SEEDS = 5
TUNED = Path(__file__).parents[1] / "studies" / "tuned"


def one_seed(seed: int, settings: Settings) -> dict:
    """Train and test once, with conservative ranks as the official code has them."""
    data = open_dataset("eshop", progress=True)
    run = RunSpec(dataset="eshop", variant="id_only", seed=seed, settings=settings)
    begin = time.process_time()
    trained = retrain(run, data, select(run, data))
    test = rank_targets(trained.network, trained.parts.test, max_length=settings.max_length)
    metrics = summarise(test.ranks + test.ties / 2)
    found = {name: metrics[name] for name in PRIMARY} | {"epochs": trained.retraining.epoch}
    sizes = {"train_events": trained.parts.train.n_events, "test_events": trained.parts.test.n_events}
    print(seed, found, flush=True)
    return found | sizes | {"cpu_seconds": round(time.process_time() - begin, 1)}


if __name__ == "__main__":
    torch.set_num_threads(1)
    record = read_record(TUNED, "eshop")
    limits = {"n_epochs": record.n_epochs, "patience": record.patience}
    chosen = record.fixed | record.variants["id_only"].settings | limits | {"retrain": True, "min_support": 1}
    seeds = [one_seed(seed, Settings(**chosen)) for seed in range(N_SEEDS)]
    means = {f"mean {name}": float(np.mean([seed[name] for seed in seeds])) for name in PRIMARY}
    save("reference_point", {**means, "settings": chosen, "seeds": seeds})
