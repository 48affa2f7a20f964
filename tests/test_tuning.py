"""Equal tuning: the same effort for every network, nothing lost to a kill, and files that say what was done."""

import contextlib
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from gru4recf import experiment, figures, search_plan, tuned, tuning, winners
from gru4recf.cli import main
from gru4recf.data.features import TokenFeature
from gru4recf.data.synthetic import make_synthetic
from gru4recf.errors import RunError, StudyError
from gru4recf.figures import colour_of
from gru4recf.files import locked
from gru4recf.models import CONTROLS, build
from gru4recf.models.base import Sizes
from gru4recf.results import code_digest
from gru4recf.search import N_RANDOM, N_REPEATS, next_settings, search
from gru4recf.settings import Settings
from gru4recf.space import SPACE, common_space, given_size, space_of
from gru4recf.trials import Trial, best_of, finalists
from gru4recf.workers import side_by_side

OWN = {"learning_rate": 0.004, "batch_size": 24, "dropout": 0.1, "embedding_size": 64, "hidden_size": 64}
STUDY = {
    "name": "tiny",
    "title": "A tiny study",
    "datasets": [{"name": "shop"}],
    "variants": ["popularity", "id_only", "weighted_sum"],
    "settings": {**OWN, "n_epochs": 2, "patience": 1},
}
SEARCHED = (*SPACE, "fusion_weights")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Write a small generated data set as atomic files and return its folder."""
    data = make_synthetic(n_sessions=150, n_items=20, n_groups=4, telling=0.8, seed=2)
    folder = tmp_path_factory.mktemp("data") / "shop"
    folder.mkdir()
    names = {"session": "session_id:token", "item": "item_id:token", "time": "timestamp:float"}
    data.events.rename(columns=names)[list(names.values())].to_csv(folder / "shop.inter", sep="\t", index=False)
    items = data.items.reset_index().rename(columns={"item": "item_id:token", "group": "group:token"})
    items[["item_id:token", "group:token"]].to_csv(folder / "shop.item", sep="\t", index=False)
    return folder


class Place:
    """A folder with a study file, the journals and the winners."""

    def __init__(self, folder, shop, **changes):
        self.folder, self.out = folder, folder / "tuned"
        self.study = folder / "tiny.yaml"
        content = {**STUDY, "datasets": [{"name": str(shop)}], **changes}
        self.study.write_text(yaml.safe_dump(content))
        self.told = []
        self.code = "code"

    def tune(self, n_trials, *, jobs=1, n_finalists=1, **options):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(search_plan, "RUNS", self.folder / "runs")
            for module in (search_plan, winners):
                patch.setattr(module, "code_digest", self._digest)
            options |= {"n_trials": n_trials, "n_finalists": n_finalists, "jobs": jobs, "out": self.out}
            tuning.tune(self.study, tell=self.told.append, **options)

    def _digest(self, variant):
        """Return a control's own digest, or that of all networks."""
        return f"{self.code} of {variant}" if variant in CONTROLS else self.code

    def files(self):
        return {path.name: path.read_bytes() for path in self.out.iterdir()}


@pytest.fixture
def place(tmp_path, shop):
    return Place(tmp_path, shop)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, shop):
    """Tune both networks once, three trials each."""
    place = Place(tmp_path_factory.mktemp("finished"), shop)
    place.tune(3)
    return place


@pytest.fixture
def counted(monkeypatch):
    """Return the list of what is trained; every entry is (variant, seed, settings)."""
    trained, select = [], experiment.select

    def counting(run, data):
        trained.append((run.variant, run.seed, run.settings))
        return select(run, data)

    monkeypatch.setattr(experiment, "select", counting)
    return trained


class Killed(BaseException):
    pass


@contextlib.contextmanager
def killed_after(n_trainings, counted):
    """Kill a tuning, which must happen within the block, in its next training after so many."""
    counting = experiment.select

    def select(run, data):
        if len(counted) == n_trainings:
            raise Killed
        return counting(run, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "select", select)
        with pytest.raises(Killed):
            yield


def ended(values, space=None):
    """Return trials that ended with these values, their settings as a search would have proposed them."""
    trials = []
    for number, value in enumerate(values, start=1):
        settings = next_settings(trials, space or common_space(Settings()), Settings(), 0, "shop")
        trials.append(Trial(number, settings, value, error="" if value is not None else "It diverged."))
    return trials


