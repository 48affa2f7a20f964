"""Data for side-by-side measurements: atomic files, one sequence per session or user, which other programs read too.

`ml-1m-sized` is generated: no MovieLens data, but exactly as many sequences, events and items, and one list feature.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from gru4recf.data.dataset import Dataset
from gru4recf.data.registry import open_dataset
from gru4recf.imports.items import ItemTable
from gru4recf.imports.writing import write_events, write_items

ML_1M = {"n_sequences": 6_040, "n_events": 834_449, "n_items": 3_124, "n_genres": 18}
SHORTEST, MOST_GENRES = 10, 6


def ml_1m_sized(
    generator: np.random.Generator, *, n_sequences: int, n_events: int, n_items: int, n_genres: int
) -> Dataset:
    """Generate exactly these counts: sequences and items with long tails, one to six genres per item."""
    weights = generator.lognormal(sigma=1.0, size=n_sequences)
    lengths = SHORTEST + generator.multinomial(n_events - SHORTEST * n_sequences, weights / weights.sum())
    popularity = 1 / np.arange(1, n_items + 1) ** 0.8
    drawn = generator.choice(n_items, n_events - n_items, p=popularity / popularity.sum())
    items = generator.permutation(np.concatenate([np.arange(n_items), drawn]))
    sequence = np.repeat(np.arange(n_sequences), lengths)
    events = pd.DataFrame({"session": sequence.astype(str), "item": items.astype(str), "time": 0.0})
    n_own = generator.integers(1, MOST_GENRES + 1, size=n_items)
    genres = [[f"g{genre}" for genre in generator.permutation(n_genres)[:n]] for n in n_own]
    table = pd.DataFrame({"genre": genres}, index=pd.Index(np.arange(n_items).astype(str), name="item"))
    return Dataset("ml-1m-sized", events, table, {"genre": "token_seq"}, "users", "generated")


def newest(data: Dataset, share: float) -> Dataset:
    """Return the data set with the share of its sessions that began last."""
    began = data.events.groupby("session", sort=False)["time"].min().sort_values(kind="stable")
    kept = began.index[-round(share * len(began)) :]
    return replace(data, events=data.events[data.events["session"].isin(kept)])


def write_sequences(name: str, folder: Path, share: float = 1, *, as_sessions: bool = False) -> Dataset:
    """Write the atomic files of a data set, or of its newest sessions, named like the folder, and return it.

    Times are places in the sequence, so that RecBole, which keeps times in float32, reads the same order. As sessions
    they stay what they were: the newest sequences are tested on, all their events after the first.
    """
    data = ml_1m_sized(np.random.default_rng(0), **ML_1M) if name == "ml-1m-sized" else open_dataset(name)
    data = newest(data, share)
    folder.mkdir(parents=True, exist_ok=True)
    if as_sessions:
        write_events(folder, folder.name, data.events, "session_id")
    else:
        place = data.events.groupby("session", sort=False).cumcount().astype(float)
        write_events(folder, folder.name, data.events.assign(time=place), "user_id")
    columns = {feature: data.items[feature].reset_index(drop=True) for feature in data.kinds}
    write_items(folder, folder.name, ItemTable(pd.Series(data.items.index), columns, data.kinds))
    return data
