"""The command line of data sets: `gru4recf data`, `gru4recf data NAME`, `gru4recf data import ...`."""

from pathlib import Path

import click

from gru4recf.errors import EXIT_CODES

FOLDER = click.Path(file_okay=False, path_type=Path)  # of results, made when it is not there


class _DataGroup(click.Group):
    """Takes any word that is no command of its own for a data set to describe."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] in self.commands:
            return super().resolve_command(ctx, args)
        return "describe", self.commands["describe"], args


@click.group(
    cls=_DataGroup, invoke_without_command=True, subcommand_metavar="[DATASET | import ...]", epilog=EXIT_CODES
)
@click.pass_context
def data(ctx: click.Context) -> None:
    """List the registered data sets, describe one, or import a log of your own.

    \b
    gru4recf data                  what is registered
    gru4recf data eshop            counts, features, oddities, split and leaks of one
    gru4recf data path/to/shop     the same for a folder with shop.inter and shop.item
    gru4recf data import clicks.csv --items products.csv --session visit --item sku --time when --out shop
    """
    from gru4recf.inspection import list_datasets

    if ctx.invoked_subcommand is None:
        list_datasets(tell=click.echo)


@data.command(hidden=True)
@click.argument("dataset")
def describe(dataset: str) -> None:
    """Tell what DATASET (a name or a folder) holds, how it is split, and what speaks against it."""
    from gru4recf.inspection import describe_dataset

    describe_dataset(dataset, tell=click.echo)


@data.command("import", epilog=EXIT_CODES)
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--items", type=click.Path(path_type=Path), help="Table of items: one row each, a column per feature.")
@click.option("--item", default="", help="Column of the item in the log.")
@click.option("--time", default="", help="Column of the time: seconds, milliseconds, ... since 1970, or ISO dates.")
@click.option("--session", default="", help="Column of the session.")
@click.option("--user", default="", help="Column of the user; without --session, give --gap or get one sequence each.")
@click.option("--gap", help="Begin a new session after so much idle time, such as 30min.")
@click.option("--item-id", help="Column of the item in --items. [default: as in the log]")
@click.option("--feature", "features", multiple=True, metavar="NAME:KIND", help="A feature's kind; may be repeated.")
@click.option("--vectors", multiple=True, metavar="NAME=FILE.npy", help="A vector per row of --items; repeatable.")
@click.option("--unit", default="auto", show_default=True, help="Of numeric times: s, ms, us, ns.")
@click.option("--drop-bad", is_flag=True, help="Leave out what cannot be read, rows and numbers, instead of stopping.")
@click.option("--format", "published", help="diginetica, movielens, retailrocket or yoochoose; SOURCE is their folder.")
@click.option("--name", help="Of the data set. [default: the folder's]")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="New folder for the atomic files.")
def import_(
    source: Path,
    items: Path | None,
    item: str,
    time: str,
    session: str,
    user: str,
    gap: str | None,
    item_id: str | None,
    features: tuple[str, ...],
    vectors: tuple[str, ...],
    unit: str,
    drop_bad: bool,
    published: str | None,
    name: str | None,
    out: Path,
) -> None:
    """Turn the log SOURCE (CSV, TSV, JSON lines or parquet; plain, gzip or zstd) into atomic files.

    \b
    gru4recf data import clicks.csv.gz --items products.jsonl --session visit --item sku --time when --out shop
    gru4recf data import log.parquet --user visitor --gap 30min --item item --time ts --feature brand:token --out shop
    gru4recf data import retailrocket/ --format retailrocket --out rocket

    Kinds of features are seen from their values and told: token, token_seq, float, float_seq, text (which becomes a
    float_seq of TF-IDF weights). --feature NAME:KIND says otherwise; NAME:drop leaves one out. Without --items, the
    columns of the log that --feature names describe the items. Ids stay as they are written. A report tells what was
    kept, what was left out, and why; nothing is written after an error.
    """
    from gru4recf.imports.command import make_import
    from gru4recf.imports.events import Columns

    make_import(
        source,
        out,
        published=published,
        items=items,
        columns=Columns(item=item, time=time, session=session, user=user, unit=unit),
        item_id=item_id,
        gap=gap,
        features=features,
        vectors=vectors,
        name=name,
        drop_bad=drop_bad,
        tell=click.echo,
    )
