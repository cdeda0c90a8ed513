"""Unusable samples are quarantined with key, file and reason; the others are used, and all are counted."""

import io
import pickle
import wave
from dataclasses import astuple
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pyarrow import parquet

from stages import prepare as stage
from stages.validate import evidence
from tests.gate import pass_gate
from tests.manifest_sample import DEFAULT
from umemma import limits
from umemma.data import quarantine, shard_writer, shards
from umemma.data.quarantine import Quarantined
from umemma.data.sample import BadSample, Rejected, Sample
from umemma.errors import DataError, GateFailure
from umemma.launchers.local_launcher import Launcher
from umemma.validation import gate as gate_module

NUM = {"train": 40, "val": 10, "test": 10}


def png(number):
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def wav(number, level=0.5):
    noise = np.random.default_rng(number).uniform(-level, level, 800) * 32767
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(noise.astype("<i2").tobytes())
    return buffer.getvalue()


class Data:
    """Sixty samples of noise in two classes; `changes` maps (split, index) to another sample, or an error."""

    modalities = ("image", "audio")
    num_samples = NUM

    def __init__(self, changes=None, rejected=()):
        self._changes = changes or {}
        self.rejected = rejected

    def sample(self, split, index):
        change = self._changes.get((split, index))
        if isinstance(change, Exception):
            raise change
        return change or good(split, index)


def good(split, index, key=None, **members):
    """Return a valid sample, except for the given members (None: missing) and key."""
    number = index + {"train": 0, "val": 1000, "test": 2000}[split]
    files = {"image.png": png(number), "audio.wav": wav(number)}
    for name, content in members.items():
        modality, suffix = name.split("_")
        files.pop(next((old for old in files if old.startswith(modality)), ""), None)
        if content is not None:
            files[f"{modality}.{suffix}"] = content
    return Sample(f"{split}-{index}" if key is None else key, split, index % 2, f"{split}-{index}", files)


def write(folder, adapter, samples_per_shard=7, **options):
    return shard_writer.write(
        adapter,
        folder,
        dataset="made-up",
        task="single_label",
        classes=["a", "b"],
        samples_per_shard=samples_per_shard,
        **options,
    )


def rows(folder):
    return [Quarantined(**row) for row in parquet.read_table(folder / "quarantine.parquet").to_pylist()]


BAD_FILES = {
    "an image of zero bytes": ({"image_png": b""}, "image", "image.png", "empty"),
    "a sound of zero bytes": ({"audio_wav": b""}, "audio", "audio.wav", "empty"),
    "a truncated image": ({"image_png": png(1)[:70]}, "image", "image.png", "truncated|readable"),
    "a truncated sound": ({"audio_wav": wav(1)[:30]}, "audio", "audio.wav", "readable|truncated|cut"),
    "a sound named as an image": ({"image_png": wav(1)}, "image", "image.png", "really"),
    "an image named as a sound": ({"audio_wav": png(1)}, "audio", "audio.wav", "really"),
    "a web page named as an image": ({"image_png": b"<!DOCTYPE html><html>404"}, "image", "image.png", "."),
    "a suffix that nobody knows": ({"image_xyz": png(1)}, "image", "image.xyz", "no media kind"),
}


@pytest.mark.parametrize("bad", BAD_FILES)
def test_a_file_that_cannot_be_read_is_quarantined_and_the_rest_goes_on(tmp_path, bad):
    members, modality, file, reason = BAD_FILES[bad]
    index = write(tmp_path / "shards", Data({("train", 8): good("train", 8, **members)}))
    (row,) = rows(tmp_path / "shards")
    assert (row.key, row.split, row.modality, row.file) == ("train-8", "train", modality, file)
    assert row.reason
    assert not row.reason.startswith(file)
    assert pd.Series([row.reason]).str.contains(reason).all()
    manifest = shards.read_manifest(tmp_path / "shards")
    expected = [f"{split}-{number}" for split, count in NUM.items() for number in range(count)]
    assert manifest["key"].tolist() == [key for key in expected if key != "train-8"]
    stored = [key for shard in index.shards for key, _ in shards.members(tmp_path / "shards", shard, "image")]
    assert stored == manifest["key"].tolist()


