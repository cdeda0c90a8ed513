"""Every kind of bad input in one table: each bad row is quarantined or named by the gate.

The other rows are used, unusual but valid ones included. Faults of the whole table, such as a wrong
delimiter, are in `test_table_bad.py`; single files are in `test_media_bad.py`.
"""

import os
import re
import struct

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from stages.validate import evidence
from tests.manifest_sample import BOUNDS, severe
from tests.media_files import npy, numbered, picture, png, sound, tone, video
from tests.table_sample import adapter, write_table
from umemma.data import quarantine, shard_writer, shards
from umemma.validation import gate

SPLITS = ("train", "val", "test")
COLUMNS = {"picture": "image", "heard": "audio", "clip": "video", "said": "text", "moved": "series"}
COPIED = 50  # the seed of a picture that occurs twice
CHINESE = "多模态模型在缺少模态时仍能工作。这是我们想要的。" * 5


def pixels(seed, mode="RGB", size=(16, 12)):
    channels = len(Image.new(mode, (1, 1)).getbands())
    values = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], channels), dtype=np.uint8)
    return Image.fromarray(values, mode)


def scanlines(num_bytes, count=12):
    """Return the lines of a PNG, each after a 0: no filter."""
    return b"".join(b"\0" + np.random.default_rng(row).bytes(num_bytes) for row in range(count))


def noise(seed, seconds=0.5, channels=1, level=0.5):
    return np.random.default_rng(seed).uniform(-level, level, (round(16000 * seconds), channels)).astype(np.float32)


def clip(seed, count=6, samples=True):
    frames = [frame + np.uint8(seed) for frame in numbered(count)]
    return video(frames, samples=noise(seed, 0.3)[:, 0] if samples else None)


def steps(seed, count=6, channels=2):
    rows = np.random.default_rng(seed).standard_normal((count, channels)).round(4)
    return "".join(",".join(map(str, row)) + "\n" for row in rows).encode()


PICTURE, JPEG, WAVE, CLIP = picture(pixels(1)), picture(pixels(2, size=(90, 90)), "JPEG"), sound(noise(3)), clip(4)
NAN, INFINITE = noise(5), noise(6)
NAN[400], INFINITE[400] = np.nan, np.inf
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
BOMB = JPEG.replace(struct.pack(">HH", 90, 90), b"\xff\xf0\xff\xf0")

