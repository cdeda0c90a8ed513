"""NAME=VALUE arguments of `make` reach the programs literally, and nothing in them is executed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

TOLD = f"""#!{sys.executable} -IS
import json, os, sys
with open(os.environ["TOLD"], "a") as file:
    file.write(json.dumps([os.path.basename(sys.argv[0]), *sys.argv[1:]]) + "\\n")
"""
VALUES = [
    "my films.csv",
    "f;touch F;.csv",
    "x$(touch F).csv",
    "x$(shell touch F)",
    "`touch F`",
    "a'b\"c.csv",
    "$$x ${HOME} *",
    "x\ntouch F",
    "a > F",
]


@pytest.fixture
def project(tmp_path):
    return made(tmp_path / "project")


def made(root: Path) -> Path:
    """Make a folder with the Makefile, already set up, whose programs only log their arguments."""
    for name in (
        "requirements.txt",
        "pyproject.toml",
        ".tools/bin/uv",
        ".venv/bin/python",
        ".venv/bin/dvc",
        ".venv/.synced",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(TOLD)
        (root / name).chmod(0o755)
    shutil.copy(ROOT / "Makefile", root)
    return root


def commands(root: Path, *arguments: str, environment: dict[str, str] | None = None) -> list[list[str]]:
    """Run make; return the logged commands. A file F would mean that a value was executed."""
    log = root.parent / "told"
    log.write_text("")
    inherited = {
        key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MFLAGS", "PORT", "MAKELEVEL")
    }
    done = subprocess.run(
        ["make", "-s", *arguments],
        cwd=root,
        env={**inherited, "TOLD": str(log), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert not list(root.parent.rglob("F")), done.stdout + done.stderr
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.parametrize("value", VALUES)
def test_a_study_is_asked_for_by_name_with_some_data_sets_and_seeds(project, value):
    given = ["study", f"NAME={value}", "DATASETS=digits grid", "SEEDS=0 1", "ARGS=--as-it-is"]
    narrowed = ["--datasets", "digits", "grid", "--seeds", "0", "1", "--as-it-is"]
    assert commands(project, *given) == [["python", "-m", "flows.study", *narrowed, "--", value]]


@pytest.mark.parametrize("value", VALUES)
def test_what_is_traced_and_where_it_is_restored_are_passed_on_as_they_are(project, value):
    given = ["trace", f"ID={value}", f"TO={value}", "ARGS=--all --json"]
    assert commands(project, *given) == [
        ["python", "-m", "flows.trace", "--restore", value, "--all", "--json", "--", value]
    ]


@pytest.mark.parametrize("value", VALUES)
def test_a_file_of_any_name_is_passed_on_as_it_is(project, value):
    expected = [["python", "-m", "umemma", "init", value, "--label", "film genre"]]
    assert commands(project, "init", f"FILE={value}", "ARGS=--label 'film genre'") == expected
    assert commands(project, "init", "ARGS=--label 'film genre'", environment={"FILE": value}) == expected


@pytest.mark.parametrize("value", VALUES)
def test_a_data_set_of_any_name_is_passed_on_as_it_is(project, value):
    composed = ["python", "-m", "umemma.composition", "write", f"dataset={value}"]
    assert commands(project, "params", f"DATASET={value}") == [composed]
    assert commands(project, "run", f"DATASET={value}") == [
        composed,
        ["python", "-m", "umemma.composition"],
        ["python", "-m", "flows.turn", "repro"],
        ["python", "-m", "flows.leftovers"],
        ["python", "-m", "stages.report", "--show"],
    ]
    assert commands(project, "ablation", f"DATASET={value}") == [["python", "-m", "flows.ablation", "--dataset", value]]


@pytest.mark.parametrize("value", VALUES)
def test_lists_are_split_at_blanks_and_nothing_else(project, value):
    words = value.split()
    assert commands(project, "ablation", f"SEEDS={value}", f"ARMS={value}", f"RATES={value}") == [
        ["python", "-m", "flows.ablation", "--seeds", *words, "--arms", *words, "--rates", *words]
    ]


@pytest.mark.parametrize("value", [value for value in VALUES if not set(value) & set("'\"\\")])
def test_further_arguments_are_split_at_blanks_and_nothing_else(project, value):
    assert commands(project, "init", "FILE=f.csv", f"ARGS={value}") == [
        ["python", "-m", "umemma", "init", "f.csv", *value.split()]
    ]


@pytest.mark.parametrize("folder", ["project", "my `touch F` 'project' $(touch F)"])
@pytest.mark.parametrize("value", ["6000", "$(touch F)", "1;touch F"])
def test_a_port_is_passed_on_as_it_is_whatever_the_projects_folder_is_called(tmp_path, folder, value):
    project = made(tmp_path / folder)
    assert commands(project, "ui", f"PORT={value}") == [["python", "-m", "umemma.tracking.ui", value]]


@pytest.mark.parametrize("value", VALUES)
def test_a_model_and_folder_of_any_name_are_passed_on_as_they_are(project, value):
    assert commands(project, "serve", f"MODEL={value}", f"ALLOW={value}", "PORT=1;touch F", "ARGS=--rows 10") == [
        ["python", "-m", "umemma", "serve", value, "--port", "1;touch F", "--allow", value, "--rows", "10"]
    ]


@pytest.mark.parametrize("value", VALUES)
def test_an_experiment_and_a_reason_of_any_words_are_passed_on_as_they_are(project, value):
    asked = ["python", "-m", "flows.promote", "--experiment", value, "--accept", value, "--retest"]
    assert commands(project, "promote", f"EXP={value}", f"ACCEPT={value}", "ARGS=--retest") == [asked]
    assert commands(project, "promote") == [["python", "-m", "flows.promote"]]


def test_what_is_not_given_is_not_passed_on(project):
    assert commands(project, "init", "FILE=f.csv") == [["python", "-m", "umemma", "init", "f.csv"]]
    assert commands(project, "params") == [["python", "-m", "umemma.composition", "write"]]
    assert commands(project, "run")[0] == ["python", "-m", "umemma.composition"]
    assert commands(project, "ablation") == [["python", "-m", "flows.ablation"]]
    assert commands(project, "ui")[0][-1] == "5000"
    assert commands(project, "serve") == [["python", "-m", "umemma", "serve", "data/export", "--port", "8000"]]


STAND_IN = f"""#!/bin/sh
echo "$(basename "$0") $*" >> told
case "$*" in
  *"pip install"*--target*) mkdir -p .tools.part/bin && cp "$0" .tools.part/bin/uv ;;
  venv*) rm -rf .venv && mkdir -p .venv/bin && {sys.executable} -IS -m venv --without-pip --symlinks .venv ;;
  *sync*) [ -z "$KILL" ] || kill -9 $PPID ;;