# Equal effort


def test_every_network_gets_the_same_trials_and_a_baseline_none(finished):
    trials = winners.read_trials(finished.out, "shop")
    assert trials.groupby("variant")["trial"].apply(list).to_dict() == {"id_only": [1, 2, 3], "weighted_sum": [1, 2, 3]}
    assert trials["value"].between(0, 1).all()
    assert finished.told[0].startswith("[1/6] shop id_only trial 1: validation MRR@20 0.")
    assert " left" in finished.told[0]


def test_the_first_trial_is_the_studys_own_settings_and_the_winner_is_no_worse(finished):
    trials = winners.read_trials(finished.out, "shop").set_index(["variant", "trial"])
    record = winners.read_record(finished.out, "shop")
    for variant, winner in record.variants.items():
        assert trials.loc[(variant, 1), list(OWN)].to_dict() == OWN
        assert winner.value == trials.loc[variant, "value"].max() == trials.loc[(variant, winner.trial), "value"]
        assert (winner.finished, winner.failed) == (3, 0)


def test_every_training_has_the_same_epochs_patience_and_seed(place, counted):
    place.tune(3, n_epochs=1, seed=7)
    assert [variant for variant, _, _ in counted] == ["id_only"] * 3 + ["weighted_sum"] * 3
    assert {(seed, s.n_epochs, s.patience) for _, seed, s in counted} == {(7, 1, 1)}
    record = winners.read_record(place.out, "shop")
    assert (record.seed, record.n_epochs, record.patience, record.trials) == (7, 1, 1, 3)


def test_the_file_says_what_was_trained(place, counted):
    place.tune(2, variants=["weighted_sum"])
    rows = winners.read_trials(place.out, "shop")[list(SEARCHED)].to_dict("records")
    assert rows == [settings.model_dump(include=set(SEARCHED)) for _, _, settings in counted]


def test_random_trials_are_the_same_for_all_variants_and_differ_between_data_sets_and_seeds():
    common, wider = common_space(Settings()), space_of("weighted_sum", Settings())
    assert set(wider) - set(common) == {"fusion_weights"}
    tried, tried_wider = ended([0.1] * 4), ended([0.2, 0.1, 0.3, 0.4], wider)
    for one, other in zip(tried, tried_wider, strict=True):
        assert one.settings == {name: other.settings[name] for name in common}
    assert len({tuple(trial.settings.values()) for trial in tried}) == 4
    others = ((0, "a"), (1, "a"), (0, "b"))
    following = [next_settings(tried, common, Settings(), seed, label) for seed, label in others]
    assert all(following.count(settings) == 1 for settings in following)


def test_proposals_learn_from_values_after_the_random_trials():
    rising = ended(np.linspace(0.1, 0.2, N_RANDOM))
    falling = [Trial(t.number, t.settings, 0.3 - t.value) for t in rising]

    def proposed(trials):
        return next_settings(trials, common_space(Settings()), Settings(), 0, "a")

    assert proposed(rising[:-1]) == proposed(falling[:-1])
    assert proposed(rising) != proposed(falling)


def test_the_space_holds_the_studys_own_settings_and_every_proposal_lies_in_it():
    own = Settings(learning_rate=0.05, batch_size=16, dropout=0.25, head="where_needed")
    space = common_space(own)
    assert space["learning_rate"] == {"low": 0.001, "high": 0.05}
    assert space["batch_size"] == [16, *SPACE["batch_size"]]
    assert space["dropout"] == [0.0, 0.1, 0.2, 0.25, 0.3]
    assert space["head"] == SPACE["head"]
    trials = ended([0.1, None, *np.linspace(0, 0.1, N_RANDOM + 3)], space)
    for settings in (trial.settings for trial in trials[1:]):
        Settings(**settings)
        assert space["learning_rate"]["low"] <= settings["learning_rate"] <= space["learning_rate"]["high"]
        assert all(settings[name] in choices for name, choices in space.items() if isinstance(choices, list))


def test_the_best_is_the_highest_value_and_the_earliest_of_equals():
    assert best_of([Trial(1, {}, None), Trial(2, {}, 0.2), Trial(3, {}, 0.3), Trial(4, {}, 0.3)]).number == 3
    assert best_of([Trial(1, {}, None)]) is None


