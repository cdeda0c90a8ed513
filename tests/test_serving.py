"""A model folder and `umemma predict`: the bytes of the run's predictions, rows with faults, formats, resuming, the seal."""

import base64
import csv
import gzip
import io
import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

import umemma
from tests import served_sample
from tests.table_sample import write_table
from umemma.errors import DataError
from umemma.prediction.sets import nearest
from umemma.reporting.results import Interval
from umemma.serving import answer, export, folder, identity, output, predict, reference
from umemma.serving import model as serving_model
from umemma.serving.folder import Measured, MeasuredPattern, ModelFolderError
from umemma.serving.model import Model
from umemma.serving.summary import STATISTICS


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    return served_sample.made(tmp_path_factory.mktemp("pets"))


@pytest.fixture(scope="module")
def model(served) -> Model:
    return umemma.load(served.folder)


def answers(model: Model, rows, served, **more) -> list:
    said: list[str] = []
    found = [one for part in model.stream(rows, media=served.table.parent, say=said.append, **more) for one in part]
    answers.said = said
    return found


def in_memory(served) -> list[dict[str, object]]:
    return [{name: cell for name, cell in row.items() if name not in ("split", "label")} for row in served.rows]


def test_a_row_is_answered_with_the_bytes_on_file_alone_and_in_any_company(served, model):
    own, _ = served.predictions.own()
    expected = dict(zip(served.keys, own, strict=True))
    piece = next(serving_model.row_source.read(served.table, model.reader, 1_000))
    rows = model.reader.read(piece.table, serving_model.row_source.folders(served.table, None))
    assert [row.key for row in rows] == [row["id"] for row in served.rows]
    whole = model.logits(rows)
    assert torch.equal(whole, torch.stack([expected[row.key] for row in rows]))
    for number in (0, 13, 39):
        assert torch.equal(model.logits([rows[number]])[0], whole[number])
    assert torch.equal(model.logits(rows[::-1]), whole.flip(0))


def test_figures_are_those_of_the_pattern_and_the_set_holds_the_decision(served, model):
    for one in answers(model, served.table, served):
        if one.used:
            assert one.measured == "+".join(one.used)
            assert (one.n, one.accuracy, one.accuracy_low, one.information) == (20, 0.5, 0.4, 0.5)
        assert set(one.predicted) <= set(one.set)
        assert sum(one.probability.values()) == pytest.approx(1)
        assert one.confidence == max(one.probability.values())


def test_what_cannot_be_used_is_left_out_with_its_reason(served, model, tmp_path):
    shutil.copytree(served.table.parent / "photos", tmp_path / "photos")
    (tmp_path / "photos/p0.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    row = dict(in_memory(served)[0], age="old")
    without = dict(row, picture=None, age=None)
    faulty, clean = (next(iter(model.stream([one], media=tmp_path, say=lambda _: None)))[0] for one in (row, without))
    assert "picture" in faulty.rejected["photo"] or "image" in faulty.rejected["photo"]
    assert faulty.used == clean.used == ["body", "note"]
    assert faulty.probability == clean.probability
    assert any("'old' is no number" in note for note in faulty.notes)
    assert not clean.rejected


def test_a_row_with_nothing_left_gets_the_class_shares_and_says_so(served, model):
    (one,) = answers(model, [{"id": "x", "note": " "}], served)
    assert (one.used, one.measured, one.predicted) == ([], None, ["cat"])
    assert answer.NOTHING_LEFT in one.notes
    assert list(one.probability.values()) == pytest.approx([0.5, 0.3, 0.2], abs=1e-6)
    (none,) = answers(model, pd.DataFrame(index=range(1)), served)
    assert none.probability == one.probability


def test_absent_and_misspelt_columns_are_said_once(served, model):
    rows = [{"id": "a", "pictrue": "p0", "note": "purrs", "age": "3"}, {"id": "b", "note": "barks"}]
    found = answers(model, rows, served)
    assert [one.used for one in found] == [["body", "note"], ["note"]]
    assert "no column picture: every row is answered without photo" in answers.said
    assert "no column weight, coat: these numbers of body count as not measured" in answers.said
    assert "column 'pictrue' is not read: did you mean 'picture'?" in answers.said
    with pytest.raises(DataError, match=r"no column that the model reads: .*did you mean 'picture' by 'pictures'"):
        answers(model, [{"pictures": "p0"}], served)


def test_every_format_gives_the_same_answers(served, model, tmp_path):
    rows = in_memory(served)
    expected = [one.probability for one in answers(model, rows, served)]
    for suffix in ("csv", "tsv", "parquet", "jsonl"):
        found = answers(model, write_table(tmp_path / f"t.{suffix}", rows), served)
        assert [one.probability for one in found] == expected, suffix
    (tmp_path / "t.json").write_text(json.dumps(rows))
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress((tmp_path / "t.csv").read_bytes()))
    for name in ("t.json", "t.csv.gz"):
        assert [one.probability for one in answers(model, tmp_path / name, served)] == expected, name
    frame = model.predict(pd.DataFrame(rows), media=served.table.parent)
    assert frame["probability cat"].tolist() == [one["cat"] for one in expected]
    assert frame["key"].tolist() == [row["id"] for row in rows]
    photo = (served.table.parent / "photos/p0.png").read_bytes()
    for cell in (photo, {"base64": base64.b64encode(photo).decode()}, {"bytes": photo, "path": None}):
        (one,) = next(iter(model.stream([dict(rows[0], picture=cell)], say=lambda _: None)))
        assert one.probability == expected[0]


