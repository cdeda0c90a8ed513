"""Genuine posters and plots, some corrupted: only those are rejected or named by the gate, and all are counted."""

import io
import json
import random
import re
import shutil
import struct

import pandas as pd
import pytest
from PIL import Image

from stages.prepare import prepare
from tests.conftest import ROOT
from tests.gate import pass_gate
from tests.trees import GENUINE, needs_genuine
from umemma import composition, parameters
from umemma.data import quarantine, shards
from umemma.errors import GateFailure
from umemma.launchers.local_launcher import Launcher

pytestmark = [needs_genuine, pytest.mark.slow]

SETTINGS = parameters.check(composition.composed(ROOT / "conf", ["dataset=mmimdb_lite"]), "conf")
SIZES = {"train": 70, "dev": 40, "test": 40}
CHINESE = "多模态模型在缺少模态时仍能工作。这是我们想要的。" * 5


def film(root, key):
    return json.loads((root / f"mmimdb_lite/dataset/{key}.json").read_text())


def rewritten(root, key, encoding="utf-8", **changes):
    text = json.dumps(film(root, key) | changes, ensure_ascii=encoding == "utf-8")
    (root / f"mmimdb_lite/dataset/{key}.json").write_bytes(text.encode(encoding))


def jpeg(picture):
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG")
    return buffer.getvalue()


def png(content):
    buffer = io.BytesIO()
    Image.open(io.BytesIO(content)).save(buffer, "PNG")
    return buffer.getvalue()


def enormous(content):
    """Return a JPEG whose header claims 65,520 x 65,520 pixels."""
    at = next(i for i in range(len(content)) if content[i : i + 2] in (b"\xff\xc0", b"\xff\xc2"))
    return content[: at + 5] + struct.pack(">HH", 0xFFF0, 0xFFF0) + content[at + 9 :]


