"""Where a string of a stranger enters, nothing of it is executed, evaluated, or leads out: docs/security.md has the table.

Names are refused where they enter; what may be any text - a class, a cell, a column, a file's name - is escaped where it
is shown. Values given to `make` are in test_makefile.py, overrides in test_flows.py and test_holes.py, paths of tables in
test_table.py, the page in test_page.py, text in requests in test_serve.py.
"""

import csv
import io
import json
import re
import shutil
import sys

import pytest
from fastapi.testclient import TestClient
from markdown_it import MarkdownIt

import umemma
from tests import served_sample
from tests.conftest import ROOT
from tests.hostile import PAYLOADS, SEEN
from umemma import names, visible
from umemma.errors import DataError, ParameterError, run
from umemma.serving import card, folder, output
from umemma.serving.http import access
from umemma.serving.http.app import app
from umemma.serving.http.limits import Limits
from umemma.serving.http.service import Service
from umemma.visible import HIDDEN


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    return served_sample.made(tmp_path_factory.mktemp("pets"))


@pytest.fixture(scope="module")
def client(served, tmp_path_factory):
    model = umemma.load(served.folder)
    application = app(Service(model, Limits(), served.table.parent), hosts=access.hosts("127.0.0.1", None))
    with TestClient(application, base_url="http://127.0.0.1", raise_server_exceptions=False) as opened:
        yield opened


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_payload_is_the_name_of_a_data_set_or_a_modality(payload):
    assert names.about_plain(PAYLOADS[payload])
    assert names.about_modality(PAYLOADS[payload])


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_class_may_be_called_what_can_be_seen_and_nothing_else(payload):
    assert (names.about_class(PAYLOADS[payload]) is None) == (payload in SEEN)
    assert names.about_class("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645") is None, (
        "a joiner is part of Persian words"
    )


@pytest.mark.parametrize("payload", PAYLOADS)
def test_what_is_printed_commands_no_terminal(payload, capsys):
    def fails():
        print(f"a class is {PAYLOADS[payload]}, and more")
        print(json.dumps({"class": PAYLOADS[payload]}, ensure_ascii=False))
        raise DataError(f"{PAYLOADS[payload]} is none")

    before = sys.stdout, sys.stderr
    with pytest.raises(SystemExit):
        run(fails)
    assert (sys.stdout, sys.stderr) == before
    said = capsys.readouterr()
    assert not HIDDEN.search(said.out + said.err)
    assert "and more" in said.out
    assert said.err.startswith("ERROR: ")
    line = next(line for line in said.out.splitlines() if line.startswith('{"class"'))
    assert json.loads(line)["class"] == PAYLOADS[payload], "escapes are those of JSON"


def test_lines_of_progress_are_still_written_over(capsys):
    with visible.visible_output():
        print("\r\x1b[K3 of 4", end="")
        print("\x1b[A", end="", file=sys.stderr)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("\r\x1b[K3 of 4", "\x1b[A")


SECRET = "hunter2/of:the@canary"
KEPT = {
    "MLFLOW_TRACKING_PASSWORD": SECRET,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "PREFECT_API_AUTH_STRING": f"umemma:{SECRET}",
    "PREFECT_SERVER_DATABASE_CONNECTION_URL": "postgresql+asyncpg://me:hunter2%2Fof%3Athe%40canary@host/db",
    "MLFLOW_TRACKING_URI": "https://me:hunter2%2Fof%3Athe%40canary@host",
}


@pytest.mark.parametrize("variable", KEPT)
def test_a_secret_of_the_environment_is_never_printed(variable, capsys, monkeypatch):
    monkeypatch.setenv(variable, KEPT[variable])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)

    def fails():
        print(f"connecting to {KEPT[variable]} with {SECRET}")
        raise DataError(f"{KEPT[variable]} does not answer, {SECRET} neither")

    def breaks():
        raise RuntimeError(f"a bug, with {KEPT[variable]} and {SECRET}")

    with pytest.raises(SystemExit):
        run(fails)
    with pytest.raises(RuntimeError) as caught:
        run(breaks)
    sys.excepthook(caught.type, caught.value, caught.tb)
    said = "".join(capsys.readouterr())
    assert said.count("***") >= 6
    assert "a bug, with" in said
    assert "hunter2" not in said


def test_data_that_no_terminal_shows_are_written_as_they_are(capsys):
    with visible.visible_output():
        output.print_csv(visible.data_output(), iter([[{"key": PAYLOADS["escape"]}]]))
    assert capsys.readouterr().out == f"key\n{PAYLOADS['escape']}\n"


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_cell_of_a_table_is_run_by_a_spreadsheet(payload, tmp_path):
    path = tmp_path / "answers.csv"
    output.write_text(path, iter([[{PAYLOADS[payload]: PAYLOADS[payload], "n": 1}]]))
    with path.open(newline="", encoding="utf-8") as file:
        head, row = csv.reader(io.StringIO(file.read(), newline=""))
    text = PAYLOADS[payload] if payload == "csv" else PAYLOADS[payload].replace("\r", "\n")
    for cell in (head[0], row[0]):
        assert cell in (text, f"'{text}")
        assert cell[0] not in "=+-@\t\r\n"
    assert (head[1], row[1]) == ("n", "1")


@pytest.mark.parametrize("payload", [*SEEN, "newline"])
def test_the_card_shows_names_and_is_not_made_of_them(payload, served):
    model = umemma.load(served.folder)
    facts = model.facts.model_copy(update={"classes": ["cat", PAYLOADS[payload], "owl"]})
    note = {**model.inputs.modalities["note"], "column": PAYLOADS[payload]}
    inputs = model.inputs.model_copy(update={"modalities": {**model.inputs.modalities, "note": note}})
    text = card.card(facts, inputs, model.measured)
    page = MarkdownIt("commonmark", {"html": True}).enable("table").render(text.partition("\n---\n")[2])
    assert not re.search(r"<(script|img|a)\b", page)
    shown = re.sub("&(lt|gt|quot|amp);", lambda found: {"lt": "<", "gt": ">", "quot": '"', "amp": "&"}[found[1]], page)
    assert shown.count(PAYLOADS[payload].replace("\n", " ")) == 2


