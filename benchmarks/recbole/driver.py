"""Drive RecBole 1.2.1 as an installed library; runs in its own virtual environment (`make recbole-env`).

    .venv-recbole/bin/python benchmarks/recbole/driver.py SETTINGS.json RESULT.json

SETTINGS.json holds RecBole's settings (model, dataset, epochs, ...). It is trained for that many epochs, the best one
on validation is kept, and RESULT.json gets RecBole's own test metrics, CPU seconds, and the path of its checkpoint.
"""

import json
import os
import sys
import time
import warnings
from pathlib import Path

import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_logger, init_seed

QUIET = {"state": "CRITICAL", "show_progress": False, "use_gpu": False, "gpu_id": ""}
FULL_RANKING = {
    "eval_args": {"split": {"LS": "valid_and_test"}, "group_by": "user", "order": "TO", "mode": "full"},
    "metrics": ["Recall", "MRR", "NDCG"],
    "topk": [5, 10, 20],
    "valid_metric": "MRR@10",
    "metric_decimal_place": 8,
}


def configure(settings):
    """Return RecBole's configuration and seed it."""
    sys.argv = sys.argv[:1]  # RecBole reads it
    os.environ.setdefault("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # its checkpoints hold pickled objects
    warnings.filterwarnings("ignore")
    without_negatives = {} if settings.get("loss_type") == "BPR" else {"train_neg_sample_args": None}
    config = Config(config_dict={**QUIET, **FULL_RANKING, **without_negatives, **settings})
    init_seed(config["seed"], config["reproducibility"])
    init_logger(config)
    return config


def read(config):
    """Return (data set, [training, validation, test] loaders)."""
    dataset = create_dataset(config)
    return dataset, data_preparation(config, dataset)


def build(config, loaders):
    """Return the model with initial weights. RecBole's import of one model switches anomaly detection on for all."""
    init_seed(config["seed"], config["reproducibility"])
    return get_model(config["model"])(config, loaders[0]._dataset)


def prepare(settings):
    """Return (configuration, data set, loaders, model) for RecBole's settings, without anomaly detection."""
    config = configure(settings)
    dataset, loaders = read(config)
    model = build(config, loaders)
    torch.autograd.set_detect_anomaly(False)
    return config, dataset, loaders, model


def trainer_of(config, model):
    """Return RecBole's trainer for the model."""
    return get_trainer(config["MODEL_TYPE"], config["model"])(config, model)


def train(settings):
    """Return what a training run of RecBole gives."""
    config, _, (training, validation, test), model = prepare(settings)
    trainer = trainer_of(config, model)
    begin = time.process_time()
    _, best = trainer.fit(training, validation, verbose=False, saved=True, show_progress=False)
    seconds = time.process_time() - begin
    metrics = trainer.evaluate(test, load_best_model=True, show_progress=False)
    return {
        "test": {name: float(value) for name, value in metrics.items()},
        "validation": {name: float(value) for name, value in best.items()},
        "test_rows": len(test._dataset),
        "training_rows": len(training._dataset),
        "fit_cpu_seconds": round(seconds, 1),
        "checkpoint": str(Path(trainer.saved_model_file).resolve()),
    }


def run(task):
    """Write what `task` returns for the settings file named first on the command line to the file named second."""
    torch.set_num_threads(1)
    settings, result = (Path(name).resolve() for name in sys.argv[1:3])
    os.chdir(result.parent)  # RecBole leaves log folders in the working directory
    record = task(json.loads(settings.read_text()))
    partial = result.with_suffix(".partial")
    partial.write_text(json.dumps(record, indent=2) + "\n")
    partial.replace(result)


if __name__ == "__main__":
    run(train)
