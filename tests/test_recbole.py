"""RecBole 1.2.1's numbers, recorded by benchmarks/recbole/fixtures.py on synthetic data, replayed without RecBole."""

import ast
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from gru4recf.errors import StudyError
from gru4recf.models import build
from gru4recf.models.base import Sizes
from gru4recf.models.id_only import IdOnly
from gru4recf.models.parallel_concat import ParallelConcat
from gru4recf.recbole import (
    HOW_TO_WRITE,
    RecBoleModel,
    features_of,
    from_recbole,
    read_recbole,
    read_recboles_items,
    to_recbole,
)

RECORDED = Path(__file__).parent / "recbole"
CASES = sorted(path.stem for path in RECORDED.glob("*.json") if path.stem != "data")
DATA = json.loads((RECORDED / "data.json").read_text())


def load(case):
    """Return (the RecBole model, its interaction, its outputs) of a recorded case."""
    recorded = json.loads((RECORDED / f"{case}.json").read_text())
    model = RecBoleModel(
        weights=tensors(recorded["weights"]),
        items=DATA["items"],
        features=tensors(recorded["features"]),
        pooling_mode=recorded["settings"]["pooling_mode"],
    )
    return model, tensors(recorded["interaction"]), tensors(recorded["outputs"])


def tensors(named):
    return {name: torch.tensor(values) for name, values in named.items()}