def test_all_bad_files_of_a_sample_are_in_its_one_row(tmp_path):
    write(tmp_path / "shards", Data({("val", 3): good("val", 3, image_png=b"", audio_wav=b"no sound")}))
    (row,) = rows(tmp_path / "shards")
    assert (row.key, row.modality, row.file) == ("val-3", "image", "image.png")
    assert "empty" in row.reason
    assert "; audio.wav: " in row.reason


@pytest.mark.parametrize("key", ["", "  "])
def test_an_empty_key_is_quarantined_by_its_place(tmp_path, key):
    write(tmp_path / "shards", Data({("test", 4): good("test", 4, key)}))
    assert rows(tmp_path / "shards") == [Quarantined("test/4", "test", None, "", "its key is empty")]


def test_a_sample_without_any_modality_is_quarantined(tmp_path):
    write(tmp_path / "shards", Data({("train", 2): good("train", 2, image_png=None, audio_wav=None)}))
    assert rows(tmp_path / "shards") == [Quarantined("train-2", "train", None, "", "no modality is there")]


@pytest.mark.parametrize(("key", "name"), [("", "train/9"), ("clip-9", "clip-9")])
def test_a_sample_that_the_adapter_cannot_make_is_quarantined_with_its_file(tmp_path, key, name):
    bad = BadSample(f"{tmp_path}/raw/clips/9.mp4", f"is a copy of {tmp_path}/raw/clips/8.mp4", key)
    write(tmp_path / "shards", Data({("train", 9): bad}), root=tmp_path / "raw")
    assert rows(tmp_path / "shards") == [Quarantined(name, "train", None, "clips/9.mp4", "is a copy of clips/8.mp4")], (
        "paths start at the raw data"
    )


def test_the_folder_of_the_data_is_in_no_sentence_whatever_it_is_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "q.parquet"
    reason = f"leads out: to {tmp_path}/raw2/a.png, which is not below {tmp_path}/raw; no."
    for root in (tmp_path / "raw", type(tmp_path)("raw")):
        quarantine.write(path, [Quarantined("k", "train", None, f"{tmp_path}/raw/a.png", reason)], root)
        (row,) = quarantine.read(path)
        assert row.file == "a.png"
        assert row.reason == f"leads out: to {tmp_path}/raw2/a.png, which is not below the data root; no."
    quarantine.write(path, [Quarantined("k", "train", None, "a./a.png", "a. b.")], type(tmp_path)("."))
    (row,) = quarantine.read(path)
    assert (row.file, row.reason) == ("a./a.png", "a. b.")


@pytest.mark.parametrize("error", [DataError("list.csv: damaged"), KeyError("x")])
def test_an_error_that_is_no_bad_sample_still_ends_the_run(tmp_path, error):
    with pytest.raises(type(error)):
        write(tmp_path / "shards", Data({("train", 9): error}))


def test_what_the_adapter_rejected_is_counted_by_the_split_it_named(tmp_path):
    rejected = [Rejected("a", "train", "train.csv:7", "is also in test"), Rejected("b", "", "all.csv:3", "no split")]
    index = write(tmp_path / "shards", Data(rejected=rejected))
    assert rows(tmp_path / "shards") == [
        Quarantined("a", "train", None, "train.csv:7", "is also in test"),
        Quarantined("b", "", None, "all.csv:3", "no split"),
    ]
    assert dict(index.quarantined) == {"train": 1, "val": 0, "test": 0, "": 1}
    assert dict(index.judged) == {"train": 41, "val": 10, "test": 10, "": 1}
    assert dict(shards.verify(tmp_path / "shards").judged) == dict(index.judged)


REPEATED = {
    "in the same shard": {("train", 4): good("train", 4, "train-2")},
    "in another shard": {("train", 33): good("train", 33, "train-2")},
    "in another split": {("test", 5): good("test", 5, "train-2")},
    "one after the other": {("train", 3): good("train", 3, "train-2")},
}


@pytest.mark.parametrize("where", REPEATED)
@pytest.mark.parametrize("workers", [1, 2])
def test_of_two_samples_with_one_key_the_second_is_quarantined(tmp_path, where, workers):
    ((split, _),) = REPEATED[where]
    index = write(tmp_path / "shards", Data(REPEATED[where]), launcher=Launcher(workers))
    assert rows(tmp_path / "shards") == [
        Quarantined("train-2", split, None, "", "its key stands twice: the first is in train")
    ]
    first = shards.read_manifest(tmp_path / "shards").set_index("key").loc["train-2"]
    assert first["group"] == "train-2", "the first stays"
    shards.verify(tmp_path / "shards")
    stored = {
        key: content for shard in index.shards for key, content in shards.members(tmp_path / "shards", shard, "image")
    }
    assert stored["train-2"] == png(2)
    assert len(stored) == sum(NUM.values()) - 1


