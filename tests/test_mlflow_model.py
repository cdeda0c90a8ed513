"""The MLflow model of a model folder: nothing of it is pickled, and MLflow's way to it changes no answer in any pattern."""

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace

import mlflow
import pandas as pd
import pytest

import umemma
from tests import served_sample
from umemma.tracking import address, record
from umemma.tracking import model as tracked
from umemma.tracking.record import Data, Record, Run

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:(mlflow|sqlalchemy|alembic)"),  # of one another
    pytest.mark.filterwarnings("ignore:no column"),  # what the model says of a modality's absence
]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    return served_sample.made(tmp_path_factory.mktemp("pets"))


@pytest.fixture(scope="module")
def saved(served, tmp_path_factory):
    """The folder of the MLflow model."""
    path = tmp_path_factory.mktemp("saved") / "model"
    with tracked._quiet():
        mlflow.pyfunc.save_model(str(path), **tracked._arguments(served.folder, umemma.load(served.folder)))
    return path


@pytest.fixture(scope="module")
def rows(served):
    """Rows in memory, with the content of files in place of their paths."""
    pictures = {row["id"]: served.table.parent / "photos" / f"{row['picture']}.png" for row in served.rows}
    return [
        {name: cell for name, cell in row.items() if name not in ("split", "label")} | {"picture": path.read_bytes()}
        for row in served.rows
        if (path := pictures[row["id"]]).exists() and row["note"]
    ][:3]


def test_nothing_is_pickled_and_the_folder_is_as_it_was(saved, served):
    assert not [path for path in saved.rglob("*") if path.suffix in (".pkl", ".pickle", ".pt", ".pth", ".bin")]
    (inside,) = saved.rglob("SHA256SUMS")
    assert inside.read_bytes() == (served.folder / "SHA256SUMS").read_bytes()


def test_every_column_is_optional_and_a_pattern_changes_no_answer(served, rows):
    model = umemma.load(served.folder)
    assert tracked.check(served.folder, rows) == len(model.measured.patterns) + 1
    inputs = tracked.signature(model).inputs
    assert inputs.input_names() == model.column_names()
    assert not inputs.required_input_names()


def test_each_pattern_is_asked_once_by_columns_and_each_modality_once_by_holes(served, rows):
    model = umemma.load(served.folder)
    *by_columns, by_holes = tracked.frames(model, rows)
    assert ["+".join(model.predict(table)["used"].unique()) for table in by_columns] == list(model.measured.patterns)
    assert list(model.predict(by_holes)["used"]) == list(model.modalities)
    assert {type(cell).__name__ for cell in by_holes.to_numpy().flat} >= {"NoneType", "float", "NAType"}


def test_columns_of_objects_reach_the_model(served, monkeypatch):
    model = umemma.load(served.folder)
    monkeypatch.setattr(tracked.Model, "column_names", lambda self: ["id", "caption.text", "caption.by.name"])
    names = tracked.signature(model).inputs.input_names()
    assert set(names) == {"id", "caption.text", "caption.by.name", "caption", "caption.by", *model.inputs.columns}


def test_a_changed_answer_is_found(served, rows, monkeypatch):
    monkeypatch.setattr(tracked.Model, "predict", lambda self, rows, **_: pd.DataFrame({"key": [id(self)] * len(rows)}))
    with pytest.raises(AssertionError, match="MLflow changes the answers"):
        tracked.check(served.folder, rows)


def test_answers_have_the_columns_and_types_of_the_signature(served, saved, rows):
    answers = mlflow.pyfunc.load_model(str(saved)).predict(pd.DataFrame(rows, dtype=object))
    outputs = tracked.signature(umemma.load(served.folder)).outputs
    assert list(answers.columns) == outputs.input_names()
    for name, kind in zip(outputs.input_names(), outputs.input_types(), strict=True):
        assert pd.api.types.is_numeric_dtype(answers[name]) == (kind.name == "double"), name


def test_two_versions_answer_in_one_process(served, saved, rows, tmp_path):
    """The second copy has another program, as that of a later version may be."""
    other = shutil.copytree(saved, tmp_path / "other")
    code = other / "model_code.py"
    code.write_text(code.read_text().replace("COVERAGE))", "COVERAGE)).assign(key='of the second')"))
    first, second = (mlflow.pyfunc.load_model(str(path)) for path in (saved, other))
    table = pd.DataFrame(rows, dtype=object)
    assert set(second.predict(table)["key"]) == {"of the second"}
    assert first.predict(table).equals(umemma.load(served.folder).predict(table))


def test_a_request_that_cannot_be_answered_says_why(saved, rows):
    model = mlflow.pyfunc.load_model(str(saved))
    with pytest.raises(mlflow.MlflowException, match="there is no column that the model reads: it takes"):
        model.predict(pd.DataFrame({"imgae": [b"x"]}))
    with pytest.raises(mlflow.MlflowException, match="coverage"):
        model.predict(pd.DataFrame(rows, dtype=object), params={"coverage": 2.0})