def test_of_repeated_trials_the_highest_mean_wins_and_a_failed_repeat_rules_out():
    lucky, steady = Trial(1, {}, 0.4, repeats=(0.1, 0.1)), Trial(2, {}, 0.3, repeats=(0.3, 0.3))
    failed, single = Trial(3, {}, 0.39, repeats=(0.5, None)), Trial(4, {}, 0.38)
    assert best_of([lucky, steady, failed, single]) == steady
    assert best_of([lucky, single]) == lucky
    assert [trial.number for trial in finalists([lucky, steady, failed, single, Trial(5, {}, None)], 2)] == [1, 3]
    assert steady.mean == pytest.approx(0.3)
    assert failed.mean is None


# Finalists


def values_by(monkeypatch, value):
    """Let a training end with what `value` says of its run."""
    progress = type("Progress", (), {"best_epoch": 1, "epoch": 1})

    def select(run, data):
        ended = progress()
        ended.best_value = value(run)
        return type("Selected", (), {"progress": ended})()

    monkeypatch.setattr(experiment, "select", select)


def test_the_best_trials_are_repeated_with_further_seeds_and_no_others(place, counted):
    place.tune(3, n_finalists=2, seed=7, variants=["id_only"])
    assert [seed for _, seed, _ in counted] == [7, 7, 7, 8, 9, 8, 9]
    trials = winners.read_trials(place.out, "shop").set_index("trial")
    best = list(trials["value"].nlargest(2).index)
    assert list(trials.index[trials["mean"].notna()]) == sorted(best)
    settings = [settings.model_dump(include=set(SPACE)) for _, _, settings in counted]
    assert settings[3:] == [settings[number - 1] for number in best for _ in range(N_REPEATS)]
    record = winners.read_record(place.out, "shop")
    assert (record.finalists, record.repeats) == (2, N_REPEATS)
    assert record.variants["id_only"].value == trials["mean"].max()
    assert place.told[3].startswith(f"[4/7] shop id_only trial {best[0]}, seed 8: validation MRR@20 0.")
    assert place.told[6].startswith("[7/7]")


def test_a_lucky_first_training_does_not_win(place, monkeypatch):
    def value(run):
        first = run.settings.learning_rate == OWN["learning_rate"]
        return (0.9 if run.seed == tuning.SEED else 0.1) if first else 0.5

    values_by(monkeypatch, value)
    place.tune(3, variants=["id_only"])
    assert winners.read_record(place.out, "shop").variants["id_only"].trial == 1
    place.tune(3, n_finalists=2, variants=["id_only"])
    winner = winners.read_record(place.out, "shop").variants["id_only"]
    assert (winner.trial, winner.value) == (2, 0.5)
    rows = winners.read_trials(place.out, "shop")
    assert rows["repeats"].fillna("").tolist() == ["0.1 0.1", "0.5 0.5", ""]


def test_a_search_killed_among_its_finalists_repeats_only_what_is_missing(place, counted):
    with killed_after(4, counted):
        place.tune(3, n_finalists=2, variants=["id_only"])
    assert not place.out.exists()
    place.tune(3, n_finalists=2, variants=["id_only"])
    assert len(counted) == 7
    made = place.files()
    place.tune(3, variants=["id_only"])  # without finalists the trials are those that were made
    assert len(counted) == 7
    assert place.files() != made
    place.tune(3, n_finalists=2, variants=["id_only"])
    assert len(counted) == 7
    assert place.files() == made


def test_more_finalists_are_another_budget(place):
    place.tune(2, variants=["id_only"])
    with pytest.raises(StudyError, match=r"finalists \(1, not 2\), repeats \(0, not 2\)"):
        place.tune(2, variants=["weighted_sum"], n_finalists=2)


def test_a_failed_repeat_is_told_and_kept(place, monkeypatch):
    def value(run):
        if run.seed > tuning.SEED and run.settings.learning_rate == OWN["learning_rate"]:
            raise StudyError("The loss is not finite.")
        return 0.5

    values_by(monkeypatch, value)
    place.tune(2, n_finalists=2, variants=["id_only"])
    assert winners.read_trials(place.out, "shop")["repeats"].tolist() == ["failed failed", "0.5 0.5"]
    assert winners.read_record(place.out, "shop").variants["id_only"].trial == 2
    assert "seed 1001: failed: The loss is not finite (best 0.5000)" in place.told[2]


