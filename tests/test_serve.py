"""`umemma serve`: answers with the bytes on file, one sentence for what is wrong, and limits that hold."""

import asyncio
import base64
import gzip
import itertools
import json
import math
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

import pytest
import torch
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

import umemma
from tests import serve_load, served_sample
from tests.conftest import ROOT
from umemma.errors import ParameterError
from umemma.serving.http import access, command
from umemma.serving.http.app import PAGE, app
from umemma.serving.http.limits import Limits
from umemma.serving.http.service import Service

JSON = {"content-type": "application/json"}
ROW = {"note": "purrs", "age": 3}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    return served_sample.made(tmp_path_factory.mktemp("pets"))


@pytest.fixture(scope="module")
def model(served):
    return umemma.load(served.folder)


@pytest.fixture
def serve(model):
    """Return a client of a server with these limits."""
    opened = []

    def open_(root=None, token=None, **limits):
        application = app(Service(model, Limits(**limits), root), token=token, hosts=access.hosts("127.0.0.1", token))
        client = TestClient(application, base_url="http://127.0.0.1", raise_server_exceptions=False)
        opened.append(client.__enter__())
        return client

    yield open_
    for client in opened:
        client.__exit__(None, None, None)


@pytest.fixture
def address(model, served):
    """Return the port of a server on a real socket."""
    started = []

    def open_(**limits):
        listening = command.listener("127.0.0.1", 0)
        application = app(Service(model, Limits(**limits), served.table.parent), hosts=access.hosts("127.0.0.1", None))
        server = command.server(application, "127.0.0.1", listening)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        started.append((server, thread))
        while not server.started:
            assert thread.is_alive()
            thread.join(0.01)
        return listening.getsockname()[1]

    yield open_
    for server, thread in started:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


def photo(served, number):
    return {"base64": base64.b64encode((served.table.parent / f"photos/p{number}.png").read_bytes()).decode()}


def request_of(served, number, pattern):
    """Return a row as JSON that holds what the pattern leaves of it."""
    row = served.rows[number]
    columns = {"photo": ["picture"], "body": ["age", "weight", "coat"], "note": ["note"]}
    names = [name for there, of in zip(pattern, columns.values(), strict=True) if there for name in of]
    cells = {"id": row["id"], **{name: row[name] for name in names}}
    if cells.get("picture"):
        cells["picture"] = photo(served, number)
    return cells


def on_file(served, model, number, pattern):
    """Return the probabilities that the run's predictions have for it."""
    at = served.keys.index(served.rows[number]["id"])
    present = served.predictions.present[at]
    left = tuple(there and bool(has) for there, has in zip(pattern, present, strict=True))
    logits = served.predictions.logits[left][at : at + 1]
    return model.calibration.judged(left, logits, 0.9)[0][0].tolist()


def post(port, body, kind="application/json", path="/predict"):
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", path, body, {"Content-Type": kind})
    response = connection.getresponse()
    content = json.loads(response.read())
    connection.close()
    return response.status, content


def test_mixed_requests_at_once_get_the_bytes_on_file(served, model, address):
    port, drawn = address(batch_ms=5.0), random.Random(0)
    patterns = list(itertools.product((False, True), repeat=3))
    asked = [
        [(drawn.randrange(40), drawn.choice(patterns)) for _ in range(drawn.choice((1, 1, 2, 5)))] for _ in range(120)
    ]

    def different(rows):
        status, content = post(port, json.dumps([request_of(served, *row) for row in rows]))
        assert status == 200, content
        got = [list(answer["probability"].values()) for answer in content["answers"]]
        return [row for row, one in zip(rows, got, strict=True) if one != on_file(served, model, *row)]

    with ThreadPoolExecutor(8) as threads:
        assert [wrong for wrong in threads.map(different, asked) if wrong] == []


def test_a_path_a_form_and_base64_are_answered_alike(served, serve):
    client, number = serve(root=served.table.parent), 3
    content = (served.table.parent / f"photos/p{number}.png").read_bytes()
    rest = {"note": "purrs a lot", "age": "3", "weight": "2,5 kg"}
    bodies = [
        client.post("/predict", json={"picture": f"p{number}", **rest}),
        client.post("/predict", json={"photo": photo(served, number), **rest, "coat": None}),
        client.post("/predict", data=rest, files={"photo": ("any.bin", content)}),
        client.post(
            "/predict",
            data={"weight": rest["weight"], "age": "3"},
            files={"picture": content, "note": ("n.txt", b"purrs a lot")},
        ),
    ]
    answers = [body.json()["answers"][0] for body in bodies]
    assert len({answer.pop("key") for answer in answers}) == 2  # a row without a key has one by its path or its bytes
    assert answers[0]["used"] == ["photo", "body", "note"]
    assert answers[1:] == answers[:1] * 3  # with their ids


