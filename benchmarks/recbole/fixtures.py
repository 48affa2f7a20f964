"""Record what RecBole 1.2.1 computes on a small synthetic data set, for tests/test_recbole.py.

    .venv-recbole/bin/python benchmarks/recbole/fixtures.py tests/recbole        (after `make recbole-env`)

Writes data.json (the text of the atomic files and RecBole's item numbers) and one file per configuration: settings,
state dict, item features as RecBole holds them, and what its four methods return for the same rows. All is made up.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from driver import prepare

N_USERS, N_ITEMS, N_UNSEEN, N_ROWS = 12, 11, 2, 8
SIZES = {"embedding_size": 4, "hidden_size": 5, "dropout_prob": 0.3, "MAX_ITEM_LIST_LENGTH": 6, "seed": 7}
ALL = ["tags", "price", "brand", "image", "colour", "words"]  # kinds in no order; RecBole fails on a second float
CASES = {
    "token": {"selected_features": ["colour", "brand"]},
    "token-2-layers": {"selected_features": ["brand"], "num_layers": 2},
    **{f"token_seq-{p}": {"selected_features": ["tags", "words"], "pooling_mode": p} for p in ("sum", "mean", "max")},
    "float": {"selected_features": ["price"]},
    "float-2-layers": {"selected_features": ["price", "image"], "num_layers": 2},
    **{f"float_seq-{p}": {"selected_features": ["image"], "pooling_mode": p} for p in ("sum", "mean", "max")},
    **{f"mixed-{p}": {"selected_features": ALL, "pooling_mode": p} for p in ("sum", "mean", "max")},
    "mixed-2-layers": {"selected_features": ALL, "pooling_mode": "mean", "num_layers": 2},
    "classes": {
        "selected_features": ["price", "image", "brand"],
        "discretization": {"price": {"method": "ED", "bucket": 3}, "image": {"method": "ED", "bucket": 4}},
    },
    "normalised": {"selected_features": ["price", "brand"], "normalize_field": ["price"]},
    "id": {"model": "GRU4Rec"},
    "id-2-layers": {"model": "GRU4Rec", "num_layers": 2},
}


def make_files(generator):
    """Return the text of .inter and .item: users of several lengths, items without events, empty fields of a kind."""
    lines = ["user_id:token\titem_id:token\ttimestamp:float"]
    for time in range(90):
        user, item = generator.integers(N_USERS), generator.integers(N_ITEMS)
        lines.append(f"u{user}\ti{item}\t{1000 + time}")
    items = ["item_id:token\tcolour:token\ttags:token_seq\tprice:float\timage:float_seq\tbrand:token\twords:token_seq"]
    for item in generator.permutation(N_ITEMS + N_UNSEEN):
        colour = "" if item == 3 else f"c{generator.integers(4)}"
        tags = "" if item in (1, 5) else " ".join(f"t{t}" for t in generator.choice(6, generator.integers(1, 4), False))
        price = "" if item == 4 else f"{generator.uniform(0, 3):.2f}"
        image = "" if item in (2, 5) else " ".join(f"{x:.3f}" for x in generator.normal(size=3))
        words = " ".join(f"w{w}" for w in generator.choice(5, generator.integers(1, 3), False))
        fields = [f"i{item}", colour, tags, price, image, f"b{generator.integers(3)}", words]
        items.append("\t".join(fields))
    return "\n".join(lines) + "\n", "\n".join(items) + "\n"


def settings_of(case, folder, loss):
    """Return RecBole's settings for a case; floats have to be named as numerical or are left out by RecBole."""
    numerical = [f for f in case.get("selected_features", []) if f in ("price", "image")]
    columns = {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id", *ALL]}
    return {
        "model": "GRU4RecF", "dataset": "shop", "data_path": str(folder), "load_col": columns, "num_layers": 1,
        "numerical_features": numerical, **SIZES, **case, "loss_type": loss,
    }  # fmt: skip


@torch.no_grad()
def record(case, folder):
    """Return a case with everything that a test needs to replay it."""
    _, dataset, (training, _, _), model = prepare(settings_of(case, folder, "CE"))
    bpr = prepare(settings_of(case, folder, "BPR"))[3]
    for parameter in model.parameters():  # away from the small initial values, so that a slip cannot hide
        parameter.copy_(torch.randn(parameter.shape) * 0.5)
    bpr.load_state_dict(model.state_dict())
    samples = training._dataset.inter_feat
    rows = samples[torch.linspace(0, len(samples) - 1, N_ROWS).long()]
    interaction = {name: rows[name] for name in ("item_id_list", "item_length", "item_id")}
    interaction["neg_item_id"] = torch.arange(1, N_ROWS + 1)
    model.eval(), bpr.eval()
    item_features = dataset.get_item_feature()
    outputs = {
        "forward": model(interaction["item_id_list"], interaction["item_length"]),
        "calculate_loss": model.calculate_loss(interaction),
        "calculate_loss_bpr": bpr.calculate_loss(interaction),
        "predict": model.predict(interaction),
        "full_sort_predict": model.full_sort_predict(interaction),
    }
    return {
        "settings": {"pooling_mode": "sum" if "selected_features" in case else None, **case},
        "features": {name: plain(item_features[name]) for name in case.get("selected_features", [])},
        "weights": {name: plain(tensor) for name, tensor in model.state_dict().items()},
        "interaction": {name: plain(tensor) for name, tensor in interaction.items()},
        "outputs": {name: plain(tensor) for name, tensor in outputs.items()},
    }, [str(item) for item in dataset.field2id_token["item_id"]]


def plain(tensor):
    """Return nested lists of numbers, floats in the fewest digits that give the same float32."""
    if tensor.ndim:
        return [plain(row) for row in tensor]
    return float(str(np.float32(tensor.item()))) if tensor.is_floating_point() else int(tensor)


def main():
    out = Path(sys.argv[1]).resolve()
    out.mkdir(parents=True, exist_ok=True)
    inter, item = make_files(np.random.default_rng(3))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("shop").mkdir()
        Path("shop/shop.inter").write_text(inter)
        Path("shop/shop.item").write_text(item)
        for name, case in CASES.items():
            recorded, items = record(case, folder)
            (out / f"{name}.json").write_text(json.dumps(recorded, separators=(",", ":")) + "\n")
            print(name, recorded["outputs"]["calculate_loss"], recorded["outputs"]["calculate_loss_bpr"])
    (out / "data.json").write_text(json.dumps({"inter": inter, "item": item, "items": items}, indent=1) + "\n")


if __name__ == "__main__":
    main()
