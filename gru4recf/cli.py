"""The command line: `gru4recf run | study | tune | status | data | export | doctor`.

Heavy packages are imported inside the commands, so that `--help` answers at once.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from gru4recf import __version__
from gru4recf.errors import RunError, StudyError

EXIT_CODES = """
\b
Exit codes: 0 done; 1 a run failed; 2 wrong usage or data (one sentence says what to change);
3 a claim is not supported and --strict was given.
"""


class _Group(click.Group):
    """Turns a `StudyError` into its sentence and exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except StudyError as error:
            click.echo(f"gru4recf: {error}", err=True)
            sys.exit(1 if isinstance(error, RunError) else 2)


@click.group(cls=_Group, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Do item features pay in session-based recommendation, and which way of fusing them is best?

    \b
    gru4recf study studies/default.yaml                   the whole answer, with a report
    gru4recf study studies/default.yaml --dataset DIR     the same on your own data
    gru4recf run --dataset eshop --variant weighted_sum   one training run
    """


def _assignments(values: Sequence[str]) -> dict[str, Any]:
    """Read `key=value` settings; a value is read as JSON where it is JSON, as text otherwise."""
    import json

    settings = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals:
            raise StudyError(f"--set {value}: write it as name=value, such as --set learning_rate=0.01.")
        try:
            settings[name] = json.loads(text)
        except json.JSONDecodeError:
            settings[name] = text
    return settings


@main.command(epilog=EXIT_CODES)
@click.option("--dataset", required=True, help="Registered name, or a folder with NAME.inter and NAME.item.")
@click.option("--variant", required=True, help="Architecture, such as parallel_concat.")
@click.option("--strategy", default="simultaneous", show_default=True, help="Which parameters a step trains.")
@click.option("--seed", default=0, show_default=True, help="Initialisation, dropout and order of sessions.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="One setting; may be repeated.")
@click.option("--out", default="", help="Folder for the run's files. [default: one of its own below runs/]")
def run(dataset: str, variant: str, strategy: str, seed: int, settings: tuple[str, ...], out: str) -> None:
    """Train one variant on one data set by executing notebooks/02-train.ipynb.

    Leaves ranks.parquet, history.parquet, weights.safetensors, the executed notebook and, last, result.json in --out.
    A run that was killed continues after its last finished epoch when it is called again. `gru4recf doctor` lists the
    settings.
    """
    from gru4recf.commands import make_run

    make_run(dataset, variant, strategy, seed, _assignments(settings), out, tell=click.echo)


@main.command(epilog=EXIT_CODES)
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--dataset", "datasets", multiple=True, help="Use these instead of the study's; name or folder.")
@click.option("--variants", help="Use these instead of the study's, separated by commas.")
@click.option("--seeds", type=int, help="Number of seeds.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="One setting for all runs; repeatable.")
@click.option("--jobs", type=click.IntRange(1), help="Runs at once. [default: number of cores]")
@click.option("--profile", default="local", show_default=True, help="local, slurm, or a folder in workflow/profiles.")
@click.option("--out", type=click.Path(path_type=Path), help="The study's folder. [default: reports/NAME]")
@click.option("--report-only", is_flag=True, help="Make no run; report what is finished.")
@click.option("--strict", is_flag=True, help="Exit with 3 when a claim is not supported.")
def study(
    study: Path,
    datasets: tuple[str, ...],
    variants: str | None,
    seeds: int | None,
    settings: tuple[str, ...],
    jobs: int | None,
    profile: str,
    out: Path | None,
    report_only: bool,
    strict: bool,
) -> None:
    """Run what is missing of STUDY (a YAML file), decide its claims, draw its figures and write its report.

    A second call runs nothing again; after an interruption it continues. Leaves verdict.json, results.parquet, figures/
    and report.html in --out.
    """
    from gru4recf.commands import make_study

    chosen = {
        "datasets": [{"name": name} for name in datasets] or None,
        "variants": variants.split(",") if variants else None,
        "seeds": seeds,
    }
    options = {"jobs": jobs, "profile": profile, "out": out, "report_only": report_only}
    supported = make_study(study, chosen, _assignments(settings), **options, tell=click.echo)
    if strict and not supported:
        sys.exit(3)


@main.command(epilog=EXIT_CODES)
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--trials", required=True, type=click.IntRange(1), help="Trials of each network on each data set.")
@click.option("--datasets", help="Only these of the study's data sets, separated by commas.")
@click.option("--variants", help="Only these networks, separated by commas. [default: the study's]")
@click.option("--jobs", type=click.IntRange(1), help="Searches at once. [default: number of cores]")
@click.option("--seed", type=click.IntRange(0), help="Of proposals and trainings. [default: one no study's run has]")
@click.option("--epochs", type=click.IntRange(1), help="Epochs at most. [default: the study's]")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the winners. [default: studies/tuned]")
def tune(
    study: Path,
    trials: int,
    datasets: str | None,
    variants: str | None,
    jobs: int | None,
    seed: int | None,
    epochs: int | None,
    out: Path | None,
) -> None:
    """Choose settings for every network of STUDY by validation MRR@20, with the same effort for each.

    Same space, trials, epochs and patience for all; the first trial is the study's own settings. A call that was
    stopped, killed even, continues; more --trials add to those made. Leaves DATASET.yaml (winners) and
    DATASET.trials.tsv (all trials) in --out.
    """
    from gru4recf.tuning import SEED
    from gru4recf.tuning import tune as tune_study

    tune_study(
        study,
        n_trials=trials,
        labels=datasets.split(",") if datasets else (),
        variants=variants.split(",") if variants else (),
        jobs=jobs,
        seed=SEED if seed is None else seed,
        n_epochs=epochs,
        out=out,
        tell=click.echo,
    )


@main.command(epilog=EXIT_CODES)
@click.argument("run_folder", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for the files.")
def export(run_folder: Path, out: Path) -> None:
    """Write the run in RUN_FOLDER for RecBole 1.2.1: weights, atomic files, settings and a script.

    Only parallel_concat (RecBole's GRU4RecF) and id_only (its GRU4Rec) can go there. The script evaluate.py prints in
    RecBole's environment the test metrics that metrics.json holds.
    """
    from gru4recf.recbole import export_run

    export_run(run_folder, out)
    click.echo(f"{out}: run `python evaluate.py` there, in an environment with recbole 1.2.1 and safetensors.")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
def status(folder: Path) -> None:
    """Tell how far the study in FOLDER is: done, running, failed, left, estimated time."""
    from gru4recf.commands import tell_status

    tell_status(folder, tell=click.echo)


class _DataGroup(click.Group):
    """Takes any word that is no command of its own for a data set to describe."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] in self.commands:
            return super().resolve_command(ctx, args)
        return "describe", self.commands["describe"], args


@main.group(cls=_DataGroup, invoke_without_command=True, subcommand_metavar="[DATASET | import ...]", epilog=EXIT_CODES)
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
@click.option("--drop-bad", is_flag=True, help="Leave rows out that cannot be read, instead of stopping at the first.")
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


@main.command()
def doctor() -> None:
    """Tell versions, the device and why, disk space, where data are looked for, and every setting with its default."""
    from gru4recf.commands import tell_doctor

    tell_doctor(tell=click.echo)


if __name__ == "__main__":
    main()