FILES = {  # name: (column, file name, content, reason)
    "empty picture": ("picture", "png", b"", r"is empty \(0 bytes\)"),
    "empty sound": ("heard", "wav", b"", r"is empty \(0 bytes\)"),
    "empty video": ("clip", "mp4", b"", r"is empty \(0 bytes\)"),
    "empty text": ("said", "txt", b"", r"is empty \(0 bytes\)"),
    "empty series": ("moved", "csv", b"", r"is empty \(0 bytes\)"),
    "cut PNG": ("picture", "png", PICTURE[:200], "no readable image: .*truncated"),
    "cut JPEG": ("picture", "jpg", JPEG[: len(JPEG) // 2], "no readable image: .*truncated"),
    "cut sound": ("heard", "wav", WAVE[:5000], "it is truncated, 16,044 bytes are promised, 5,000 are there"),
    "cut video": ("clip", "mp4", CLIP[: len(CLIP) // 2], "no readable video"),
    "MP3 named PNG": ("picture", "png", sound(noise(8), form="MP3"), "is not an image but really an MP3 sound"),
    "PDF named text": ("said", "txt", b"%PDF-1.7 text", "is not a text but really a PDF document"),
    "HTML for a text": ("said", "html", b"<!DOCTYPE html><p>text", "is not a text but really a web page"),
    "picture named text": ("said", "txt", PICTURE, "is not a text but really a PNG image"),
    "web page": ("picture", "png", b"<!DOCTYPE html><h1>404</h1>", "really a web page"),
    "LFS pointer": ("picture", "png", LFS, "really a Git LFS pointer: `git lfs pull`"),
    "noise for a picture": ("picture", "png", b"\x07" * 900, "no readable image: it is none of PNG, JPEG, WEBP"),
    "decompression bomb": ("picture", "jpg", BOMB, "over limits.pixels"),
    "sound of 0 samples": ("heard", "wav", sound(np.zeros((0, 1))), "no readable sound: it has 0 samples"),
    "NaN in sound": ("heard", "wav", sound(NAN, subtype="FLOAT"), r"holds NaN or infinity, first at 0\.025 s"),
    "infinity in sound": ("heard", "wav", sound(INFINITE, subtype="FLOAT"), "holds NaN or infinity"),
    "100 channels": (
        "heard",
        "wav",
        sound(noise(9, 0.01, 100)),
        "over limits.channels: .*100 channels, at most 64 are read",
    ),
    "11 hours of sound": (
        "heard",
        "flac",
        sound(np.zeros(90_000), 2, "FLAC"),
        "over limits.seconds: .*45,000 s, at most 10,800",
    ),
    "video of sound alone": ("clip", "mp4", video([], samples=tone()[:, 0]), "it has no picture, only sound"),
    "LFS pointer for a text": ("said", "txt", LFS, "really a Git LFS pointer"),
    "silent video for a sound": ("heard", "m4a", clip(10, samples=False), "the video has no sound track"),
    "GB18030": ("said", "txt", CHINESE.encode("gb18030"), "not utf-8 from byte 0 on; it is likely gb18030"),
    "Latin-1": ("said", "txt", "déjà vu, naïveté".encode("latin-1"), "likely cp1252"),
    "NUL in text": ("said", "txt", b"some words\0 and more", "a NUL character at position 10"),
    "10 MB of text": (
        "said",
        "txt",
        b"word " * 2_000_000,
        "over limits.text_bytes: .*10,000,000 bytes, at most 1,048,576 are read",
    ),
    "ragged series": ("moved", "csv", b"1,2\n3,4,5\n", "ragged rows: line 2 has 3 values, line 1 2"),
    "damaged archive of arrays": ("moved", "npz", b"PK\3\4 garbage", r"no readable \.npz file"),
    "MATLAB of version 7.3": ("moved", "mat", b"\x89HDF\r\n\x1a\n" + bytes(99), r"it is of version 7\.3"),
    "infinite series": ("moved", "csv", b"1,2\n3,inf\n", "line 2, 'inf' is not finite"),
    "words in a series": ("moved", "csv", b"x,y\n1,2\n3,four\n", "line 3, 'four' is no number"),
    "bars in a series": ("moved", "csv", b"1|2\n3|4\n", r"line 1, '1\|2' is no number"),
    "pickle": ("moved", "npy", npy([[None, {}]], dtype=object), "it holds Python objects, such as rows of"),
    "cube for a series": ("moved", "npy", npy(np.zeros((2, 2, 2))), r"shape \(2, 2, 2\)"),
}
CELLS = {  # name: (what is changed in a row, reason)
    "path with ..": ({"picture": "../secret.png"}, r"leads out of the data root: to .*secret\.png"),
    "absolute path": ({"picture": "/etc/hostname.png"}, "leads out of the data root: to /etc/hostname.png"),
    "link that leads out": ({"picture": "link.png"}, r"leads out of .*secret\.png"),
    "folder link that leads out": ({"picture": "up/secret.png"}, r"leads out of .*secret\.png"),
    "link to itself": ({"picture": "loop.png"}, "cannot be read"),
    "pipe": ({"picture": "pipe.png"}, "is no regular file"),
    "folder": ({"picture": "folder.png"}, "is a folder"),
    "file that is not there": ({"picture": "none.png"}, "does not exist"),
    "address": ({"picture": "https://example.org/a.png"}, "does not exist: it is an address"),
    "backslashes": ({"picture": r"sub\a.png"}, "folders are separated by '/'"),
    "sound for a picture": ({"picture": "train0.wav"}, "is not an image but really a WAV sound"),
    "empty key": ({"id": "  "}, "the key is empty"),
    "duplicate key": ({"id": "train0"}, r"duplicate key: t\.csv line 2 has 'train0' already"),
    "empty label": ({"label": ""}, "no label: label is empty"),
    "missing label": ({"label": "NA"}, "no label: label is empty"),
    "unknown label": ({"label": "cta"}, "unknown label: .*no class called 'cta'; there are cat, dog.* mean 'cat'"),
    "empty split": ({"split": ""}, "the split is empty"),
    "unknown split": ({"split": "trian"}, "unknown split: .*Did you mean 'train'"),
    "nothing there": ({name: None for name in (*COLUMNS, "age", "height")}, "every modality is missing"),
    "infinite number": ({"age": "inf"}, "no usable number: in age, 'inf' is not finite"),
    "number beyond float32": ({"age": "1e39"}, "is not finite in float32"),
    "word for a number": ({"age": "old"}, "in age, 'old' is no number"),
}
JUDGED = {  # name: (column, file name, content, expectation): used if its severity is `warn`, and named
    "8 channels": ("heard", "wav", sound(noise(20, channels=8)), "same_shape"),
    "clipped": ("heard", "wav", sound(np.clip(8 * noise(21), -1, 1)), "clipping"),
    "silent": ("heard", "wav", sound(1e-4 * noise(22), subtype="FLOAT"), "silence"),
    "constant": ("heard", "wav", sound(np.full(8000, 0.25)), "blank"),
    "too short": ("heard", "wav", sound(noise(23, 0.01)), "duration"),
    "another rate": ("heard", "wav", sound(noise(24), 8000), "same_shape"),
    "video of one frame": ("clip", "mp4", clip(25, 1), "video_frames"),
    "video without sound": ("clip", "mp4", clip(26, samples=False), "video_sound"),
    "CMYK": ("picture", "jpg", picture(pixels(27, "CMYK"), "JPEG"), "same_shape"),
    "16 bits": ("picture", "png", png(16, 12, 16, 0, scanlines(2 * 16)), "same_shape"),
    "alpha": ("picture", "png", picture(pixels(29, "RGBA")), "same_shape"),
    "animated": ("picture", "png", picture(pixels(30), save_all=True, append_images=[pixels(31)]), "animation"),
    "blank": ("picture", "png", picture(Image.new("RGB", (16, 12), "white")), "blank"),
    "nothing but transparency": ("picture", "png", picture(Image.new("RGBA", (16, 12), (1, 2, 3, 0))), "blank"),
    "one pixel": ("picture", "png", picture(pixels(32, size=(1, 1))), "size_px"),
    "another size": ("picture", "png", picture(pixels(33, size=(12, 16))), "same_shape"),
    "white space": ("said", "txt", b" \n\t ", "blank"),
    "lost characters": ("said", "txt", "caf\ufffd au lait".encode(), "text_encoding"),
    "one step": ("moved", "csv", steps(34, 1), "series_length"),
    "another channel": ("moved", "csv", steps(35, channels=3), "same_shape"),
    "copy from another split": ("picture", "png", picture(pixels(COPIED)), "duplicates_across_splits"),
}
FINE = {  # name: (column, file name, content, {column of the manifest: value})
    "UTF-16": ("said", "txt", "words".encode("utf-16"), {"said_num_chars": 5}),
    "byte order mark": ("said", "txt", b"\xef\xbb\xbfwords", {"said_num_chars": 5}),
    "16 bits of colour": (
        "picture",
        "png",
        png(16, 12, 16, 2, scanlines(2 * 3 * 16)),
        {"picture_channels": 3, "picture_blank": False},
    ),
    "PNG named JPEG": ("picture", "jpg", picture(pixels(43)), {"picture_format": "png"}),
    "GIF named PNG": ("picture", "png", picture(pixels(44), "GIF"), {"picture_format": "gif"}),
    "no suffix": ("picture", "", picture(pixels(45)), {"picture_format": "png"}),
    "MP3 named WAV": ("heard", "wav", sound(noise(46), form="MP3"), {"heard_format": "mp3"}),
    "Markdown": ("said", "md", b"# Words", {"said_num_chars": 7}),
    "capitals in a suffix": ("picture", "PNG", picture(pixels(40)), {"picture_kind": "image"}),
    "damaged EXIF": (
        "picture",
        "jpg",
        picture(pixels(41), "JPEG", exif=b"Exif\0\0" + b"\xff" * 12),
        {"picture_height_px": 12},
    ),
    "semicolons in a series": ("moved", "csv", b"1;2\n3;4\n", {"moved_num_steps": 2, "moved_channels": 2}),
    "gaps in a series": ("moved", "csv", b"1,2\n,4\n\n5,6\n", {"moved_num_steps": 4, "moved_num_missing": 3}),
    "NaN in a series": (
        "moved",
        "npy",
        npy([[1.0, np.nan], [2.0, 3.0]]),
        {"moved_num_steps": 2, "moved_num_missing": 1},
    ),
    "byte order mark in a series": ("moved", "csv", b"\xef\xbb\xbf" + steps(42), {"moved_num_steps": 6}),
}
NAMED_FILES = {name: case[:3] for name, case in (FILES | JUDGED | FINE).items()}


def good(folder, split, number):
    """Write the files of a valid sample and return its row."""
    name, seed = f"{split}{number}", 1000 * SPLITS.index(split) + number + 100
    files = {
        "picture": (f"{name}.png", picture(pixels(seed))),
        "heard": (f"{name}.wav", sound(noise(seed))),
        "clip": (f"{name}.mp4", clip(seed % 40)),
        "said": (f"{name}.txt", f"words {seed}".encode()),
        "moved": (f"{name}.csv", steps(seed)),
    }
    for file, content in files.values():
        (folder / file).write_bytes(content)
    return {
        "id": name,
        "split": split,
        "label": ("cat", "dog")[number % 2],
        "age": number,
        "height": number / 7,
        **{column: file for column, (file, _) in files.items()},
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One table with a row of every kind: its index, manifest, quarantine and verdict, with every severity `warn`."""
    root = tmp_path_factory.mktemp("bad") / "root"
    root.mkdir()
    (root.parent / "secret.png").write_bytes(PICTURE)
    (root / "link.png").symlink_to(root.parent / "secret.png")
    (root / "up").symlink_to(root.parent)
    (root / "loop.png").symlink_to(root / "loop.png")
    (root / "folder.png").mkdir()
    os.mkfifo(root / "pipe.png")
    rows = [good(root, split, number) for number in range(10) for split in SPLITS]
    (root / "train1.png").write_bytes(picture(pixels(COPIED)))
    rare = good(root, "test", 99) | {"id": "a class only in test", "label": "rare"}
    for number, (name, (column, suffix, content)) in enumerate(NAMED_FILES.items()):
        (root / f"file{number}.{suffix}").write_bytes(content)
        split = "test" if name == "copy from another split" else SPLITS[number % 3]
        rows.append(
            {
                "id": name,
                "split": split,
                "label": "cat",
                "age": 50 + number,
                "height": 2,
                column: f"file{number}.{suffix}",
            }
        )
    for number, (name, (change, _)) in enumerate(CELLS.items()):
        rows.append({"id": name, "split": SPLITS[number % 3], "label": "cat", "age": 50, "height": 2} | change)
    modalities = {column: {"column": column, "kind": kind} for column, kind in COLUMNS.items()}
    modalities["said"]["inline"] = False
    modalities["told"] = {"columns": ["age", "height"], "kind": "vector"}
    classes, folder = ("cat", "dog", "rare"), root.parent / "shards"
    table = adapter(
        write_table(root / "t.csv", [*rows, rare]), classes=classes, modalities=modalities, duplicate_keys="first"
    )
    index = shard_writer.write(
        table, folder, dataset="bad", task="single_label", classes=classes, samples_per_shard=50, root=root
    )
    bounds = severe(
        BOUNDS.model_copy(update={"max_blank": 0.0, "max_clipped_files": 0.0, "max_replaced": 0.0, "min_seconds": 0.1}),
        everything="warn",
    )
    verdict = gate.judge(evidence(folder), bounds)
    return (
        index,
        shards.read_manifest(folder).set_index("key"),
        pd.DataFrame(quarantine.read(folder / "quarantine.parquet")),
        verdict,
    )


@pytest.mark.parametrize("name", [*FILES, *CELLS])
def test_what_cannot_be_used_is_in_quarantine_with_its_file_and_reason(made, name):
    _, manifest, left_out, _ = made
    reason = FILES[name][3] if name in FILES else CELLS[name][1]
    key = {"empty key": "", "duplicate key": "train0"}.get(name, name)
    rows = left_out[left_out["key"] == key.replace(".", "%2E")].to_dict("records")
    assert len(rows) == 1, rows
    assert re.search(reason, rows[0]["reason"]), rows[0]
    assert rows[0]["file"].startswith(("file", "t.csv line")) or rows[0]["file"] in CELLS[name][0].values()
    assert name not in manifest.index


def test_nothing_but_these_is_left_out_and_everything_is_counted(made):
    index, manifest, left_out, verdict = made
    assert len(left_out) == len(FILES) + len(CELLS) == sum(index.quarantined.values())
    assert len(manifest) == 30 + 1 + len(JUDGED) + len(FINE)
    assert sum(index.judged.values()) == len(manifest) + len(left_out)
    assert index.quarantined[""] == 2, "an empty split and an unknown one: of all others the split is known"
    assert sum(verdict["quarantine"]["by_reason"].values()) == len(left_out)
    assert not left_out["reason"].str.contains("object at|/root").any(), "paths start at the data root"


@pytest.mark.parametrize("name", JUDGED)
def test_what_can_be_read_and_is_odd_is_named_by_its_expectation(made, name):
    _, manifest, _, verdict = made
    assert name in manifest.index
    warnings = [warning for warning in verdict["warnings"] if warning.startswith(f"{JUDGED[name][3]}: ")]
    assert any(name in warning and JUDGED[name][0] in warning for warning in warnings), warnings


@pytest.mark.parametrize("name", FINE)
def test_what_is_unusual_and_no_fault_is_used_and_not_warned_of(made, name):
    _, manifest, _, verdict = made
    for column, value in FINE[name][3].items():
        assert manifest.loc[name, column] == value
    assert not [warning for warning in verdict["warnings"] if re.search(rf"\b{name}(,|$)", warning)]


def test_a_class_that_is_in_test_only_is_named(made):
    verdict = made[3]
    for name, key in (("label_support", "train/rare"), ("classes_in_every_split", "val/rare")):
        assert any(warning.startswith(f"{name}: ") and key in warning for warning in verdict["warnings"])


def test_more_than_forty_kinds_are_covered():
    assert len(FILES | CELLS | JUDGED) == len(FILES) + len(CELLS) + len(JUDGED) >= 80