def assert_equal(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def assert_four_methods(model, interaction, outputs, **options):
    network = from_recbole(model, **options)
    with torch.no_grad():
        assert_equal(network(interaction["item_id_list"], interaction["item_length"]), outputs["forward"])
        assert_equal(network.calculate_loss(interaction), outputs["calculate_loss"])
        assert_equal(network.predict(interaction), outputs["predict"])
        assert_equal(network.full_sort_predict(interaction), outputs["full_sort_predict"])
        bpr = from_recbole(replace(model, loss_type="BPR"), **options)
        assert_equal(bpr.calculate_loss(interaction), outputs["calculate_loss_bpr"])


@pytest.mark.parametrize("case", CASES)
def test_recboles_weights_give_recboles_numbers(case):
    model, interaction, outputs = load(case)
    assert_four_methods(model, interaction, outputs)
    assert type(from_recbole(model)) is (IdOnly if case.startswith("id") else ParallelConcat)


def test_the_recorded_rows_hold_every_kind_of_missing_value():
    model, interaction, _ = load("mixed-mean")
    seen = interaction["item_id_list"].unique()
    missing_price = DATA["items"].index("i4")
    assert {int(model.features["colour"][seen].min()), missing_price in seen} == {0, True}
    for name in ("tags", "image"):
        lists = model.features[name][seen[seen > 0]]
        assert (lists.flatten(1) == 0).all(dim=1).any(), name


@pytest.mark.parametrize("case", ["mixed-max", "mixed-2-layers", "id"])
def test_items_may_be_numbered_as_our_catalogue_numbers_them(case):
    model, interaction, outputs = load(case)
    order = [0, *np.random.default_rng(0).permutation(np.arange(1, len(model.items)))]
    place = torch.from_numpy(np.argsort(order))
    ours = {name: values if name == "item_length" else place[values] for name, values in interaction.items()}
    outputs["full_sort_predict"] = outputs["full_sort_predict"][:, order]
    assert_four_methods(model, ours, outputs, catalogue=[model.items[i] for i in order])


@pytest.mark.parametrize("case", CASES)
def test_weights_go_back_to_recbole_and_come_again(case):
    model, interaction, outputs = load(case)
    network = from_recbole(model)
    features = features_of(model)
    back = to_recbole(network, features, model.items)
    assert back.items == model.items
    assert_four_methods(back, interaction, outputs)
    order = model.items[:0:-1]  # RecBole would number the items the other way round
    turned = to_recbole(network, features, model.items, order)
    assert_four_methods(turned, interaction, outputs, catalogue=model.items)
    assert sum(values.is_floating_point() for values in back.features.values()) <= 1  # RecBole fails on a second one


@pytest.mark.parametrize("case", [c for c in CASES if c not in ("classes", "normalised")])
def test_items_and_features_are_numbered_as_recbole_does(case, atomic_folder):
    model, _, _ = load(case)
    folder = atomic_folder(DATA["inter"], DATA["item"])
    items, features = read_recboles_items(folder / "shop.inter", folder / "shop.item", list(model.features))
    assert items == model.items
    for name, values in features.items():
        torch.testing.assert_close(values, model.features[name], rtol=1e-6, atol=0)


def test_an_event_whose_item_has_no_row_is_dropped_as_recbole_does(atomic_folder):
    inter = "user_id:token\titem_id:token\ttimestamp:float\nu\tb\t1\nu\tx\t2\nu\ta\t3\n"
    folder = atomic_folder(inter, "item_id:token\tcolour:token\na\tred\nc\t\nb\tblue\n")
    items, features = read_recboles_items(folder / "shop.inter", folder / "shop.item", ["colour"])
    assert items == ["[PAD]", "b", "a", "c"]
    assert features["colour"].tolist() == [0, 2, 1, 0]
    assert read_recboles_items(folder / "shop.inter", None) == (["[PAD]", "b", "x", "a"], {})


class TestWeightsFile:
    """Plain tensors are read; pickled objects never are."""

    def test_what_the_lines_write_is_read(self, tmp_path):
        model, interaction, outputs = load("mixed-max")
        names = ("weights", "items", "features", "pooling_mode", "loss_type", "dropout_prob")
        torch.save({name: getattr(model, name) for name in names}, tmp_path / "recbole.pt")
        assert_four_methods(read_recbole(tmp_path / "recbole.pt"), interaction, outputs)

    def test_a_plain_state_dict_is_read(self, tmp_path):
        model, interaction, outputs = load("token")
        torch.save(model.weights, tmp_path / "weights.pt")
        save_file(model.weights, tmp_path / "weights.safetensors")
        for name in ("weights.pt", "weights.safetensors"):
            read = replace(read_recbole(tmp_path / name), features=model.features)
            assert_four_methods(read, interaction, outputs)

    def test_a_checkpoint_is_refused_unread_with_the_lines_to_run(self, tmp_path):
        marker = tmp_path / "ran"
        torch.save({"config": Trap(marker), "state_dict": load("id")[0].weights}, tmp_path / "model.pth")
        with pytest.raises(StudyError, match="load_data_and_model"):
            read_recbole(tmp_path / "model.pth")
        assert not marker.exists()

    @pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04"])
    @pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
    def test_other_files_are_refused(self, tmp_path, content, suffix):
        path = tmp_path / f"weights{suffix}"
        path.write_bytes(content)
        with pytest.raises(StudyError, match="no plain weights"):
            read_recbole(path)
        with pytest.raises(StudyError, match="no such file"):
            read_recbole(tmp_path / "elsewhere.pt")

    def test_a_dictionary_of_something_else_is_refused(self, tmp_path):
        named = {"weights": {"dense.bias": torch.zeros(1)}, "items": [], "features": {}}
        others = ({**named, "weights": {}}, {**named, "weights": "x"}, {**named, "features": 2}, {**named, "epoch": 3})
        for saved in ({"state_dict": {}}, {}, [1], *others):
            torch.save(saved, tmp_path / "weights.pt")
            with pytest.raises(StudyError, match="no plain weights"):
                read_recbole(tmp_path / "weights.pt")

    def test_items_that_are_no_texts_are_refused(self, tmp_path):
        saved = {"weights": {"dense.bias": torch.zeros(1)}, "items": [1, 2], "features": {}}
        torch.save(saved, tmp_path / "weights.pt")
        with pytest.raises(StudyError, match="items must be a list of raw ids as text"):
            read_recbole(tmp_path / "weights.pt")

    def test_the_readme_shows_the_lines(self):
        readme = (Path(__file__).parents[1] / "README.md").read_text()
        blocks = [block.split("```")[0] for block in readme.split("```python\n")[1:]]
        assert ast.dump(ast.parse(HOW_TO_WRITE)) in [ast.dump(ast.parse(block)) for block in blocks]


class Trap:
    """An object that leaves a file behind when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


class TestRefusals:
    """What does not fit is told in one sentence."""

    def test_weights_of_another_model(self):
        with pytest.raises(StudyError, match="hold no item_embedding and no gru_layers and no dense"):
            from_recbole(RecBoleModel({"position_embedding.weight": torch.zeros(2, 2)}))

    def test_weights_or_items_that_do_not_fit_together(self):
        model, _, _ = load("id")
        weights = {**model.weights, "dense.weight": torch.zeros(3, 3)}
        with pytest.raises(StudyError, match=r"do not fit together \(.*size mismatch for head.weight") as error:
            from_recbole(replace(model, weights=weights))
        assert "\n" not in str(error.value)
        n_items = len(model.weights["item_embedding.weight"])
        with pytest.raises(StudyError, match=f"There are 2 items where the weights have {n_items}, padding included"):
            from_recbole(replace(model, items=["[PAD]", "a"]))

    def test_features_left_out_or_too_many(self):
        model, _, _ = load("token")
        with pytest.raises(StudyError, match="hold no gru_layers"):
            from_recbole(replace(model, features={}))
        with pytest.raises(StudyError, match="tables for token features do not fit colour"):
            from_recbole(replace(model, features={"colour": model.features["colour"]}))

    def test_a_float_that_recbole_did_not_embed(self):
        model, _, _ = load("float")
        with pytest.raises(StudyError, match="numerical_features"):
            from_recbole(replace(model, features={"price": model.features["price"][:, 0]}))

    def test_an_item_that_recbole_does_not_know(self):
        with pytest.raises(StudyError, match="'i99' is not among"):
            from_recbole(load("id")[0], ["", "i1", "i99"])

    def test_an_architecture_or_output_that_recbole_does_not_have(self):
        features = features_of(load("token")[0])
        catalogue = DATA["items"]
        sizes = Sizes(n_items=len(catalogue), embedding_size=4, hidden_size=5)
        for variant in ("weighted_sum", "concat_input", "parallel_scores"):
            with pytest.raises(StudyError, match="RecBole has no"):
                to_recbole(build(variant, sizes, features, None), features, catalogue)
        for option in ({"output": "separate"}, {"output_features": True}):
            network = build("parallel_concat", replace(sizes, **option), features, None)
            with pytest.raises(StudyError, match="output=tied"):
                to_recbole(network, features, catalogue)


def test_a_network_without_a_head_gets_one_that_changes_nothing(tmp_path):
    sizes = Sizes(n_items=len(DATA["items"]), embedding_size=4, hidden_size=4, head="where_needed")
    network = build("id_only", sizes, [], None).eval()
    _, interaction, _ = load("id")
    again = from_recbole(to_recbole(network, [], DATA["items"]))
    assert_equal(again.full_sort_predict(interaction), network.full_sort_predict(interaction))
