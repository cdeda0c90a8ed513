"""MLflow's store: which it is, whether it can be written to, how it is made, and what of a run is in it."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import ROOT
from umemma.errors import DataError, ParameterError
from umemma.redaction import redacted
from umemma.tracking import address, check, record, ui
from umemma.tracking.record import Data, Record, Run

SECRET = "s3cr3t-of-mine"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:(mlflow|sqlalchemy|alembic)")  # of one another


@pytest.fixture(autouse=True)
def no_store(monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", check.WHEN):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A fresh store's bytes: making one takes a second."""
    from umemma.tracking.database import locked, ready

    folder = tmp_path_factory.mktemp("made")
    with locked(folder):
        ready(folder / "mlflow.db")
    return (folder / "mlflow.db").read_bytes()


@pytest.fixture
def home(tmp_path, made):
    """A project with a store."""
    (tmp_path / ".mlflow").mkdir()
    (tmp_path / ".mlflow/mlflow.db").write_bytes(made)
    return tmp_path


@pytest.fixture
def run(tmp_path):
    """A run with two parts; its files lie outside of the project's store."""
    files = tmp_path / "files"
    for name in ("image/tower.safetensors", "audio/tower.safetensors", "report.html"):
        (files / name).parent.mkdir(parents=True, exist_ok=True)
        (files / name).write_text(name)
    curve = [{"epoch": 1, "step": 8, "val_accuracy": 0.5}, {"epoch": 2, "step": 16, "val_accuracy": 0.75}]
    parts = [
        Record(f"pretrain {name}", {"seed": 0}, {"n_val": 9}, curve, {"model": [files / name / "tower.safetensors"]})
        for name in ("image", "audio")
    ]
    whole = Record(
        "digits frozen seed 0",
        {"seed": 0, "fuse": {"lr": 0.001, "epochs": 5.0, "head": "gated"}, "compute": {"threads": None}, "none": ()},
        {"accuracy.all": 0.875, "test_accuracy/image+audio": 0.875},
        artifacts={"report": [files / "report.html"]},
        parts=parts,
    )
    data = Data("digits", "data/shards", "ab" * 32, {"train": 20, "val": 5, "test": 6}, ["image", "audio"])
    return Run("digits", whole, data, {"git.commit": "c0ffee"}, "The verdict.")


def rows(home, query):
    with closing(sqlite3.connect(home / ".mlflow/mlflow.db")) as store:
        return store.execute(query).fetchall()


def active(home):
    query = "select run_uuid, name, status from runs where lifecycle_stage = 'active' order by name"
    return rows(home, query)


