"""`umemma init` on columns of files that could be of several kinds, and of files of which none can be read."""

import re

import numpy as np
import pytest
from PIL import Image

from tests.conftest import initiated
from tests.media_files import npy, numbered, picture, tone, video
from tests.table_sample import write_table
from umemma.errors import DataError, ParameterError
from umemma.init.init import main
from umemma.media import formats

HEARD = {form: video([], form=form, samples=tone()[:, 0]) for form in ("mp4", "matroska")}
SEEN = video(numbered(3))
PICTURES = [np.full((16, 16, 3), level, np.uint8) for level in (10, 90, 170)]


def table(folder, contents, suffix, **columns):
    """Write a table of two classes with two numbers, and files in a column `clip`; further columns by the row."""
    (folder / "files").mkdir()
    rng, rows = np.random.default_rng(0), []
    for i, content in enumerate(contents):
        if content is not None:
            (folder / f"files/{i}.{suffix}").write_bytes(content)
        row = {"id": f"r{i}", "label": "ab"[i % 2], "n_1": rng.normal(), "n_2": rng.normal()}
        named = {} if content is None else {"clip": f"files/{i}.{suffix}"}
        rows.append(row | named | {name: make(i) for name, make in columns.items()})
    return write_table(folder / "t.csv", rows)


def kinds(found):
    return {name: entry["kind"] for name, entry in found.dataset.options["modalities"].items()}


@pytest.mark.parametrize(("form", "suffix"), [("mp4", "mp4"), ("matroska", "webm"), ("matroska", "mkv")])
def test_a_container_without_a_picture_is_a_sound_whatever_its_suffix(tmp_path, home, form, suffix):
    assert formats.kind_of(HEARD[form]) == "audio"
    assert formats.kind_of(HEARD[form][:64]) == formats.kind_of(SEEN) == "video"
    output, found = initiated(home, table(tmp_path, [HEARD[form]] * 24, suffix))
    assert kinds(found) == {"clip": "audio", "n": "vector"}
    assert "clip: 12 of 12 files looked at hold sound and no picture: a sound; --kind clip=video" in output
    assert found.dataset.modalities["clip"].decode["sample_rate_hz"] == 16_000


def test_of_sounds_and_videos_in_a_column_most_decide_and_the_others_are_counted(tmp_path, home):
    path = table(tmp_path, [SEEN if i % 5 == 0 else HEARD["mp4"] for i in range(30)], "mp4")
    output, found = initiated(home, path)
    assert kinds(found)["clip"] == "audio"
    assert re.search(
        r"clip: of 30 looked at 6 cannot be used, as files/0.mp4: no readable sound: the video has no", output
    )
    output, found = initiated(home, path, kinds={"clip": "video"})
    assert kinds(found)["clip"] == "video"
    assert "no readable video: it has no picture, only sound or nothing" in output


def test_a_moving_gif_is_a_picture_until_it_is_said_to_be_a_video(tmp_path, home):
    moving = picture(PICTURES[0], "GIF", save_all=True, append_images=[Image.fromarray(one) for one in PICTURES[1:]])
    path = table(tmp_path, [moving] * 24, "gif")
    output, found = initiated(home, path)
    assert kinds(found)["clip"] == "image"
    assert "24 of 24 pictures looked at have several frames, up to 3; the first is used; --kind clip=video" in output
    output, found = initiated(home, path, kinds={"clip": "video"})
    assert kinds(found)["clip"] == "video"
    assert found.dataset.modalities["clip"].decode["name"] == "frames"
    assert "cannot be used" not in output


