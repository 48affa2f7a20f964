from pathlib import Path

import numpy as np
import pytest
import torch

from gru4recf.data.features import encode_features
from gru4recf.data.split import split
from gru4recf.errors import StudyError
from gru4recf.models import CONTROLS, NETWORKS, VARIANTS, build, controls
from gru4recf.models.base import Sizes

E, H, B, L = 6, 5, 4, 7
WIDE = ("parallel_scores", "interaction")  # an output matrix each instead of head and tied embedding


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
        return build(variant, sizes, features, parts.train).eval()

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
        width = 2 * H if variant in WIDE else E
        assert network(interaction["item_id_list"], interaction["item_length"]).shape == (B, width)
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
        own = {"output.weight"} if variant in WIDE else {"head.weight", "head.bias"}
        assert {"item_embedding.weight", *own} <= names
        assert not {"output.weight", "head.weight", "head.bias"} - own & names

    @pytest.mark.parametrize("options", [{"output": "separate"}, {"head": "where_needed"}, {"output_features": True}])
    def test_options_of_the_output_keep_the_contract(self, make, interaction, parts, variant, options):
        network = make(variant, **options)
        scores = network.full_sort_predict(interaction)
        assert scores.shape == (B, parts.n_items)
        torch.testing.assert_close(network.predict(interaction), scores[torch.arange(B), interaction["item_id"]])
        network.calculate_loss(interaction).backward()
        trained = [p for p in network.parameters() if p.requires_grad]
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in trained)
        frozen = variant == "feature_only" and network.output is not None
        assert len(trained) == len(list(network.parameters())) - frozen


def test_parallel_concat_has_recboles_parameter_count(parts, features):
    # N E + E sum(vocabularies) + 3H (E + H) + 3H (F E + H) + E (2H + 1), from the shapes in RecBole's state dict
    network = build("parallel_concat", Sizes(n_items=parts.n_items), features, parts.train)
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


def test_parallel_scores_adds_the_scores_of_two_output_matrices(make):
    network = make("parallel_scores")
    items, batch_sizes = torch.tensor([1, 2, 3]), torch.ones(3, dtype=torch.int64)
    item_state = network.item_rnn(network.item_embedding(items), batch_sizes=batch_sizes)
    feature_state = network.feature_rnn(network.features(items), batch_sizes=batch_sizes)
    of_items, of_features = network.output.weight.split(H, dim=1)
    expected = item_state @ of_items.T + feature_state @ of_features.T
    torch.testing.assert_close(network.scores(network.encode(items, batch_sizes)), expected)


def test_interaction_multiplies_the_two_states(make):
    network = make("interaction")
    items, batch_sizes = torch.tensor([1, 2, 3]), torch.ones(3, dtype=torch.int64)
    item_state = network.item_rnn(network.item_embedding(items), batch_sizes=batch_sizes)
    feature_state = network.feature_rnn(network.features(items), batch_sizes=batch_sizes)
    of_items, of_product = network.output.weight.split(H, dim=1)
    expected = item_state @ of_items.T + (item_state * feature_state) @ of_product.T
    torch.testing.assert_close(network.scores(network.encode(items, batch_sizes)), expected)


def test_the_head_is_left_out_where_the_width_fits_already(parts, features):
    def names(variant, hidden_size):
        sizes = Sizes(n_items=parts.n_items, embedding_size=8, hidden_size=hidden_size, head="where_needed")
        return set(build(variant, sizes, features, parts.train).state_dict())

    assert "head.weight" not in names("id_only", 8)
    assert "head.weight" in names("id_only", 4)
    assert "head.weight" not in names("parallel_concat", 4)
    assert "head.weight" in names("parallel_concat", 8)


def test_an_output_side_that_knows_features_adds_their_embeddings(make, parts):
    network = make("id_only", output_features=True)
    items = torch.arange(parts.n_items)
    by_feature = sum(table(items) for table in network.output_side.tables)
    torch.testing.assert_close(network.output_vectors(slice(parts.n_items)), network.item_embedding.weight + by_feature)


def test_items_never_seen_are_no_negatives_and_are_scored_by_features_alone(make, parts, interaction):
    n_seen = parts.n_items - 3
    network = make("concat_input", output_features=True, n_seen=n_seen)
    assert (network.item_embedding.weight[n_seen:] == 0).all()
    assert (network.item_embedding.weight[:n_seen] != 0).any(dim=1).all()
    vectors = torch.randn(4, E, generator=torch.Generator().manual_seed(1))
    targets = torch.tensor([1, 2, 3, n_seen - 1])
    expected = torch.nn.functional.cross_entropy(network.scores(vectors)[:, :n_seen], targets)
    torch.testing.assert_close(network.loss(vectors, targets), expected)
    network.loss(vectors, targets).backward()
    assert (network.item_embedding.weight.grad[n_seen:] == 0).all()


MATCHED = pytest.mark.parametrize("variant", ["id_only_matched", "concat_input_matched", "weighted_sum_matched"])


