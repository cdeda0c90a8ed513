"""`umemma init`: from a user's table to a working conf, reporting what was detected and what is uncertain."""

import io
import itertools
import json
import os
import subprocess
import sys
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from stages.decode import decode
from stages.prepare import prepare
from tests.conftest import ROOT, initiated, run
from tests.gate import pass_gate
from tests.stages_here import compose, run_stage, run_stages
from tests.table_sample import FORMATS, png, samples, series, spoil, stranger, wav, write_table
from umemma import composition, parameters
from umemma.data import quarantine
from umemma.data.sample import SPLITS
from umemma.errors import DataError, ParameterError
from umemma.files import read_json
from umemma.init import conf_file, starting_values
from umemma.init.init import init, main
from umemma.init.proposal import Given
from umemma.launchers.local_launcher import Launcher
from umemma.models.unimodal import Encoder
from umemma.settings import call
from umemma.sources import build
from umemma.training import augment

WORDS = ("the", "ship", "leaves", "harbour", "at", "night", "and", "nobody", "sees", "it", "go")


def rows_of(count=60, **columns):
    """Return rows with a key, a label of two classes and a sentence, and further columns by functions of the row."""
    rng = np.random.default_rng(0)
    return [
        {"id": f"r{i}", "label": ("cat", "dog")[i % 2], "plot": " ".join(rng.choice(WORDS, 6)) + f" {i}"}
        | {name: make(i) for name, make in columns.items()}
        for i in range(count)
    ]


def test_a_strangers_table_of_four_modalities_with_holes_becomes_data_that_the_gate_passes_and_encoders_take(
    tmp_path, home
):
    path = stranger(tmp_path / "films")
    output, parameters = initiated(home, path)
    dataset = parameters.dataset
    assert dataset.task == "multi_label"
    assert dataset.classes == ["Comedy", "Drama", "War & Peace", "no"]
    assert list(dataset.modalities) == ["poster", "trailer_sound", "plot", "numbers"]
    assert (dataset.options["key"], dataset.options["group"]) == ("film", "studio")
    root = path.parent
    made = samples(build.built(dataset, root))
    assert len(made) == 120
    assert all(len(sample.label) == 2 for sample in made)
    groups = {split: {sample.group for sample in made if sample.split == split} for split in SPLITS}
    assert not groups["train"] & groups["test"] | groups["train"] & groups["val"] | groups["val"] & groups["test"]
    for name in dataset.modalities:
        holes = sum(name not in sample.modalities for sample in made)
        assert 0.2 < holes / 120 < 0.4
        assert f"missing in {holes} of 120" in output
    index = prepare(dataset, root, tmp_path / "shards", 1000, Launcher(1))
    assert sum(index.judged.values()) == 120
    assert sum(index.quarantined.values()) == 0
    pass_gate(tmp_path / "shards", parameters.validation, tmp_path / "report.json", tmp_path / "gate.json")
    for name, modality in dataset.modalities.items():
        facts = decode(tmp_path / "shards", name, modality.decode, tmp_path / "decoded" / name, Launcher(1))
        encoder = Encoder(name, facts["shape"], modality.encoder).eval()
        assert encoder(torch.zeros(2, *facts["shape"])).shape == (2, modality.encoder["dim"])


