"""`umemma monitor`: from a log or a file of answers to a verdict, its exit code, and one sentence for what is wrong."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

import umemma
from flows import monitor as flow
from tests import served_sample
from tests.conftest import ROOT
from umemma.errors import DataError, ParameterError
from umemma.monitoring import answers, command, known, labels
from umemma.monitoring.samples import confidence, share_right
from umemma.monitoring.settings import Settings
from umemma.monitoring.verdict import verdict
from umemma.monitoring.watch import watch
from umemma.serving import predict
from umemma.serving.summary import STATISTICS, columns

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    return served_sample.made(tmp_path_factory.mktemp("pets"), count=160)


@pytest.fixture(scope="module")
def model(served):
    return umemma.load(served.folder)


@pytest.fixture(scope="module")
def rows(served, model):
    """Rows of a log: the table's own, each answered, with summaries as in the reference."""
    about = known.read(served.folder)
    by_key = {key: number for number, key in enumerate(served.keys)}
    found = [one for part in model.stream(served.table, say=lambda _: None) for one in part]
    result = []
    for number, answer in enumerate(found):
        cells = {"time": NOW - timedelta(hours=number), "model": model.digest, **answer.cells()}
        for name in model.modalities:
            summary = about.summaries[name][by_key[answer.key]] if name in answer.used else [None] * len(STATISTICS)
            cells |= dict(zip(columns(name), summary, strict=True))
        result.append(cells)
    return result


def log(folder, rows, name="a"):
    folder.mkdir(exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(rows), folder / f"{name}.parquet")
    return folder


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        command.main([str(one) for one in arguments])
    return ended.value.code


def test_the_test_s_own_rows_are_all_well(served, rows, tmp_path, capsys):
    code = run(log(tmp_path / "log", rows), "--model", served.folder)
    said = capsys.readouterr().out
    assert code == 0
    assert said.startswith("ALL WELL: expected accuracy ")
    found = watch(tmp_path / "log", served.folder, Settings())
    assert found.tested.value == pytest.approx(found.expected.accuracy.value, abs=0.03)
    assert sum(one.today.share for one in found.patterns.values()) == pytest.approx(1)
    for one in found.patterns.values():
        assert one.today.share == pytest.approx(one.test_share)
    for name, one in found.modalities.items():
        assert one.presence.p == 1.0, name
        assert one.content.rank == pytest.approx(0.5)


def test_json_has_it_all(served, rows, tmp_path, capsys):
    assert run(log(tmp_path / "log", rows), "--model", served.folder, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["status"], found["n"], found["alerts"]) == ("well", 160, [])
    assert found["expected"]["accuracy"]["low"] < found["expected"]["accuracy"]["value"]
    assert set(found["patterns"]) >= {"photo+body+note"}
    assert set(found["modalities"]) == {"photo", "body", "note"}


def test_a_dead_camera_is_an_alert_and_exit_code_1(served, model, tmp_path, capsys):
    table = pd.read_csv(served.table, dtype=str).drop(columns="picture")
    table.to_csv(tmp_path / "now.csv", index=False)
    predict.main([str(served.folder), str(tmp_path / "now.csv"), "--output", str(tmp_path / "answers.csv")])
    code = run(tmp_path / "answers.csv", "--model", served.folder)
    said = capsys.readouterr().out
    assert code == 1
    assert "photo is there in 0.0 % of answers, in the test in 80.0 %" in said
    found = watch(tmp_path / "answers.csv", served.folder, Settings())
    assert found.times is None
    assert all(one.content is None for one in found.modalities.values()), "a file of answers has no summaries"


def test_a_changed_modality_is_told_with_what_moved(served, rows, tmp_path):
    darker = [
        {**row, "summary photo mean": row["summary photo mean"] and row["summary photo mean"] / 9} for row in rows
    ]
    found = watch(log(tmp_path / "log", darker), served.folder, Settings())
    content = found.modalities["photo"].content
    assert (content.statistic, content.rank, content.p < 0.001) == ("mean", 0.0, True)
    judged = verdict(found, Settings())
    assert judged.status != "well"
    assert any("photo has changed: mean is" in one for one in judged.alerts)


