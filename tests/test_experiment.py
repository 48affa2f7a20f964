"""One run in two steps: chosen on validation, then trained anew on all that is known before test."""

import numpy as np
import pytest
import torch

from gru4recf import experiment
from gru4recf.data.split import split
from gru4recf.evaluation import rank_targets
from gru4recf.settings import RunSpec, Settings

SMALL = {"embedding_size": 8, "hidden_size": 8, "batch_size": 32, "learning_rate": 0.02, "n_epochs": 4}


def run_of(variant="parallel_concat", seed=0, **settings):
    return RunSpec(dataset="synthetic", variant=variant, seed=seed, settings=Settings(**{**SMALL, **settings}))


def same_weights(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_without_retraining_the_selected_network_is_tested(synthetic):
    selected = experiment.select(run_of(), synthetic)
    assert experiment.retrain(run_of(), synthetic, selected) is selected


def test_retraining_takes_the_best_number_of_epochs_on_training_and_validation(synthetic):
    run = run_of(retrain=True, n_epochs=8, patience=2, learning_rate=0.05)
    selected = experiment.select(run, synthetic)
    trained = experiment.retrain(run, synthetic, selected)
    assert trained.retraining.epoch == selected.progress.best_epoch
    before = selected.parts
    assert trained.parts.train.n_sessions == before.train.n_sessions + before.validation.n_sessions
    assert trained.parts.test.labels.tolist() == before.test.labels.tolist()
    assert not same_weights(trained.network, selected.network)
    history = trained.history()
    assert history["phase"].value_counts().to_dict() == {
        "selection": selected.progress.epoch,
        "retraining": selected.progress.best_epoch,
    }


def test_retraining_is_what_training_on_that_split_gives(synthetic):
    run = run_of(retrain=True)
    selected = experiment.select(run, synthetic)
    trained = experiment.retrain(run, synthetic, selected)
    parts = split(synthetic, min_support=5, merge_validation=True)
    network, generator = experiment.start(run, synthetic, parts)
    options = {**run.settings.training_options(), "n_epochs": selected.progress.best_epoch}
    experiment.training.fit(network, parts.train, None, generator, **options)
    assert same_weights(network, trained.network)


class Killed(Exception):
    pass


@pytest.mark.parametrize("killed_in", ["selection", "retraining"])
def test_a_run_killed_in_either_step_continues_to_the_same_bytes(synthetic, tmp_path, killed_in):
    run = run_of(retrain=True)
    whole = experiment.retrain(run, synthetic, experiment.select(run, synthetic))

    def kill(row):
        if row["epoch"] == 2:
            raise Killed

    options = {step: {"checkpoint": tmp_path / f"{step}.pt"} for step in ("selection", "retraining")}
    killing = {**options, killed_in: {**options[killed_in], "on_epoch": kill}}

    def both_steps():
        selected = experiment.select(run, synthetic, **killing["selection"])
        experiment.retrain(run, synthetic, selected, **killing["retraining"])

    with pytest.raises(Killed):
        both_steps()
    selected = experiment.select(run, synthetic, **options["selection"])
    resumed = experiment.retrain(run, synthetic, selected, **options["retraining"])
    assert same_weights(resumed.network, whole.network)


def test_a_baseline_is_fitted_to_validation_too(synthetic):
    run = run_of("popularity", retrain=True)
    selected = experiment.select(run, synthetic)
    trained = experiment.retrain(run, synthetic, selected)
    assert trained.network.support.sum() > selected.network.support.sum()


def test_items_that_training_never_saw_can_be_ranked_by_their_features(synthetic):
    run = run_of("concat_input", min_support=0, output_features=True, train_fraction=0.03)
    trained = experiment.select(run, synthetic)
    unseen = trained.parts.support[trained.parts.test.items] == 0
    assert trained.parts.n_seen < trained.parts.n_items == 1 + len(synthetic.items)
    assert (trained.parts.support[1 : trained.parts.n_seen] > 0).all()
    assert unseen.any()
    ranks = rank_targets(trained.network, trained.parts.test, max_length=50)
    assert np.isfinite(ranks.ranks).all()
    assert (trained.network.item_embedding.weight[trained.parts.n_seen :] == 0).all()