@pytest.mark.slow
def test_a_strangers_table_goes_to_the_report_without_a_hand_on_its_conf(tmp_path, checkout, capsys):
    project, path = checkout(trees=True), stranger(tmp_path / "films", 600)
    bad = spoil(path)
    done = run(project, "python", "-m", "umemma", "init", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    compose(project, "dataset=films")
    assert run_stages(project)[-1] == "gate"
    capsys.readouterr()
    run_stage(project, "report", "--show")
    table = capsys.readouterr().out
    rows = quarantine.read(project / "data/reports/quarantine.parquet")
    reasons = {unquote(row.key): row.reason for row in rows}
    dead_link = next(film for film, reason in bad.items() if reason == "does not exist")
    assert "files that do not exist" in done.stdout
    assert dead_link not in reasons, "a hole, as init says"
    del bad[dead_link]
    assert len(rows) == len(bad)
    assert {film: reason for film, reason in bad.items() if reason in reasons.get(film, "")} == bad
    manifest = pd.read_parquet(project / "data/shards/manifest.parquet")
    assert len(manifest) == 600 - len(bad)
    assert manifest.groupby("group")["split"].nunique().eq(1).all()
    results = read_json(project / "data/reports/robustness.json")["patterns"]
    modalities = ("poster", "trailer_sound", "plot", "numbers")
    assert set(results) == {
        "+".join(names) for size in range(1, 5) for names in itertools.combinations(modalities, size)
    }
    always_yes = 2 / 3  # F1 where two classes of four apply and all four are predicted: the best constant prediction
    assert results["+".join(modalities)]["f1_micro"] > always_yes + 0.2
    assert all(results[modality]["f1_micro"] > always_yes + 0.08 for modality in modalities)
    assert all(f"\n{name} " in table for name in results)
    page = (project / "data/reports/report.html").read_text()
    assert all(name in page for name in (*modalities, "War &amp; Peace"))


@pytest.mark.parametrize("suffix", FORMATS[1:])
def test_every_file_format_of_a_table_becomes_the_same_conf(tmp_path, home, suffix):
    confs = []
    for extension in ("csv", suffix):
        initiated(home, stranger(tmp_path / "films", suffix=extension))
        confs.append((home / "conf/dataset/mine.yaml").read_text().replace(f"films.{extension}", "films"))
    assert confs[0] == confs[1]


def test_a_table_of_any_name_becomes_a_comment_and_an_option_and_no_parameter(tmp_path, home):
    for name in ("x\nseed: 5\n#.csv", "a: b # c.csv", "f;touch F;.csv", "'\"`touch F`.csv", "x\u2028seed: 5.csv"):
        _, parameters = initiated(home, write_table(tmp_path / name, rows_of()))
        assert parameters.seed == 0
        assert parameters.dataset.options["file"] == name
        assert (home / "conf/dataset/mine.yaml").read_text().splitlines()[1].startswith("# Made by `umemma init` from ")


def test_every_starting_value_is_of_a_decoder_and_an_encoder_that_take_it():
    facts = {
        "image": {"height_px": [480, 500], "width_px": [640, 600], "channels": [3, 4]},
        "audio": {"sample_rate_hz": [44100, 16000, 44100], "seconds": [12.0, 3.0, 5.0]},
        "video": {"height_px": [96, 96], "width_px": [96, 96], "seconds": [3.0]},
        "text": {"num_words": [3, 180]},
        "series": {"num_steps": [50, 5000], "channels": [3]},
        "vector": {"num_values": [4]},
    }
    from importlib import import_module

    shapes = {
        "image": (3, 64, 80),
        "audio": (1, 40, 1001),
        "video": (8, 3, 64, 64),
        "text": (192,),
        "series": (3, 1024),
        "vector": (4,),
    }
    for kind, known in facts.items():
        decoder = starting_values.decode(kind, known)
        call(import_module(f"umemma.media.decoders.{decoder['name']}").Decoder, decoder, kind)
        for chosen in starting_values.encoders(kind, decoder, 500):
            if chosen["name"] != "trees":  # they are grown, not built
                encoder = Encoder(kind, shapes[kind], chosen).eval()
                assert encoder(torch.zeros(1, *shapes[kind])).ndim == 2
        augment.build(starting_values.augment(kind, decoder), shapes[kind])
        for more in ({}, {name: values[:1] for name, values in known.items()}):
            call(
                import_module(f"umemma.media.decoders.{decoder['name']}").Decoder,
                starting_values.decode(kind, more),
                kind,
            )


@pytest.mark.parametrize(
    ("kind", "facts", "setting", "value"),
    [
        ("image", {"height_px": [28] * 3, "width_px": [28] * 3, "channels": [1] * 3}, "size_px", 28),
        ("image", {"height_px": [28] * 3, "width_px": [28] * 3, "channels": [1] * 3}, "mode", "gray"),
        ("image", {"height_px": [28], "width_px": [28], "channels": [3]}, "mode", "rgb"),
        ("image", {"height_px": [192] * 3, "width_px": [128] * 3, "channels": [3] * 3}, "size_px", [96, 64]),
        ("image", {"height_px": [1000, 800, 1200], "width_px": [1000] * 3, "channels": [3] * 3}, "size_px", 64),
        ("image", {"height_px": [100], "width_px": [4000], "channels": [3]}, "size_px", [64, 128]),
        ("audio", {"sample_rate_hz": [8000] * 3, "seconds": [0.5, 0.74, 0.6]}, "sample_rate_hz", 8000),
        ("audio", {"sample_rate_hz": [8000] * 3, "seconds": [0.5, 0.74, 0.6]}, "seconds", 0.8),
        ("audio", {"sample_rate_hz": [44100] * 3, "seconds": [60.0]}, "seconds", 10.0),
        ("audio", {"sample_rate_hz": [44100] * 3, "seconds": [60.0]}, "sample_rate_hz", 16000),
        ("text", {"num_words": [10, 20, 33]}, "length", 48),
        ("text", {"num_words": [10_000]}, "length", 256),
        ("series", {"num_steps": [130] * 4}, "length", 130),
        ("series", {"num_steps": [130] * 4}, "fit", None),
        ("series", {"num_steps": [50, 130]}, "fit", "stretch"),
        ("series", {"num_steps": [9000] * 4}, "length", 1024),
    ],
)
def test_starting_values_follow_the_sizes_of_the_media(kind, facts, setting, value):
    assert starting_values.decode(kind, facts).get(setting) == value


def test_simple_encoders_are_candidates_where_there_is_little_data():
    text = {"name": "words", "length": 64, "buckets": 1_000}
    names = {
        count: [values["name"] for values in starting_values.encoders("text", text, count)] for count in (500, 90_000)
    }
    assert names == {500: ["bag_of_words", "text_cnn"], 90_000: ["text_cnn"]}
    assert all(values["vocabulary"] == 1_000 for values in starting_values.encoders("text", text, 500))
    few = starting_values.training(500, [0.98, 0.02], ["text", "image"])
    assert few["pretrain"] == {"search": 2, "batch_size": "auto", "class_balance": 0.5}
    assert few["fuse"]["epochs"] == "auto"
    many = starting_values.training(90_000, [0.5, 0.5], ["text", "image"])["pretrain"]
    assert many == {"search": 1, "batch_size": "auto"}


def test_long_spectrograms_are_strided():
    short, long = ({"sample_rate_hz": 16000, "seconds": seconds, "hop": 160} for seconds in (1.0, 5.0))
    assert "stem_stride" not in starting_values.encoders("audio", short, 500)[0]
    assert starting_values.encoders("audio", long, 500)[0]["stem_stride"] == [1, 4]


def test_bounds_of_the_gate_are_set_only_where_the_data_need_others():
    defaults = composition.default_bounds(ROOT / "conf")
    assert starting_values.validation([0.3, 0.3, 0.4], [], ["text"], smallest_split=300, defaults=defaults) == {}
    assert starting_values.validation([0.009, 0.7], [90.0], ["audio"], smallest_split=87, defaults=defaults) == {
        "max_quarantined": 0.04,
        "min_class_share": 0.004,
        "max_class_share": 0.84,
        "max_seconds": 108.0,
        "severity": {"same_shape": "ignore"},
    }


def test_the_defaults_of_the_gate_are_those_of_the_projects_own_conf(tmp_path, home):
    path = write_table(tmp_path / "t.csv", rows_of())
    config = home / "conf/config.yaml"
    initiated(home, path)
    assert "max_class_share" in (home / "conf/dataset/mine.yaml").read_text()
    config.write_text(config.read_text().replace("max_class_share: 0.50", "max_class_share: 0.9"))
    initiated(home, path)
    assert "max_class_share" not in (home / "conf/dataset/mine.yaml").read_text()
    config.write_text(config.read_text().replace("max_class_share: 0.9", "max_class_share: 9"))
    with pytest.raises(ParameterError, match=r"config.yaml: validation: max_class_share is 9"):
        initiated(home, path)


ROLES = {  # name: (further columns, expected options, expected message)
    "a split column": ({"set": lambda i: ("Training", "dev", "testing")[i % 3]}, {"split": "set"}, "split     set"),
    "no validation split": (
        {"fold": lambda i: ("train", "test")[i // 3 % 2]},
        {"split": "fold", "shares": {"val": 0.15}},
        "with val drawn from its train",
    ),
    "no split": (
        {"set": lambda i: f"s{i}"},
        {"split": None, "shares": {"train": 0.7, "val": 0.15, "test": 0.15}},
        "drawn by shares",
    ),
    "a group": ({"Subject-ID": lambda i: f"s{i // 4}"}, {"group": "Subject-ID"}, "group     Subject-ID"),
    "a likely group": ({"ward": lambda i: f"w{i // 4}"}, {"group": None}, "is it ward? --group COLUMN names one"),
    "too many words": (
        {"city": lambda i: f"c{i % 30}"},
        {},
        "city (30 different words in 60 rows, as 'c0': too many for categories, too short for texts; options.columns can",
    ),
    "names": ({"code": lambda i: f"{i}.1.2"}, {}, "code (a different name or id in every row, as '0.1.2')"),
    "half numbers": (
        {"pulse": lambda i: ("high", "low", str(60 + i))[i % 3 if i % 2 else 2]},
        {},
        "pulse (67% of its cells are numbers, the others say 'low' (10), 'high' (10))",
    ),
    "units that differ": (
        {"dose": lambda i: f"{i} {('mg', 'g')[i % 2]}"},
        {},
        "dose (numbers in different units: mg (30), g (30); options.columns can say what each is worth",
    ),
    "lists of words": ({"things": lambda i: [["a", "b"], ["c"]][i % 2]}, {}, "things (lists of words, neither"),
    "files of another kind": (
        {"model": lambda i: f"x/{i}.obj"},
        {},
        "model (names files that end in .obj, which are not",
    ),
    "addresses": ({"pic": lambda i: f"https://a.org/{i}.png"}, {}, "pic (addresses; files must be on disk: download"),
    "a column of one value": ({"year": lambda i: 2026}, {}, "year (the same in every row)"),
    "an empty column": ({"memo": lambda i: None}, {}, "memo (empty)"),
    "row numbers": ({"number": lambda i: i}, {}, "number (looks like a row number)"),
}


@pytest.mark.parametrize("case", ROLES)
def test_roles_are_found_by_name_and_content_and_doubts_are_said(tmp_path, home, case):
    columns, expected, sentence = ROLES[case]
    output, parameters = initiated(home, write_table(tmp_path / "t.jsonl", rows_of(**columns)))
    assert sentence in output
    assert {name: parameters.dataset.options[name] for name in expected} == expected
    assert (parameters.dataset.options["key"], parameters.dataset.options["label"]) == ("id", "label")
    assert list(parameters.dataset.options["modalities"]) == ["plot"]


def test_what_a_person_names_is_taken_as_named(tmp_path, home):
    rows = rows_of(
        name=lambda i: f"n{i}",
        ward=lambda i: f"w{i // 3}",
        part=lambda i: ("train", "val", "test")[i % 3],
        animal=lambda i: ("x", "y", "z")[i % 3],
    )
    path = write_table(tmp_path / "t.csv", rows)
    _, parameters = initiated(home, path, key="name", group="ward", split="part", label=["animal"])
    options = parameters.dataset.options
    assert [options[option] for option in ("key", "group", "split", "label")] == ["name", "ward", "part", "animal"]
    assert parameters.dataset.classes == ["x", "y", "z"]
    for role in ("key", "group", "split"):
        with pytest.raises(ParameterError, match=rf"--{role}: there is no column called 'nam'"):
            initiated(home, path, **{role: "nam"})
    with pytest.raises(ParameterError, match=r"--label: .*'nam'.*Did you mean 'name'"):
        initiated(home, path, label=["nam"])
    with pytest.raises(ParameterError, match="must say 0 or 1, and ward does not"):
        initiated(home, path, label=["ward", "part"])


LABELS = {  # name: (the label columns of row i, options, task, classes)
    "words": ({"genre": lambda i: ("b", "a", "no")[i % 3]}, {"label": "genre"}, "single_label", ["a", "b", "no"]),
    "numbers": ({"y": lambda i: (10, 9, 2)[i % 3]}, {"label": "y"}, "single_label", ["2", "9", "10"]),
    "joined": (
        {"tags": lambda i: ("a|b", "b", "c | a")[i % 3]},
        {"label": "tags", "separator": "|"},
        "multi_label",
        ["a", "b", "c"],
    ),
    "joined by commas": (
        {"tags": lambda i: ", ".join({0: "ab", 1: "bc", 2: "ac", 3: "abc", 4: "a"}[i % 5])},
        {"label": "tags", "separator": ","},
        "multi_label",
        ["a", "b", "c"],
    ),
    "commas in names": (
        {"tags": lambda i: ("Speech, male", "Race car, auto", "Bark")[i % 3]},
        {"label": "tags"},
        "single_label",
        ["Bark", "Race car, auto", "Speech, male"],
    ),
    "lists": (
        {"tags": lambda i: [["a"], ["b", "a"], ["c"]][i % 3]},
        {"label": "tags", "separator": "|"},
        "multi_label",
        ["a", "b", "c"],
    ),
    "columns of 0 and 1": (
        {"b": lambda i: i % 2, "a": lambda i: int(i % 3 > 0)},
        {"label": ["b", "a"]},
        "multi_label",
        ["a", "b"],
    ),
    "one of several columns": (
        {"b": lambda i: i % 2 == 0, "a": lambda i: i % 2 == 1},
        {"label": ["b", "a"]},
        "single_label",
        ["a", "b"],
    ),
    "the column of fewest values": (
        {"city": lambda i: f"c{i % 9}", "kind": lambda i: "uvw"[i % 3]},
        {"label": "kind"},
        "single_label",
        ["u", "v", "w"],
    ),
}


@pytest.mark.parametrize("case", LABELS)
def test_labels_are_found_in_every_form_with_their_classes_in_sorted_order(tmp_path, home, case):
    columns, options, task, classes = LABELS[case]
    rows = rows_of(90, **columns)
    for row in rows:
        del row["label"]
    output, parameters = initiated(home, write_table(tmp_path / "t.jsonl", rows))
    assert {name: parameters.dataset.options[name] for name in options} == options
    assert (parameters.dataset.task, parameters.dataset.classes) == (task, classes)
    assert ("columns of 0 and 1" in output or "the column of the fewest" in output) == (
        case in {"columns of 0 and 1", "one of several columns", "the column of fewest values"}
    )
    assert len(samples(build.built(parameters.dataset, tmp_path))) == 90


def test_a_table_without_anything_like_a_label_or_without_media_says_so(tmp_path, home):
    rows = [{"id": f"r{i}", "plot": f"a long story of one ship number {i}"} for i in range(20)]
    with pytest.raises(DataError, match=r"none of the columns id, plot looks like a label; name it: --label COLUMN"):
        initiated(home, write_table(tmp_path / "t.csv", rows))
    rows = [{"id": f"r{i}", "label": "ab"[i % 2], "city": "Rom"} for i in range(20)]
    with pytest.raises(DataError, match=r"holds media, texts or numbers to learn from; city: the same in every row"):
        initiated(home, write_table(tmp_path / "t.csv", rows))
    rows = rows_of(label=lambda i: "all the same")
    with pytest.raises(DataError, match=r"none of the columns id, label, plot looks like a label"):
        initiated(home, write_table(tmp_path / "t.csv", rows))


def test_numbers_become_vectors_by_name_and_by_where_they_are_empty(tmp_path, home):
    def some(i, share=3):
        return None if i % share == 0 else i / 7

    rows = rows_of(
        acc_x=lambda i: i / 3,
        acc_y=lambda i: -i / 3,
        emb0=some,
        emb1=some,
        height=some,
        weight=some,
        age=lambda i: i % 50,
    )
    output, parameters = initiated(home, write_table(tmp_path / "t.csv", rows))
    entries = parameters.dataset.options["modalities"]
    assert {name: entry["columns"] for name, entry in entries.items() if name != "plot"} == {
        "acc": ["acc_x", "acc_y"],
        "emb": ["emb0", "emb1"],
        "numbers": ["height", "weight"],
        "age": ["age"],
    }
    assert (
        "one modality: acc (acc_x, acc_y: their names begin alike); emb (emb0, emb1: their names begin alike); "
        "numbers (height, weight: the others); age (age: the others); --modality NAME=COLUMN,COLUMN"
    ) in output


def test_single_holes_in_many_numbers_are_not_measured(tmp_path, home):
    rows = rows_of(
        **{
            name: (lambda i, n=n: None if i % 7 == n else i / 3 + n)
            for n, name in enumerate(["age", "height", "weight", "pulse", "oxygen", "sugar"])
        }
    )
    _, parameters = initiated(home, write_table(tmp_path / "t.csv", rows))
    entry = parameters.dataset.options["modalities"]["numbers"]
    assert entry == {"columns": ["age", "height", "weight", "pulse", "oxygen", "sugar"], "kind": "vector"}
    made = build.built(parameters.dataset, tmp_path)
    assert not made.rejected
    holes = [np.isnan(np.load(io.BytesIO(one.members["numbers.npy"]))).sum() for one in samples(made)]
    assert sorted(set(holes)) == [0, 1]


def test_six_hundred_columns_with_three_prefixes_are_three_modalities_whatever_holes_they_have(tmp_path, home):
    rng = np.random.default_rng(0)
    holes = {prefix: rng.random((60, 200)) < 0.02 for prefix in ("eeg", "blood", "gait")}
    rows = rows_of(
        **{
            f"{prefix}_{n % 20}_{n // 20}": (lambda i, p=prefix, n=n: None if holes[p][i, n] else (i * 7 + n) % 17 / 7)
            for prefix in holes
            for n in range(1, 201)
            if n < 200
        }
    )
    output, parameters = initiated(home, write_table(tmp_path / "t.csv", rows))
    sizes = {name: len(entry.get("columns", [0])) for name, entry in parameters.dataset.options["modalities"].items()}
    assert sizes == {"plot": 1, "eeg": 199, "blood": 199, "gait": 199}
    assert (
        "blood (blood_1_0, blood_2_0, blood_3_0, blood_4_0, blood_5_0 and 194 more: their names begin alike)" in output
    )


def test_what_names_begin_with_decides_where_all_begin_alike(tmp_path, home):
    rows = rows_of(
        **{f"lab_{part}_{n}": (lambda i, n=n: (i * 7 + ord(n)) % 11 / 3) for part in ("liver", "blood") for n in "abc"}
    )
    _, parameters = initiated(home, write_table(tmp_path / "t.csv", rows))
    assert list(parameters.dataset.options["modalities"]) == ["plot", "lab_liver", "lab_blood"]
    rows = rows_of(**{f"ch{n}_{part}": (lambda i, n=n: (i * 7 + n) % 11 / 3) for n in range(3) for part in "ab"})
    _, parameters = initiated(home, write_table(tmp_path / "t.csv", rows))
    assert list(parameters.dataset.options["modalities"]) == ["plot", "ch"], "channels are numbered, not kinds"


def test_modalities_can_be_said_by_names_and_patterns(tmp_path, home):
    rows = rows_of(
        **{
            name: (lambda i, n=n: (i * 7 + n) % 13 / 3)
            for n, name in enumerate(["hb", "wbc", "eeg_1", "eeg_2", "eeg_x"])
        },
        sex=lambda i: "mf"[i % 7 % 2],
    )
    path = write_table(tmp_path / "t.csv", rows)
    given = {"brain": ["eeg_[12]"], "blood": ["hb", "wbc", "sex"], "story": ["plot"]}
    _, parameters = initiated(home, path, modalities=given)
    entries = parameters.dataset.options["modalities"]
    assert {name: entry.get("columns", entry.get("column")) for name, entry in entries.items()} == {
        "story": "plot",
        "brain": ["eeg_1", "eeg_2"],
        "blood": ["hb", "wbc", "sex"],
        "eeg_x": ["eeg_x"],
    }
    assert len(samples(build.built(parameters.dataset, tmp_path))) == 60
    with pytest.raises(ParameterError, match=r"--modality brain: there is no free column called 'eg_\*'"):
        initiated(home, path, modalities={"brain": ["eg_*"]})
    with pytest.raises(ParameterError, match="--modality all: plot cannot be part of a vector"):
        initiated(home, path, modalities={"all": ["plot", "hb"]})
    result = command(
        tmp_path, "init", "t.csv", "--project", str(home), "--modality", "blood=hb,wbc", "--modality", "b=eeg_*"
    )
    assert (home / "conf/dataset/t.yaml").is_file(), result.stderr
    assert "b: {columns: [eeg_1, eeg_2, eeg_x], kind: vector}" in (home / "conf/dataset/t.yaml").read_text()
    assert "is not NAME=COLUMN,COLUMN" in command(tmp_path, "init", "t.csv", "--modality", "hb").stderr


def test_more_than_eight_modalities_are_counted_in_patterns(tmp_path, home):
    rows = rows_of(**{f"{name}_{n}": (lambda i: i % 7 / 3) for name in "abcdefgh" for n in "xy"})
    output, _ = initiated(home, write_table(tmp_path / "t.csv", rows))
    assert "9 modalities can be present or missing in 511 ways (9 alone, 36 in pairs ...)" in output


WRITTEN = {  # name: (the cells of row i, how they are read, what is said, the first numbers)
    "holes of other words": (
        lambda i: "?" if i % 10 == 1 else 40 + i,
        {"type": "number", "missing": ["?"]},
        "'?' (6) is taken for holes",
        [40, np.nan, 42],
    ),
    "thousands": (
        lambda i: f"{i * 999:,}",
        {"type": "number", "thousands": ","},
        "is read as 1998; decimal: ',' would make it 1.998",
        [0, 999, 1998],
    ),
    "decimal commas": (
        lambda i: f"{i / 4:.2f}".replace(".", ","),
        {"type": "number", "decimal": ","},
        "0,00 is read with a decimal comma",
        [0, 0.25, 0.5],
    ),
    "points and decimal commas": (
        lambda i: f"{i * 1000.5:,.1f}".translate(str.maketrans(",.", ".,")),
        {"type": "number", "decimal": ",", "thousands": "."},
        "is read with a decimal comma",
        [0, 1000.5, 2001],
    ),
    "percent": (lambda i: f"{i} %", {"type": "number", "units": {"%": 1}}, "", [0, 1, 2]),
    "units": (lambda i: f"{i}.5kg", {"type": "number", "units": {"kg": 1}}, "", [0.5, 1.5, 2.5]),
    "money": (
        lambda i: f"$ {i + 1},000",
        {"type": "number", "thousands": ",", "units": {"$": 1}},
        "",
        [1000, 2000, 3000],
    ),
    "thousands and millions": (
        lambda i: f"{i}{'KM'[i % 2]}",
        {"type": "number", "units": {"K": 1e3, "M": 1e6}},
        "",
        [0, 1e6, 2000],
    ),
    "minus signs of typesetters": (lambda i: f"\u2212{i}.5", {"type": "number"}, "", [-0.5, -1.5, -2.5]),
    "yes and no": (lambda i: ("yes", "no")[i % 3 % 2], {"type": "number", "words": {"yes": 1, "no": 0}}, "", [1, 0, 1]),
    "words of a few kinds": (
        lambda i: ("male", "female")[i % 5 % 2],
        {"type": "category", "words": ["female", "male"]},
        "",
        [0, 1, 0, 1, 0, 0, 0, 1, 0],
    ),
    "some that are no numbers": (
        lambda i: "<0.5" if i in (1, 30) else i,
        {"type": "number", "unreadable": "missing"},
        "2 of 60 cells (3.3%) are no numbers: '<0.5' (2); they count as not measured (unreadable: missing)",
        [0, np.nan, 2],
    ),
    "days": (
        lambda i: f"2024-03-{1 + i % 9:02d}",
        {"type": "time", "format": "iso", "since": "2024-03-01T00:00:00+00:00", "parts": ["days"]},
        "times as iso, taken as days",
        [0, 1, 2],
    ),
    "days of another form": (
        lambda i: f"{1 + i % 30}.4.2024 12:00",
        {
            "type": "time",
            "format": "%d.%m.%Y %H:%M",
            "since": "2024-04-01T12:00:00+00:00",
            "parts": ["days", "weekday"],
        },
        "times as %d.%m.%Y %H:%M",
        [0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 1],
    ),
    "days and months that could be exchanged": (
        lambda i: f"{1 + i % 3:02d}/02/2024",
        {"type": "time", "format": "%d/%m/%Y", "since": "2024-02-01T00:00:00+00:00", "parts": ["days"]},
        "is read as %d/%m/%Y (the day first); format: '%m/%d/%Y' would exchange day and month",
        [0, 1, 2],
    ),
}


@pytest.mark.parametrize("case", WRITTEN)
def test_numbers_words_and_times_are_read_as_they_are_written_and_that_is_said(tmp_path, home, case):
    cell, read, said, numbers = WRITTEN[case]
    output, parameters = initiated(home, write_table(tmp_path / "t.csv", rows_of(x=cell)))
    options = parameters.dataset.options
    assert options["columns"]["x"] == read
    assert f"- x: {said}" in output if said and said[0] in "'2" else said in output
    assert options["modalities"]["x"] == {"columns": ["x"], "kind": "vector"}
    made = build.built(parameters.dataset, tmp_path)
    assert not made.rejected
    values = {
        unquote(one.key): np.load(io.BytesIO(one.members["x.npy"])) for one in samples(made) if "x.npy" in one.members
    }
    first = np.concatenate([values.get(f"r{i}", [np.nan]) for i in range(3)])
    np.testing.assert_allclose(first[: len(numbers)], np.float32(numbers))


LISTS = {
    "a Python list": lambda v: str(v.tolist()),
    "as NumPy prints": str,
    "JSON": lambda v: json.dumps(v.tolist()),
    "blanks, as in FER-2013": lambda v: " ".join(map(str, v)),
}


@pytest.mark.parametrize("case", LISTS)
def test_an_embedding_that_is_written_as_text_is_a_vector(tmp_path, home, case):
    values = np.random.default_rng(0).normal(size=(60, 64)).round(3)
    with np.printoptions(linewidth=70):
        rows = rows_of(face=lambda i: LISTS[case](values[i]))
    output, parameters = initiated(home, write_table(tmp_path / "t.csv", rows))
    assert parameters.dataset.options["modalities"]["face"] == {"column": "face", "kind": "vector"}
    assert "as pixels of a picture of 8 x 8: --kind face=image" in output
    (sample,) = [one for one in samples(build.built(parameters.dataset, tmp_path)) if one.key == "r7"]
    np.testing.assert_array_equal(np.load(io.BytesIO(sample.members["face.npy"])), values[7].astype(np.float32))


def test_an_array_of_which_numpy_left_numbers_out_is_no_embedding(tmp_path, home):
    rows = rows_of(face=lambda i: str(np.arange(2000.0) + i))
    output, parameters = initiated(home, write_table(tmp_path / "t.csv", rows))
    assert list(parameters.dataset.options["modalities"]) == ["plot"]
    assert "face (numbers were left out when it was written, '...'" in output


def test_sentences_in_scripts_without_blanks_are_text_and_objects_are_columns(tmp_path, home):
    rows = rows_of(
        said=lambda i: f"这家餐厅的味道非常好下次还会再来{i}",
        caption=lambda i: str({"text": f"a boat on the sea {i}", "size": i / 7}),
    )
    output, parameters = initiated(home, write_table(tmp_path / "t.csv", rows))
    entries = parameters.dataset.options["modalities"]
    assert {name: entry["kind"] for name, entry in entries.items()} == {
        "plot": "text",
        "said": "text",
        "caption_text": "text",
        "caption_size": "vector",
    }
    assert "the cells of caption are objects written as text; each of their keys is a column" in output


LAYOUTS = {  # name: (file of row i, cell of row i, entry)
    "no suffix": (lambda i: f"part_{i % 2}/ISIC_{i}.png", lambda i: f"ISIC_{i}", ["part_0/{}.png", "part_1/{}.png"]),
    "a folder per class": (lambda i: f"all/{('cat', 'dog')[i % 2]}/{i}.png", lambda i: f"{i}.png", "all/{label}/{}"),
    "numbers without zeros": (lambda i: f"{i:05d}.png", lambda i: i, "{:0>5}.png"),
    "addresses": (lambda i: f"img/a b{i}.png", lambda i: f"https://x.org/p/a%20b{i}.png?size=2", "img/{:name}"),
    "another machine": (lambda i: f"img/{i}.png", lambda i: rf"D:\me\pics\{i}.png", "img/{:name}"),
    "another suffix": (lambda i: f"img/{i}.png", lambda i: f"{i}.bmp2", "img/{:stem}.png"),
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_files_are_found_where_a_folder_or_a_suffix_is_to_be_added(tmp_path, home, case):
    file, cell, path = LAYOUTS[case]
    root = tmp_path / "data"
    contents = {}
    for i in range(60):
        (root / file(i)).parent.mkdir(parents=True, exist_ok=True)
        contents[f"r{i}"] = png(np.random.default_rng(i), side_px=8)
        (root / file(i)).write_bytes(contents[f"r{i}"])
    output, parameters = initiated(home, write_table(root / "t.csv", rows_of(pic=cell)))
    entry = parameters.dataset.options["modalities"]["pic"]
    assert (entry["kind"], entry["path"]) == ("image", path)
    assert "pic: its cells name files as" in output
    assert "(60 of 60 looked at)" in output
    assert "that no column names" not in output
    made = samples(build.built(parameters.dataset, root))
    assert {one.key: one.members["pic.png"] for one in made} == contents


def test_paths_that_were_written_elsewhere_are_matched_and_that_is_said(tmp_path, home):
    (tmp_path / "img").mkdir()
    forms = ["./img/A{}.png", "~/img/A{}.png", "file:///img/A{}.png", "img/A{}%2Epng", "img\\A{}.png", "IMG/a{}.PNG "]
    for i in range(60):
        (tmp_path / f"img/A{i}.png").write_bytes(png(np.random.default_rng(i), side_px=8))
    output, parameters = initiated(home, write_table(tmp_path / "t.csv", rows_of(pic=lambda i: forms[i % 6].format(i))))
    assert parameters.dataset.options["modalities"]["pic"] == {"column": "pic", "kind": "image", "match": "loose"}
    assert "pic: 50 of 60 paths looked at are written another way than their files are called" in output
    assert all("pic.png" in one.members for one in samples(build.built(parameters.dataset, tmp_path)))


def test_files_without_a_suffix_are_known_by_their_content(tmp_path, home):
    for i in range(60):
        (tmp_path / f"pic{i}").write_bytes(png(np.random.default_rng(i), side_px=8))
    _, parameters = initiated(home, write_table(tmp_path / "t.csv", rows_of(pic=lambda i: f"pic{i}")))
    assert parameters.dataset.options["modalities"]["pic"] == {"column": "pic", "kind": "image"}
    assert all("pic.png" in one.members for one in samples(build.built(parameters.dataset, tmp_path)))


def test_one_column_may_name_a_picture_and_a_sound_and_a_key_may_name_files(tmp_path, home):
    rng = np.random.default_rng(0)
    for i in range(60):
        (tmp_path / f"r{i}.png").write_bytes(png(rng, side_px=8))
        (tmp_path / f"r{i}.wav").write_bytes(wav(rng, 0.1))
    (tmp_path / "more").mkdir()
    (tmp_path / "more/x.png").write_bytes(png(rng, side_px=8))
    output, parameters = initiated(home, write_table(tmp_path / "t.csv", rows_of()))
    assert parameters.dataset.options["key"] == "id"
    assert parameters.dataset.options["modalities"] == {
        "plot": {"column": "plot", "kind": "text"},
        "id_image": {"column": "id", "kind": "image", "path": "{}.png"},
        "id_audio": {"column": "id", "kind": "audio", "path": "{}.wav"},
    }
    assert "that no column names: 1 in more" in output


def test_of_two_columns_that_name_the_same_files_one_is_used(tmp_path, home):
    for i in range(60):
        (tmp_path / f"r{i}.png").write_bytes(png(np.random.default_rng(i), side_px=8))
    output, parameters = initiated(home, write_table(tmp_path / "t.csv", rows_of(pic=lambda i: f"r{i}.png")))
    assert list(parameters.dataset.options["modalities"]) == ["plot", "pic"]
    assert "not used  id (names the same files as pic)" in output


def test_a_key_does_not_fill_the_holes_of_a_column_that_names_the_same_files(tmp_path, home):
    for i in range(400):
        (tmp_path / f"r{i}.png").write_bytes(png(np.random.default_rng(i), side_px=8))
    rows = rows_of(400, pic=lambda i: None if i % 7 < 2 else f"r{i}.png")
    output, parameters = initiated(home, write_table(tmp_path / "t.csv", rows))
    assert list(parameters.dataset.options["modalities"]) == ["plot", "pic"]
    assert "not used  id (names the same files as pic)" in output


def test_files_beside_the_tables_folder_make_the_folder_above_the_root(tmp_path, home):
    (tmp_path / "set/meta").mkdir(parents=True)
    (tmp_path / "set/audio").mkdir()
    for i in range(60):
        (tmp_path / f"set/audio/{i}.wav").write_bytes(wav(np.random.default_rng(i), 0.1))
    path = write_table(tmp_path / "set/meta/t.csv", rows_of(filename=lambda i: f"{i}.wav"))
    output = init(path, None, "mine", Given(), home=home)
    dataset = parameters.check(composition.composed(home / "conf", ["dataset=mine"]), "conf").dataset
    assert f"root      {tmp_path / 'set'}; --root names another" in output
    assert dataset.options["file"] == "meta/t.csv"
    assert len(samples(build.built(dataset, tmp_path / "set"))) == 60


def test_files_are_told_apart_by_their_names_and_arrays_by_their_axes(tmp_path, home):
    rng = np.random.default_rng(0)
    (tmp_path / "t").mkdir()
    for i in range(40):
        (tmp_path / f"t/{i}.PNG").write_bytes(png(rng, "L", 8))
        (tmp_path / f"t/{i}.wav").write_bytes(wav(rng, 0.1))
        (tmp_path / f"t/{i}.txt").write_text(f"text {i}")
        np.save(tmp_path / f"t/s{i}.npy", series(rng, 9))
        np.save(tmp_path / f"t/v{i}.npy", np.arange(3.0) + i)
        (tmp_path / f"t/{i}.csv").write_text("1,2\n3,4\n")
    rows = rows_of(
        40,
        photo_path=lambda i: f"t/{i}.PNG",
        Sound=lambda i: f"t/{i}.wav",
        notes=lambda i: f"t/{i}.txt",
        sensor=lambda i: f"t/s{i}.npy",
        face=lambda i: f"t/v{i}.npy",
        log=lambda i: f"t/{i}.csv",
    )
    _, parameters = initiated(home, write_table(tmp_path / "t.csv", rows))
    entries = parameters.dataset.options["modalities"]
    assert {name: entry["kind"] for name, entry in entries.items()} == {
        "plot": "text",
        "photo": "image",
        "sound": "audio",
        "notes": "text",
        "sensor": "series",
        "face": "vector",
        "log": "series",
    }
    assert entries["notes"]["inline"] is False
    assert parameters.dataset.modalities["photo"].decode == {"name": "image", "mode": "gray", "size_px": 8}
    assert samples(build.built(parameters.dataset, tmp_path))[0].modalities == tuple(entries)


def test_paths_without_their_folder_are_found_below_the_root(tmp_path, home):
    (tmp_path / "data/media/all").mkdir(parents=True)
    for i in range(20):
        (tmp_path / f"data/media/all/{i}.txt").write_text(f"text {i}")
    rows = [{"id": i, "label": "ab"[i % 2], "file": f"{i}.txt"} for i in range(20)]
    _, parameters = initiated(home, write_table(tmp_path / "data/t.csv", rows))
    assert parameters.dataset.options["media_root"] == "media/all"
    assert samples(build.built(parameters.dataset, tmp_path / "data"))


def test_files_that_cannot_be_used_are_counted_with_an_example(tmp_path, home):
    for i in range(20):
        (tmp_path / f"{i}.png").write_bytes(b"no picture" if i < 3 else png(np.random.default_rng(i), side_px=8))
    (tmp_path / "7.png").unlink()
    rows = [{"id": i, "label": "ab"[i % 2], "pic": f"{i}.png"} for i in range(20)]
    path = write_table(tmp_path / "t.csv", rows)
    output, parameters = initiated(home, path)
    assert "pic: of 19 looked at 3 cannot be used, as 0.png:" in output
    assert "files that do not exist: 1 of the 20 that pic names. They are taken as missing modalities" in output
    assert parameters.dataset.options["missing_files"] == "hole"
    _, parameters = initiated(home, path, missing_files="error")
    assert parameters.dataset.options["missing_files"] == "error"


def test_rows_that_are_left_out_are_counted_by_reason(tmp_path, home):
    rows = rows_of(label=lambda i: None if i < 5 else "ab"[i % 2])
    output, _ = initiated(home, write_table(tmp_path / "t.csv", rows))
    assert "left out  5 rows: no label" in output


@pytest.mark.parametrize("delimiter", [";", "|", "\t"])
def test_a_delimiter_that_is_not_the_usual_one_is_found_and_written_down(tmp_path, home, delimiter):
    path = write_table(tmp_path / "t.csv", rows_of())
    path.write_text(path.read_text().replace(",", delimiter))
    _, parameters = initiated(home, path)
    assert parameters.dataset.options["delimiter"] == delimiter
    assert len(samples(build.built(parameters.dataset, tmp_path))) == 60


def test_an_encoding_that_is_guessed_or_named_is_said_and_written_down(tmp_path, home):
    path = write_table(tmp_path / "t.csv", rows_of(label=lambda i: ("有一只猫", "狗在这里")[i % 2]))
    path.write_bytes(path.read_text().encode("gb18030"))
    for named in ({}, {"encoding": "gbk"}):
        output, parameters = initiated(home, path, **named)
        assert parameters.dataset.classes == ["有一只猫", "狗在这里"]
        assert parameters.dataset.options["encoding"] == named.get("encoding", "gb18030")
        assert ("the file is read as gb18030, as in" in output) == (not named)


def test_a_file_that_is_there_is_written_over_only_when_told(tmp_path, home):
    path = write_table(tmp_path / "t.csv", rows_of())
    (home / "conf/dataset/mine.yaml").write_text("mine, by hand")
    with pytest.raises(ParameterError, match=r"mine\.yaml already exists; --force"):
        init(path, tmp_path, "mine", Given(), home=home)
    assert (home / "conf/dataset/mine.yaml").read_text() == "mine, by hand"
    init(path, tmp_path, "mine", Given(), home=home, force=True)
    assert (home / "conf/dataset/mine.yaml").read_text().startswith("# @package _global_\n")


def test_a_table_that_cannot_be_used_leaves_no_file_behind(tmp_path, home):
    path = write_table(tmp_path / "t.csv", rows_of(2))
    with pytest.raises(DataError):
        init(path, tmp_path, "mine", Given(), home=home)
    assert not list((home / "conf/dataset").iterdir())


@pytest.mark.parametrize("name", ["", "a b", "../x", "ä", "-x"])
def test_a_name_that_hydra_cannot_choose_is_refused(tmp_path, home, name):
    with pytest.raises(ParameterError, match="--name"):
        init(write_table(tmp_path / "t.csv", rows_of()), tmp_path, name, Given(), home=home)


def test_the_root_holds_the_table_and_is_written_relative_inside_the_project(tmp_path, home):
    path = write_table(tmp_path / "t.csv", rows_of())
    with pytest.raises(ParameterError, match=r"--root: .* must hold"):
        init(path, home, "mine", Given(), home=home)
    (home / "data/raw/mine/lists").mkdir(parents=True)
    path = write_table(home / "data/raw/mine/lists/t.csv", rows_of())
    init(path, home / "data/raw/mine", "mine", Given(), home=home)
    dataset = parameters.check(composition.composed(home / "conf", ["dataset=mine"]), "conf").dataset
    assert (dataset.root, dataset.options["file"]) == ("data/raw/mine", "lists/t.csv")


def test_many_classes_are_all_written_in_lines_that_can_be_read(tmp_path, home):
    rows = rows_of(808, label=lambda i: f"class, number {i % 202:03d}: '\"#")
    _, parameters = initiated(home, write_table(tmp_path / "t.csv", rows))
    assert parameters.dataset.classes == [f"class, number {i:03d}: '\"#" for i in range(202)]
    text = (home / "conf/dataset/mine.yaml").read_text().replace(str(tmp_path), "")  # however deep the folder lies
    assert max(map(len, text.splitlines())) <= 140


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.text(st.characters(exclude_categories=("Cs",)), max_size=20).filter(lambda word: "${" not in word),
            st.sampled_from(
                ["no", "Yes", "null", "~", "1e5", "0x1", "1_0", "12:30", "- a", "a: b", "#x", "*", "&a", "!t"]
            ),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_whatever_a_class_is_called_it_is_read_back_as_that(words):
    text = "x:\n" + conf_file.line(2, "classes", words, "a comment")
    assert YAML(typ="safe").load(text)["x"]["classes"] == words
    from omegaconf import OmegaConf

    assert OmegaConf.to_container(OmegaConf.create(text), resolve=True)["x"]["classes"] == words


def test_a_name_that_conf_would_take_for_a_parameter_is_refused(tmp_path, home):
    with pytest.raises(DataError, match=r"'a\$\{b\}' holds"):
        initiated(home, write_table(tmp_path / "t.csv", rows_of(label=lambda i: ("a${b}", "c")[i % 2])))


def command(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "umemma", *arguments],
        cwd=folder,
        text=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )


def test_the_command_says_what_is_wrong_in_one_line_and_writes_into_the_project_that_it_is_told(tmp_path):
    done = command(tmp_path, "init", "none.csv", "--name", "test_init_none", "--project", str(ROOT))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("ERROR: ")
    assert "none.csv does not exist" in done.stderr
    said = command(tmp_path, "inti").stderr
    assert "there is no command called 'inti'; there are croissant, init, " in said
    assert "Did you mean 'init'?" in said
    assert "usage: umemma init FILE" in command(tmp_path).stdout
    path = write_table(tmp_path / "t.csv", rows_of())
    result = command(tmp_path, "init", path.name, "--name", "digits", "--project", str(ROOT))
    assert result.returncode == 2
    assert f"{ROOT / 'conf/dataset/digits.yaml'} already exists" in result.stderr
    assert json.dumps(sorted(file.name for file in tmp_path.iterdir())) == '["t.csv"]'
    nowhere = command(tmp_path, "init", path.name)
    assert (nowhere.returncode, nowhere.stdout) == (2, "")
    assert nowhere.stderr.startswith(f"ERROR: {tmp_path} does not lie in a project")
    assert "is not the root of a project" in command(tmp_path, "init", path.name, "--project", str(tmp_path)).stderr


def test_the_project_is_the_one_that_the_current_folder_lies_in(home, monkeypatch):
    (home / "tables").mkdir()
    write_table(home / "tables/mine.csv", rows_of())
    monkeypatch.chdir(home / "tables")
    monkeypatch.delenv("UMEMMA_HOME", raising=False)
    main(["mine.csv", "--name", "of_the_command"])
    assert (home / "conf/dataset/of_the_command.yaml").is_file()