def test_data_sets_bring_their_own_variants_and_some_take_settings_tuned_as_another(tmp_path, shop, counted):
    datasets = [
        {"name": str(shop), "variants": ["popularity", "parallel_permuted"], "train_fractions": [0.5, 1]},
        {"name": str(shop), "label": "again", "variants": ["id_only"]},
    ]
    place = Place(tmp_path, shop, datasets=datasets)
    place.tune(1)
    # a control's network is tuned in its place; half of the training sessions take what was found on all
    assert [variant for variant, _, _ in counted] == ["parallel_concat", "id_only"]
    assert set(place.files()) == {f"{label}.{kind}" for label in ("shop", "again") for kind in ("yaml", "trials.tsv")}
    with pytest.raises(StudyError, match="shop-50pct takes the settings tuned as shop"):
        place.tune(1, labels=["shop-50pct"])


# Kill, resume, jobs, more trials


def test_a_search_killed_within_a_trial_continues_to_the_same_bytes(place, finished, counted):
    with killed_after(1, counted):
        place.tune(3)
    assert not place.out.exists()
    (journal,) = (place.folder / "runs" / "tuning").glob("shop-id_only-*/journal.log")
    with open(journal, "ab") as file:
        file.write(b'{"op_code":4,"worker_')  # what a kill while writing would leave
    place.tune(3)
    assert len(counted) == 6
    assert place.files() == finished.files()


@pytest.mark.slow
def test_the_number_of_jobs_changes_no_byte(place, finished):
    place.tune(3, jobs=2)
    assert place.files() == finished.files()
    assert [line.split("]")[0] for line in place.told[:6]] == [f"[{n}/6" for n in range(1, 7)]


def test_more_trials_add_to_those_made_and_fewer_are_looked_up(place, finished, counted):
    place.tune(1)
    assert len(counted) == 2
    place.tune(3)
    assert len(counted) == 6
    assert place.files() == finished.files()
    place.tune(1)
    assert len(counted) == 6
    assert winners.read_record(place.out, "shop").variants["id_only"].settings == {
        name: getattr(Settings(**STUDY["settings"]), name) for name in SPACE
    }


def test_changed_code_starts_anew(place, counted):
    place.tune(1, variants=["id_only"])
    place.code = "other"
    place.tune(1, variants=["id_only"])
    assert len(counted) == 2
    assert winners.read_record(place.out, "shop").code_sha256 == "other"


def test_a_search_that_another_process_makes_is_waited_for(place, counted):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_plan, "RUNS", place.folder / "runs")
        patch.setattr(tuning, "_make", lambda work, *_: searches.extend(job for _, own in work for job in own) or {})
        searches = []
        tuning.tune(place.study, n_trials=1, n_finalists=1, out=place.out, tell=print)
    told = []
    with contextlib.ExitStack() as other:
        other.enter_context(locked(searches[0].folder))

        def report(news):
            if news.text:
                told.append(news.text)
                other.close()

        search(searches[0], report)
    assert told == ["shop id_only: another process searches; waiting for it to end."]
    assert len(counted) == 1


def dies(task, report):
    report(task)
    os._exit(3)


def refuses(task, report):
    raise StudyError(f"{task} cannot be done.")


def test_a_worker_that_dies_or_refuses_is_named_with_the_reason():
    heard = []
    assert list(side_by_side(dies, ["one"], 2, heard.append)) == [("one", "its process ended; call again to continue")]
    assert heard == ["one"]
    assert list(side_by_side(refuses, ["two"], 1, heard.append)) == [("two", "two cannot be done.")]


# Files of winners


def test_variants_tuned_later_join_the_file(place, finished):
    place.tune(3, variants=["weighted_sum"])
    assert set(winners.read_tuned(place.out, "shop")) == {"weighted_sum"}
    place.tune(3, variants=["id_only"])
    assert place.files() == finished.files()


def test_unequal_budgets_are_refused_before_any_training(place, counted):
    place.tune(1, variants=["id_only"])
    before = place.files()
    for options, told in (({}, r"trials \(1, not 2\)"), ({"n_epochs": 1}, r"n_epochs \(2, not 1\)")):
        with pytest.raises(StudyError, match=rf"id_only, tuned with other .*{told}.*--variants id_only,weighted_sum"):
            place.tune(2, variants=["weighted_sum"], **options)
    assert len(counted) == 1
    assert place.files() == before
    place.tune(2, variants=["weighted_sum", "id_only"])
    assert {winner.finished for winner in winners.read_record(place.out, "shop").variants.values()} == {2}


