"""Would tuned simple baselines beat the networks? All that have settings, tuned with as many trials as each network.

    python benchmarks/tuned_baselines.py [STUDY_FOLDER]        default: reports/full

The studies take them with their published settings. Here each gets 20 random draws, the first of them these settings,
or every combination where there are fewer, on every real data set of a study; the best on validation MRR@20 is fitted
to training and validation, as in the study, and ranks the same test events. Beside it stands the best fusion of the
study, chosen on validation too, with the descriptive 95% interval of its difference; `best_tuned` names the baseline
that is best on validation once tuned. What tuning would do to the claim against simple baselines is read off here; the
study's verdict stays with the published settings. A choice that the committed file has is kept where validation gives
the published settings the value that it has there, so that a study with new runs costs no search again.
"""

import itertools
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import REPORTS, save

from gru4recf.answers import best_fusion
from gru4recf.comparison import dataset_ranks
from gru4recf.data.features import Feature, encode_features
from gru4recf.data.registry import open_dataset
from gru4recf.data.split import Split, split
from gru4recf.evaluation import rank_targets
from gru4recf.evidence import Evidence, load_evidence, rank_matrix
from gru4recf.files import read_json
from gru4recf.gains import gains
from gru4recf.metrics import PRIMARY, summarise
from gru4recf.models.baselines import build_baseline
from gru4recf.settings import Settings

N_TRIALS, SELECTED_ON = 20, "MRR@20"
CHOSEN = ("settings", "validation", "validation_published")
# around the published settings; session-rec's own searches lie within (docs/umuai/tables_opt)
SPACES: dict[str, dict[str, list[Any]]] = {
    "vsknn": {
        "k": [50, 100, 200, 500, 1000, 1500],
        "sample_size": [500, 1000, 2500, 5000, 10000],
        "weighting": ["same", "div", "quadratic"],
        "score_weighting": ["same", "div", "linear", "quadratic"],
        "idf_weight": [0.0, 1.0, 2.0, 5.0, 10.0],
    },
    "vstan": {
        "k": [50, 100, 200, 500, 1000, 1500],
        "sample_size": [500, 1000, 2500, 5000, 10000],
        "similarity": ["cosine", "dot"],
        "lambda_spw": [0.4525, 0.905, 1.02, 1.81, 3.62, 7.24],
        "lambda_snh": [0.1, 0.2, 0.4, 1.6, 4.0],
        "lambda_inh": [0.4525, 0.905, 2.05, 4.1, 8.2],
        "lambda_ipw": [0.4525, 0.905, 1.02, 1.81, 3.62, 7.24],
        "lambda_idf": [0.0, 1.0, 2.0, 5.0, 10.0],
    },
    "markov_features": {
        "discount": [None, 0.2, 0.4, 0.6, 0.8, 1.0],  # of its own accord: Ney's
        "additive": [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0],
    },
    "sequential_rules": {"steps": [1, 2, 3, 4, 5, 7, 10, 15, 20, 30]},
    "item_knn": {
        "n_similar": [20, 50, 100, 200, 500],
        "regularisation": [0.0, 1.0, 5.0, 10.0, 20.0, 50.0, 80.0],
        "alpha": [0.25, 0.5, 0.75],
    },
}


def draws(name: str) -> list[dict[str, Any]]:
    """Return the settings to try, the same for every data set; the first are the published ones."""
    space, generator = SPACES[name], np.random.default_rng(0)
    if math.prod(map(len, space.values())) < N_TRIALS:
        return [{}, *(dict(zip(space, values, strict=True)) for values in itertools.product(*space.values()))]
    rest = [
        {option: values[generator.integers(len(values))] for option, values in space.items()}
        for _ in range(N_TRIALS - 1)
    ]
    return [{}, *rest]


def test_ranks(
    name: str, parts: Split, features: list[Feature], options: dict[str, Any], settings: Settings
) -> np.ndarray:
    """Return the ranks of the test events by one method."""
    method = build_baseline(name, parts.train, parts.n_items, features, **options)
    return rank_targets(method, parts.test, max_length=settings.max_length).ranks


def tuned(
    name: str, parts: Split, features: list[Feature], settings: Settings, known: dict[str, Any]
) -> dict[str, Any]:
    """Return the settings that are best on validation, and that validation value beside the published settings'."""
    values = []
    kept = known.get("settings") in draws(name)
    for options in draws(name):
        method = build_baseline(name, parts.train, parts.n_items, features, **options)
        ranks = rank_targets(method, parts.validation, max_length=settings.max_length).ranks
        values.append(summarise(ranks)[SELECTED_ON])
        if kept and values == [known["validation_published"]]:
            return {column: known[column] for column in CHOSEN}
    best = int(np.argmax(values))
    return dict(zip(CHOSEN, (draws(name)[best], values[best], values[0]), strict=True))


def compare(evidence: Evidence, label: str, known: dict[str, Any]) -> dict[str, Any]:
    """Return what tuning brings to each method on one data set of a study, beside the best fusion.

    Raises:
        ValueError: when the published settings do not give the ranks that the study has.
    """
    described = evidence.datasets["available"][label]
    settings = Settings(**described["settings"], **next(iter(described["own_settings"].values()), {}))
    data = open_dataset(described["dataset"])
    parts = split(data, **settings.data_options())
    final = split(data, **settings.data_options(), merge_validation=True) if settings.retrain else parts
    of_parts, of_final = (encode_features(data, part.catalogue, settings.feature_names) for part in (parts, final))
    frame, fusion = evidence.ranks[label].copy(), best_fusion(dataset_ranks(evidence, label))
    found: dict[str, Any] = {}
    for name in SPACES:
        own = tuned(name, parts, of_parts, settings, known.get(name, {}))
        published, ranks = (test_ranks(name, final, of_final, options, settings) for options in ({}, own["settings"]))
        if not np.array_equal(published.astype(np.float32), rank_matrix(frame, name)[0]):
            raise ValueError(f"{label}: {name} ranks other events or otherwise than in the study")
        frame[f"{name}_tuned/simultaneous/0"] = ranks.astype(np.float32)
        metrics = {"published": summarise(published), "tuned": summarise(ranks)}
        own |= {side: {metric: values[metric] for metric in PRIMARY} for side, values in metrics.items()}
        rows = [row for metric in PRIMARY for row in gains(frame, [fusion], f"{name}_tuned", metric)]
        found[name] = own | {"best_fusion_above_tuned": rows}
    best = max(SPACES, key=lambda name: found[name]["validation"])
    print(label, fusion, best, found[best], flush=True)
    return {"best_fusion": fusion, "best_tuned": best, **found}


def main() -> None:
    torch.set_num_threads(1)
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "reports" / "full"
    evidence = load_evidence(folder)
    path = REPORTS / "tuned_baselines.json"
    known = read_json(path) if path.exists() else {}
    found = {label: compare(evidence, label, known.get(label, {})) for label in evidence.real}
    save("tuned_baselines", {"study": evidence.study["name"], **found})


if __name__ == "__main__":
    main()
