"""The log of `umemma serve --log`: whole files of answers, off the path of requests, and nothing lost in silence."""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import torch
from fastapi.testclient import TestClient
from pyarrow import parquet

import umemma
from tests import served_sample
from tests.conftest import ROOT
from umemma.errors import ParameterError
from umemma.serving.http import access, command
from umemma.serving.http.app import app
from umemma.serving.http.limits import Limits
from umemma.serving.http.log import RequestLog, Settings
from umemma.serving.http.service import Service
from umemma.serving.summary import STATISTICS, summaries


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    return served_sample.made(tmp_path_factory.mktemp("pets"))


@pytest.fixture(scope="module")
def model(served):
    return umemma.load(served.folder)


@pytest.fixture
def logged(model, tmp_path):
    """Return a function that serves with a log in `tmp_path/log` and returns what a client got."""

    def serve(requests, *, keeps_media=False, **settings):
        writer = RequestLog(tmp_path / "log", model, Settings(**settings), keeps_media=keeps_media)
        application = app(Service(model, Limits(), None, writer), hosts=access.hosts("127.0.0.1", None))
        with TestClient(application, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
            replies = [client.post("/predict", json=rows) for rows in requests]
            time.sleep(0.4)  # more than the log's thread rests
            metrics = client.get("/metrics").text
        answers = [answer for reply in replies for answer in reply.json()["answers"]]
        assert all(reply.status_code == 200 for reply in replies)
        return answers, metrics

    return serve


def rows_of(folder):
    return [row for path in sorted(folder.glob("*.parquet")) for row in parquet.read_table(path).to_pylist()]


def counted(metrics, name):
    return sum(float(value) for value in re.findall(rf"^umemma_{name}(?:{{.*}})? (\S+)$", metrics, re.MULTILINE))


def test_a_log_has_the_answers_that_were_given(served, logged, tmp_path):
    photo = (served.table.parent / "photos/p0.png").read_bytes()
    sent = {"id": "a", "note": "purrs", "picture": {"base64": base64.b64encode(photo).decode()}}
    bad = {"id": "b", "note": "barks", "picture": {"base64": base64.b64encode(b"no picture").decode()}}
    answers, _ = logged([[sent, bad], {}])
    rows = rows_of(tmp_path / "log")
    assert [row["id"] for row in rows] == [answer["id"] for answer in answers]
    assert [row["key"] for row in rows[:2]] == ["a", "b"]
    assert [row["used"] for row in rows] == ["photo+note", "note", ""]
    assert rows[1]["rejected"].startswith("photo: ")
    assert rows[0]["request"] == rows[1]["request"] != rows[2]["request"]
    for row, answer in zip(rows, answers, strict=True):
        assert {name: row[f"probability {name}"] for name in answer["probability"]} == answer["probability"]
        assert (row["confidence"], row["model"]) == (answer["confidence"], answer["model"])
        assert row["seconds"] > 0
        assert row["time"].tzinfo is not None
    assert rows[0]["summary photo spread"] > 0
    assert rows[1]["summary photo mean"] is None
    assert "sent" not in rows[0]


def test_what_was_sent_is_kept_only_if_asked_for(served, logged, tmp_path):
    photo = base64.b64encode((served.table.parent / "photos/p0.png").read_bytes()).decode()
    logged([[{"note": "purrs", "picture": {"base64": photo}}]], keeps_media=True)
    assert json.loads(rows_of(tmp_path / "log")[0]["sent"]) == {"note": "purrs", "picture": {"base64": photo}}


def test_files_end_with_their_number_of_rows_and_with_the_time(logged, tmp_path):
    answers, metrics = logged([{"note": "purrs"}] * 25, log_rows=10)
    assert [parquet.read_metadata(path).num_rows for path in sorted((tmp_path / "log").glob("*"))] == [10, 10, 5]
    assert counted(metrics, "logged_answers_total") == 20
    logged([{"note": "purrs"}] * 2, log_seconds=0.01)
    assert len(rows_of(tmp_path / "log")) == len(answers) + 2


def test_a_folder_that_cannot_be_written_to_is_said_at_the_start(model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ParameterError, match=r"--log .*file/log: no files can be written there"):
        RequestLog(tmp_path / "file/log", model, Settings())


def test_a_full_disk_stops_no_answer_and_is_counted_and_said(model, tmp_path, monkeypatch, capsys):
    is_full = True

    def write_table(table, file):
        if is_full:
            raise OSError(28, "No space left on device")
        written(table, file)

    written = parquet.write_table
    writer = RequestLog(tmp_path / "log", model, Settings(log_rows=4, log_seconds=0.01))
    monkeypatch.setattr(parquet, "write_table", write_table)
    application = app(Service(model, Limits(), None, writer), hosts=access.hosts("127.0.0.1", None))
    with TestClient(application, base_url="http://127.0.0.1") as client:
        for _ in range(6):
            assert client.post("/predict", json={"note": "purrs"}).status_code == 200
        time.sleep(0.4)  # more than the log's thread rests
        metrics = client.get("/metrics").text
        is_full = False
        for _ in range(4):
            client.post("/predict", json={"note": "purrs"})
    lost = counted(metrics, "unlogged_answers_total")
    assert lost >= 4
    assert len(rows_of(tmp_path / "log")) == 10 - lost
    said = capsys.readouterr().err
    assert said.count("answers are not logged: the disk is full") == 1
    assert said.count("answers are logged again") == 1
    assert not list((tmp_path / "log").glob(".*"))


def test_what_waits_is_bounded_and_what_is_beyond_is_counted(model, tmp_path):
    from umemma.serving.http.metrics import Metrics

    writer, metrics = RequestLog(tmp_path / "log", model, Settings(log_mib=1)), Metrics(model)
    writer._metrics = metrics  # its thread does not run: nothing is taken
    row = umemma.serving.row.Row("row 1", "k", {"photo": torch.zeros(2**16)})
    for _ in range(10):
        writer.add([row], [None], (), seconds=0.1)
    assert writer._waiting_bytes <= 2**20
    assert counted(metrics.text().decode(), "unlogged_answers_total") == 10 - len(writer._waiting) == 6


@pytest.mark.slow
def test_a_killed_server_leaves_whole_files_and_the_next_one_tidies_up(served, tmp_path):
    folder = tmp_path / "log"
    arguments = [served.folder, "--port", "0", "--log", folder, "--log-rows", "3", "--log-seconds", "0.01"]
    for number in range(2):
        server = subprocess.Popen(
            [sys.executable, "-m", "umemma", "serve", *map(str, arguments)], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        port = int(re.search(r":(\d+)", server.stdout.readline())[1])
        from tests.test_serve import post

        for _ in range(20):
            assert post(port, json.dumps({"note": "purrs"}))[0] == 200
        end = time.monotonic() + 10
        while number == 0 and len(rows_of(folder)) < 20 and time.monotonic() < end:
            time.sleep(0.05)
        server.send_signal(signal.SIGKILL if number == 0 else signal.SIGTERM)
        server.wait(10)
        server.stdout.close()
        if number == 0:
            (folder / f".x.parquet.{server.pid}.part").write_bytes(b"half")
            (folder / f".y.parquet.{os.getpid()}.part").write_bytes(b"of a server that runs")
            first = len(rows_of(folder))
            assert first == 20
    assert len(rows_of(folder)) == first + 20
    assert [path.name[1] for path in folder.glob(".*")] == ["y"]


def test_media_are_kept_only_in_a_log(capsys):
    with pytest.raises(ParameterError, match="give its folder, --log FOLDER"):
        command.main(["nowhere", "--log-media", "--port", "0"])


@pytest.mark.parametrize("shape", [(3, 8, 6), (9,), (4, 1), (1,)])
def test_summaries_are_finite_and_of_each_sample_alone(shape):
    values = torch.randn(5, *shape)
    values[1] = 0
    values[2] = float("nan")
    found = summaries(values)
    assert found.shape == (5, len(STATISTICS))
    assert found.isfinite().all()
    for number in range(5):
        assert torch.allclose(summaries(values[number : number + 1])[0], found[number], rtol=1e-12)
    assert torch.equal(summaries((values[:1] * 50).to(torch.uint8)).isfinite().all(), torch.tensor(True))


def test_a_summary_is_what_its_names_say():
    (found,) = summaries(torch.tensor([[[1.0, 3.0], [0.0, float("nan")]]]))
    assert found.tolist() == pytest.approx([4 / 3, (14 / 9) ** 0.5, 2.0, 3.0, 0.5])