def test_a_key_whose_first_sample_is_unusable_is_no_repetition(tmp_path):
    write(
        tmp_path / "shards",
        Data({("train", 2): good("train", 2, image_png=b""), ("train", 30): good("train", 30, "train-2")}),
    )
    (row,) = rows(tmp_path / "shards")
    assert row.file == "image.png"
    assert shards.read_manifest(tmp_path / "shards").set_index("key").loc["train-2", "group"] == "train-30"


def test_a_shard_of_which_nothing_is_left_is_not_there(tmp_path):
    index = write(tmp_path / "shards", Data({("val", number): BadSample("f", "r") for number in range(7)}))
    assert [shard.name for shard in index.shards if shard.split == "val"] == ["val-000001.tar"]
    assert not (tmp_path / "shards/val-000000.tar").exists()
    shards.verify(tmp_path / "shards")


def test_the_quarantine_is_the_same_byte_for_byte_however_it_came_about(tmp_path):
    changes = {
        (split, number): BadSample(f"{split}{number}.png", f"cannot <_io.BytesIO object at {hex(number + 99)}>")
        for split in NUM
        for number in (9, 1, 5)
    }
    rejected = [Rejected(f"r{number}", "val", "list.csv", "twice") for number in (3, 1, 2)]
    write(tmp_path / "one", Data(changes, rejected))
    write(tmp_path / "many", Data(changes, rejected[::-1]), samples_per_shard=3, launcher=Launcher(2))
    assert (tmp_path / "one/quarantine.parquet").read_bytes() == (tmp_path / "many/quarantine.parquet").read_bytes()
    quarantined = rows(tmp_path / "one")
    assert [row.split for row in quarantined] == ["train"] * 3 + ["val"] * 6 + ["test"] * 3
    assert {row.reason for row in quarantined} == {"cannot an object", "twice"}


def test_a_bad_sample_passes_from_one_process_to_another_whole():
    bad = BadSample("a.png", "it is none", "17", is_damage=False)
    copy = pickle.loads(pickle.dumps(bad))
    assert (str(copy), vars(copy)) == (str(bad), vars(bad))


def test_an_empty_quarantine_has_the_columns_and_types_of_a_full_one(tmp_path):
    quarantine.write(tmp_path / "empty.parquet", [])
    quarantine.write(tmp_path / "full.parquet", [Quarantined("k", "train", "image", "f", "r")])
    empty, full = (parquet.read_schema(tmp_path / f"{name}.parquet") for name in ("empty", "full"))
    assert empty == full
    assert full.names == ["key", "split", "modality", "file", "reason", "is_damage"]
    assert quarantine.read(tmp_path / "empty.parquet") == []


def test_reasons_are_counted_without_their_details_and_rare_ones_together():
    reasons = [
        "no readable image: a",
        "no readable image; b",
        "no readable image (c)",
        "is also in test (d)",
        "is also in test (e)",
        *(f"reason {number}" for number in range(25)),
    ]
    counts = quarantine.by_reason([Quarantined("k", "train", None, "f", reason) for reason in reasons])
    assert list(counts.items())[:2] == [("no readable image", 3), ("is also in test", 2)]
    assert counts["other reasons"] == 7
    assert sum(counts.values()) == len(reasons)


def test_prepare_says_in_one_line_how_many_were_judged_and_left_out(tmp_path, monkeypatch, capsys):
    index = write(tmp_path / "data/shards", Data({("val", 1): BadSample("f", "r")}, [Rejected("a", "", "f", "r")]))
    settings = SimpleNamespace(
        dataset=None,
        prepare=SimpleNamespace(samples_per_shard=7, protocol=None),
        limits=limits.current(),
        launcher=lambda: None,
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stage.parameters, "read", lambda: settings)
    monkeypatch.setattr(stage.raw, "verified", lambda *_: tmp_path)
    monkeypatch.setattr(stage, "prepare", lambda *_, **__: index)
    stage.main()
    line = capsys.readouterr().out
    assert line.startswith("made-up: {'train': 40, 'val': 9, 'test': 10} samples in 10 shards, ")
    assert line.endswith("of 61 judged 2 are quarantined (val 1, no split 1): data/reports/quarantine.parquet\n")
    published = (tmp_path / "data/reports/quarantine.parquet").read_bytes()
    assert published == (tmp_path / "data/shards/quarantine.parquet").read_bytes()