@pytest.fixture(scope="module")
def logged(served, rows, tmp_path_factory):
    """The root of a project whose store has the model's run, logged twice."""
    from umemma.tracking import log

    root = tmp_path_factory.mktemp("project")
    data = Data("pets", "data/shards", "ab" * 32, {"train": 20, "test": 9}, ["photo", "body", "note"])
    whole = Record("warm: dawn", {"seed": 0}, {"accuracy.all": 0.75}, parts=[Record("part", {}, {})])
    tags = {"git.commit": "c0ffee", "mlflow.source.name": "dvc.yaml"}
    (root / "dvc.lock").write_text("stages: {}")
    whole = replace(whole, artifacts={record.LINEAGE: [root / "dvc.lock"]})
    kept = record.keep(Run("pets", whole, data, tags, "", served.folder, in_json(rows)), root)
    for _ in range(2):
        log.log(record.read(kept), root)
    return root


def test_a_model_is_found_by_its_digest_and_by_every_name_that_mlflow_has_for_it(served, logged, tmp_path, monkeypatch):
    from umemma.tracking import find, store
    from umemma.tracking.check import TrackingError

    digest = umemma.load(served.folder).digest
    (run,) = find.runs(logged, digest[:12])
    (model,) = run.models
    assert (run.digest, run.name, run.experiment, run.tags) == (digest, "warm: dawn", "pets", {"git.commit": "c0ffee"})
    with store.opened(logged) as client:
        client.create_registered_model("pets")
        client.create_model_version("pets", f"models:/{model}", run.run, model_id=model)
        client.set_registered_model_alias("pets", "champion", "1")
    assert find.runs(logged, digest)[0].versions == (find.Version("pets", "1", ("champion",)),)
    for name in (run.run, model, "pets/1", "pets@champion", "models:/pets@champion"):
        assert find.digest_of(logged, name) == digest, name
    for name in ("0" * 32, f"m-{'0' * 32}", "pets/2", "pets@other", "cats/1", "k01", "a/b/1"):
        assert find.digest_of(logged, name) is None, name
    assert find.names(logged) == {digest: [f"{run.run} 'warm: dawn'"]}
    assert find.runs(logged, "0" * 12) == []
    assert find.lineage_file(logged, run.run, "dvc.lock") == "stages: {}"
    assert find.lineage_file(logged, run.run, "params.yaml") is None
    monkeypatch.delenv(address.VARIABLE, raising=False)
    assert find.runs(tmp_path, digest) == []
    assert not list(tmp_path.iterdir())  # a store that is not there is not made
    (tmp_path / ".mlflow").mkdir()
    (tmp_path / ".mlflow/mlflow.db").write_text("no database")
    with pytest.raises(TrackingError, match="not a database"):
        find.runs(tmp_path, digest)


def test_a_run_has_its_model_once_with_the_figures_of_the_test_split(served, logged, rows):
    from mlflow.tracking._tracking_service.utils import _use_tracking_uri

    from umemma.tracking import registry

    client = mlflow.MlflowClient(address.address(logged))
    experiment = client.get_experiment_by_name("pets").experiment_id
    (found,) = client.search_logged_models([experiment])
    assert (found.name, found.status) == ("warm- dawn", "READY")
    assert [(metric.key, metric.value, metric.dataset_name) for metric in found.metrics] == [
        ("accuracy.all", 0.75, "pets test")
    ]
    table = pd.DataFrame(rows, dtype=object)
    uri = f"models:/{found.model_id}"
    with _use_tracking_uri(address.address(logged)):
        loaded = mlflow.pyfunc.load_model(uri)
    assert loaded.predict(table).equals(umemma.load(served.folder).predict(table))
    assert umemma.load(registry.resolved(uri, logged)).digest == umemma.load(served.folder).digest


@pytest.mark.slow
def test_mlflow_serves_it_with_and_without_modalities(served, saved, rows):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["mlflow", "models", "serve", "-m", str(saved), "--env-manager", "local", "--host", "127.0.0.1"]
    environment = {**os.environ, "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}
    environment |= {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    server = subprocess.Popen(
        [*command, "--port", str(port), "--workers", "1"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(f"{url}/ping", server)
        cells = in_json(rows)
        model = umemma.load(served.folder)
        for name, columns in model.reader.columns.items():
            sent = [{key: cell for key, cell in row.items() if key not in columns} for row in cells]
            status, body = _post(f"{url}/invocations", {"dataframe_records": sent})
            assert status == 200, body
            expected = model.predict(sent)
            assert [one["predicted"] for one in body["predictions"]] == list(expected["predicted"])
            assert all(name not in one["used"].split("+") for one in body["predictions"])
        status, body = _post(f"{url}/invocations", {"dataframe_records": [{"imgae": 1}]})
        assert (status, "there is no column" in json.dumps(body)) == (400, True)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)


def in_json(rows):
    """Return rows whose cells are JSON-compatible."""
    return [
        {
            name: {"base64": base64.b64encode(cell).decode()} if isinstance(cell, bytes) else cell
            for name, cell in row.items()
        }
        for row in rows
    ]


def _wait(url, server):
    for _ in range(120):
        assert server.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError("the server did not answer within a minute")


def _post(url, content):
    request = urllib.request.Request(url, json.dumps(content).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