def test_answers_that_differ_are_withheld_and_the_verdict_says_of_which(served, rows, tmp_path):
    names = {f"probability {name}": value for name, value in zip(served_sample.CLASSES, (0.0, 0.01, 0.99), strict=True)}
    surer = [{**row, **names, "predicted": "owl", "confidence": 0.99} for row in rows] * 3
    surer = [{**row, "id": f"{row['id'][:13]}{number:012x}"} for number, row in enumerate(surer)]
    found = watch(log(tmp_path / "log", surer), served.folder, Settings())
    judged = verdict(found, Settings())
    assert judged.status == "cannot know"
    assert "are not distributed as in the test" in judged.sentence
    assert found.content()["expected"]["accuracy"] is None
    assert all(one.gain is None for one in found.modalities.values())


def test_what_is_left_out_is_said(served, rows, tmp_path):
    other = [{**row, "id": f"{'0' * 12}-{'1' * 12}"} for row in rows[:5]]
    folder = log(tmp_path / "log", rows + other)
    (folder / "broken.parquet").write_bytes(b"PAR1 not")
    (folder / ".x.parquet.1.part").write_bytes(b"half")
    found = watch(folder, served.folder, Settings())
    assert found.n == 160
    assert any(one.startswith("5 answers of other models (000000000000)") for one in found.remarks)
    assert any(one.startswith("1 files cannot be read and are left out: broken.parquet") for one in found.remarks)


def test_since_takes_the_last_rows(served, rows, tmp_path):
    about, folder = known.read(served.folder), log(tmp_path / "log", rows)
    found = answers.read(folder, about.facts, about.digest, most=1000, since=answers.since("10h", NOW))
    assert len(found.ids) == 11
    assert found.times == (NOW - timedelta(hours=10), NOW)
    assert answers.since("2026-11-27", NOW) == datetime(2026, 11, 27, tzinfo=UTC)
    unread = folder / "20260101T000000.000000Z-1-000000.parquet"
    unread.write_bytes(b"written long before")
    assert answers.read(folder, about.facts, about.digest, most=1000, since=answers.since("10h", NOW)).remarks == ()
    for wrong in ("today", "99999999999999d"):
        with pytest.raises(ParameterError, match=f"--since '{wrong}' is no time: write 24h"):
            answers.since(wrong, NOW)
    with pytest.raises(DataError, match="has no answers since 2026-11-28 00:00 UTC"):
        answers.read(folder, about.facts, about.digest, most=1000, since=answers.since("2026-11-28", NOW))


def test_of_more_answers_than_are_wanted_every_nth_is_compared(served, rows, tmp_path):
    found = watch(log(tmp_path / "log", rows), served.folder, Settings(rows=60))
    assert found.n == 54
    assert "of 160 answers every 3. is compared (--rows)" in found.remarks


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda row: {name: cell for name, cell in row.items() if name != "used"}, "has no column used"),
        (lambda row: {**row, "predicted": "bat"}, "'bat' is predicted, and the model's classes are cat, dog, owl"),
        (lambda row: {**row, "id": "0" * 12 + "-" + "1" * 12}, "has no answers of model .*, but of 000000000000"),
    ],
)
def test_answers_of_something_else_are_one_sentence(served, rows, tmp_path, change, sentence):
    with pytest.raises(DataError, match=sentence):
        watch(log(tmp_path / "log", [change(row) for row in rows]), served.folder, Settings())


def test_too_few_answers_or_none_are_one_sentence(served, rows, tmp_path):
    with pytest.raises(DataError, match=r"has 7 answers, and fewer than 50 say nothing"):
        watch(log(tmp_path / "log", rows[:7]), served.folder, Settings())
    with pytest.raises(DataError, match="does not exist; `umemma serve MODEL --log"):
        watch(tmp_path / "nothing", served.folder, Settings())
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty has no answers"):
        watch(tmp_path / "empty", served.folder, Settings())


