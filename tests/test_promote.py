"""Promotion: which model becomes champion, which is refused and with what words, and what a kill leaves behind."""

import re
import shutil
from pathlib import Path

import mlflow
import pytest

from flows import promote as flow
from flows.promote import Refused, promote, rollback
from flows.verdict import Verdict
from tests import served_sample
from tests.promotion_sample import Project, answering, git
from umemma.errors import DataError, GateFailure, ParameterError
from umemma.serving import folder as model_folder
from umemma.tracking.check import TrackingError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:(mlflow|sqlalchemy|alembic)")  # of one another
GOOD = {"image+audio": 0.9, "image": 0.8, "audio": 0.7}
DEAF = {**GOOD, "audio": 0.5}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return served_sample.made(tmp_path_factory.mktemp("pets")).folder


@pytest.fixture(scope="module")
def begun(exported, tmp_path_factory):
    """A project with a first run: making MLflow's tables takes a second."""
    project = Project(tmp_path_factory.mktemp("begun") / "project", exported)
    project.ran(answering(GOOD))
    return project


@pytest.fixture
def project(begun, exported, tmp_path, monkeypatch):
    """A copy of it; MLflow keeps absolute paths, so the store of the copy has those of the original, which stays as it is."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    root = shutil.copytree(begun.root, tmp_path / "project")
    copy = Project.__new__(Project)
    copy.root, copy._exported = root, exported
    return copy


def refused(project, **given):
    with pytest.raises(Refused) as refusal:
        promote(project.root, **given)
    assert refusal.value.exit_code == 1
    return str(refusal.value)


def test_the_first_model_is_champion_and_says_that_there_was_nothing_to_compare_with(project):
    said = promote(project.root)
    assert said.endswith("is the champion: the first, so there was nothing to compare it with")
    assert project.aliases() == {"champion": "1"}
    tags = project.versions()["1"]
    assert tags["git.commit"] == git(project.root, "rev-parse", "HEAD")
    made_from = ["data/model", "data/export", "data/shards", "data/masks", "data/reports/validation.json"]
    assert {"gates", "shards.sha256", "fingerprint", *(f"dvc.{path}" for path in made_from)} <= set(tags)
    assert tags["umemma.model"] == project.ran(answering(GOOD))


def test_the_same_model_is_registered_once_however_often_it_is_promoted(project):
    promote(project.root)
    assert promote(project.root).endswith("is the champion already")
    assert list(project.versions()) == ["1"]


def test_a_better_model_takes_its_place_and_an_equal_one_too(project):
    promote(project.root)
    project.ran(answering({**GOOD, "image": 0.85}, seed=1), seed=1)
    lines = []
    assert promote(project.root, say=lines.append).endswith("not worse than version 1 in 3 of 3 comparisons")
    assert [line.split(":")[0] for line in lines] == ["note", "image+audio", "image", "audio"]
    assert "accuracy 0.8500, the champion's 0.8000: +5.0 points" in lines[2]
    assert project.aliases() == {"champion": "2"}
    page = project.described("2")
    assert page.startswith("Not worse than version 1 in 3 of 3 comparisons.")
    assert re.search(r"image +accuracy +0\.8500 +0\.8000 +\+5\.0 ", page)


def test_a_model_worse_in_one_pattern_is_refused_with_the_figures_and_the_line_that_would_accept_it(project):
    promote(project.root)
    project.ran(answering({**DEAF, "image": 0.95, "image+audio": 0.99}, seed=1), seed=1)
    said = refused(project)
    first, trouble, remedy = said.splitlines()
    assert first.endswith("of the workspace, stays the challenger, and version 1 the champion:")
    assert trouble.startswith("  audio: accuracy 0.5000, the champion's 0.7000: -20.0 points (95 %: -2")
    assert ", p " in trouble
    assert trouble.endswith(": worse")
    assert remedy.startswith("what would promote it: promotion.margin: 0.2")
    assert "(now 0.02), or promotion.patterns without audio, in conf/config.yaml" in remedy
    assert remedy.endswith("or `make promote ACCEPT='why'`, which is written down")
    assert project.aliases() == {"champion": "1", "challenger": "2"}
    assert project.described("2").startswith("Refused: audio: accuracy 0.5000")
    assert refused(project) == said
    margin = float(remedy.split("margin: ")[1].split()[0])
    project.set("promotion", margin=margin)
    assert "not worse than version 1" in promote(project.root)


def test_each_line_that_a_refusal_names_accepts_the_model(project):
    promote(project.root)
    project.ran(answering(DEAF, seed=1), seed=1)
    refused(project)
    project.set("promotion", patterns=["image+audio", "image"])
    assert "in 2 of 2 comparisons" in promote(project.root)
    project.ran(answering({name: 0.1 for name in GOOD}, seed=2), seed=2)
    refused(project)
    said = promote(project.root, accept="a demonstration")
    assert "is the champion: accepted, as a demonstration; against it: image+audio: accuracy 0.1000" in said
    assert project.described("3").startswith("Accepted, as a demonstration")


def test_where_samples_are_too_few_to_tell_the_model_is_refused_unless_that_is_accepted(project):
    few = [answering({**GOOD, "image": 0.75}, n=20), answering({**GOOD, "image": 0.8}, n=20, seed=1)]
    project.ran(few[0], seed=10)
    promote(project.root)
    project.ran(few[1], seed=11)
    said = refused(project)
    assert "20 test samples cannot rule out a loss of 2; about " in said
    assert "or promotion.unclear: accept, or" in said
    project.set("promotion", unclear="accept")
    assert promote(project.root).endswith("comparisons; too few test samples to tell in 3")


def test_a_table_of_many_patterns_fits_its_place_the_worst_first():
    from umemma.evaluation.promotion import Compared

    def compared(number, verdict):
        return Compared(
            f"a pattern {number}",
            "accuracy",
            99,
            99,
            0.5,
            0.4,
            dict.fromkeys(("value", "low", "high"), 0.1),
            0.5,
            9,
            verdict,
        )

    many = [compared(number, "not worse") for number in range(200)] + [compared(200, "worse")]
    page = Verdict("1", 0.02, many, ["x" * 900], []).markdown("why " * 125)
    assert len(page) < 5000
    lines = page.split("```")[1].strip().splitlines()
    assert lines[1].startswith("a pattern 200")
    assert f"And {201 - (len(lines) - 1)} more comparisons." in page


def test_the_lowest_score_holds_for_the_first_model_too(project):
    project.set("promotion", lowest={"audio": 0.75})
    said = refused(project)
    assert "audio: accuracy 0.7000, and promotion.lowest asks for 0.7500" in said
    assert project.aliases() == {"challenger": "1"}


def test_a_model_tested_on_other_data_is_not_compared_and_the_way_is_named(project):
    promote(project.root)
    project.ran(answering(GOOD, seed=1), seed=1, fingerprint="e" * 64)
    said = refused(project)
    assert (
        "the champion, version 1, was tested on other data (fingerprint ffffffffffff, this run's is eeeeeeeeeeee)"
        in said
    )
    assert "`ARGS=--retest`" in said
    assert "promotion.margin" not in said


def test_a_champion_whose_predictions_are_gone_or_that_others_registered_is_no_reason_to_skip_the_comparison(project):
    promote(project.root)
    run = project.client().get_run(project.client().get_model_version("umemma-digits", "1").run_id)
    kept = Path(run.info.artifact_uri.removeprefix("file://")) / "promotion/predictions.safetensors"
    content = kept.read_bytes()
    project.ran(answering({**GOOD, "image": 0.9}, seed=1), seed=1)
    kept.write_bytes(content[:-1] + b"x")
    assert (
        "umemma-digits version 1: promotion/predictions.safetensors of its run is not what was registered"
        in refused(project)
    )
    kept.unlink()
    assert "umemma-digits version 1: its run has no promotion/predictions.safetensors any more" in refused(project)
    kept.write_bytes(content)
    client = project.client()
    client.create_model_version("umemma-digits", str(project.root))
    client.set_registered_model_alias("umemma-digits", "champion", "3")
    with pytest.raises(DataError, match="version 3 is the champion, but `make promote` did not register it"):
        promote(project.root)


def test_a_run_that_is_not_committed_is_promoted_with_a_note(project):
    lines = []
    promote(project.root, say=lines.append)
    assert lines == [
        "note: `git add dvc.lock params.yaml && git commit`, so that this model can be traced and made again"
    ]
    git(project.root, "add", "dvc.lock", "params.yaml")
    git(project.root, "commit", "-qm", "baseline")
    promote(project.root, say=lines.append)
    assert len(lines) == 1


def test_with_retest_the_champion_answers_the_test_samples_of_the_run(project, monkeypatch):
    """What it answers is tested in test_retest; here, which folder is asked about which shards."""
    from umemma.serving import retest

    digest = project.ran(answering(GOOD))
    promote(project.root)
    asked = []

    def predictions(folder, shards, modalities):
        asked.append((model_folder.verify(folder), (shards / "index.json").read_text(), list(modalities)))
        return answering({**GOOD, "image": 0.6}, seed=7).splits["test"]

    monkeypatch.setattr(retest, "predictions", predictions)
    project.ran(answering(GOOD, seed=1), seed=1, fingerprint="e" * 64)
    lines = []
    assert "not worse than version 1 in 3 of 3" in promote(project.root, retest=True, say=lines.append)
    assert "image: accuracy 0.8000, the champion's 0.6000: +20.0 points" in lines[2]
    assert asked == [(digest, "e" * 64, ["photo", "body", "note"])]

    def cannot(*_):
        raise DataError("it knows other classes than the data have: fox")

    monkeypatch.setattr(retest, "predictions", cannot)
    project.ran(answering(GOOD, seed=2), seed=2, fingerprint="d" * 64)
    said = refused(project, retest=True)
    assert "the champion, version 2, cannot answer the test samples of this run: it knows other classes" in said


def test_a_failed_gate_and_a_run_that_stopped_are_not_promoted_whatever_is_said(project):
    project.ran(answering(GOOD), failures=["frozen, audio: accuracy 0.5, tower audio 0.7"])
    with pytest.raises(GateFailure, match=r"never below: frozen, audio: accuracy 0\.5") as failed:
        promote(project.root, accept="please")
    assert failed.value.exit_code == 1
    project.ran(answering(GOOD))
    lock = project.root / "dvc.lock"
    lock.write_text(lock.read_text().replace("data/gates/method.json", "data/other.json"))
    with pytest.raises(GateFailure, match=r"has not come to its end: it has no data/gates/method\.json"):
        promote(project.root)


def test_an_experiment_is_promoted_by_its_name(project):
    promote(project.root)
    project.ran(answering({**GOOD, "audio": 0.8}, seed=1), seed=1)
    project.experiment("louder")
    project.ran(answering(GOOD))
    assert "of experiment louder, is the champion" in promote(project.root, experiment="louder")
    project.ran(answering(DEAF, seed=2), seed=2)
    project.experiment("deaf")
    assert refused(project, experiment="deaf").endswith(
        "or `make promote EXP=deaf ACCEPT='why'`, which is written down"
    )


def test_a_rollback_gives_the_champion_back_once_and_what_was_rolled_back_does_not_return_by_itself(project):
    promote(project.root)
    with pytest.raises(ParameterError, match="version 1 had no champion before it"):
        rollback(project.root)
    project.ran(answering({**GOOD, "audio": 0.8}, seed=1), seed=1)
    promote(project.root)
    assert "version 1 is the champion again, and version 2 is not" in rollback(project.root)
    assert project.aliases() == {"champion": "1"}
    for again in ("", "2"):
        assert "since version 2 was rolled back" in rollback(project.root, again)
    assert project.aliases() == {"champion": "1"}
    assert "it was rolled back on" in refused(project)
    promote(project.root, accept="it was not the model")
    assert project.aliases() == {"champion": "2"}
    rollback(project.root)
    refused(project)
    assert project.described("2").startswith("Refused: ")
    assert re.search(r"Accepted before\. [\d-]+T[\d:+]+: it was not the model$", project.described("2"))
    promote(project.root, accept="seen again")
    tag = project.client().get_model_version("umemma-digits", "2").tags["promotion.accepted"]
    assert [line.partition("+00:00: ")[2] for line in tag.splitlines()] == ["it was not the model", "seen again"]
    with pytest.raises(ParameterError, match="--rollback 7: the champion of umemma-digits is version 2"):
        rollback(project.root, "7")


def test_a_model_that_mlflow_does_not_have_says_how_it_gets_there(project):
    project.client().delete_tag(project.client().search_runs(["1"])[0].info.run_id, "umemma.model")
    with pytest.raises(TrackingError, match=r"no run in MLflow's experiment digits has the model .*`make log`"):
        promote(project.root)


def test_a_copy_that_is_not_what_was_exported_is_not_put_in_use(begun, exported, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    own = Project(tmp_path / "own", exported)
    own.ran(answering(GOOD))
    (card,) = (own.root / ".mlflow").rglob("README.md")
    card.write_text("another card")
    with pytest.raises(model_folder.ModelFolderError, match=r"README\.md is not what was exported"):
        promote(own.root)
    assert own.aliases() == {}


@pytest.mark.parametrize("uri", ["sqlite:////dev/null/x/mlflow.db", "/dev/null/mlruns"])
def test_a_registry_that_cannot_be_reached_is_one_sentence(project, monkeypatch, uri):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(TrackingError) as error:
        promote(project.root)
    assert "\n" not in str(error.value)


def test_a_store_of_files_is_one_sentence(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", str(project.root / "mlruns"))
    with pytest.raises(TrackingError, match="migrate to a database backend"):
        promote(project.root)


def test_a_champion_is_found_by_its_name_and_a_wrong_name_says_what_there_is(project):
    from umemma.tracking import registry

    promote(project.root)
    digest = project.versions()["1"]["umemma.model"]
    for uri in ("models:/umemma-digits@champion", "models:/umemma-digits/1"):
        assert model_folder.verify(registry.resolved(uri, project.root)) == digest
    for uri, sentence in [
        ("models:/umemma-digit@champion", "has no model umemma-digit; it has umemma-digits"),
        ("models:/umemma-digits@champ", "no version of umemma-digits is its champ; there are champion"),
        ("models:/umemma-digits/9", "Model Version .* not found"),
        ("models:/m-0", "not found"),
        ("models:/x' or name like '%@y", "has no model x' or"),
    ]:
        with pytest.raises(TrackingError, match=sentence) as error:
            registry.resolved(uri, project.root)
        assert "\n" not in str(error.value)
    with pytest.raises(TrackingError, match="there is no store of MLflow at"):
        registry.resolved("models:/umemma-digits@champion", project.root / "elsewhere")
    assert not (project.root / "elsewhere").exists()


STEPS = (
    "log_artifact",
    "create_registered_model",
    "create_model_version",
    "set_model_version_tag",
    "update_model_version",
    "set_registered_model_alias",
    "delete_registered_model_alias",
)


class Killed(BaseException):
    """In place of a signal that nothing can catch."""


def test_a_kill_at_any_step_leaves_a_champion_and_the_same_command_completes(begun, exported, tmp_path, monkeypatch):
    """Before and after each change of the store, of the first promotion and of a second."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    plain = {name: getattr(mlflow.MlflowClient, name) for name in STEPS}
    left, when = 0, "before"

    def step(name):
        def call(self, *arguments, **named):
            nonlocal left
            left -= 1
            if not left and when == "before":
                raise Killed
            result = plain[name](self, *arguments, **named)
            if not left and when == "after":
                raise Killed
            return result

        return call

    for name in STEPS:
        monkeypatch.setattr(mlflow.MlflowClient, name, step(name))
    second = tmp_path / "second"
    kills = 0
    root = shutil.copytree(begun.root, second)
    copy = Project.__new__(Project)
    copy.root, copy._exported = root, exported
    for seed in (0, 1, 2, 3):
        copy.ran(answering(GOOD, seed=seed), seed=seed)
        before = "" if seed == 0 else copy.aliases()["champion"]
        when = "after" if seed % 2 else "before"
        for number in range(1, 30):
            left = number
            try:
                said = promote(copy.root, say=lambda line: None)
            except Killed:
                kills += 1
                left = 0
                if before:
                    assert copy.aliases()["champion"] in (before, str(seed + 1))
                continue
            break
        left = 0
        assert "is the champion" in said
        assert copy.aliases() == {"champion": str(seed + 1)}
    assert len(copy.versions()) == 4
    assert kills >= 16
    assert rollback(copy.root).startswith("umemma-digits version 3 is the champion again")


def test_the_command_has_an_option_for_each_way(monkeypatch, tmp_path, capsys):
    asked = []
    monkeypatch.setattr(flow, "promote", lambda home, **given: asked.append(given) or "promoted")
    monkeypatch.setattr(flow, "rollback", lambda home, version: asked.append(version) or "back")
    monkeypatch.setattr(flow, "project_root", lambda path: tmp_path)
    for arguments in ([], ["--experiment", "x", "--retest", "--accept", "a b"], ["--rollback"], ["--rollback", "3"]):
        monkeypatch.setattr("sys.argv", ["promote", *arguments])
        flow.main()
    plain = {"experiment": "", "retest": False, "accept": ""}
    assert asked == [plain, {"experiment": "x", "retest": True, "accept": "a b"}, "", "3"]