@pytest.mark.parametrize(
    ("given", "uri"),
    [
        ("", "sqlite:////p/.mlflow/mlflow.db"),
        ("sqlite:///runs.db", "sqlite:////p/runs.db"),
        ("sqlite:////tmp/runs.db", "sqlite:////tmp/runs.db"),
        ("mlruns", "/p/mlruns"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
    ],
)
def test_a_relative_store_lies_in_the_project_wherever_an_experiment_runs(given, uri, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", given)
    assert address.address(Path("/p")) == uri


@pytest.mark.parametrize(
    "text",
    [
        f"http://me:{SECRET}@host:5000/x",
        f"postgresql+psycopg2://me:{SECRET}@host/db refused",
        f"http://{SECRET}@host",
        f"http://me:a@{SECRET}@host",
        f"https://host/x?token={SECRET}&page=1",
        f"failed with {SECRET}!",
    ],
)
def test_no_password_and_no_token_is_printed(text, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", SECRET)
    shown = redacted(text)
    assert SECRET not in shown
    assert "***" in shown
    assert redacted("http://host:5000/a?page=1@2") == "http://host:5000/a?page=1@2"


def test_a_store_that_cannot_be_written_to_is_found_before_a_stage_begins(tmp_path):
    """A listener that never answers, as a dead network does, and one that is not there."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    program = "import sys; sys.argv = ['x']; import stages; stages.run(lambda: print('trained'))"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "UMEMMA_", "MLFLOW_"))}
    for uri in (f"http://me:{SECRET}@127.0.0.1:{port}", "sqlite:////dev/null/x/mlflow.db"):
        variables = {"DVC_ROOT": str(tmp_path), "MLFLOW_TRACKING_URI": uri}
        for when, code, said in (("", 2, ""), ("later", 0, "trained\n")):
            done = subprocess.run(
                [sys.executable, "-c", program],
                cwd=ROOT,
                env={**clean, **variables, check.WHEN: when},
                capture_output=True,
                text=True,
                check=False,
            )
            assert (done.returncode, done.stdout) == (code, said), done.stderr
            assert SECRET not in done.stderr
            assert done.stderr.count("\n") == (1 if code else 0), done.stderr
            assert "later" in done.stderr or not code


def test_a_store_that_never_answers_is_given_up(monkeypatch):
    start = time.monotonic()
    assert check._within(0.1, lambda: time.sleep(3)) == "no answer within 0 s"
    assert time.monotonic() - start < 1


def test_a_file_in_use_can_be_written_to_later_and_one_that_is_no_database_cannot(tmp_path):
    path = tmp_path / "mlflow.db"
    assert check.file_trouble(path) is None
    assert not path.exists()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("create table t (x)")
        other.execute("begin immediate")
        assert check.file_trouble(path) is None
    path.write_bytes(b"no database, but long enough to be read as one" * 30)
    assert "not a database" in check.file_trouble(path)


def test_a_misspelt_time_to_log_is_an_error(monkeypatch):
    monkeypatch.setenv(check.WHEN, "latter")
    with pytest.raises(ParameterError, match="Did you mean 'later'"):
        check.is_later()


def test_a_database_whose_making_was_cut_off_is_made_again(tmp_path):
    from umemma.tracking.database import locked, ready

    path = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(path)) as store:  # where MLflow's first transaction ends
        store.execute("create table experiments (experiment_id integer)")
        store.execute("create table runs (run_uuid text)")
        store.commit()
    (tmp_path / ".mlflow.db.99.part").write_bytes(b"of a process that was killed")
    with locked(tmp_path):
        ready(path)
    assert {entry.name for entry in tmp_path.iterdir()} == {"lock", "mlflow.db", "mlflow.db.broken"}
    with closing(sqlite3.connect(path)) as store:
        assert store.execute("select artifact_location from experiments").fetchall() == [
            ((tmp_path / "artifacts/0").as_uri(),)
        ]


def test_runs_in_a_store_that_cannot_be_brought_up_to_date_stay_as_they_are(home):
    from umemma.tracking.database import TrackingError, locked, ready

    path = home / ".mlflow/mlflow.db"
    with closing(sqlite3.connect(path)) as store:
        store.execute("insert into runs (run_uuid, experiment_id) values ('r', 0)")
        store.execute("update alembic_version set version_num = 'of a later MLflow'")
        store.commit()
    before = path.read_bytes()
    with locked(path.parent), pytest.raises(TrackingError, match="move it away"):
        ready(path)
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*.part"))


def test_a_run_is_one_run_with_its_parts_below_it_however_often_it_is_logged(home, run):
    from umemma.tracking import log

    identifier = log.log(run, home)
    assert log.log(replace(run, note="Another verdict."), home) == identifier
    names = ["digits frozen seed 0", "pretrain audio", "pretrain image"]
    assert [row[1:] for row in active(home)] == [(name, "FINISHED") for name in names]
    parents = dict(rows(home, "select run_uuid, value from tags where key = 'mlflow.parentRunId'"))
    assert parents == {row[0]: identifier for row in active(home) if row[0] != identifier}
    other = replace(run, record=replace(run.record, name="warm-dawn", parameters={"seed": 1}))
    assert log.log(other, home) != identifier
    assert len(rows(home, "select distinct experiment_id from runs")) == 1
    assert rows(home, f"select value from tags where key = 'mlflow.note.content' and run_uuid = '{identifier}'") == [
        ("Another verdict.",)
    ]


def test_a_run_has_the_parameters_that_are_set_its_figures_and_its_data(home, run):
    from umemma.tracking import log

    identifier = log.log(run, home)
    where = f"where run_uuid = '{identifier}'"
    assert dict(rows(home, f"select key, value from params {where}")) == {
        "seed": "0",
        "fuse.lr": "0.001",
        "fuse.epochs": "5",
        "fuse.head": "gated",
    }
    assert dict(rows(home, f"select key, value from metrics {where}")) == {
        "accuracy.all": 0.875,
        "test_accuracy/image and audio": 0.875,
    }
    steps = rows(home, "select distinct step from metrics where key = 'val_accuracy' order by step")
    assert steps == [(8,), (16,)]
    datasets = rows(home, "select name, digest, dataset_profile from datasets order by name")
    assert [(name, json.loads(profile)["num_rows"]) for name, _, profile in datasets] == [
        ("digits test", 6),
        ("digits train", 20),
        ("digits val", 5),
    ]
    assert {digest for _, digest, _ in datasets} == {("ab" * 32)[:36]}
    assert rows(home, "select distinct step from metrics where key = 'epoch' order by step") == steps
    assert len(list((home / ".mlflow/artifacts").rglob("tower.safetensors"))) == 2


def test_what_is_fitted_at_once_has_figures_and_no_curve(home, run):
    from umemma.tracking import log

    row = {"epoch": 0, "step": 0, "samples_seen": 0, "val_accuracy": 0.5}
    log.log(replace(run, record=replace(run.record, parts=[Record("pretrain x", {}, {"n_val": 9}, [row])])), home)
    part = "run_uuid in (select run_uuid from runs where name = 'pretrain x')"
    assert rows(home, f"select key from metrics where {part} order by key") == [("n_val",), ("val_accuracy",)]


def test_a_run_whose_logging_was_killed_is_replaced(home, run):
    from umemma.tracking import log

    first = log.log(run, home)
    with closing(sqlite3.connect(home / ".mlflow/mlflow.db")) as store:
        store.execute(f"update runs set status = 'RUNNING' where run_uuid = '{first}'")
        store.commit()
    assert log.log(run, home) != first
    assert [row[2] for row in active(home)] == ["FINISHED"] * 3


def test_a_name_that_is_too_long_for_mlflow_is_cut_and_stays_unique(home, run):
    from umemma.tracking import log

    long = {f"test_accuracy/{'+'.join(f'modality_of_number_{i:02}' for i in range(n))}": n for n in (13, 14, 15)}
    log.log(replace(run, record=replace(run.record, metrics=long, parts=[])), home)
    names = [row[0] for row in rows(home, "select key from metrics")]
    assert len(names) == 3
    assert all(len(name) <= 250 for name in names)


def test_a_run_that_cannot_be_logged_is_kept_and_logged_later(home, run, monkeypatch):
    from umemma.tracking import log

    kept = record.keep(run, home)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////dev/null/x/mlflow.db")
    with pytest.raises(check.TrackingError, match="/dev/null"):
        list(log.log_kept(home))
    assert record.read(kept).identity == run.identity
    for path in (home / "files").rglob("*.safetensors"):
        path.unlink()  # the workspace may go
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert list(log.log_kept(home)) == ["digits frozen seed 0"]
    assert list(log.log_kept(home)) == []
    assert len(active(home)) == 3
    written = sorted(path.read_text() for path in (home / ".mlflow/artifacts").rglob("tower.safetensors"))
    assert written == ["audio/tower.safetensors", "image/tower.safetensors"]


def test_a_kept_run_is_the_same_run_and_one_of_another_version_is_named(run, tmp_path):
    kept = record.keep(run, tmp_path)
    again = record.read(kept)
    assert again.identity == run.identity
    assert (again.data, again.tags, again.note) == (run.data, run.tags, run.note)
    content = (kept / record.CONTENT).read_text().replace('"tags"', '"labels"')
    (kept / record.CONTENT).write_text(content)
    with pytest.raises(DataError, match="another version"):
        record.read(kept)


@pytest.mark.parametrize("port", ["0", "65536", "a", "80;x", ""])
def test_a_port_that_is_none_is_an_error(port):
    with pytest.raises(ParameterError, match="not a port"):
        ui.command(port)


def test_pages_of_a_server_are_named_without_its_password(monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"https://me:{SECRET}@runs.example.org")
    monkeypatch.setattr(sys, "argv", ["ui", "5000"])
    ui.main()
    assert capsys.readouterr().out.split(",")[0] == "the runs are on https://***@runs.example.org"


@pytest.mark.slow
def test_a_kill_at_any_moment_of_the_first_run_leaves_a_store_that_works(tmp_path):
    program = f"""
import sys
from pathlib import Path
from umemma.tracking.database import locked, ready
print("now", flush=True)
with locked(Path({str(tmp_path)!r})):
    ready(Path({str(tmp_path)!r}) / "mlflow.db")
print("ready", flush=True)
"""
    killed = 0
    for delay in (0.05, 0.2, 0.4, 0.6, 0.8, 1.0, 1.3):
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            assert process.stdout.readline() == "now\n"
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
            killed += "ready" not in process.stdout.read()
        assert {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")} <= {"lock", "mlflow.db"}
        if killed and (tmp_path / "mlflow.db").exists():
            break
    assert killed
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["now", "ready"], done.stderr
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as store:
        assert re.fullmatch(r"\w{12}", store.execute("select version_num from alembic_version").fetchone()[0])


@pytest.mark.slow
def test_a_server_with_a_password_that_goes_and_comes_back(tmp_path, run):
    """A run is kept while it is away, logged when it is back, and the password is nowhere."""
    project, place = tmp_path / "project", tmp_path / "server"
    project.mkdir()
    place.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "MLFLOW_"))}
    environment |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    of_run = environment | {
        "UMEMMA_HOME": str(project),
        "MLFLOW_TRACKING_URI": f"http://me:{SECRET}@127.0.0.1:{port}",
        "MLFLOW_TRACKING_PASSWORD": SECRET,
    }
    record.keep(run, project)

    def logged() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "umemma.tracking.log", "--warn"]
        return subprocess.run(command, cwd=ROOT, env=of_run, capture_output=True, text=True, check=True)

    away = logged()
    assert away.stdout.startswith("WARNING the run is not in MLflow")
    binary = os.path.join(os.path.dirname(sys.executable), "mlflow")
    uri, artifacts = f"sqlite:///{place}/mlflow.db", str(place / "artifacts")
    options = ["--backend-store-uri", uri, "--artifacts-destination", artifacts, "--workers", "1"]
    server = subprocess.Popen(
        [binary, "server", "--host", "127.0.0.1", "--port", str(port), *options],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for _ in range(240):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.5)
        back = logged()
        assert back.stdout == "logged to MLflow: digits frozen seed 0\n"
        assert logged().stdout == ""
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)
    with closing(sqlite3.connect(place / "mlflow.db")) as store:
        assert store.execute("select count(*) from runs where status = 'FINISHED'").fetchall() == [(3,)]
    assert list((place / "artifacts").rglob("tower.safetensors"))
    assert SECRET not in away.stdout + away.stderr + back.stdout + back.stderr
    for path in [*place.rglob("*"), *project.rglob("*")]:
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


@pytest.mark.slow
def test_pages_show_a_store_that_lies_elsewhere_and_its_address_is_no_argument(tmp_path, run):
    store = tmp_path / "elsewhere.db"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "MLFLOW_"))}
    environment |= {"UMEMMA_HOME": str(tmp_path), "MLFLOW_TRACKING_URI": f"sqlite:///{store}"}
    record.keep(run, tmp_path)
    log = [sys.executable, "-m", "umemma.tracking.log"]
    subprocess.run(log, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shown = subprocess.Popen(
        [sys.executable, "-m", "umemma.tracking.ui", port],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        url = f"http://127.0.0.1:{port}/ajax-api/2.0/mlflow/experiments/search?max_results=9"
        for _ in range(240):
            assert shown.poll() is None
            try:
                with urllib.request.urlopen(url, timeout=5) as response:
                    names = {one["name"] for one in json.load(response)["experiments"]}
                    break
            except OSError:
                time.sleep(0.5)
        arguments = Path(f"/proc/{shown.pid}/cmdline").read_text()
    finally:
        os.killpg(shown.pid, signal.SIGTERM)
        printed, _ = shown.communicate(timeout=30)
    assert names == {"Default", "digits"}
    assert "elsewhere" not in arguments
    assert f"http://127.0.0.1:{port}/#/experiments" in printed
