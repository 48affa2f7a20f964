"""What a file of tuned settings holds: the budget that all variants in it had, and each one's winner."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from gru4recf.space import Space


class Budget(BaseModel):
    """What all variants of one file have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    selected_on: str
    data_sha256: str
    code_sha256: str
    versions: dict[str, str]
    seed: int
    """Of the search and of every training in it."""
    trials: int = Field(ge=1)
    """Trials of each variant; failed ones count."""
    random_trials: int = Field(ge=1)
    """How many of them must have ended well before proposals learn from them."""
    finalists: int = Field(1, ge=1)
    """How many of them, the best, were repeated with further seeds; the highest mean won."""
    repeats: int = Field(0, ge=0)
    """Further seeds of each finalist."""
    n_epochs: int = Field(ge=1)
    """Epochs at most, of each trial."""
    patience: int = Field(ge=1)
    fixed: dict[str, Any]
    """The settings that are not searched."""
    first: dict[str, Any]
    """The study's own values of those that are: the first trial."""
    space: Space
    own_space: dict[str, Space]
    """Network -> what only it and its controls search."""


class Winner(BaseModel):
    """One variant's best trial; `value` is the mean of its trainings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    trial: int = Field(ge=1)
    best_epoch: int = Field(ge=1)
    finished: int = Field(ge=1)
    failed: int = Field(ge=0)
    settings: dict[str, Any]
    code_sha256: str | None = None
    """Of a control's own code, which decides its runs alone and is not part of the networks'."""


class Tuned(Budget):
    """The content of one file."""

    variants: dict[str, Winner] = Field(min_length=1)

    def budget(self) -> Budget:
        """Return the file without its winners."""
        return Budget(**self.model_dump(exclude={"variants"}))


def differences(there: Budget, here: Budget) -> str:
    """Return the names of the fields that differ, numbers with both values; empty where none does."""
    old, new = there.model_dump(), here.model_dump()
    return ", ".join(
        f"{name} ({old[name]}, not {new[name]})" if isinstance(new[name], int) else name
        for name in new
        if old[name] != new[name]
    )