def test_an_answer_names_its_model_and_has_the_id_of_the_row_elsewhere(served, model, serve):
    rows = serve().post("/predict?coverage=0.5", json=[{**ROW, "label": ["cat", {}]}, {}]).json()["answers"]
    assert len({row["id"] for row in rows}) == 2
    assert {row["model"] for row in rows} == {model.digest}
    assert [row["place"] for row in rows] == ["row 1", "row 2"]
    assert [row["used"] for row in rows] == [["body", "note"], []]
    assert rows[0]["coverage"] == 0.5
    (alone,) = next(iter(model.stream([ROW], say=lambda _: None, coverage=0.5)))
    assert {**rows[0], "place": alone.place} == {**alone.content(), "model": model.digest}


def test_a_damaged_medium_is_left_out_with_its_reason_and_refused_in_strict(served, serve):
    client, broken = serve(), {"base64": base64.b64encode(b"\x89PNG\r\n\x1a\nno picture").decode()}
    (answer,) = client.post("/predict", json={**ROW, "photo": broken}).json()["answers"]
    assert answer["used"] == ["body", "note"]
    assert "image" in answer["rejected"]["photo"]
    refused = client.post("/predict?strict=true", json={**ROW, "photo": broken})
    assert (refused.status_code, refused.json()["reason"]) == (422, "strict")
    assert refused.json()["error"].startswith("row 1: photo: ")
    assert client.post("/predict?strict=true", json=ROW).status_code == 200


@pytest.mark.parametrize(
    ("shape", "is_used"),
    [
        *(((1, 1), True), ((1, 5), True), ((5, 1), True), ((4, 5, 1), True), ((1, 4, 5), True), ((4, 5, 3), True)),
        *(((4, 5, 7), False), ((4, 0), False), ((3,), False), ((2, 2, 2, 2), False)),
    ],
)
def test_pixels_in_lists_are_a_picture_as_they_lie(model, serve, shape, is_used):
    pixels = torch.arange(math.prod(shape)).reshape(shape).tolist()
    (answer,) = serve().post("/predict", json={"photo": pixels}).json()["answers"]
    assert (answer["used"] == ["photo"], "photo" in answer["rejected"]) == (is_used, not is_used)


