"""Train RecBole 1.2.1 and rank test after every epoch; runs in its own virtual environment.

    .venv-recbole/bin/python benchmarks/recbole/curve.py SETTINGS.json RESULT.json

RecBole's own `fit` trains and validates, without anomaly detection; test is ranked with its clock stopped.
"""

import time

from driver import prepare, run, trainer_of


def curve(settings):
    """Return one row per epoch: CPU seconds so far (training and validation), validation score, test metrics."""
    config, _, (training, validation, test), model = prepare(settings)
    trainer = trainer_of(config, model)
    rows, seconds, begin = [], 0.0, time.process_time()

    def after_epoch(epoch, score):
        nonlocal seconds, begin
        seconds += time.process_time() - begin
        metrics = trainer.evaluate(test, load_best_model=False)
        row = {name: float(value) for name, value in metrics.items()}
        rows.append({"epoch": epoch + 1, "cpu_seconds": seconds, f"validation {config['valid_metric']}": score, **row})
        begin = time.process_time()

    trainer.fit(training, validation, verbose=False, saved=False, callback_fn=after_epoch)
    return {"rows": rows, "test_rows": len(test._dataset)}


if __name__ == "__main__":
    run(curve)