def test_a_failed_trial_counts_and_keeps_its_sentence(place, monkeypatch):
    select = experiment.select

    def first_diverges(run, data):
        if run.settings.learning_rate == OWN["learning_rate"]:
            raise StudyError("The loss is not finite.")
        return select(run, data)

    monkeypatch.setattr(experiment, "select", first_diverges)
    place.tune(2, variants=["id_only"])
    trials = winners.read_trials(place.out, "shop")
    assert trials["error"].fillna("").tolist() == ["The loss is not finite.", ""]
    assert trials["value"].isna().tolist() == [True, False]
    winner = winners.read_record(place.out, "shop").variants["id_only"]
    assert (winner.trial, winner.finished, winner.failed) == (2, 1, 1)
    assert "failed: The loss is not finite, " in place.told[0]


def test_a_network_that_always_fails_leaves_no_file(place, monkeypatch):
    def diverges(run, data):
        raise StudyError("The loss is not finite.")

    monkeypatch.setattr(experiment, "select", diverges)
    with pytest.raises(RunError, match="shop is not written, as all trials failed: id_only: The loss is not finite"):
        place.tune(1)
    assert not place.out.exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda c: c["variants"].update(id_onli=c["variants"]["id_only"]), "did you mean 'id_only'"),
        (lambda c: c["variants"].update(popularity=c["variants"]["id_only"]), "variants.popularity: Unknown variant"),
        (lambda c: c["variants"]["id_only"]["settings"].update(dropot=0.1), "variants.id_only.settings: dropot"),
        (lambda c: c["variants"]["id_only"]["settings"].pop("order"), "variants.id_only.settings: order"),
        (lambda c: c["variants"]["id_only"]["settings"].update(dropout=2), "variants.id_only.settings: dropout is 2"),
        (lambda c: c["variants"]["id_only"].pop("value"), "variants.id_only.value is missing"),
        (lambda c: c.pop("seed"), "seed is missing"),
        (lambda c: c.update(trails=3), "did you mean 'trials'"),
        (lambda c: c.update(variants={}), "variants is {}"),
    ],
)
def test_a_wrong_file_gets_a_sentence_with_file_and_field(finished, tmp_path, change, told):
    path = tmp_path / "shop.yaml"
    content = yaml.safe_load((finished.out / "shop.yaml").read_text())
    change(content)
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(StudyError, match=told) as error:
        winners.read_tuned(tmp_path, "shop")
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["a: [1", "- 1", "\udcff"], ids=["not YAML", "a list", "not UTF-8"])
def test_a_file_that_is_something_else_is_refused(tmp_path, text):
    (tmp_path / "shop.yaml").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(StudyError, match=r"shop\.yaml: not "):
        winners.read_tuned(tmp_path, "shop")


def test_what_was_not_tuned_or_tuned_on_other_data_is_refused_with_the_command(finished, tmp_path):
    with pytest.raises(StudyError, match="gru4recf tune STUDY --trials N --datasets shop"):
        winners.read_tuned(tmp_path, "shop")
    digest = winners.read_record(finished.out, "shop").data_sha256
    assert winners.read_tuned(finished.out, "shop", digest) == winners.read_tuned(finished.out, "shop")
    with pytest.raises(StudyError, match="tune again with these data"):
        winners.read_tuned(finished.out, "shop", "other")
    with pytest.raises(StudyError, match=r"shop\.trials\.tsv is not there"):
        winners.read_trials(tmp_path, "shop")


def test_a_control_has_its_networks_settings_and_a_baseline_none(finished):
    both = winners.read_tuned(finished.out, "shop")
    assert tuned.settings_for(finished.out, "shop", "id_only") == both["id_only"]
    assert set(tuned.settings_for(finished.out, "shop", "weighted_sum")) == {*SPACE, "fusion_weights"}
    assert tuned.settings_for(finished.out, "shop", "popularity") == {}
    with pytest.raises(StudyError, match="parallel_concat has not been tuned"):
        tuned.settings_for(finished.out, "shop", "parallel_permuted")


PARALLEL = {"learning_rate": 0.02, "embedding_size": 128, "hidden_size": 128, "head": "linear"}


