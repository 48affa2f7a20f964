import numpy as np
import pytest
import torch

from gru4recf.data.features import encode_features
from gru4recf.data.split import split
from gru4recf.errors import StudyError
from gru4recf.models import NETWORKS, VARIANTS, build
from gru4recf.models.base import Sizes

E, H, B, L = 6, 5, 4, 7


@pytest.fixture(scope="module")
def parts(synthetic):
    return split(synthetic)


@pytest.fixture(scope="module")
def features(synthetic, parts):
    return encode_features(synthetic, parts.catalogue)


@pytest.fixture
def make(parts, features):
    def make(variant, **options):
        torch.manual_seed(0)
        sizes = Sizes(n_items=parts.n_items, embedding_size=E, hidden_size=H, **options)
        return build(variant, sizes, features, parts.support).eval()

    return make


@pytest.fixture
def interaction(parts):
    generator = np.random.default_rng(0)
    length = torch.tensor([7, 1, 3, 5])
    items = torch.from_numpy(generator.integers(1, parts.n_items, size=(B, L)))
    items[torch.arange(L) >= length[:, None]] = 0
    target, negative = torch.from_numpy(generator.integers(1, parts.n_items, size=(2, B)))
    return {"item_id_list": items, "item_length": length, "item_id": target, "neg_item_id": negative}


@pytest.mark.parametrize("variant", NETWORKS)
class TestEveryNetwork:
    """The contract: RecBole's four methods and shapes, and nothing that depends on how sessions are batched."""

    def test_shapes_are_recboles(self, make, interaction, parts, variant):
        network = make(variant)
        assert network(interaction["item_id_list"], interaction["item_length"]).shape == (B, E)
        assert network.calculate_loss(interaction).shape == ()
        assert network.predict(interaction).shape == (B,)
        assert network.full_sort_predict(interaction).shape == (B, parts.n_items)

    def test_predict_picks_from_full_sort_predict(self, make, interaction, variant):
        network = make(variant)
        scores = network.full_sort_predict(interaction)
        torch.testing.assert_close(network.predict(interaction), scores[torch.arange(B), interaction["item_id"]])

    def test_cross_entropy_is_taken_over_all_columns(self, make, interaction, variant):
        network = make(variant)
        log_share = torch.log_softmax(network.full_sort_predict(interaction), dim=1)
        expected = -log_share[torch.arange(B), interaction["item_id"]].mean()
        torch.testing.assert_close(network.calculate_loss(interaction), expected)

    def test_bpr_compares_target_and_negative(self, make, interaction, variant):
        network = make(variant, loss="bpr")
        scores, rows = network.full_sort_predict(interaction), torch.arange(B)
        margin = scores[rows, interaction["item_id"]] - scores[rows, interaction["neg_item_id"]]
        expected = -torch.log(1e-10 + torch.sigmoid(margin)).mean()
        torch.testing.assert_close(network.calculate_loss(interaction), expected)

    @pytest.mark.parametrize("n_layers", [1, 2])
    def test_a_row_does_not_depend_on_the_others_or_on_padding(self, make, interaction, variant, n_layers):
        network = make(variant, n_layers=n_layers)
        together = network(interaction["item_id_list"], interaction["item_length"])
        for row, length in enumerate(interaction["item_length"]):
            alone = network(interaction["item_id_list"][row : row + 1, :length], length[None])
            torch.testing.assert_close(together[row], alone[0])

    def test_encode_gives_the_vector_of_every_prefix(self, make, interaction, variant):
        network = make(variant)
        items = interaction["item_id_list"][0]
        vectors = network.encode(items, torch.ones(L, dtype=torch.int64))
        prefixes = torch.stack([items.where(torch.arange(L) < n, 0) for n in range(1, L + 1)])
        torch.testing.assert_close(vectors, network(prefixes, torch.arange(1, L + 1)))

    def test_every_parameter_learns(self, make, interaction, variant):
        network = make(variant)
        network.calculate_loss(interaction).backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name

    def test_dropout_acts_in_training_only(self, make, interaction, variant):
        network = make(variant, dropout=0.5)
        torch.testing.assert_close(network.predict(interaction), network.predict(interaction))
        network.train()
        changed = (network.predict(interaction) != network.predict(interaction)).any()
        assert changed == (variant != "feature_only")

    def test_grus_have_no_biases_and_the_output_is_tied(self, make, variant):
        names = set(make(variant).state_dict())
        assert not any("bias" in name for name in names if "rnn" in name)
        assert {"item_embedding.weight", "head.weight", "head.bias"} <= names


def test_parallel_concat_has_recboles_parameter_count(parts, features):
    # N E + E sum(vocabularies) + 3H (E + H) + 3H (F E + H) + E (2H + 1), from the shapes in RecBole's state dict
    network = build("parallel_concat", Sizes(n_items=parts.n_items), features, parts.support)
    vocabulary = sum(feature.n_values for feature in features)
    by_hand = (parts.n_items + vocabulary) * 64 + 384 * (64 + 128) + 384 * (2 * 64 + 128) + 64 * 257
    assert sum(p.numel() for p in network.parameters()) == by_hand


def test_weighted_sum_adds_the_two_states_with_its_weights(make):
    network = make("weighted_sum")
    items, batch_sizes = torch.tensor([1, 2, 3]), torch.ones(3, dtype=torch.int64)
    item_state = network.item_rnn(network.item_embedding(items), batch_sizes=batch_sizes)
    feature_state = network.feature_rnn(network.features(items), batch_sizes=batch_sizes)
    torch.testing.assert_close(network.fuse(items, batch_sizes), 0.5 * item_state + 0.5 * feature_state)
    with torch.no_grad():
        network.fusion_weights.copy_(torch.tensor([2.0, -1.0]))
    torch.testing.assert_close(network.fuse(items, batch_sizes), 2 * item_state - feature_state)


def test_fixed_fusion_weights_are_not_trained(make):
    assert make("weighted_sum").fusion_weights.requires_grad
    assert not make("weighted_sum", fusion_weights="fixed").fusion_weights.requires_grad


def test_a_concatenation_with_equal_halves_is_a_weighted_sum(make):
    # RecBole's head over [h_x ; h_f] contains the weighted sum of the two: A [h_x ; h_f] with A = [A / 2, A / 2]
    parallel, summed = make("parallel_concat"), make("weighted_sum")
    weights = dict(summed.state_dict())
    half = weights.pop("head.weight") * weights.pop("fusion_weights")[0]
    parallel.load_state_dict({**weights, "head.weight": torch.cat([half, half], dim=1)})
    items, batch_sizes = torch.tensor([4, 1, 2, 2]), torch.tensor([2, 1, 1])
    torch.testing.assert_close(parallel.encode(items, batch_sizes), summed.encode(items, batch_sizes))


def test_a_network_that_needs_features_says_so_where_there_are_none(parts):
    with pytest.raises(StudyError, match="needs item features"):
        build("parallel_concat", Sizes(n_items=parts.n_items), [], parts.support)
    build("id_only", Sizes(n_items=parts.n_items), [], parts.support)


def test_an_unknown_variant_names_the_nearest(parts):
    with pytest.raises(StudyError, match="did you mean 'parallel_concat'"):
        build("paralel_concat", Sizes(n_items=parts.n_items), [], parts.support)
    assert "popularity" in VARIANTS