POSTERS = {  # how the poster's bytes are corrupted, and the reason in the quarantine
    "zero bytes": (lambda _: b"", r"is empty"),
    "half of a file": (lambda content: content[: len(content) // 2], "no readable image: .*truncated"),
    "a web page": (lambda _: b"<!DOCTYPE html><html><h1>404</h1></html>", "really a web page"),
    "garbage": (lambda _: random.Random(0).randbytes(5000), "no readable image: it is none of PNG, JPEG, WEBP"),
    "a bomb": (enormous, "over limits.pixels"),
}
FILMS = {  # how the film's file is corrupted
    "in GB18030": (
        lambda root, key: rewritten(root, key, "gb18030", plot=[CHINESE]),
        r"is no UTF-8: byte \d+ is 0x..; its encoding may be GB18030",
    ),
    "cut": (
        lambda root, key: (root / f"mmimdb_lite/dataset/{key}.json").write_text('{"genres": ["Dra'),
        "is no valid JSON",
    ),
    "not there": (lambda root, key: (root / f"mmimdb_lite/dataset/{key}.json").unlink(), "No such file"),
    "of an unknown genre": (
        lambda root, key: rewritten(root, key, genres=["Adult"]),
        r"no genre that is in dataset\.classes; its own are Adult",
    ),
    "with a NUL": (
        lambda root, key: rewritten(root, key, plot=["A man\0 walks into a bar."]),
        "NUL character at position 5",
    ),
    "with half a character": (lambda root, key: rewritten(root, key, plot=["A smile \ud83d."]), "no readable text"),
}
BAD = POSTERS | FILMS


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """150 films on their own split, the first that show every genre in every split, in the layout of the whole."""
    root = tmp_path_factory.mktemp("films")
    (root / "mmimdb_lite/dataset").mkdir(parents=True)
    split = json.loads((GENUINE / "mmimdb_lite/split.json").read_text())
    chosen = {part: chosen_of(keys, SIZES[part]) for part, keys in split.items()}
    for key in (key for keys in chosen.values() for key in keys):
        for suffix in ("json", "jpeg"):
            shutil.copy(GENUINE / f"mmimdb_lite/dataset/{key}.{suffix}", root / "mmimdb_lite/dataset")
    (root / "mmimdb_lite/split.json").write_text(json.dumps(chosen))
    return root


def chosen_of(keys, count):
    """Return `count` keys, the films first that show a genre for the first or second time."""
    seen = dict.fromkeys(SETTINGS.dataset.classes, 0)
    first = []
    for key in keys:
        genres = [genre for genre in film(GENUINE, key)["genres"] if genre in seen]
        if any(seen[genre] < 2 for genre in genres):
            first.append(key)
            for genre in genres:
                seen[genre] += 1
    rest = [key for key in keys if key not in set(first)]
    return (first + rest)[:count] if len(first) < count else pytest.fail(f"{len(first)} films show every genre")


def split_of(root):
    return json.loads((root / "mmimdb_lite/split.json").read_text())


def gate(folder, **bounds):
    """Judge the shards in `folder`, with other bounds; return the report."""
    try:
        pass_gate(
            folder / "shards",
            SETTINGS.validation.model_copy(update=bounds),
            folder / "validation.json",
            folder / "gate.json",
        )
    finally:
        report = json.loads((folder / "validation.json").read_text())
    return report


@pytest.fixture(scope="module")
def spoilt(whole, tmp_path_factory):
    """The films with one corrupted in each way, and one named in two splits; returns the folder and {key: way}."""
    folder = tmp_path_factory.mktemp("spoilt")
    root = shutil.copytree(whole, folder / "raw")
    split = split_of(root)
    ways = {}
    for number, name in enumerate(BAD):
        part = ("train", "dev", "test")[number % 3]
        key = split[part][-1 - number // 3]  # the last show no genre that the others lack
        ways[key] = name
        if name in POSTERS:
            path = root / f"mmimdb_lite/dataset/{key}.jpeg"
            path.write_bytes(POSTERS[name][0](path.read_bytes()))
        else:
            FILMS[name][0](root, key)
    split["train"].append(split["test"][0])
    (root / "mmimdb_lite/split.json").write_text(json.dumps(split))
    index = prepare(SETTINGS.dataset, root, folder / "shards", 50, Launcher(1))
    return folder, ways, index, split["test"][0]


def test_exactly_the_spoilt_films_are_in_quarantine_each_with_its_reason(spoilt):
    folder, ways, index, twice = spoilt
    quarantined = pd.DataFrame(quarantine.read(folder / "shards" / shards.QUARANTINE)).set_index("key")
    assert set(quarantined.index) == {*ways, twice}
    for key, name in ways.items():
        row = quarantined.loc[[key]]
        assert row["reason"].str.contains(BAD[name][1]).all(), (name, list(row["reason"]))
        suffix = "jpeg" if name in POSTERS else "json"
        assert row["file"].tolist() == [f"mmimdb_lite/dataset/{key}.{suffix}"]
    assert quarantined.loc[twice, ["split", "reason"]].tolist() == ["train", "also in test (split.json)"]
    assert sum(index.judged.values()) == 151
    manifest = shards.read_manifest(folder / "shards")
    assert len(manifest) == 151 - len(BAD) - 1
    assert not set(manifest["key"]) & ways.keys()


def test_the_others_pass_the_gate_where_so_many_may_be_left_out(spoilt):
    folder, ways, *_ = spoilt
    report = gate(folder, max_quarantined=0.2)
    assert report["passed"]
    assert sum(report["quarantine"]["by_reason"].values()) == len(ways) + 1
    assert (folder / "gate.json").exists()


def test_more_than_may_be_left_out_close_the_gate_with_keys_and_reasons(spoilt, capsys):
    folder, ways, *_ = spoilt
    with pytest.raises(GateFailure, match=r"mmimdb_lite: 1 of .* expectations failed, as listed in .*validation\.json"):
        gate(folder)
    out = capsys.readouterr().out
    assert out.count("FAILED") == 1
    assert "FAILED quarantine: quarantine, column share" in out
    for split, part in (("train", 0), ("val", 1), ("test", 2)):
        keys = [key for number, key in enumerate(ways) if number % 3 == part]
        count = len(keys) + (split == "train")  # the film that is also in test
        sentence = re.split(r", (?:val|test|all): \d+ of ", out.split(f"{split}: {count} of ")[1])[0]
        for key in keys:
            assert key in sentence, (split, sentence)
            assert re.search(BAD[ways[key]][1], sentence), (ways[key], sentence)
    assert not (folder / "gate.json").exists()


def test_what_can_be_read_and_is_still_wrong_is_named_by_the_gate(whole, tmp_path, capsys):
    root = shutil.copytree(whole, tmp_path / "raw")
    split, place = split_of(root), root / "mmimdb_lite/dataset"
    copied, blank, small, long, hole = split["test"][-1], *split["dev"][-2:], *split["train"][-2:]
    shutil.copy(place / f"{split['train'][0]}.jpeg", place / f"{copied}.jpeg")
    with Image.open(place / f"{small}.jpeg") as poster:
        tiny, black = jpeg(poster.resize((3, 4))), jpeg(Image.new("RGB", poster.size))
    (place / f"{small}.jpeg").write_bytes(tiny)
    (place / f"{blank}.jpeg").write_bytes(black)
    rewritten(root, long, plot=["word " * 30_000])
    (place / f"{hole}.jpeg").unlink()
    index = prepare(SETTINGS.dataset, root, tmp_path / "shards", 50, Launcher(1))
    assert not any(index.quarantined.values()), "a film without a poster is no bad film"
    with pytest.raises(GateFailure):
        gate(tmp_path)
    failed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("FAILED")]
    for name, keys in {
        "duplicates_across_splits": [split["train"][0], copied],
        "blank": [blank],
        "size_px": [small],
        "same_shape": [small],
        "text_length": [long],
    }.items():
        lines = [line for line in failed if line.startswith(f"FAILED {name}: ")]
        assert lines, (name, failed)
        assert all(key in line for key in keys for line in lines), (name, lines)
    names = {line.split()[1].rstrip(":") for line in failed}
    assert names <= {"duplicates_across_splits", "conflicting_labels", "blank", "size_px", "same_shape", "text_length"}