def test_a_folder_holds_files_by_modality_or_by_name(served, model, tmp_path):
    photo = served.table.parent / "photos/p3.png"
    (tmp_path / "a/photo").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    for place in ("a/photo/k03.png", "b/k03.photo.png"):
        shutil.copy(photo, tmp_path / place)
    (tmp_path / "b/k03.note.txt").write_text(served.rows[3]["note"])
    (only,), (both,) = (answers(model, tmp_path / name, served=served_in(tmp_path / name)) for name in "ab")
    assert (only.key, only.used) == ("k03", ["photo"])
    assert (both.key, both.used) == ("k03", ["photo", "note"])


class served_in:
    def __init__(self, place):
        self.table = place / "x"


def test_rows_in_memory_read_no_file_unless_told_where(served, model, tmp_path):
    row = in_memory(served)[0]
    (one,) = next(iter(model.stream([row], say=lambda _: None)))
    assert one.rejected == {"photo": "photos/p0.png: is a path, and no folder is given that files may be read from"}
    (other,) = next(iter(model.stream([dict(row, picture="../../secret")], media=tmp_path, say=lambda _: None)))
    assert "leads out" in other.rejected["photo"]


def test_a_line_that_cannot_be_read_is_a_row_without_anything(served, model, tmp_path):
    (tmp_path / "t.csv").write_text("id,note,age\na,purrs,1\nb,barks\nc,hoots,2\n")
    (tmp_path / "t.jsonl").write_text('{"id": "a", "note": "purrs"}\nnonsense\n')
    first, broken, last = answers(model, tmp_path / "t.csv", served)
    assert (first.used, last.used) == (["body", "note"], ["body", "note"])
    assert (broken.used, broken.place, broken.notes[0]) == (
        [],
        "t.csv line 3",
        "it has 2 cells, and there are 3 columns",
    )
    assert "no JSON object" in answers(model, tmp_path / "t.jsonl", served)[1].notes[0]