def test_a_control_of_parallel_concats_size_has_its_own_winner_and_no_other_networks(monkeypatch):
    own = {"parallel_concat": PARALLEL, "id_only": {"learning_rate": 0.01}}
    monkeypatch.setattr(tuned, "read_tuned", lambda *_: own)
    assert tuned.settings_for(Path("folder"), "shop", "parallel_untrained") == PARALLEL
    with pytest.raises(StudyError, match=r"id_only_wide has not been tuned.* --datasets shop --variants id_only_wide`"):
        tuned.settings_for(Path("folder"), "shop", "id_only_wide")
    own["id_only_wide"] = {"learning_rate": 0.007}
    assert tuned.settings_for(Path("folder"), "shop", "id_only_wide") == {"learning_rate": 0.007}


@pytest.mark.parametrize(
    ("hidden", "head", "given"),
    [
        (128, "linear", {"hidden_size": 128}),
        (128, "where_needed", {"hidden_size": 128}),
        # two states are as wide as one embedding, so that the head decides whether parallel_concat has a map
        (64, "linear", {"hidden_size": 65}),
        (64, "where_needed", {"hidden_size": 64, "head": "where_needed"}),
    ],
)
def test_a_control_is_given_the_size_of_parallel_concat_whatever_head_is_tried(hidden, head, given):
    parallel = {**PARALLEL, "hidden_size": hidden, "head": head}
    for control in ("id_only_wide", "parallel_item_twice"):
        assert given_size(control, parallel) == {"embedding_size": 128, "hidden_size": hidden}
    found = given_size("id_only_matched", parallel)
    assert found == {"embedding_size": 128, **given}
    features = [TokenFeature("group", np.arange(1000) % 4, 4)]  # over few items, one unit is more than 2%

    def n_parameters(variant, settings):
        sizes = Sizes(1000, **Settings(**settings).network_options())
        return sum(p.numel() for p in build(variant, sizes, features, None).parameters())

    wanted = n_parameters("parallel_concat", parallel)
    for tried in [found["head"]] if "head" in found else ["linear", "where_needed"]:
        for control in ("id_only_matched", "concat_input_matched", "weighted_sum_matched"):
            assert n_parameters(control, {**found, "head": tried}) == pytest.approx(wanted, rel=0.02)


def test_controls_are_searched_for_after_the_networks_at_the_size_of_parallel_concat(tmp_path, shop, counted):
    variants = ["id_only", "parallel_concat", "weighted_sum_matched", "parallel_item_twice", "parallel_untrained"]
    place = Place(tmp_path, shop, variants=variants, settings={**STUDY["settings"], "hidden_size": 32})
    place.tune(2)
    trained = [variant for variant, _, _ in counted]
    assert trained == [v for v in ("id_only", "parallel_concat", *variants[2:4]) for _ in range(2)]
    record = winners.read_record(place.out, "shop")
    assert list(record.variants) == ["id_only", "parallel_concat", "weighted_sum_matched", "parallel_item_twice"]
    sizes = given_size("weighted_sum_matched", record.variants["parallel_concat"].settings)
    trials = winners.read_trials(place.out, "shop").groupby("variant")
    for name, value in sizes.items():
        assert set(trials.get_group("weighted_sum_matched")[name]) == {value}
    assert set(trials.get_group("weighted_sum_matched")["fusion_weights"]) <= {"learned", "fixed"}
    assert trials.get_group("weighted_sum_matched")["learning_rate"].nunique() == 2
    del counted[:]
    place.tune(2, variants=["id_only_matched"])  # the size is that of the winner in the file
    assert [variant for variant, _, _ in counted] == ["id_only_matched"] * 2
    assert set(winners.read_tuned(place.out, "shop")) == {*record.variants, "id_only_matched"}


def test_a_control_alone_is_tuned_with_the_network_that_gives_its_size(place, counted):
    place.tune(1, variants=["id_only_wide"])
    assert [variant for variant, _, _ in counted] == ["parallel_concat", "id_only_wide"]
    del counted[:]
    place.tune(2, variants=["id_only_wide", "parallel_concat"])  # more trials for both: nothing of before is in the way
    assert [variant for variant, _, _ in counted[:2]] == ["parallel_concat", "id_only_wide"]
    assert {winner.finished for winner in winners.read_record(place.out, "shop").variants.values()} == {2}