BOUNDS = DEFAULT.model_copy(update={"max_class_share": 0.6, "max_quarantined": 0.1})


def gate(folder, bounds=BOUNDS):
    pass_gate(folder / "shards", bounds, folder / "validation.json", folder / "gate.json")
    return gate_module.judge(evidence(folder / "shards"), bounds)


def test_a_few_unusable_samples_pass_and_are_counted_with_their_reasons(tmp_path):
    write(tmp_path / "shards", Data({("train", 8): good("train", 8, image_png=b""), ("val", 1): BadSample("f", "r")}))
    result = gate(tmp_path)
    assert result["quarantine"]["judged"] == {"train": 40, "val": 10, "test": 10}
    assert result["quarantine"]["kept"] == {"train": 39, "val": 9, "test": 10}
    assert sum(result["quarantine"]["by_reason"].values()) == 2
    assert result["quarantine"]["by_reason"]["r"] == 1


def test_more_than_the_share_of_a_split_fails_and_the_sentence_names_count_keys_and_reasons(tmp_path, capsys):
    write(tmp_path / "shards", Data({("val", 1): BadSample("v1.png", "gone"), ("val", 2): BadSample("v2.png", "torn")}))
    with pytest.raises(GateFailure, match="1 of "):
        gate(tmp_path)
    out = capsys.readouterr().out
    assert out.count("FAILED") == 1
    assert "FAILED quarantine: " in out
    assert "val: 2 of 10, such as val/1 (v1.png: gone), val/2 (v2.png: torn)" in out
    assert "train: " not in out
    assert not (tmp_path / "gate.json").exists()


def test_what_the_data_put_into_no_split_counts_against_the_whole(tmp_path, capsys):
    rejected = [Rejected(f"r{number}", "", "all.csv", "has no split") for number in range(7)]
    write(tmp_path / "shards", Data(rejected=rejected))
    with pytest.raises(GateFailure):
        gate(tmp_path)
    assert "all: 7 of 67, such as r0 (all.csv: has no split)" in capsys.readouterr().out


def test_where_everything_is_unusable_the_gate_says_so(tmp_path, capsys):
    write(
        tmp_path / "shards",
        Data(
            {(split, number): BadSample("f", "unreadable") for split, count in NUM.items() for number in range(count)}
        ),
    )
    with pytest.raises(GateFailure):
        gate(tmp_path)
    assert "all: 60 of 60, such as train/0 (f: unreadable)" in capsys.readouterr().out


def test_a_quarantine_that_lacks_a_row_is_found_even_where_nobody_minds_its_size(tmp_path):
    write(tmp_path / "shards", Data({("val", 1): BadSample("f", "r"), ("val", 2): BadSample("f", "r")}))
    complete = evidence(tmp_path / "shards")
    short = type(complete)(complete.manifest, complete.index, complete.quarantine[:1])
    result = gate_module.judge(short, BOUNDS.model_copy(update={"max_quarantined": 1.0}))
    assert result["passed"] is False
    assert any(
        sentence.startswith("quarantine, column judged, accounted") and "val: 1 of 10" in sentence
        for sentence in result["failures"]
    )


def test_recordings_that_are_all_silent_fail_the_gate(tmp_path, capsys):
    class Silent(Data):
        def sample(self, split, index):
            return good(split, index, audio_wav=wav(0, 0.0))

    write(tmp_path / "shards", Silent())
    with pytest.raises(GateFailure):
        gate(tmp_path)
    out = capsys.readouterr().out
    assert "FAILED silence: train/audio, column audio_peak" in out
    assert "FAILED blank: train/audio, column audio_blank" in out
    assert "duplicates" not in out, "equal silence is no copy"


def test_a_row_says_where_it_came_from_as_the_columns_do():
    assert quarantine.COLUMNS == ("key", "split", "modality", "file", "reason", "is_damage")
    assert astuple(Quarantined("k", "train", None, "f", "r")) == ("k", "train", None, "f", "r", True)
