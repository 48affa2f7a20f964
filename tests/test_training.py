import numpy as np
import pytest
import torch

from gru4recf import training
from gru4recf.data.features import encode_features
from gru4recf.data.split import split
from gru4recf.data.synthetic import make_synthetic
from gru4recf.errors import StudyError
from gru4recf.evaluation import rank_targets
from gru4recf.metrics import summarise
from gru4recf.models import build
from gru4recf.models.base import Sizes

OPTIONS = {"learning_rate": 0.01, "batch_size": 32, "n_epochs": 4, "patience": 10, "max_length": 20}


@pytest.fixture(scope="module")
def parts(synthetic):
    return split(synthetic)


@pytest.fixture
def start(synthetic, parts):
    def start(variant="parallel_concat", seed=0):
        generator = training.seed_everything(seed)
        sizes = Sizes(n_items=parts.n_items, embedding_size=8, hidden_size=8, dropout=0.2)
        return build(variant, sizes, encode_features(synthetic, parts.catalogue), parts.train), generator

    return start


def fit(network, parts, generator, **options):
    return training.fit(network, parts.train, parts.validation, generator, **{**OPTIONS, **options})


def untimed(history):
    return [{k: v for k, v in row.items() if "seconds" not in k} for row in history]


def same_weights(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(start, parts):
    networks, histories = [], []
    for seed in (3, 3, 4):
        network, generator = start(seed=seed)
        histories.append(untimed(fit(network, parts, generator).history))
        networks.append(network)
    assert histories[0] == histories[1] != histories[2]
    assert same_weights(networks[0], networks[1])
    assert not same_weights(networks[0], networks[2])


def test_the_loss_falls_and_a_trained_network_beats_popularity(start, parts):
    network, generator = start()
    progress = fit(network, parts, generator)
    assert progress.history[-1]["loss"] < progress.history[0]["loss"] - 0.1
    floor, _ = start("popularity")
    mrr = [summarise(rank_targets(n, parts.test, max_length=20).ranks)["MRR@20"] for n in (network, floor)]
    assert mrr[0] > 1.2 * mrr[1]


def test_training_stops_when_validation_gets_no_better_and_restores_the_best_epoch(start, parts):
    network, generator = start()
    progress = fit(network, parts, generator, n_epochs=60, patience=2, learning_rate=0.05)
    values = [row["validation MRR@20"] for row in progress.history]
    assert progress.epoch == progress.best_epoch + 2 < 60
    assert progress.best_epoch == 1 + int(np.argmax(values))
    restored = summarise(rank_targets(network, parts.validation, max_length=20).ranks)
    assert restored["MRR@20"] == max(values) == progress.validation_metrics["MRR@20"]


class Killed(Exception):
    pass


def test_a_killed_run_continues_to_the_same_bytes(start, parts, tmp_path):
    whole, generator = start()
    uninterrupted = fit(whole, parts, generator)

    def kill_after_two(row):
        if row["epoch"] == 2:
            raise Killed

    checkpoint = tmp_path / "run" / "checkpoint.pt"
    network, generator = start()
    with pytest.raises(Killed):
        fit(network, parts, generator, checkpoint=checkpoint, on_epoch=kill_after_two)
    network, generator = start()
    resumed = fit(network, parts, generator, checkpoint=checkpoint)
    assert untimed(resumed.history) == untimed(uninterrupted.history)
    assert same_weights(network, whole)


def test_a_damaged_checkpoint_is_not_trusted(start, parts, tmp_path):
    checkpoint = tmp_path / "checkpoint.pt"
    network, generator = start()
    fit(network, parts, generator, checkpoint=checkpoint, n_epochs=2)
    data = bytearray(checkpoint.read_bytes())
    data[len(data) // 2] ^= 1
    checkpoint.write_bytes(data)
    network, generator = start()
    assert fit(network, parts, generator, checkpoint=checkpoint, n_epochs=1).history[0]["epoch"] == 1


def test_a_step_over_whole_sessions_is_recboles_loss_over_all_prefixes(start, parts):
    from gru4recf.data.batches import batches
    from gru4recf.data.sessions import cut_windows

    network, _ = start()
    network.eval()
    windows = cut_windows(parts.train, 20)
    batch = next(batches(parts.train, windows, 8, generator=np.random.default_rng(0)))
    loss = training.step_loss(network, batch, torch.device("cpu"))
    rows = []
    session = parts.train.session_of_events()[batch.events]
    for event, s in zip(batch.events, session, strict=True):
        begin = parts.train.offsets[s]
        sequence = torch.zeros(20, dtype=torch.int64)
        sequence[: event - begin] = torch.from_numpy(parts.train.items[begin:event])
        rows.append((sequence, event - begin, parts.train.items[event]))
    sequences, lengths, targets = zip(*rows, strict=True)
    interaction = {
        "item_id_list": torch.stack(sequences),
        "item_length": torch.tensor(lengths),
        "item_id": torch.tensor(targets),
    }
    torch.testing.assert_close(loss, network.calculate_loss(interaction))


def test_an_unknown_strategy_names_the_nearest(start, parts):
    network, generator = start()
    with pytest.raises(StudyError, match="did you mean 'simultaneous'"):
        fit(network, parts, generator, strategy="simultanous")


@pytest.mark.parametrize(("telling", "low", "high"), [(0.9, 0.05, 1.0), (0.0, -1.0, 0.02)])
def test_features_pay_where_they_tell_and_not_where_they_do_not(telling, low, high):
    data = make_synthetic(n_sessions=1500, n_items=300, telling=telling, seed=2)
    parts = split(data, min_support=1)
    features = encode_features(data, parts.catalogue)
    value = {}
    for variant in ("id_only", "parallel_concat"):
        generator = training.seed_everything(0)
        sizes = Sizes(n_items=parts.n_items, embedding_size=16, hidden_size=24, dropout=0.1)
        network = build(variant, sizes, features, parts.train)
        fit(network, parts, generator, n_epochs=15, patience=3)
        value[variant] = summarise(rank_targets(network, parts.test, max_length=20).ranks)["MRR@20"]
    assert low < value["parallel_concat"] / value["id_only"] - 1 < high


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_training_runs_on_a_gpu(start, parts):
    network, generator = start()
    assert fit(network.cuda(), parts, generator).epoch == 4