def test_a_call_killed_between_networks_and_controls_loses_no_control_that_was_tuned(tmp_path, shop, counted):
    place = Place(tmp_path, shop, variants=["parallel_concat", "id_only_wide", "id_only_matched"])
    place.tune(1, variants=["parallel_concat", "id_only_wide"])
    with killed_after(2, counted):
        place.tune(1)
    assert set(winners.read_tuned(place.out, "shop")) == {"parallel_concat", "id_only_wide"}
    place.tune(1)
    assert [variant for variant, _, _ in counted] == ["parallel_concat", "id_only_wide", "id_only_matched"]
    assert set(winners.read_tuned(place.out, "shop")) == {"parallel_concat", "id_only_wide", "id_only_matched"}


def test_a_control_of_another_size_than_the_new_parallel_concat_is_taken_out_and_told(place, monkeypatch):
    place.tune(1, variants=["id_only_wide"])
    size = {"embedding_size": 64, "hidden_size": 128}
    monkeypatch.setattr(winners, "given_size", lambda control, parallel: size)  # as if another trial had won
    place.tune(1, variants=["parallel_concat"])
    assert set(winners.read_tuned(place.out, "shop")) == {"parallel_concat"}
    assert any("no longer has id_only_wide" in line for line in place.told)
    assert set(winners.read_trials(place.out, "shop")["variant"]) == {"parallel_concat"}


def test_another_first_trial_is_another_budget(tmp_path, shop, counted):
    Place(tmp_path, shop).tune(1, variants=["id_only"])
    other = Place(tmp_path, shop, settings={**STUDY["settings"], "hidden_size": 128})
    with pytest.raises(StudyError, match="id_only, tuned with other first"):
        other.tune(1, variants=["weighted_sum"])
    assert len(counted) == 1
    assert winners.read_record(other.out, "shop").first["hidden_size"] == 64


def test_a_control_whose_own_code_has_changed_is_taken_out(place, counted):
    place.tune(1, variants=["id_only_wide", "id_only_matched"])
    record = winners.read_record(place.out, "shop")
    assert record.code_sha256 == "code"
    assert record.variants["parallel_concat"].code_sha256 is None
    assert record.variants["id_only_wide"].code_sha256 == "code of id_only_wide"
    digest = place._digest
    place._digest = lambda variant: "new" if variant == "id_only_wide" else digest(variant)
    place.tune(1, variants=["id_only_matched"])
    assert set(winners.read_tuned(place.out, "shop")) == {"parallel_concat", "id_only_matched"}
    assert any("no longer has id_only_wide" in line for line in place.told)
    del counted[:]
    place.tune(1, variants=["id_only_wide"])
    assert [variant for variant, _, _ in counted] == ["id_only_wide"]


def test_winners_whose_trials_were_lost_are_named(place):
    place.tune(1, variants=["id_only", "weighted_sum"])
    path = winners.trials_path(place.out, "shop")
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "weighted_sum" not in line))
    with pytest.raises(StudyError, match=r"no trials of weighted_sum; tune them again \(--variants weighted_sum\)"):
        place.tune(1, variants=["id_only"])


def test_controls_on_data_without_features_are_refused_before_any_training(tmp_path, shop, counted):
    plain = tmp_path / "plain"
    plain.mkdir()
    shutil.copy(shop / "shop.inter", plain / "plain.inter")
    place = Place(tmp_path, plain, variants=["id_only", "id_only_wide"])
    with pytest.raises(StudyError, match="parallel_concat need item features"):
        place.tune(1)
    assert counted == []


def test_progress_counts_controls_from_the_start(place):
    place.tune(1, variants=["id_only_wide"])
    assert [line.split("]")[0] for line in place.told if line.startswith("[")] == ["[1/2", "[2/2"]


def test_networks_that_fail_leave_their_controls_untouched(place, counted, monkeypatch):
    def failing(run, data):
        counted.append((run.variant, run.seed, run.settings))
        raise StudyError("It diverged.")

    monkeypatch.setattr(experiment, "select", failing)
    with pytest.raises(RunError, match=r"parallel_concat: It diverged\."):
        place.tune(1, variants=["id_only_wide"])
    assert [variant for variant, _, _ in counted] == ["parallel_concat"]


def test_winners_without_their_trials_are_not_joined(place):
    place.tune(1, variants=["id_only"])
    winners.trials_path(place.out, "shop").unlink()
    with pytest.raises(StudyError, match=r"shop\.trials\.tsv is not there"):
        place.tune(1, variants=["weighted_sum"])


