"""Rank an exported run with RecBole 1.2.1; runs in its own virtual environment.

.venv-recbole/bin/python benchmarks/recbole/ranking.py SETTINGS.json RESULT.json
"""

import torch
from driver import build, configure, read, run, trainer_of
from safetensors.torch import load_file
from speed import cpu_seconds


def rank(settings):
    """Return rows per CPU second and metrics; `weights` and `n_tries` are ours, the other settings RecBole's."""
    weights, n_tries = settings.pop("weights"), settings.pop("n_tries")
    config = configure(settings)
    _, loaders = read(config)
    model = build(config, loaders)
    model.load_state_dict(load_file(weights))
    trainer, test = trainer_of(config, model), loaders[2]
    with torch.no_grad():
        metrics = trainer.evaluate(test, load_best_model=False)
    seconds = [cpu_seconds(lambda: trainer.evaluate(test, load_best_model=False)) for _ in range(n_tries)]
    rates = [len(test._dataset) / taken for taken in seconds]
    return {"ranked_rows_per_cpu_second": rates, "metrics": {name: float(value) for name, value in metrics.items()}}


if __name__ == "__main__":
    run(rank)
