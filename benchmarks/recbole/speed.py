"""Measure RecBole 1.2.1: data preparation, training, full ranking, memory; runs in its own virtual environment.

    .venv-recbole/bin/python benchmarks/recbole/speed.py SETTINGS.json RESULT.json

RecBole's own trainer trains and ranks. An epoch is cut to its first `n_batches`, after one batch to warm up: the
trainer's loop, loader, loss.item(), NaN check, optimiser and all, but not the minutes that its epochs take. Anomaly
detection is as RecBole sets it and off, in turns, `n_tries` each; all tries are reported.
"""

import itertools
import math
import time

import torch
from driver import build, configure, read, run, trainer_of
from memory import peak_megabytes


def measure(settings):
    """Return CPU seconds and rates; the three settings taken out first are ours, the others RecBole's."""
    n_batches, n_tries, rows_per_try = (settings.pop(name) for name in ("n_batches", "n_tries", "rows_per_try"))
    config = configure(settings)
    begin = time.process_time()
    _, loaders = read(config)
    prepared = time.process_time() - begin
    training, _, test = loaders
    model = build(config, loaders)
    shipped = torch.is_anomaly_enabled()
    trainer = trainer_of(config, model)
    trainer.eval_collector.data_collect(training)
    trainer._train_epoch(itertools.islice(training, 1), 0)
    rates, n_targets = {"shipped": [], "off": []}, n_batches * config["train_batch_size"]
    for _ in range(n_tries):
        for name, anomaly_detection in (("shipped", shipped), ("off", False)):
            torch.autograd.set_detect_anomaly(anomaly_detection)
            seconds = cpu_seconds(lambda: trainer._train_epoch(itertools.islice(training, n_batches), 0))
            rates[name].append(n_targets / seconds)
    n_rankings = math.ceil(rows_per_try / len(test._dataset))
    rankings = [test] * n_rankings
    ranked = [
        cpu_seconds(lambda: [trainer.evaluate(rows, load_best_model=False) for rows in rankings])
        for _ in range(n_tries)
    ]
    return {
        "anomaly_detection_shipped": shipped,
        "training_targets": len(training._dataset),
        "test_rows": len(test._dataset),
        "prepare_cpu_seconds": prepared,
        "events_per_cpu_second": rates,
        "ranked_rows_per_cpu_second": [n_rankings * len(test._dataset) / seconds for seconds in ranked],
        "peak_megabytes": peak_megabytes(),
    }


def cpu_seconds(task):
    """Return what a task takes."""
    begin = time.process_time()
    task()
    return time.process_time() - begin


if __name__ == "__main__":
    run(measure)