# The command


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--trials", "1", "--datasets", "shpo"], "did you mean 'shop'"),
        (["--trials", "1", "--variants", "popularity"], "Unknown network to tune 'popularity'"),
        (["--trials", "0"], "0 is not in the range x>=1"),
        ([], "Missing option '--trials'"),
    ],
)
def test_a_mistake_on_the_command_line_gets_a_sentence(place, arguments, told):
    answer = CliRunner().invoke(main, ["tune", str(place.study), *arguments])
    assert answer.exit_code == 2
    assert told in answer.output


def test_a_study_without_networks_or_data_is_refused(tmp_path, shop):
    with pytest.raises(StudyError, match="no network to tune"):
        Place(tmp_path, shop, variants=["popularity"]).tune(1)


def test_the_command_tunes(place, monkeypatch):
    monkeypatch.setattr(search_plan, "RUNS", place.folder / "runs")
    arguments = ["tune", place.study, "--trials", 1, "--finalists", 1, "--variants", "id_only", "--out", place.out]
    answer = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert answer.exit_code == 0, answer.output
    assert "in trial 1 of 1: learning_rate 0.004, batch_size 24" in answer.output
    assert set(place.files()) == {"shop.yaml", "shop.trials.tsv"}
    assert winners.read_record(place.out, "shop").code_sha256 == code_digest("parallel_concat")


def test_files_name_no_place_of_this_machine(finished):
    for content in finished.files().values():
        assert str(finished.folder).encode() not in content
        assert str(Path.home()).encode() not in content


# The figure


def test_the_figure_shows_the_mean_of_the_trial_that_is_taken_right_of_the_last():
    frame = trials_frame({"id_only": [0.2, 0.4]}).assign(mean=[np.nan, 0.3])
    running, taken = figures.best_so_far(frame).axes[0].lines
    assert running.get_ydata().tolist() == [0.2, 0.4]
    assert taken.get_xydata().tolist() == [[3, 0.3]]


def trials_frame(values, dataset="shop"):
    frames = [pd.DataFrame({"trial": range(1, len(v) + 1), "value": v}).assign(variant=n) for n, v in values.items()]
    return pd.concat(frames).assign(dataset=dataset)


def test_the_figure_shows_the_running_best_and_marks_what_was_better():
    frame = trials_frame({"id_only": [0.2, np.nan, 0.1, 0.3], "weighted_sum": [np.nan, 0.25, 0.26, 0.2]})
    figure = figures.best_so_far(frame.sample(frac=1, random_state=0).sort_values("variant"))
    (panel,) = figure.axes
    lines = {line.get_color(): line for line in panel.lines}
    first, second = lines[colour_of("id_only")], lines[colour_of("weighted_sum")]
    assert first.get_ydata().tolist() == [0.2, 0.2, 0.2, 0.3]
    assert first.get_markevery() == [0, 3]
    np.testing.assert_equal(np.asarray(second.get_ydata()), [np.nan, 0.25, 0.26, 0.26])
    assert second.get_markevery() == [1, 2]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["id_only", "weighted_sum"]


@pytest.mark.parametrize(("end", "low"), [(0.2, 0.2 - 0.1), (0.29, 0.29 - 0.03)], ids=["spread ends", "close ends"])
def test_the_figure_cuts_beginnings_far_below_the_ends(end, low):
    (panel,) = figures.best_so_far(trials_frame({"id_only": [0.001, 0.3], "weighted_sum": [0.002, end]})).axes
    assert panel.get_ylim()[0] == pytest.approx(low)
    assert panel.get_ylim()[1] > 0.3


def test_the_figure_has_one_panel_per_data_set_and_bears_failures_alone():
    frame = pd.concat([trials_frame({"id_only": [0.2, 0.3]}), trials_frame({"id_only": [np.nan] * 2}, "other")])
    titles = [panel.get_title(loc="left") for panel in figures.best_so_far(frame).axes]
    assert titles == ["shop", "other"]


def test_the_figure_reads_the_committed_form(finished, tmp_path):
    shutil.copytree(finished.out, tmp_path / "tuned")
    figures.save(figures.best_so_far(winners.read_trials(tmp_path / "tuned", "shop")), tmp_path, "tuning")
    assert (tmp_path / "tuning.png").stat().st_size > 5000