esac
"""


def test_an_environment_whose_making_was_killed_is_made_anew_and_a_whole_one_is_brought_up_to_date(tmp_path):
    for name in ("requirements.txt", "pyproject.toml"):
        (tmp_path / name).touch()
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "python3").write_text(STAND_IN)
    (tmp_path / "python3").chmod(0o755)

    def made(**environment: str) -> list[str]:
        (tmp_path / "told").write_text("")
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
        command = ["make", "-s", f"PYTHON={tmp_path}/python3", ".venv/.synced"]
        subprocess.run(command, cwd=tmp_path, env=inherited | environment, capture_output=True, timeout=60, check=False)
        return [line.partition(" -")[0] for line in (tmp_path / "told").read_text().splitlines()]

    assert made(KILL="1")[-2:] == ["uv venv", "uv pip sync"]
    assert not (tmp_path / ".venv/.synced").exists()
    assert made() == ["uv venv", "uv pip sync", "uv pip install"]
    assert (tmp_path / ".venv/.synced").exists()
    assert made() == []
    os.utime(tmp_path / ".venv/.synced", (0, 0))
    assert made() == ["uv pip sync", "uv pip install"]


def test_init_without_a_table_says_how_to_name_one():
    done = subprocess.run(
        ["make", "-o", ".venv/.synced", "init"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("ERROR: of which table? make init FILE=mydata.csv\n")