def test_labels_say_how_often_answers_were_right(served, rows, tmp_path, capsys):
    true = {row["id"]: row["label"] for row in served.rows}
    file = tmp_path / "labels.csv"
    file.write_text("key,label\n" + "".join(f"{key},{label}\n" for key, label in true.items()) + "unknown,cat\n")
    run(log(tmp_path / "log", rows), "--model", served.folder, "--labels", file)
    assert "of 160 labelled answers " in capsys.readouterr().out
    found = watch(tmp_path / "log", served.folder, Settings(), later=file).labelled
    right = np.mean([true[row["key"]] == row["predicted"] for row in rows])
    assert found.accuracy.value == pytest.approx(right)
    assert found.accuracy.low < right < found.accuracy.high
    assert found.num_unmatched == 1
    assert found.expected.accuracy is not None
    file.write_text("key,label\nk00,cat\nk01,cat\n")
    few = watch(tmp_path / "log", served.folder, Settings(), later=file).labelled
    assert (few.n, few.expected.accuracy) == (2, None)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("key,label\nk00,bat\n", r"labels.csv, line 2: there is no class called 'bat'; there are cat, dog, owl"),
        ("id,label\nk00,cat\n", r"has no column key, but id, label"),
        ("key,label\nk00,cat\nk00,dog\n", r"line 3: k00 has another label than before"),
        ("key,label\nx,cat\n", r"no answer has one of the 1 keys with a label, such as x"),
    ],
)
def test_labels_that_do_not_fit_are_one_sentence(served, rows, tmp_path, content, sentence):
    (tmp_path / "labels.csv").write_text(content)
    with pytest.raises(DataError, match=sentence):
        watch(log(tmp_path / "log", rows), served.folder, Settings(), later=tmp_path / "labels.csv")


def test_confidence_is_what_share_right_is_expected_to_be():
    rng = np.random.default_rng(0)
    probability = rng.random((20_000, 3))
    label = rng.random(probability.shape) < probability
    decided = probability > 0.4
    found = share_right(decided, label, several=True), confidence(probability, decided, several=True)
    assert found[0].mean() == pytest.approx(found[1].mean(), abs=0.005)
    single = probability / probability.sum(axis=1, keepdims=True)
    number = (single.cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1)
    most = single.argmax(axis=1)[:, None] == np.arange(3)
    found = share_right(most, number, several=False), confidence(single, most, several=False)
    assert found[0].mean() == pytest.approx(found[1].mean(), abs=0.01)


def test_the_flow_s_function_returns_the_report_or_raises_with_it(served, rows, tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr("prefect.events.emit_event", lambda **event: told.append(event))
    log(tmp_path / "log", rows)
    said = flow.monitor(tmp_path, answers="log", model=str(served.folder), emit=True)
    assert said.startswith("ALL WELL")
    blind = [{**row, "used": "note"} for row in rows]
    log(tmp_path / "blind", [{**row, "used": "note"} for row in blind if "note" in row["used"]])
    with pytest.raises(flow.Alert) as alert:
        flow.monitor(tmp_path, answers="blind", model=str(served.folder), emit=True)
    assert alert.value.exit_code == 1
    assert told[0]["event"] == "umemma.monitor.well"
    assert told[1]["event"] in ("umemma.monitor.alert", "umemma.monitor.cannot-know")
    assert told[1]["resource"]["prefect.resource.id"] == f"umemma.model.{known.read(served.folder).digest[:12]}"
    json.dumps(told)


def test_a_label_s_several_classes_are_read(served):
    facts = known.read(served.folder).facts.model_copy(update={"task": "multi_label"})
    assert labels._label("owl; cat", facts, "").tolist() == [True, False, True]
    assert labels._label("", facts, "").tolist() == [False] * 3


@pytest.mark.slow
def test_the_command_ends_with_2_and_one_line_for_bad_input(served, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "umemma", "monitor", tmp_path / "no", "--model", served.folder],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "does not exist" in done.stderr