ENTRANCES = {
    "a text": lambda text: {"json": {"note": text}},
    "a number": lambda text: {"json": {"age": text}},
    "a key": lambda text: {"json": {"id": text, "note": "purrs"}},
    "a column": lambda text: {"json": {text: "purrs"}},
    "a path": lambda text: {"json": {"picture": text}},
    "base64": lambda text: {"json": {"picture": {"base64": text}}},
    "a file's name": lambda text: {"files": {"photo": (text[:1000], b"no picture", "image/png")}},
    "a field": lambda text: {"data": {text[:1000]: "purrs"}, "files": {"photo": ("a.png", b"no", "image/png")}},
    "coverage": lambda text: {"json": {"note": "x"}, "params": {"coverage": text[:1000]}},
    "a parameter": lambda text: {"json": {"note": "x"}, "params": {text[:1000]: "1"}},
    "a type": lambda text: {"content": b"{}", "headers": {"content-type": text.encode()}},
    "the host": lambda text: {"json": {"note": "x"}, "headers": {"host": text.encode()}},
}


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_a_request_is_answered_in_json_whatever_is_in_it(entrance, client, served, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CANARY", "hunter2hunter2")
    for text in PAYLOADS.values():
        try:
            answer = client.post("/predict", **ENTRANCES[entrance](text))
        except (ValueError, UnicodeError):  # such a header cannot be sent
            continue
        assert answer.status_code < 500, answer.text
        assert answer.headers["content-type"].startswith("application/json")
        assert "access-control-allow-origin" not in answer.headers
        assert isinstance(answer.json(), dict)
        for secret in ("hunter2hunter2", "root:", str(served.folder), str(served.table.parent)):
            assert secret not in answer.text
    figures = client.get("/metrics").text
    assert "HIT" not in figures
    assert not list(tmp_path.iterdir())
    assert not list(served.table.parent.rglob("*HIT*"))


def _changed(served, place, file, change):
    """Copy the model with a JSON file of it changed, and sealed anew, as a stranger would."""
    model = place / "model"
    shutil.rmtree(model, ignore_errors=True)
    shutil.copytree(served.folder, model)
    content = json.loads((model / file).read_text())
    change(content)
    (model / file).write_text(json.dumps(content))
    folder.seal(model)
    return model


def _decoder(name):
    return lambda content: content["decoded"]["note"].update(decode={"name": name})


CHANGES = [
    ("model.json", lambda content: content.update(modalities=["../../x"]), "modalities.0: must be a plain name"),
    ("model.json", lambda content: content.update(backbones=["../../x"]), "backbones.0: must be a plain name"),
    ("model.json", lambda content: content.update(dataset='"} 1\n'), "dataset: must be a plain name"),
    ("model.json", lambda content: content.update(classes=["\x1b[2J", "a", "b"]), "classes.0: must be a name"),
    ("schema.json", _decoder("os"), "no decoder called 'os'"),
    ("schema.json", _decoder("..checkpoint"), "no decoder called"),
    (
        "schema.json",
        lambda content: content["decoded"]["note"].update(decode={"name": "tokens", "model": "../../x", "length": 3}),
        "leads out of the folder",
    ),
    (
        "schema.json",
        lambda content: content["decoded"]["note"].update(decode={"name": "tokens", "model": "/etc", "length": 3}),
        "leads out of the folder",
    ),
]


@pytest.mark.parametrize(("file", "change", "sentence"), CHANGES, ids=[sentence for *_, sentence in CHANGES])
def test_the_folder_of_a_stranger_names_nothing_outside(file, change, sentence, served, tmp_path):
    with pytest.raises(folder.ModelFolderError, match=re.escape(sentence)):
        umemma.load(_changed(served, tmp_path, file, change))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_the_registry_is_asked_for_a_name_and_for_nothing_else(payload):
    from umemma.tracking import registry
    from umemma.tracking.check import TrackingError

    asked = []

    class Client:
        def search_registered_models(self, condition=None):
            asked.append(condition)
            return []

        def get_logged_model(self, name):
            raise TrackingError(f"there is no {name}")

    with pytest.raises(TrackingError):
        registry._location(Client(), f"models:/{PAYLOADS[payload]}/1")
    assert all(condition is None or re.fullmatch(r"name = '[^']*'", condition) for condition in asked)


@pytest.mark.parametrize("payload", ["nul", "escape", "bidi", "long", "c1"])
def test_init_names_a_class_that_cannot_be_shown(payload, tmp_path, home):
    from tests.conftest import initiated
    from tests.table_sample import write_table

    rows = [
        {"note": f"a {'bark' if i % 2 else 'purr'} of {i}", "label": "cat" if i % 2 else PAYLOADS[payload]}
        for i in range(60)
    ]
    with pytest.raises((DataError, ParameterError), match=r"the class .* must (have|be)"):
        initiated(home, write_table(tmp_path / "data.parquet", rows))
    assert not (home / "conf/dataset/mine.yaml").exists()


def test_pages_are_made_by_escaping():
    for path in (ROOT / "umemma").rglob("*.html"):
        text = path.read_text("utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text), path
        assert len(re.findall(r"\|\s*safe\b", text)) == len(re.findall(r"'[^'{}]*' \| safe\b", text)), (
            "of constants alone"
        )
