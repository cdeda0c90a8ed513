"""Stages end with one sentence on missing packages, on code of another folder, and on errors that the user can fix."""

import ast
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import stages
from tests.conftest import ROOT
from umemma import errors
from umemma.errors import DamagedFile, DamagedRawFiles, DataError, SettingError, TrainingError

SCRIPTS = sorted(path for path in (ROOT / "stages").glob("*.py") if not path.stem.startswith("_"))


def start(folder: Path, python: str, *options: str, **environment: str):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DVC_", "UMEMMA_"))}
    return subprocess.run(
        [python, *options, "-m", "stages.code"],
        cwd=folder,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """Return the single line that the stage ended with."""
    assert (done.returncode, done.stdout) == (2, ""), done.stdout + done.stderr
    assert done.stderr.startswith("ERROR: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.fixture(scope="module")
def other(tmp_path_factory) -> Path:
    """Another checkout's folder, such as an experiment's."""
    folder = tmp_path_factory.mktemp("experiment")
    for name in ("stages/__init__.py", "stages/code.py", "umemma/__init__.py", "umemma/settings.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text((ROOT / name).read_text())
    return folder


def test_a_python_without_the_packages_ends_in_a_sentence(tmp_path, other):
    venv.create(tmp_path / "bare", with_pip=False)
    python = str(tmp_path / "bare/bin/python")
    message = sentence(start(other, python))
    assert f"{python} lacks the project's packages" in message
    assert "`source .venv/bin/activate`" in message
    assert not (other / "data").exists()


def test_an_experiment_runs_its_own_code_though_the_project_is_installed(other):
    (other / "umemma/only_here.py").write_text("")
    (other / "stages/extra.py").write_text("from umemma import only_here\n")
    assert start(other, sys.executable).returncode == 0
    assert "umemma/only_here.py" in json.loads((other / "data/code/extra.json").read_text())


@pytest.mark.parametrize(("options", "environment"), [(["-P"], {}), ([], {"PYTHONSAFEPATH": "1"}), (["-I"], {})])
def test_code_of_another_folder_than_the_current_one_is_not_run(other, options, environment):
    before = (ROOT / "data/code").exists() and sorted((ROOT / "data/code").rglob("*.json"))
    message = sentence(start(other, sys.executable, *options, **environment))
    assert f"this is {other}, but the code that would run is that of {ROOT}" in message
    assert "unset PYTHONSAFEPATH" in message
    assert before == ((ROOT / "data/code").exists() and sorted((ROOT / "data/code").rglob("*.json")))


def test_any_python_from_3_8_on_can_read_the_sentences():
    ast.parse((ROOT / "stages/__init__.py").read_text(), feature_version=(3, 8))


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SettingError("fuse.head: wrong"), "params.yaml: fuse.head: wrong"),
        (DamagedFile("a is damaged", Path("nowhere")), "a is damaged; `make run` makes it again"),
        (
            DamagedFile("a is damaged", ROOT),
            "a is damaged; `make repair` removes it, also from DVC's cache, and `make run` makes it again",
        ),
        (DamagedRawFiles("fetch again"), "fetch again: `python -m stages.fetch`"),
        (
            TrainingError("lower the learning rate"),
            "lower the learning rate, in params.yaml pretrain.lr of a tower, fuse.lr and fuse.tower_lr of the fusion",
        ),
        (DataError("as it is"), "as it is"),
    ],
)
def test_a_stage_adds_to_a_message_of_the_library_what_only_it_knows(capsys, error, text):
    def main():
        raise error

    with pytest.raises(SystemExit) as ended:
        stages.run(main)
    assert ended.value.code == error.exit_code
    assert capsys.readouterr().err == f"ERROR: {text}\n"


def test_every_error_of_the_library_is_reported_by_a_stage():
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.UmemmaError):
            error = kind("told", Path()) if kind is DamagedFile else kind("told")
            assert "told" in stages.advised(error)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_ends_as_stages_do(path):
    imported = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    assert "run" not in {alias.name for node in imported if node.module == "umemma.errors" for alias in node.names}


def test_what_dvc_says_reaches_the_library():
    program = "import sys; sys.argv = ['x']; import stages; from umemma.paths import home; print(home())"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "UMEMMA_", "MLFLOW_"))}

    def printed(**variables: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, env=clean | variables, capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    assert printed() == [str(ROOT)]
    assert printed(DVC_ROOT="/") == ["/"]
