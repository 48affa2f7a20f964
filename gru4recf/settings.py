"""The settings of one run, validated: every name, type and range is checked before any work begins."""

from collections.abc import Mapping
from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gru4recf.errors import StudyError, unknown_name

STRATEGIES = ("simultaneous",)
MOST_SHOWN = 80  # characters of a wrong value

Model = TypeVar("Model", bound=BaseModel)


class Settings(BaseModel):
    """What a run can be set to, the same for every variant."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    train_fraction: float = Field(1.0, gt=0, le=1)
    """Share of the training sessions that is used, the newest ones."""
    min_support: int = Field(5, ge=0)
    """Items with fewer training events are removed everywhere; 0 keeps items that training never saw."""
    retrain: bool = False
    """Whether the network tested is trained anew on training and validation, for as many epochs as were best."""
    max_length: int = Field(50, ge=1)
    """Inputs read in one pass; longer sessions are cut into windows."""
    features: str = ""
    """Item features to use, separated by commas; all when empty."""
    embedding_size: int = Field(64, ge=1)
    """Width E of an item's and of each feature's embedding."""
    hidden_size: int = Field(128, ge=1)
    """Hidden units H of each GRU."""
    n_layers: int = Field(1, ge=1)
    """GRU layers."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Share of item embedding values set to zero while training."""
    pooling: Literal["mean", "sum", "max"] = "mean"
    """How the values of a list feature become one vector."""
    fusion_weights: Literal["learned", "fixed"] = "learned"
    """Whether weighted_sum learns its two weights or keeps one half each."""
    head: Literal["linear", "where_needed"] = "linear"
    """A linear map before the output always, or only where the width is not the item embedding's already."""
    output: Literal["tied", "separate"] = "tied"
    """Items are scored by their input embeddings, or by an output matrix of their own that replaces the head."""
    output_features: bool = False
    """Whether an item's score knows its features too."""
    loss: Literal["cross_entropy", "bpr_max", "top1", "top1_max"] = "cross_entropy"
    """What a step lowers."""
    n_negatives: int = Field(0, ge=0)
    """Items drawn as negatives for each step, for cross_entropy over a large catalogue; 0 takes every item."""
    optimiser: Literal["adam", "adagrad"] = "adam"
    """How a step follows the gradient."""
    learning_rate: float = Field(0.005, gt=0)
    """The optimiser's step size."""
    batch_size: int = Field(128, ge=1)
    """Windows (sessions, or stretches of long ones) per step."""
    n_epochs: int = Field(10, ge=1)
    """Epochs at most."""
    patience: int = Field(2, ge=1)
    """Epochs without a better validation MRR@20 before training stops."""
    order: Literal["shuffled", "by_time"] = "shuffled"
    """Order of the batches in an epoch."""

    @model_validator(mode="after")
    def _negatives_are_drawn_for_cross_entropy(self) -> Self:
        if self.n_negatives and self.loss != "cross_entropy":
            raise ValueError(
                f"n_negatives goes with loss=cross_entropy, not {self.loss}; leave it at 0, which takes every item"
            )
        return self

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The chosen features; empty means all."""
        return tuple(name.strip() for name in self.features.split(",") if name.strip())

    def data_options(self) -> dict[str, Any]:
        """What `data.split.split` takes."""
        return self.model_dump(include={"min_support", "train_fraction"})

    def network_options(self) -> dict[str, Any]:
        """What `models.base.Sizes` takes besides the number of items."""
        names = {"embedding_size", "hidden_size", "n_layers", "dropout", "pooling", "fusion_weights", "loss"}
        named = self.model_dump(include=names | {"head", "output", "output_features"})
        return {**named, "lazy": self.n_negatives > 0}

    def training_options(self) -> dict[str, Any]:
        """What `training.fit` takes."""
        names = {"learning_rate", "batch_size", "n_epochs", "patience", "max_length", "optimiser", "n_negatives"}
        return {**self.model_dump(include=names), "by_time": self.order == "by_time"}


class RunSpec(BaseModel):
    """One run: what is trained on what, with which seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str = Field(min_length=1)
    variant: str
    strategy: str = "simultaneous"
    seed: int = Field(0, ge=0, lt=2**63)
    settings: Settings = Settings()


def validated(model: type[Model], values: Mapping[str, Any], where: str) -> Model:
    """Build `model` from `values`; every mistake becomes part of one readable sentence.

    Args:
        model: the pydantic class.
        values: names and values from outside.
        where: what the values are, for the sentence ("studies/default.yaml", "settings").

    Raises:
        StudyError: naming each wrong field, its value and what is allowed.
    """
    try:
        return model(**values)
    except ValidationError as error:
        found = [e for e in error.errors() if not _follows(e, error.errors())]
        raise StudyError(f"{where}: " + "; ".join(_sentence(model, e) for e in found)) from None


def run_from(parameters: Mapping[str, Any]) -> RunSpec:
    """Build a run from a notebook's variables (`run_from(globals())`); other variables are ignored."""
    settings = {name: parameters[name] for name in Settings.model_fields if name in parameters}
    chosen = {name: parameters[name] for name in ("dataset", "variant", "strategy", "seed") if name in parameters}
    return validated(RunSpec, {**chosen, "settings": validated(Settings, settings, "settings")}, "run")


def _follows(error: Any, errors: list[Any]) -> bool:
    """Return whether a list is only called too short because something in it is wrong."""
    inside = (len(e["loc"]) > len(error["loc"]) and e["loc"][: len(error["loc"])] == error["loc"] for e in errors)
    return error["type"] == "too_short" and any(inside)


def _sentence(model: type[BaseModel], error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"])
    if not place:
        return error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        known = model.model_fields if len(error["loc"]) == 1 else ()
        return str(unknown_name("setting", error["loc"][-1], known)) if known else f"{place} is not a setting here"
    if error["type"] == "missing":
        return f"{place} is missing"
    given = repr(error["input"])
    shown = given if len(given) <= MOST_SHOWN else f"{given[:MOST_SHOWN]}..."
    if error["type"] == "tuple_type":
        return f"{place} is {shown}; write a list, such as [{error['input']}]"
    return f"{place} is {shown}; {error['msg'][0].lower()}{error['msg'][1:]}"
