"""The command line: `gru4recf run | study | tune | status | data | export | doctor`.

Heavy packages are imported inside the commands, so that `--help` answers at once.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from gru4recf import __version__
from gru4recf.cli_data import FOLDER, data
from gru4recf.errors import EXIT_CODES, RunError, StudyError

FOLDER_VARIABLES = ("GRU4RECF_DATA", "GRU4RECF_CACHE", "GRU4RECF_RUNS")


class _Group(click.Group):
    """Turns a `StudyError`, and what the system refuses, into a sentence and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except StudyError as error:
            click.echo(f"gru4recf: {error}", err=True)
            sys.exit(1 if isinstance(error, RunError) else 2)
        except BrokenPipeError:  # `| head` has seen enough
            raise
        except OSError as error:  # a full disk, a name that is too long, a file that may not be read
            click.echo(f"gru4recf: {error.filename or 'a file'}: {error.strerror}.", err=True)
            sys.exit(2)


@click.group(cls=_Group, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Do item features pay in session-based recommendation, and which way of fusing them is best?

    \b
    gru4recf study studies/default.yaml                   the whole answer, with a report
    gru4recf study studies/default.yaml --dataset DIR     the same on your own data
    gru4recf run --dataset eshop --variant weighted_sum   one training run
    """
    for name in FOLDER_VARIABLES:  # a relative path is meant from here, and a study's runs work in folders of their own
        if folder := os.environ.get(name, "").strip():
            os.environ[name] = str(Path(folder).expanduser().absolute())


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
@click.option("--out", default="", type=click.Path(file_okay=False), help="Its folder. [default: one below runs/]")
@click.option("--checked-data", default="", metavar="SHA256", help="Digest of data that `gru4recf study` has checked.")
def run(
    dataset: str, variant: str, strategy: str, seed: int, settings: tuple[str, ...], out: str, checked_data: str
) -> None:
    """Train one variant on one data set by executing notebooks/02-train.ipynb.

    Leaves ranks.parquet, history.parquet, weights.safetensors, the executed notebook and, last, result.json in --out.
    A run that was killed continues after its last finished epoch when it is called again. `gru4recf doctor` lists the
    settings.
    """
    from gru4recf.commands import make_run

    chosen = _assignments(settings)
    make_run(dataset, variant, strategy, seed, chosen, out, checked_data=checked_data, tell=click.echo)


@main.command(epilog=EXIT_CODES)
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--dataset", "datasets", multiple=True, help="Use these instead of the study's; name or folder.")
@click.option("--variants", help="Use these instead of the study's, separated by commas.")
@click.option("--seeds", type=int, help="Number of seeds.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="One setting for all runs; repeatable.")
@click.option("--jobs", type=click.IntRange(1), help="Runs at once. [default: number of cores]")
@click.option("--profile", default="local", show_default=True, help="local, slurm, or a folder in workflow/profiles.")
@click.option("--out", type=FOLDER, help="The study's folder. [default: reports/NAME]")
@click.option("--report-only", is_flag=True, help="Make no run; report what is finished.")
@click.option("--published", is_flag=True, help="Take over runs whose results are in --out already.")
@click.option("--strict", is_flag=True, help="Exit with 3 when a claim is not supported, or not judged.")
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
    published: bool,
    strict: bool,
) -> None:
    """Run what is missing of STUDY (a YAML file), decide its claims, draw its figures and write its report.

    A second call runs nothing again; after an interruption it continues. With --published it goes on from results that
    came with a checkout too, where data, settings, code and torch are the same. Leaves verdict.json, results.parquet,
    figures/ and report.html in --out.
    """
    from gru4recf.commands import make_study

    chosen = {
        "datasets": [{"name": name} for name in datasets] or None,
        "variants": variants.split(",") if variants is not None else None,
        "seeds": seeds,
    }
    options = {"jobs": jobs, "profile": profile, "out": out, "report_only": report_only, "published": published}
    supported = make_study(study, chosen, _assignments(settings), **options, tell=click.echo)
    if strict and not supported:
        sys.exit(3)


@main.command(epilog=EXIT_CODES)
@click.argument("study", type=click.Path(path_type=Path))
@click.option("--trials", required=True, type=click.IntRange(1), help="Trials of each network or control.")
@click.option("--finalists", type=click.IntRange(1), help="Best trials that are repeated. [default: 5; 1: none]")
@click.option("--datasets", help="Only these of the study's data sets, separated by commas.")
@click.option("--variants", help="Only these networks and controls, separated by commas. [default: the study's]")
@click.option("--jobs", type=click.IntRange(1), help="Searches at once. [default: number of cores]")
@click.option("--seed", type=click.IntRange(0), help="Of proposals and trainings. [default: one no study's run has]")
@click.option("--epochs", type=click.IntRange(1), help="Epochs at most. [default: the study's]")
@click.option("--out", type=FOLDER, help="Folder of the winners. [default: studies/tuned]")
def tune(
    study: Path,
    trials: int,
    finalists: int | None,
    datasets: str | None,
    variants: str | None,
    jobs: int | None,
    seed: int | None,
    epochs: int | None,
    out: Path | None,
) -> None:
    """Choose settings for every network of STUDY by validation MRR@20, with the same effort for each.

    Same space, trials, epochs and patience for all; the first trial is the study's own settings. The best trials are
    repeated with two further seeds, and the highest mean wins. Controls of parallel_concat's size are searched for
    when that is tuned, at its sizes. A call that was stopped, killed even, continues; more --trials add to those made.
    Leaves DATASET.yaml (winners) and DATASET.trials.tsv (all trials) in --out.
    """
    from gru4recf.search import N_FINALISTS
    from gru4recf.tuning import SEED
    from gru4recf.tuning import tune as tune_study

    tune_study(
        study,
        n_trials=trials,
        labels=datasets.split(",") if datasets is not None else (),
        variants=variants.split(",") if variants is not None else (),
        n_finalists=finalists or N_FINALISTS,
        jobs=jobs,
        seed=SEED if seed is None else seed,
        n_epochs=epochs,
        out=out,
        tell=click.echo,
    )


@main.command(epilog=EXIT_CODES)
@click.argument("run_folder", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=FOLDER, help="Folder for the files.")
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


@main.command()
def doctor() -> None:
    """Tell versions, the device and why, disk space, where data are looked for, and every setting with its default."""
    from gru4recf.commands import tell_doctor

    tell_doctor(tell=click.echo)


main.add_command(data)


if __name__ == "__main__":
    main()