def form(*parts, end=True, boundary="b"):
    text = "".join(f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n{body}\r\n" for head, body in parts)
    return (text + f"--{boundary}--\r\n" * end).encode("latin-1")


def of_form(*parts, kind="multipart/form-data; boundary=b", **more):
    return {"content": form(*parts, **more), "headers": {"content-type": kind}}


def of_json(text, kind="application/json", **headers):
    return {"content": text if isinstance(text, bytes) else text.encode(), "headers": {"content-type": kind, **headers}}


def chunks(size):
    for _ in range(size // 1000):
        yield b" " * 1000


NOTE = ('name="note"', "purrs")
MALFORMED = {
    "empty body": (of_json(""), "empty"),
    "no JSON": (of_json("purrs"), "json"),
    "cut off": (of_json('{"note": "pur'), "json"),
    "two values": (of_json("{} {}"), "json"),
    "NaN": (of_json('{"age": NaN}'), "json"),
    "Infinity": (of_json('{"age": Infinity}'), "json"),
    "-Infinity": (of_json('[{"age": -Infinity}]'), "json"),
    "beyond float": (of_json('{"age": 1e999}'), "json"),
    "5,000 digits": (of_json('{"age": ' + "1" * 5_000 + "}"), "json"),
    "a name twice": (of_json('{"age": 1, "age": 2}'), "twice"),
    "a name twice inside": (of_json('{"photo": {"base64": "", "base64": ""}}'), "twice"),
    "a modality and its column": (of_json('{"photo": "p1", "picture": "p2"}'), "twice"),
    "100,000 lists deep": (of_json("[" * 100_000), "depth"),
    "12 lists deep": (of_json('{"photo": ' + "[" * 12 + "]" * 12 + "}"), "depth"),
    "a number": (of_json("3"), "row"),
    "a text": (of_json('"purrs"'), "row"),
    "null": (of_json("null"), "row"),
    "a list of numbers": (of_json("[1, 2]"), "row"),
    "no rows": (of_json("[]"), "row"),
    "a hole for a row": (of_json("[{}, null]"), "row"),
    "unknown key": (of_json('{"pictur": 1}'), "unknown"),
    "unknown key of a megabyte": (of_json('{"' + "x" * 150_000 + '": 1}'), "unknown"),
    "unknown object": (of_json('{"note": {"text": "purrs"}}'), "unknown"),
    "half a character": (of_json('{"note": "\\ud800"}'), "json"),
    "no UTF-8": (of_json(b'{"note": "\xff"}'), "json"),
    "UTF-16": (of_json('{"note": "purrs"}'.encode("utf-16")), "json"),
    "a mark before it": (of_json(b'\xef\xbb\xbf{"note": "purrs"}'), "json"),
    "a NUL byte": (of_json(b"\0"), "json"),
    "plain text": (of_json("{}", kind="text/plain"), "content_type"),
    "no type": ({"content": b"{}"}, "content_type"),
    "another charset": (of_json("{}", kind="application/json; charset=latin-1"), "content_type"),
    "a form in punycode": (of_form(NOTE, kind="multipart/form-data; boundary=b; charset=punycode"), "content_type"),
    "a gzip bomb": (of_json(gzip.compress(b" " * 10_000_000), **{"content-encoding": "gzip"}), "content_encoding"),
    "deflated": (of_json("{}", **{"content-encoding": "deflate"}), "content_encoding"),
    "too large": (of_json(" " * 300_000), "request_bytes"),
    "too large in pieces": ({"content": chunks(300_000), "headers": JSON}, "request_bytes"),
    "no length": (of_json("{}", **{"content-length": "many"}), "request_bytes"),
    "too many rows": (of_json(json.dumps([{}] * 6)), "rows"),
    "broken base64": (of_json('{"photo": {"base64": "@@@@"}}'), "base64"),
    "base64 cut off": (of_json('{"photo": {"base64": "iVBOR"}}'), "base64"),
    "base64 of a number": (of_json('{"photo": {"base64": 3}}'), "base64"),
    "base64 as an address": (of_json('{"photo": {"base64": "data:image/png;base64,iVBORw=="}}'), "base64"),
    "base64 of nothing": (of_json('{"photo": {"base64": ""}}'), "empty"),
    "base64 and more": (of_json('{"photo": {"base64": "aaaa", "path": "p1"}}'), "unknown"),
    "an empty object": (of_json('{"photo": {}}'), "type"),
    "a large medium": (of_json('{"photo": {"base64": "' + "a" * 40_000 + '"}}'), "medium_bytes"),
    "a large text": (of_json('{"note": "' + "a" * 40_000 + '"}'), "medium_bytes"),
    "a large number": (of_json('{"age": "' + "1" * 2_000 + '"}'), "text_chars"),
    "a path that leads out": (of_json('{"photo": "../../secret"}'), "path"),
    "an absolute path": (of_json('{"photo": "x/../../../../../etc/passwd"}'), "path"),
    "a link that leads out": (of_json('{"photo": "link"}'), "path"),
    "a path with NUL": (of_json('{"photo": "p\\u0000"}'), "path"),
    "a path without end": (of_json('{"photo": "' + "p" * 900 + '"}'), "path"),
    "a list for a number": (of_json('{"age": [1]}'), "type"),
    "a list for a text": (of_json('{"note": ["purrs"]}'), "type"),
    "a file for a number": (of_json('{"age": {"base64": "aaaa"}}'), "type"),
    "true for a picture": (of_json('{"photo": true}'), "type"),
    "coverage 0": (of_json("{}") | {"params": {"coverage": "0"}}, "query"),
    "coverage 1": (of_json("{}") | {"params": {"coverage": "1"}}, "query"),
    "coverage NaN": (of_json("{}") | {"params": {"coverage": "nan"}}, "query"),
    "coverage as a word": (of_json("{}") | {"params": {"coverage": "most"}}, "query"),
    "strict as a word": (of_json("{}") | {"params": {"strict": "very"}}, "query"),
    "unknown parameter": (of_json("{}") | {"params": {"covrage": "0.9"}}, "query"),
    "unusable in strict": (of_json('{"age": "old"}') | {"params": {"strict": "1"}}, "strict"),
    "a form without boundary": (of_form(NOTE, kind="multipart/form-data"), "form"),
    "a form of another boundary": (of_form(NOTE, kind="multipart/form-data; boundary=c"), "form"),
    "a form cut off": (of_form(NOTE, end=False), "form"),
    "a form cut off in a file": (of_form(NOTE, ('name="photo"; filename="p.png"', "abc"), end=False), "form"),
    "a form with a field twice": (of_form(NOTE, NOTE), "twice"),
    "a form with an unknown field": (of_form(('name="pictur"', "p1")), "unknown"),
    "a form in Latin-1": (of_form(('name="note"', "miaul\xe9")), "form"),
    "a form without a name": (of_form(("filename=x", "abc")), "form"),
    "a form with a file for a number": (of_form(('name="age"; filename="a"', "3")), "type"),
    "a form with an empty file": (of_form(('name="photo"; filename="a.png"', "")), "empty"),
    "a form with bytes for a text": (of_form(('name="note"; filename="a"', "\xff")), "type"),
    "a boundary without end": (of_form(NOTE, kind="multipart/form-data; boundary=" + "b" * 3_000), "form"),
    "another name of the server": (of_json("{}", host="example.org"), "host"),
    "a page of another site": (of_json("{}", **{"sec-fetch-site": "cross-site"}), "cross_site"),
    "a page of another port": (of_json("{}", **{"sec-fetch-site": "same-site"}), "cross_site"),
    "a page that says only where it is from": (of_json("{}", origin="http://127.0.0.1:3000"), "cross_site"),
}


@pytest.fixture(scope="module")
def strict_server(served, model, tmp_path_factory):
    secret = tmp_path_factory.mktemp("outside") / "secret.png"
    secret.write_bytes((served.table.parent / "photos/p0.png").read_bytes())
    (served.table.parent / "photos/link.png").symlink_to(secret)
    limits = Limits(request_bytes=200_000, medium_bytes=20_000, text_chars=1_000, rows=5)
    application = app(Service(model, limits, served.table.parent), hosts=access.hosts("127.0.0.1", None))
    with TestClient(application, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield client
    (served.table.parent / "photos/link.png").unlink()


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_gets_one_sentence(strict_server, served, name):
    asked, reason = MALFORMED[name]
    response = strict_server.post("/predict", **asked)
    content = response.json()
    assert content["reason"] == reason, content
    assert 400 <= response.status_code < 500
    assert content.keys() == {"error", "reason"}
    assert len(content["error"]) < 600
    assert "Traceback" not in content["error"]
    assert str(served.table.parent) not in content["error"]
    if reason in Limits.model_fields:
        assert f"--{reason.replace('_', '-')}" in content["error"]
    assert strict_server.post("/predict", json=ROW).status_code == 200


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(
        ["p1", "../p1", "p\0", "nan", "long", "1,5 kg", "[1, 2", "[[1]]", "1e400", "\u0661\u0662", "~", "a/" * 200]
    ),
)
CELLS = st.recursive(
    SCALARS,
    lambda cell: (
        st.lists(cell, max_size=4)
        | st.dictionaries(st.sampled_from(["base64", "bytes", "path", "a", ""]), cell, max_size=2)
    ),
    max_leaves=12,
)
ROWS = st.dictionaries(
    st.sampled_from(["id", "label", "picture", "photo", "age", "weight", "coat", "note", "x"]), CELLS
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(row=ROWS)
def test_no_row_makes_an_error_of_the_server_or_shows_its_folders(strict_server, served, row):
    response = strict_server.post("/predict", content=json.dumps(row), headers=JSON)
    assert response.status_code in (200, 400, 413, 422), response.text
    assert str(served.table.parent) not in response.text


def test_unknown_keys_and_addresses_name_what_there_is(serve):
    client = serve()
    assert "Did you mean 'picture'?" in client.post("/predict", json=[{}, {"pictures": 1}]).json()["error"]
    assert client.post("/predict", json=[{}, {"pictures": 1}]).json()["error"].startswith("row 2: ")
    assert (client.get("/predict").status_code, client.get("/nothing").status_code) == (405, 404)
    assert client.get("/predict").headers["allow"] == "POST"
    assert "answers are at POST /predict" in client.get("/nothing").json()["error"]
    assert "this server reads no files" in client.post("/predict", json={"photo": "p1"}).json()["error"]


@pytest.mark.parametrize(
    "sent",
    [
        b"purrs\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 200_000,
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(address, sent):
    port = address()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as talk:
        talk.sendall(sent)
        assert talk.recv(1_000).split(b" ")[1][:1] == b"4"
    assert post(port, json.dumps(ROW))[0] == 200


def test_a_body_that_does_not_come_ends_in_time(address):
    with socket.create_connection(("127.0.0.1", address(seconds=0.3)), timeout=10) as talk:
        talk.sendall(
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
        )
        reply = talk.makefile("rb").read()  # head and body may come apart
    assert reply.startswith(b"HTTP/1.1 408")
    assert b"--seconds" in reply


class Blocked:
    """A model that answers once it is let go."""

    def __init__(self, model, monkeypatch):
        self.go, self.asked, answers = threading.Event(), threading.Semaphore(0), model.answers

        def later(rows, *, coverage):
            self.asked.release()
            assert self.go.wait(20)
            return answers(rows, coverage=coverage)

        monkeypatch.setattr(model, "answers", later)


@pytest.mark.parametrize(
    ("limits", "reason"), [({"waiting_rows": 1}, "waiting_rows"), ({"requests_at_once": 2}, "requests_at_once")]
)
def test_a_full_server_says_when_to_come_again(model, serve, monkeypatch, limits, reason):
    client = serve(batch_rows=1, **limits)
    blocked = Blocked(model, monkeypatch)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(client.post, "/predict", json=ROW)
        assert blocked.asked.acquire(timeout=20)
        second = threads.submit(client.post, "/predict", json=ROW)
        while client.get("/ready").status_code == 200:
            assert not second.done()
        third = client.post("/predict", json=ROW)
        assert client.get("/health").status_code == 200
        blocked.go.set()
        assert [one.result().status_code for one in (first, second)] == [200, 200]
    assert (third.status_code, third.json()["reason"], third.headers["retry-after"]) == (503, reason, "1")
    assert client.get("/ready").status_code == 200


def test_an_answer_that_takes_too_long_is_given_up(model, serve, monkeypatch):
    client = serve(seconds=0.2)
    blocked = Blocked(model, monkeypatch)
    response = client.post("/predict", json=ROW)
    blocked.go.set()
    assert (response.status_code, response.json()["reason"]) == (503, "seconds")
    assert client.post("/predict", json=ROW).status_code == 200


def test_a_row_that_fails_does_not_fail_its_batch(model, serve, monkeypatch):
    client, answers = serve(batch_ms=200.0), model.answers

    def fails(rows, *, coverage):
        if any(row.key == "bad" for row in rows):
            raise ZeroDivisionError("secret")
        return answers(rows, coverage=coverage)

    monkeypatch.setattr(model, "answers", fails)
    with ThreadPoolExecutor(3) as threads:
        replies = list(threads.map(lambda key: client.post("/predict", json={**ROW, "id": key}), ("a", "bad", "b")))
    assert [reply.status_code for reply in replies] == [200, 500, 200]
    assert "secret" not in replies[1].text


def test_requests_share_a_batch_and_towers_of_what_is_absent_do_not_run(model, served, monkeypatch):
    service = Service(model, Limits(batch_ms=100.0), None)
    service.start()
    rows = [service.cells.rows(request_of(served, number, (False, True, True)), "row 1") for number in range(12)]
    calls = []
    hook = model.network.parts()["photo"].register_forward_hook(lambda *_: calls.append(1))

    async def ask():
        return await asyncio.gather(*(service.batching.answers(row, 0.9) for row in rows))

    answers = asyncio.run(ask())
    hook.remove()
    service.stop()
    assert [answer.key for (answer,) in answers] == [row["id"] for row in served.rows[:12]]
    assert calls == []
    assert re.search(r"umemma_batch_rows_count 1\.0", service.metrics.text().decode())


def test_metrics_count_by_pattern_and_by_reason(serve):
    client = serve()
    client.post("/predict", json=[ROW, {}, {"note": "barks"}])
    client.post("/predict", json={"nothing": 1})
    text = client.get("/metrics").text
    for line in (
        'umemma_answers_total{pattern="body+note"} 1.0',
        'umemma_answers_total{pattern="nothing"} 1.0',
        'umemma_answer_seconds_count{pattern="note"} 1.0',
        'umemma_set_size_count{pattern="note"} 1.0',
        'umemma_refused_requests_total{reason="unknown"} 1.0',
        "umemma_waiting_rows 0.0",
        "umemma_requests 0.0",
    ):
        assert line in text.splitlines()


def test_a_token_is_asked_for_and_never_shown(serve, tmp_path, monkeypatch):
    client, token = serve(token="0123456789abcdef"), "0123456789abcdef"
    assert (client.get("/health").status_code, client.get("/").status_code) == (200, 200)
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {token}"}):
        refused = client.post("/predict", json=ROW, headers=headers)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert token not in refused.text
    assert client.get("/metrics").status_code == client.get("/schema").status_code == 401
    allowed = {"authorization": f"Bearer {token}", "host": "models.example.org"}
    assert client.post("/predict", json=ROW, headers=allowed).status_code == 200
    monkeypatch.setenv(access.TOKEN, "short")
    with pytest.raises(ParameterError, match="16 or more") as error:
        access.token(None)
    assert "short" not in str(error.value)
    (tmp_path / "token").write_text(f"{token}\n")
    assert access.token(tmp_path / "token") == token


def test_other_machines_need_a_token(served, monkeypatch):
    monkeypatch.delenv(access.TOKEN, raising=False)
    with pytest.raises(ParameterError, match="--token-file"):
        command.main([str(served.folder), "--host", "0.0.0.0"])
    assert access.is_loopback("::1")
    assert not access.is_loopback("example.org")


def test_a_port_that_is_taken_is_said_before_the_model_is_loaded(served):
    with command.listener("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ParameterError, match=f"127.0.0.1:{port} cannot be listened on"):
            command.main(["no-such-model", "--port", str(port)])


def test_facts_are_those_of_the_folder(served, serve):
    client = serve()
    assert client.get("/schema").json() == json.loads((served.folder / "schema.json").read_text())
    about = client.get("/model").json()
    assert about["measured"] == json.loads((served.folder / "measured.json").read_text())
    assert about["limits"] == Limits().model_dump()
    properties = client.get("/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]["content"]
    row = properties["application/json"]["schema"]["anyOf"][0]
    assert set(row["properties"]) == {"id", "label", "split", "picture", "photo", "age", "weight", "coat", "note"}


def test_the_page_may_run_its_own_script_and_load_nothing(serve):
    response = serve().get("/")
    assert response.text == PAGE.read_text("utf-8")
    assert re.search(
        r"default-src 'none'; script-src 'sha256-[\w+/]{43}='", response.headers["content-security-policy"]
    )


def test_what_is_answered_does_not_depend_on_the_threads(served, model):
    rows = Service(model, Limits(), None).cells.rows(request_of(served, 3, (True, True, True)), "row 1")
    before = torch.get_num_threads()
    alone = model.logits(rows)
    torch.set_num_threads(1)
    assert torch.equal(model.logits(rows), alone)
    torch.set_num_threads(before)


@pytest.mark.slow
def test_the_command_answers_under_load_in_flat_memory_and_stops_in_five_seconds(served):
    everything = (True,) * 3
    asked = serve_load.questions(served.folder, [request_of(served, number, everything) for number in range(20)])
    command_line = [sys.executable, "-m", "umemma", "serve", str(served.folder), "--port", "0"]
    with subprocess.Popen(command_line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        port = int(re.fullmatch(r"http://127.0.0.1:(\d+) .*\n", server.stdout.readline())[1])
        serve_load.load(port, asked, requests=200, concurrency=4)
        before = serve_load.memory_mb(server.pid)
        outcome = serve_load.load(port, asked, requests=2_000, concurrency=4, seed=1)
        grown = serve_load.memory_mb(server.pid) - before
        told = time.monotonic()
        server.send_signal(signal.SIGTERM)
        _, errors = server.communicate(timeout=20)
    assert time.monotonic() - told < 5
    assert (server.returncode, errors) == (0, "")
    assert (dict(outcome.statuses), outcome.different) == ({200: 2_000}, 0)
    assert set(outcome.seconds) == {"nothing", *model_patterns(served)}
    assert grown < 20


def model_patterns(served):
    names = ("photo", "body", "note")
    return {"+".join(part) for size in (1, 2, 3) for part in itertools.combinations(names, size)}