def test_the_command_writes_the_same_file_after_an_interruption(served, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(serving_model, "ROWS_AT_ONCE", 7)
    monkeypatch.setattr(predict, "ROWS_AT_ONCE", 7)
    whole, again = tmp_path / "whole.csv", tmp_path / "again.csv"
    predict.main([str(served.folder), str(served.table), "--output", str(whole)])
    written, parts = output.Parts.write, []

    def stops(self, number, rows):
        written(self, number, rows)
        parts.append(len(rows))
        if len(parts) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(output.Parts, "write", stops)
        with pytest.raises(KeyboardInterrupt):
            predict.main([str(served.folder), str(served.table), "--output", str(again)])
    assert not again.exists()
    predict.main([str(served.folder), str(served.table), "--output", str(again)])
    assert "going on after the 21 rows" in capsys.readouterr().err
    assert again.read_bytes() == whole.read_bytes()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    rows = list(csv.DictReader(io.StringIO(whole.read_text())))
    assert len(rows) == len(served.rows)
    predict.main([str(served.folder), str(served.table), "--output", str(tmp_path / "t.parquet")])
    assert pd.read_parquet(tmp_path / "t.parquet")["key"].tolist() == [row["key"] for row in rows]
    predict.main([str(served.folder), str(served.table)])
    printed = capsys.readouterr()
    assert list(csv.DictReader(io.StringIO(printed.out))) == rows
    assert "40 rows answered: " in printed.err


def test_shares_of_a_table_are_answered_anywhere_and_the_last_writes_the_same_file(
    served, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(serving_model, "ROWS_AT_ONCE", 7)
    whole, shared = tmp_path / "whole.csv", tmp_path / "shared.csv"
    predict.main([str(served.folder), str(served.table), "--output", str(whole)])
    for share, is_last in (("3/4", False), ("1/4", False), ("3/4", False), ("4/4", False), ("2/4", True)):
        assert not shared.exists()
        predict.main([str(served.folder), str(served.table), "--output", str(shared), "--part", share])
        assert shared.exists() == is_last
    said = capsys.readouterr().err
    assert "part 3 of 4 is through" in said
    assert "other parts' 5 pieces" in said
    assert "no rows were left to answer" in said
    assert shared.read_bytes() == whole.read_bytes()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("arguments", [["--part", "5/4"], ["--part", "0/4"], ["--part", "2"], ["--part", "1/2"]])
def test_a_share_is_one_of_a_number_and_needs_a_file(served, arguments, capsys):
    with pytest.raises(SystemExit):
        predict.main([str(served.folder), str(served.table), *arguments])
    assert "--part" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda path: (path / "weights.safetensors").write_bytes(b"x"), "weights.safetensors is not what was exported"),
        (lambda path: (path / "schema.json").unlink(), "schema.json is missing"),
        (lambda path: (path / "SHA256SUMS").unlink(), "has no SHA256SUMS"),
        (lambda path: (path / "model.json").unlink(), "has no model.json"),
        (lambda path: _with_format(path, 2), "has format 2, and this version of umemma reads format 1"),
        (shutil.rmtree, "is no folder"),
    ],
)
def test_a_damaged_folder_says_what_is_wrong(served, tmp_path, damage, sentence):
    shutil.copytree(served.folder, tmp_path / "model")
    damage(tmp_path / "model")
    with pytest.raises(ModelFolderError, match=sentence):
        umemma.load(tmp_path / "model")


def _with_format(path, number):
    content = json.loads((path / "model.json").read_text()) | {"format": number}
    (path / "model.json").write_text(json.dumps(content))


def test_equal_runs_give_equal_folders_and_the_digest_is_of_the_content(served, tmp_path):
    again = served_sample.made(tmp_path / "again")
    assert folder.verify(again.folder) == folder.verify(served.folder)


@pytest.mark.parametrize("kind", ["concat/donor", "gated/noise", "attention", "panel", "early", "linear"])
def test_models_of_every_kind_answer_with_the_bytes_on_file(tmp_path, kind):
    """A random substitute is the same for the same key."""
    served = served_sample.made(tmp_path, kind=kind)
    model = umemma.load(served.folder)
    piece = next(serving_model.row_source.read(served.table, model.reader, 100))
    rows = model.reader.read(piece.table, serving_model.row_source.folders(served.table, None))
    number = {key: place for place, key in enumerate(served.keys)}
    for pattern, logits in served.predictions.logits.items():
        names = {name for name, is_in in zip(model.modalities, pattern, strict=True) if is_in}
        left = [replace(row, values={name: v for name, v in row.values.items() if name in names}) for row in rows]
        expected = torch.stack([logits[number[row.key]] for row in rows])
        assert torch.equal(model.logits(left), expected), names
        assert torch.equal(model.logits(left[5:6]), expected[5:6])


def test_a_pattern_that_was_not_measured_names_the_nearest_that_was(model):
    figures = next(iter(model.measured.patterns.values()))
    names = [f"m{i}" for i in range(8)]
    measured = Measured(entropy=1.0, prior=0.5, patterns={"m0+m1": figures, "m0": figures, "m5": figures})
    three = tuple(i < 3 for i in range(8))
    found = answer.worth(three, names, measured)
    assert (found.name, found.note) == ("m0+m1", "m0+m1+m2 was not measured; the nearest within it that was is m0+m1")
    assert nearest(three, [(True, True, *[False] * 6)]) == (True, True, *[False] * 6)
    assert answer.worth(tuple(i == 7 for i in range(8)), names, measured).figures is None