def test_numbers_in_a_cell_are_pixels_and_words_a_text_if_so_said(tmp_path, home):
    path = table(
        tmp_path,
        [None] * 40,
        "npy",
        face=lambda i: " ".join(str((i * 7 + place) % 256) for place in range(64)),
        title=lambda i: ["a b", "c d", "e"][i % 3],
        odd=lambda i: " ".join(str((i * 7 + place) % 256) for place in range(60)),
    )
    output, found = initiated(home, path)
    assert kinds(found)["face"] == "vector"
    assert "--kind face=image" in output
    output, found = initiated(home, path, kinds={"face": "image", "title": "text"})
    assert found.dataset.options["modalities"]["face"] == {"column": "face", "kind": "image", "shape": [8, 8]}
    assert kinds(found)["title"] == "text"
    assert "--kind face=image" not in output
    for said, told in {
        "face=audio": "it can be image, series, vector",
        "n_1=image": "of single numbers and words there are vector and text",
        "odd=image": "60 numbers are no square picture",
        "other=text": "no column called 'other'",
        "face=picture": "no kind called 'picture'",
    }.items():
        name, kind = said.split("=")
        with pytest.raises(ParameterError, match=rf"--kind.*{told}"):
            initiated(home, path, kinds={name: kind})
    main([str(path), "--project", str(home), "--name", "said", "--kind", "face=image"])
    assert "kind: image, shape: [8, 8]" in (home / "conf/dataset/said.yaml").read_text()


UNREADABLE = {  # suffix: (content, what is said)
    "npy": (npy(np.ones((9, 2), np.complex64)), "holds complex64, not real numbers"),
    "scalar.npy": (npy(1.0), "holds a single number without an axis"),
    "none.npy": (npy(np.zeros((0, 3))), "holds no numbers"),
    "mp4": (SEEN[:-200], "no readable video: it is truncated"),
}


@pytest.mark.parametrize("suffix", UNREADABLE)
def test_a_column_of_which_no_file_can_be_read_is_left_out_with_the_true_reason(tmp_path, home, suffix):
    content, why = UNREADABLE[suffix]
    path = table(tmp_path, [content] * 24, suffix)
    output, found = initiated(home, path)
    assert kinds(found) == {"n": "vector"}
    first = output.index("Look at this first:"), output.index("Guessed:")
    assert "clip is left out: none of the 24 files looked at can be used, as files/" in output[slice(*first)]
    assert why in output[slice(*first)]
    with pytest.raises(DataError, match=f"clip, the only modality: none of the 24 files .*{why}"):
        initiated(home, path, drop=["n_1", "n_2"])


def test_files_that_were_cut_short_are_counted_though_only_some_are_decoded(tmp_path, home):
    path = table(tmp_path, [SEEN if i % 10 else SEEN[:-200] for i in range(30)], "mp4")
    output, _ = initiated(home, path)
    assert "clip: of 30 looked at 3 cannot be used, as files/" in output


@pytest.mark.parametrize("asked", [{}, {"missing": ["?"]}])
def test_numbers_with_a_hole_in_words_are_no_names_of_files(tmp_path, home, asked):
    """Whole numbers that happen to be names of pictures stay numbers where some cells say `?`."""
    for i in range(60):
        (tmp_path / f"{i:0>3}.png").write_bytes(picture(PICTURES[i % 3]))
    rows = [
        {"label": "ab"[i % 2], "pulse": "?" if i % 20 == 7 else 30 + 7 * i % 29, "scan": f"{i:0>3}.png"}
        for i in range(60)
    ]
    _, found = initiated(home, write_table(tmp_path / "t.csv", rows), **asked)
    assert sorted(kinds(found).values()) == ["image", "vector"]


@pytest.mark.parametrize("asked", [{}, {"label": ["tags"]}])
def test_rows_that_name_no_class_are_counted_and_the_option_that_keeps_them_is_named(tmp_path, home, asked):
    rows = [{"tags": ("", "a", "b", "a|b")[i % 4], "n_1": i % 7, "n_2": i / 3} for i in range(80)]
    output, found = initiated(home, write_table(tmp_path / "t.csv", rows), **asked)
    assert "20 of 80 rows name no class and are left out" in output
    assert "`unlabelled: none`" in output
    assert found.dataset.options["unlabelled"] == "reject"
