"""Promotion as a user goes through it: a run, an experiment that is deaf, one that is better, and back; in minutes, so slow."""

import csv
import io
import re

import pytest

from tests.conftest import run
from tests.test_pipeline import shortened

pytestmark = pytest.mark.slow
CHAMPION = "models:/umemma-digits@champion"


@pytest.fixture(scope="module")
def project(checkout):
    folder = shortened(checkout())
    done = run(folder, "dvc", "--wait-for-lock", "repro")
    assert done.returncode == 0, done.stdout + done.stderr
    run(folder, "git", "add", "dvc.lock", "params.yaml")
    run(folder, "git", "commit", "-qm", "baseline")
    return folder


def experiment(project, name, *overrides):
    done = run(project, "dvc", "--wait-for-lock", "exp", "run", "-n", name, *(f"-S{one}" for one in overrides))
    assert done.returncode == 0, done.stdout + done.stderr
    run(project, "git", "checkout", "-q", "params.yaml", "dvc.lock")


def promoted(project, *arguments, code=0):
    done = run(project, "python", "-m", "flows.promote", *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def digest_in_use(project):
    done = run(project, "umemma", "verify", CHAMPION)
    assert done.returncode == 0, done.stderr
    return re.search(r"model ([0-9a-f]{12}), digits", done.stdout)[1]


def test_a_champion_is_replaced_by_what_is_no_worse_in_any_pattern_and_by_nothing_else(project):
    assert "version 1" in (first := promoted(project))
    assert "the first, so there was nothing to compare it with" in first
    digest = digest_in_use(project)
    assert digest in first
    assert "is the champion already" in promoted(project)

    experiment(project, "deaf", "dataset.modalities.audio.epochs=1")
    refusal = promoted(project, "--experiment", "deaf", code=1)
    assert re.search(
        r"audio: accuracy 0\.\d+, the champion's 0\.\d+: -\d+\.\d points \(95 %: -.*\), p \S+: worse", refusal
    )
    assert not re.search(r"^  image: ", refusal, re.MULTILINE)  # that tower came from the cache
    assert "what would promote it: promotion.margin: 0." in refusal
    assert digest_in_use(project) == digest

    experiment(project, "longer", *(f"dataset.modalities.{name}.epochs=12" for name in ("image", "audio")))
    assert "version 3" in (better := promoted(project, "--experiment", "longer"))
    assert "is the champion: not worse than version 1 in 3 of 3 comparisons" in better
    assert digest_in_use(project) in better

    assert "version 1 is the champion again" in promoted(project, "--rollback")
    assert digest_in_use(project) == digest


def test_the_champion_answers_rows_by_its_name_in_the_registry(project, tmp_path):
    promoted(project, "--accept", "for a test, in whatever order")
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"key": "a"}\n{"key": "b"}\n')
    done = run(project, "umemma", "predict", CHAMPION, str(rows))
    assert done.returncode == 0, done.stderr
    assert [row["key"] for row in csv.DictReader(io.StringIO(done.stdout))] == ["a", "b"]
    wrong = run(project, "umemma", "predict", "models:/umemma-digit@champion", str(rows))
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert "has no model umemma-digit; it has umemma-digits" in wrong.stderr


def test_the_model_is_an_artifact_of_dvc(project, tmp_path):
    run(project, "git", "tag", "-a", "model@v1.0.0", "-m", "version 1")
    got = run(project, "dvc", "artifacts", "get", str(project), "model", "--rev", "v1.0.0", "-o", str(tmp_path / "got"))
    assert got.returncode == 0, got.stderr
    done = run(project, "umemma", "verify", str(tmp_path / "got"))
    assert done.returncode == 0, done.stdout + done.stderr
