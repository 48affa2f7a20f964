import numpy as np
import pandas as pd
import pytest
import torch

from gru4recf.data.dataset import Dataset
from gru4recf.data.features import encode_features, permute_items
from gru4recf.errors import StudyError
from gru4recf.models.features import FeatureEmbedding

CATALOGUE = np.array(["", "a", "b", "c"], dtype=object)
ITEMS = pd.DataFrame(
    {
        "brand": ["x", None, "y"],
        "tags": [["red", "big"], [], ["red"]],
        "price": [1.0, np.nan, 3.0],
        "image": [np.float32([1, 0]), None, np.float32([3, 4])],
    },
    index=["a", "b", "c"],
)
KINDS = {"brand": "token", "tags": "token_seq", "price": "float", "image": "float_seq"}


@pytest.fixture
def data():
    events = pd.DataFrame({"session": ["s"], "item": ["a"], "time": [0.0]})
    return Dataset("shop", events, ITEMS, KINDS, "sessions", "digest")


def test_codes_are_given_in_order_of_appearance_and_zero_is_missing(data):
    brand, tags, _, _ = encode_features(data, CATALOGUE)
    assert brand.codes.tolist() == [0, 1, 0, 2]
    assert brand.n_values == 3
    assert [tags.codes[a:b].tolist() for a, b in zip(tags.offsets, tags.offsets[1:], strict=False)] == [
        [0],
        [1, 2],
        [0],
        [1],
    ]


def test_floats_are_standardised_over_the_items_that_have_one(data):
    price = encode_features(data, CATALOGUE)[2]
    assert price.vectors[:, 0].tolist() == [0, -1, 0, 1]  # mean 2, standard deviation 1
    assert price.missing.tolist() == [True, False, True, False]


def test_features_can_be_chosen_and_a_misspelt_one_names_the_nearest(data):
    assert [f.name for f in encode_features(data, CATALOGUE, ("price", "brand"))] == ["brand", "price"]
    with pytest.raises(StudyError, match="did you mean 'brand'"):
        encode_features(data, CATALOGUE, ("brnad",))


@pytest.mark.parametrize(("pooling", "expected"), [("mean", [2.0, 3.0]), ("sum", [4.0, 6.0]), ("max", [3.0, 4.0])])
def test_lists_are_pooled_and_an_empty_one_has_its_own_vector(data, pooling, expected):
    layer = FeatureEmbedding([encode_features(data, CATALOGUE)[1]], 2, pooling)
    with torch.no_grad():
        layer.tables[0].embedding.weight.copy_(torch.tensor([[9.0, 9.0], [1.0, 2.0], [3.0, 4.0]]))
    assert layer(torch.tensor([1, 2, 3, 1])).rows().tolist() == [expected, [9, 9], [1, 2], expected]


def test_vectors_are_projected_and_a_missing_one_has_its_own_vector(data):
    layer = FeatureEmbedding([encode_features(data, CATALOGUE)[3]], 3)
    table = layer.tables[0]
    output = layer(torch.tensor([1, 2, 3])).rows()
    torch.testing.assert_close(output[0], table.vectors[1] @ table.projection.weight.T)
    torch.testing.assert_close(output[1], table.missing_embedding.weight[0])
    assert table.vectors.requires_grad is False


def test_features_lie_side_by_side(data):
    features = encode_features(data, CATALOGUE)
    together = FeatureEmbedding(features, 5)
    items = torch.tensor([3, 1, 1, 2])
    alone = torch.cat([table(items) for table in together.tables], dim=1)
    assert together(items).rows().shape == (4, 20)
    torch.testing.assert_close(together(items).rows(), alone)


def test_a_permutation_moves_whole_items_and_leaves_padding(data):
    features = encode_features(data, CATALOGUE)
    permuted = permute_items(features, np.random.default_rng(0))
    rows = [permuted[0].codes.tolist().index(code) for code in (1, 2)]
    assert rows != [1, 3]
    assert permuted[0].codes[0] == 0
    for before, after in zip((1, 3), rows, strict=True):
        np.testing.assert_array_equal(permuted[3].vectors[after], features[3].vectors[before])
        a, b = permuted[1].offsets[after : after + 2]
        c, d = features[1].offsets[before : before + 2]
        assert permuted[1].codes[a:b].tolist() == features[1].codes[c:d].tolist()