class TestControls:
    def n_parameters(self, network):
        return sum(p.numel() for p in network.parameters())

    def build(self, variant, parts, features, **options):
        torch.manual_seed(0)
        return build(variant, Sizes(n_items=parts.n_items, **options), features, parts.train)

    def test_the_wide_one_has_as_many_hidden_units_as_two_grus(self, parts, features):
        assert self.build("id_only_wide", parts, features, hidden_size=20).item_rnn.hidden_size == 40

    @MATCHED
    @pytest.mark.parametrize("head", ["linear", "where_needed"])
    @pytest.mark.parametrize("hidden_size", [50, 64, 100, 128])
    @pytest.mark.parametrize("embedding_size", [64, 128])
    def test_the_matched_ones_have_as_many_parameters_within_two_percent(
        self, parts, features, variant, head, hidden_size, embedding_size
    ):
        options = {"head": head, "hidden_size": hidden_size, "embedding_size": embedding_size}
        parallel = self.n_parameters(self.build("parallel_concat", parts, features, **options))
        matched = self.n_parameters(self.build(variant, parts, features, **options))
        assert matched == pytest.approx(parallel, rel=0.02)

    @MATCHED
    @pytest.mark.parametrize("options", [{"output": "separate"}, {"output_features": True}, {"n_layers": 2}])
    @pytest.mark.parametrize("head", ["linear", "where_needed"])
    def test_the_matched_ones_have_as_many_parameters_whatever_the_options(
        self, parts, features, variant, head, options
    ):
        options = {"head": head, "embedding_size": 64, "hidden_size": 64, **options}
        parallel = self.n_parameters(self.build("parallel_concat", parts, features, **options))
        matched = self.n_parameters(self.build(variant, parts, features, **options))
        assert matched == pytest.approx(parallel, rel=0.02)

    @MATCHED
    def test_the_matched_ones_have_the_linear_map_only_where_all_have_it(self, parts, features, variant):
        assert isinstance(self.build(variant, parts, features, head="linear").head, torch.nn.Linear)
        assert isinstance(self.build(variant, parts, features, head="where_needed").head, torch.nn.Identity)

    def test_the_item_twice_needs_no_features_and_reads_the_item_in_both(self, parts):
        network = self.build("parallel_item_twice", parts, [])
        items = torch.tensor([3, 5, 3])
        rows = network.features(items).rows()
        assert torch.equal(rows[0], rows[2])
        assert not torch.equal(rows[0], rows[1])

    def test_permuted_features_are_the_same_values_on_other_items(self, parts, features):
        plain = self.build("parallel_concat", parts, features)
        permuted = self.build("parallel_permuted", parts, features)
        for table, other in zip(plain.features.tables, permuted.features.tables, strict=True):
            assert not torch.equal(table.codes, other.codes)
            assert torch.equal(table.codes.sort().values, other.codes.sort().values)
        torch.manual_seed(1)
        again = build("parallel_permuted", Sizes(n_items=parts.n_items), features, parts.train)
        assert not torch.equal(again.features.tables[0].codes, permuted.features.tables[0].codes)

    def test_the_untrained_one_has_nothing_to_train(self, parts, features):
        network = self.build("parallel_untrained", parts, features)
        assert not any(p.requires_grad for p in network.parameters())

    def test_the_untrained_one_scores_no_item_by_what_it_read(self, parts, features):
        reads, scores = (self.build("parallel_untrained", parts, features) for _ in range(2))
        torch.nn.init.zeros_(reads.item_embedding.weight)
        items, batch_sizes = torch.tensor([3, 5, 7]), torch.tensor([1, 1, 1])
        assert not torch.equal(reads.encode(items, batch_sizes), scores.encode(items, batch_sizes))
        vectors = torch.randn(2, 2 * reads.sizes.hidden_size)
        assert torch.equal(reads.scores(vectors), scores.scores(vectors))

    def test_every_control_is_of_a_network(self):
        assert set(CONTROLS.values()) <= set(NETWORKS)
        assert set(CONTROLS) < set(VARIANTS)

    def test_a_controls_module_stands_for_itself(self):
        # a run's digest holds its own control's module, and the one whose name its own ends with
        texts = {path.stem: path.read_text(encoding="utf-8") for path in Path(controls.__file__).parent.glob("*.py")}
        assert set(texts) == {*CONTROLS, "__init__", "matched"}
        for name, text in texts.items():
            shared = "from gru4recf.models.controls.matched import matched\n" if name.endswith("_matched") else ""
            assert "models.controls" not in text.replace(shared, "")


def test_a_network_that_needs_features_says_so_where_there_are_none(parts):
    with pytest.raises(StudyError, match="needs item features"):
        build("parallel_concat", Sizes(n_items=parts.n_items), [], parts.train)
    build("id_only", Sizes(n_items=parts.n_items), [], parts.train)


def test_an_unknown_variant_names_the_nearest(parts):
    with pytest.raises(StudyError, match="did you mean 'parallel_concat'"):
        build("paralel_concat", Sizes(n_items=parts.n_items), [], parts.train)
    assert "popularity" in VARIANTS
