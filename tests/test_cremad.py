"""CREMA-D: the published lists, splits with and without shared actors, and Git LFS pointers in place of files."""

import shutil
from collections import Counter

import pytest

from tests import trees
from tests.trees import needs_genuine
from umemma.data.sample import BadSample
from umemma.errors import DataError, ParameterError
from umemma.sources.adapters.cremad import CLASSES, Adapter, read

pytestmark = needs_genuine
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 131000\n"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("actors")
    trees.cremad(folder / "CREMA-D")
    return folder


@pytest.fixture
def root(built, tmp_path):
    return shutil.copytree(built, tmp_path / "actors")


@pytest.fixture
def published(tmp_path):
    for split in ("train", "test"):
        (tmp_path / f"{split}.csv").write_text(trees.genuine(f"CREMAD_{split}.csv"))
    return tmp_path


def test_the_published_lists_have_6698_and_744_clips_with_91_actors_in_both(published):
    rows, rejected = read(published)
    counts = Counter(row.split for row in rows)
    assert (counts["train"] + counts["val"], counts["test"]) == (6_698, 744)
    assert counts["val"] == pytest.approx(670, abs=3)
    assert not rejected
    assert {row.label: row.key.split("_")[2] for row in rows} == dict(enumerate(CLASSES))
    assert CLASSES == ("NEU", "HAP", "SAD", "FEA", "DIS", "ANG")
    actors = {split: {row.key[:4] for row in rows if row.split == split} for split in ("train", "test")}
    assert [len(names) for names in actors.values()] == [91, 91]


def test_the_split_by_actors_has_no_actor_twice(published):
    rows, _ = read(published, split="actors", seed=3)
    actors = {split: {row.key[:4] for row in rows if row.split == split} for split in ("train", "val", "test")}
    assert {split: len(names) for split, names in actors.items()} == {"train": 73, "val": 9, "test": 9}
    assert len(set().union(*actors.values())) == 91
    assert all(row.group == row.key[:4] for row in rows)
    assert len(rows) == 7_442
    assert read(published, split="actors", seed=4)[0] != rows


def test_a_clip_has_its_frames_and_its_sound(built):
    adapter = Adapter(built)
    assert adapter.num_samples == {"train": 54, "val": 6, "test": 12}
    sample = adapter.sample("test", 3)
    assert CLASSES[sample.label] == sample.key.split("_")[2]
    assert sample.members["audio.wav"] == (built / f"CREMA-D/AudioWAV/{sample.key}.wav").read_bytes()
    assert list(sample.members) == ["video.mp4", "audio.wav"]
    assert sample.group == sample.key
    turned = Adapter(built, classes=CLASSES[::-1])
    assert turned.sample("test", 3).label == 5 - sample.label
    assert Adapter(built, split="actors").sample("test", 0).group.isdecimal()


def test_videos_of_the_public_repository_are_handed_on_and_pointers_named(root):
    (root / "CREMA-D/VideoFlash").mkdir()
    adapter = Adapter(root, video="VideoFlash")
    key = adapter._rows["test"][0].key
    (root / f"CREMA-D/VideoFlash/{key}.flv").write_bytes(b"FLV\x01")
    assert adapter.sample("test", 0).members["video.flv"] == b"FLV\x01"
    for path in (root / f"CREMA-D/VideoFlash/{key}.flv", root / f"CREMA-D/AudioWAV/{key}.wav"):
        before = path.read_bytes()
        path.write_bytes(POINTER)
        with pytest.raises(BadSample, match="is a Git LFS pointer") as caught:
            adapter.sample("test", 0)
        assert caught.value.file == str(path)
        path.write_bytes(before)


def test_a_row_whose_label_is_not_in_its_name_and_a_row_twice_are_left_out(root):
    path = root / "CREMA-D/test.csv"
    lines = path.read_text("utf-8-sig").splitlines()
    name = lines[0].split(",")[0]
    other = next(emotion for emotion in CLASSES if emotion not in name)
    train = (root / "CREMA-D/train.csv").read_text("utf-8-sig").splitlines()[0]
    path.write_text("\n".join([f"{name},{other}", *lines[1:], lines[1], train]))
    adapter = Adapter(root)
    assert [(row.split, row.reason.split(";")[0]) for row in adapter.rejected] == [
        ("test", f"the list says {other}, its name {name.split('_')[2]}"),
        ("train", "also in test (test.csv:14)"),
        ("test", "listed twice"),
    ]
    assert adapter.num_samples["test"] == 12


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("1001_IEO_NEU_XX;NEU", r"test\.csv:1: '1001_IEO_NEU_XX;NEU' is no <actor>"),
        ("name,label", "'name' is no <actor>_<sentence>_<emotion>_<level>"),
        ("../1_IEO_NEU_XX,NEU", "is no <actor>"),
        ("1001_IEO_NEU_XX,HPP", "no emotion of CREMA-D called 'HPP'"),
        ("1001_IEO_NEU_XX,", "no emotion of CREMA-D called ''"),
    ],
)
def test_a_line_that_is_no_row_is_named(root, line, sentence):
    (root / "CREMA-D/test.csv").write_text(f"{line}\n")
    with pytest.raises(DataError, match=sentence):
        Adapter(root)


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ({"split": "actor"}, r"no splitting called 'actor'.*Did you mean 'actors'"),
        ({"split": "actors", "val_share": 0.9}, "between 0 and 0.9, not 0.9"),
        ({"val_share": 0}, "between 0 and 1"),
        ({"classes": CLASSES[1:]}, "the 6 classes of CREMA-D, in any order; lacking NEU"),
    ],
)
def test_an_option_that_is_none_is_named(built, option, sentence):
    with pytest.raises(ParameterError, match=sentence):
        Adapter(built, **option)
