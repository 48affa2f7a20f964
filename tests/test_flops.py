import importlib.util
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from gru4recf.data.batches import batches
from gru4recf.data.features import encode_features
from gru4recf.data.sessions import cut_windows
from gru4recf.data.split import split
from gru4recf.losses import cross_entropy
from gru4recf.models import NETWORKS, base, build
from gru4recf.models.base import Sizes
from gru4recf.models.recurrent import Lookup, Recurrent

E, H = 8, 6


@pytest.fixture(scope="module")
def flops():
    path = Path(__file__).parents[1] / "benchmarks" / "flops.py"
    spec = importlib.util.spec_from_file_location("flops", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def parts(synthetic):
    return split(synthetic)


@pytest.fixture(scope="module")
def batch(parts):
    return next(batches(parts.train, cut_windows(parts.train, 50), 16, generator=None))


@pytest.fixture
def network(synthetic, parts):
    def make(variant, **options):
        sizes = Sizes(n_items=parts.n_items, embedding_size=E, hidden_size=H, **options)
        return build(variant, sizes, encode_features(synthetic, parts.catalogue), parts.train)

    return make


def test_a_product_counts_once_forward_and_once_for_each_trained_factor(flops):
    assert flops.product_flops(2, 3, 5) == 3 * 60
    assert flops.product_flops(2, 3, 5, n_trained=1) == 2 * 60


def test_a_gru_needs_no_recurrent_product_at_the_first_step(flops):
    gru, steps = Recurrent(4, 3, 2), torch.tensor([2, 1])
    inputs = torch.randn(3, 4, requires_grad=True)
    first_layer = 3 * (2 * 3 * 4 * 9) + 3 * (2 * 1 * 3 * 9)  # 3 events in; 1 event has a state before it
    second_layer = 3 * (2 * 3 * 3 * 9) + 3 * (2 * 1 * 3 * 9)
    assert flops.recurrent_flops(gru, (inputs,), steps) == first_layer + second_layer


def test_inputs_by_item_count_once_per_distinct_item_and_untrained_ones_have_no_gradient(flops):
    gru, steps = Recurrent(4, 3, 1), torch.tensor([2, 1])
    table = Lookup(torch.randn(2, 4), torch.tensor([0, 1, 1]))
    assert flops.recurrent_flops(gru, (table,), steps) == 2 * (2 * 2 * 4 * 9) + 3 * (2 * 1 * 3 * 9)


def test_a_step_of_id_only_is_the_sum_of_its_parts(flops, network, batch, parts):
    n, n_first = len(batch.items), int(batch.batch_sizes[0])
    expected = n * E * 3 * H + (n - n_first) * H * 3 * H + n * H * E + n * E * parts.n_items
    assert flops.step_flops(network("id_only"), batch) == 6 * expected


def in_place_product(added, first, second, **_):
    """Return the operations of `addmm_`, which torch's counter does not know, from its arguments' shapes."""
    return 2 * first[0] * first[1] * second[1]


@pytest.mark.parametrize("variant", NETWORKS)
def test_torch_spends_the_same_products(flops, network, batch, variant, monkeypatch):
    monkeypatch.setattr(base, "linear_cross_entropy", lambda v, w, t: cross_entropy(v @ w.T, t))
    made = network(variant)
    with FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: in_place_product}) as counter:
        made.loss(made.encode(batch.items, batch.batch_sizes), batch.targets).backward()
    assert counter.get_total_flops() == flops.step_flops(made, batch)


def test_counting_leaves_torchs_generator_and_the_network_alone(flops, network, batch):
    made = network("parallel_concat")
    before, state = torch.get_rng_state(), {name: t.clone() for name, t in made.state_dict().items()}
    flops.step_flops(made, batch)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(t, state[name]) for name, t in made.state_dict().items())
    assert not made.item_rnn._forward_pre_hooks
