"""MovieLens: 100k (`u.data`, `u.item`), 1M and 10M (`ratings.dat`, `movies.dat`), 20M and newer (`*.csv` of both).

Every rating is an event, whatever its value, and every user one sequence. Features: genres, the year in the title,
and the title's words.

Source: the README that comes with each; Harper & Konstan, ACM TiiS 2015.
"""

from functools import partial
from pathlib import Path

import pyarrow as pa

from gru4recf.errors import DataError
from gru4recf.imports.events import Columns
from gru4recf.imports.folders import find
from gru4recf.imports.step import Log
from gru4recf.imports.tables import RawTable, read_raw

GENRES = (
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)
RATING = ("user", "item", "rating", "time")
NO_GENRES = "(no genres listed)"
KINDS = {"genres": "token_seq", "year": "float", "title": "text"}


def read_movielens(folder: Path, drop_bad: bool) -> Log:
    """Read ratings and films of whichever edition the folder holds."""
    for ratings_name, films_name, reader in EDITIONS:
        ratings, films = find(folder, ratings_name), find(folder, films_name)
        if ratings and films:
            events, items = reader(ratings, films, drop_bad)
            return Log(
                events=events,
                columns=Columns(item="item", time="time", user="user", unit="s"),
                items=_described(items),
                item_id="item",
                kinds=KINDS,
                told=("MovieLens: every rating is an event, whatever its value; one sequence per user",),
            )
    known = ", ".join(f"{ratings} with {films}" for ratings, films, _ in EDITIONS)
    raise DataError(f"{folder}: no MovieLens files ({known}); put them there as published, under their names.")


def _read_100k(ratings: Path, films: Path, drop_bad: bool) -> tuple[RawTable, RawTable]:
    events = read_raw(ratings, names=RATING, delimiter="\t", quotes=False, drop_bad=drop_bad)
    names = ("item", "title", "released", "video", "address", *GENRES)
    raw = read_raw(films, names=names, delimiter="|", encoding="latin-1", quotes=False, drop_bad=drop_bad)
    flags = raw.table.select(list(GENRES)).to_pandas().to_numpy() == "1"
    genres = ["|".join(genre for genre, flag in zip(GENRES, row, strict=True) if flag) for row in flags]
    table = pa.table({"item": raw.table["item"], "title": raw.table["title"], "genres": pa.array(genres)})
    return events, RawTable(films, table, 1, raw.dropped)


def _read_1m(ratings: Path, films: Path, drop_bad: bool) -> tuple[RawTable, RawTable]:
    return _read_dat(ratings, RATING, drop_bad), _read_dat(films, ("item", "title", "genres"), drop_bad)


def _read_20m(ratings: Path, films: Path, drop_bad: bool) -> tuple[RawTable, RawTable]:
    events, items = (read_raw(path, delimiter=",", drop_bad=drop_bad) for path in (ratings, films))
    events.require("userId", "movieId", "timestamp")
    items.require("movieId", "title", "genres")
    columns = events.table.select(["userId", "movieId", "timestamp"]).rename_columns(["user", "item", "time"])
    films_table = items.table.select(["movieId", "title", "genres"]).rename_columns(["item", "title", "genres"])
    return RawTable(ratings, columns, 2, events.dropped), RawTable(films, films_table, 2, items.dropped)


EDITIONS = (
    ("u.data", "u.item", _read_100k),
    ("ratings.dat", "movies.dat", _read_1m),
    ("ratings.csv", "movies.csv", _read_20m),
)


def _read_dat(path: Path, names: tuple[str, ...], drop_bad: bool) -> RawTable:
    """Read fields separated by two colons: UTF-8 in the 10M edition, latin-1 in the 1M edition."""
    read = partial(read_raw, path, names=names, delimiter="::", quotes=False, drop_bad=drop_bad)
    try:
        return read()
    except DataError:
        return read(encoding="latin-1")


def _described(raw: RawTable) -> RawTable:
    """Split the year off the title."""
    title = raw.text("title").str.strip()
    year = title.str.extract(r"\((\d{4})\)\s*$", expand=False).fillna("")
    genres = raw.text("genres").where(lambda values: values != NO_GENRES, "")
    table = {
        "item": raw.table["item"],
        "genres": pa.array(genres),
        "year": pa.array(year),
        "title": pa.array(title.str.replace(r"\s*\(\d{4}\)\s*$", "", regex=True)),
    }
    return RawTable(raw.path, pa.table(table), raw.first_row, raw.dropped)