def test_an_id_names_the_model_and_what_was_read_and_nothing_else(served, model):
    rows = model.reader.read(
        next(serving_model.row_source.read(served.table, model.reader, 1_000)).table,
        serving_model.row_source.folders(served.table, None),
    )
    together = [one.id for one in model.answers(rows)]
    assert together == [model.answers([row], coverage=0.5)[0].id for row in rows]
    assert together[::-1] == [one.id for one in model.answers([replace(row, key="x") for row in rows[::-1]])]
    assert {identity.ID.fullmatch(one)[1] for one in together} == {model.digest[:12]}
    same = {(*((n, v.numpy().tobytes()) for n, v in row.values.items()),) for row in rows}
    assert len(set(together)) == len(same) > 30
    without = replace(rows[0], values={name: rows[0].values[name] for name in ("body", "note")})
    moved = replace(rows[0], values={**rows[0].values, "body": rows[0].values["body"].nextafter(torch.tensor(9e9))})
    assert len({one.id for one in model.answers([rows[0], without, moved])}) == 3


def test_coverage_must_be_a_share(served, model):
    with pytest.raises(umemma.UmemmaError, match="between 0 and 1"):
        answers(model, served.table, served, coverage=90)


def test_the_answers_to_test_samples_are_those_of_predict(served, model):
    with (served.table.parent / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["key"]: row for row in csv.DictReader(file)}
    found = answers(model, served.table, served)
    assert len(rows) == len(found)
    for one, row in zip(found, served.rows, strict=True):
        written = rows[one.key]
        assert written["true"] == row["label"]
        assert written["group"] == f"'={one.key}"  # no formula
        cells = one.cells()
        for name in ("id", "predicted", "set", "used"):
            assert written[name] == cells[name]
        assert [float(written[f"probability {name}"]) for name in model.classes] == list(one.probability.values())


def test_the_folder_holds_what_new_answers_are_compared_with(served, tmp_path):
    found = reference.read(served.folder)
    assert all(torch.equal(found.predictions.logits[one], logits) for one, logits in served.predictions.logits.items())
    assert torch.equal(found.predictions.label, served.predictions.label)
    assert {name: value.shape for name, value in found.summaries.items()} == dict.fromkeys(
        ("photo", "body", "note"), (40, len(STATISTICS))
    )
    shutil.copytree(served.folder, tmp_path / "old", ignore=shutil.ignore_patterns("reference"))
    with pytest.raises(ModelFolderError, match=r"has no reference/: .*; export it again"):
        reference.read(tmp_path / "old")


@pytest.mark.parametrize(("shift", "least", "most"), [(0.0, 0.0, 0.08), (0.7, 0.8, 1.0)])
def test_sets_that_hold_less_than_they_promise_are_named_and_only_these(shift, least, most):
    """Calibration and test scores of one distribution, or of two: 5 % of the former may be named."""
    rng = np.random.default_rng(0)
    named = []
    for _ in range(300):
        calibrating = np.sort(rng.normal(size=150))
        threshold = calibrating[math.ceil(151 * 0.9) - 1]
        coverage = float((rng.normal(shift, size=150) <= threshold).mean())
        blank = Interval(value=0.5, low=None, high=None)
        figures = {
            "n": 150,
            "groups": 150,
            "calibration_n": 150,
            "own_calibration": True,
            "coverage": coverage,
            "set_size": 1.0,
        }
        one = MeasuredPattern(accuracy=blank, f1_micro=None, information=blank, ece=blank, **figures)
        named.append(export.falls_short(one, 0.05))
    assert least <= np.mean(named) <= most


def test_a_card_says_which_sets_do_not_hold_what_they_promise(served):
    measured = folder.read(served.folder / folder.MEASURED, Measured)
    assert measured.falling_short() == ""
    name, one = next(iter(measured.patterns.items()))
    short = measured.model_copy(
        update={"patterns": {name: one.model_copy(update={"falls_short": True, "coverage": 0.71})}}
    )
    assert f"with {name} (71%): test samples are not like the validation samples" in short.falling_short()
