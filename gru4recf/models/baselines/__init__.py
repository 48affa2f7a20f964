"""Methods without trained parameters, beside every network. One method is one module; it is loaded when it is built.

All of them count on the training sessions what the next item was, and differ in what they count by.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from gru4recf.errors import StudyError, unknown_name

if TYPE_CHECKING:
    from gru4recf.data.features import Feature
    from gru4recf.data.sessions import Sessions
    from gru4recf.models.baselines.base import Baseline

BASELINES = {
    "popularity": "Popularity",
    "session_popularity": "SessionPopularity",
    "markov": "Markov",
    "sequential_rules": "SequentialRules",
    "item_knn": "ItemKnn",
    "content_knn": "ContentKnn",
    "markov_features": "MarkovFeatures",
    "vsknn": "Vsknn",
    "vstan": "Vstan",
}
WITH_FEATURES = ("content_knn", "markov_features")
WITHOUT_FEATURES = tuple(name for name in BASELINES if name not in WITH_FEATURES)


def build_baseline(name: str, train: "Sessions", n_items: int, features: "list[Feature]", **options) -> "Baseline":
    """Return the baseline called `name`, fitted to the training sessions.

    Args:
        name: one of `BASELINES`.
        train: training sessions in order of time.
        n_items: catalogue size N, the padding item included; items that training never saw count.
        features: item features over the catalogue; ignored by the names in `WITHOUT_FEATURES`.
        options: the method's own settings, by the names of its class; the published ones where left out.

    Raises:
        StudyError: for an unknown name, or features missing where the method needs them.
    """
    if name not in BASELINES:
        raise unknown_name("baseline", name, BASELINES)
    if name in WITH_FEATURES and not features:
        raise StudyError(
            f"{name} needs item features and the data set has none; add an .item file with a feature column, "
            "or leave this variant out."
        )
    method = getattr(import_module(f"gru4recf.models.baselines.{name}"), BASELINES[name])
    given = {"features": features} if name in WITH_FEATURES else {}
    return method(train, n_items, **given, **options)
