"""Kinetics-Sounds in both of its layouts, with clips that are in one tree only or have too few frames."""

import io
import shutil
from collections import Counter

import av
import numpy as np
import pytest

from tests import trees
from tests.trees import needs_genuine
from umemma.data.sample import BadSample
from umemma.errors import DataError, ParameterError
from umemma.sources.adapters.kinetics_sounds import CLASSES, Adapter, read
from umemma.sources.layouts import lists

pytestmark = needs_genuine


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("actions")
    trees.kinetics_sounds(folder / "kinetics_sounds")
    trees.kinetics_sounds_lists(folder / "lists")
    return folder


@pytest.fixture
def root(built, tmp_path):
    return shutil.copytree(built / "kinetics_sounds", tmp_path / "actions")


def samples(adapter):
    return {
        sample.key: sample
        for split, count in adapter.num_samples.items()
        for sample in (adapter.sample(split, i) for i in range(count))
    }


def test_the_published_lists_have_14799_and_2597_clips_of_31_labels(tmp_path):
    for split in ("train", "test"):
        (tmp_path / f"my_{split}.txt").write_text(trees.genuine(f"KS_my_{split}.txt"))
    rows, rejected = read(tmp_path)
    assert Counter(row.split for row in rows) == {"train": 14_799, "test": 2_597}
    assert not rejected
    assert {row.label for row in rows} == set(range(31))
    assert len(CLASSES) == len(set(CLASSES)) == 31
    assert {len(row.group) for row in rows} == {11}, "YouTube ids, from both forms of name"
    drawn = lists.held_out(rows, share=0.1, seed=0)
    assert Counter(row.split for row in drawn)["val"] == pytest.approx(1_480, abs=16)


def test_the_folder_is_the_label_and_a_clip_has_its_frames_and_its_sound(built):
    adapter = Adapter(built)
    assert adapter.num_samples == {"train": 124, "val": 31, "test": 31}
    assert adapter.classes == CLASSES
    sample = adapter.sample("test", 7)
    folder = built / "kinetics_sounds/test"
    frames = sorted((folder / "video" / CLASSES[sample.label] / sample.key).glob("*.jpg"))
    with av.open(io.BytesIO(sample.members["video.mp4"])) as container:
        assert [bytes(packet) for packet in container.demux(video=0) if packet.size] == [
            path.read_bytes() for path in frames
        ]
    assert sample.members["audio.wav"] == (folder / "audio" / CLASSES[sample.label] / f"{sample.key}.wav").read_bytes()
    assert Counter(adapter.sample("val", i).label for i in range(31)) == dict.fromkeys(range(31), 1)
    turned = samples(Adapter(built, classes=CLASSES[::-1]))
    assert all(turned[key].label == 30 - original.label for key, original in samples(adapter).items())
    with pytest.raises(ParameterError, match=r"the 31 classes of Kinetics-Sounds.*; lacking bowling"):
        Adapter(built, classes=CLASSES[1:])


def test_a_clip_in_one_tree_only_lacks_the_other_modality_or_by_choice_is_left_out(root):
    keys = sorted(path.stem for path in (root / "test/audio").glob("*/*.wav"))[:2]
    next((root / "test/audio").glob(f"*/{keys[0]}.wav")).unlink()
    shutil.rmtree(next((root / "test/video").glob(f"*/{keys[1]}")))
    (root / "test/audio/.DS_Store").touch()
    by_key = samples(Adapter(root))
    assert [by_key[key].modalities for key in keys] == [("video",), ("audio",)]
    strict = Adapter(root, incomplete="reject")
    assert strict.num_samples["test"] == 29
    assert {row.key: row.reason for row in strict.rejected} == {keys[0]: "has no sound", keys[1]: "has no frames"}


def test_a_clip_of_too_few_frames_is_a_bad_sample(root):
    adapter = Adapter(root)
    sample = adapter.sample("test", 0)
    (root / "test/video" / CLASSES[sample.label] / sample.key / "frame_00003.jpg").unlink()
    with pytest.raises(BadSample, match=r"holds 3 frames .*fewer than 4"):
        adapter.sample("test", 0)
    assert Adapter(root, min_frames=3).sample("test", 0).modalities == ("video", "audio")


def test_a_clip_in_training_and_test_or_under_two_classes_counts_once(root):
    clip = next((root / "test/audio/singing").glob("*.wav"))
    shutil.copy(clip, root / "train/audio/tickling" / clip.name)
    other = next((root / "train/audio/singing").glob("*.wav"))
    shutil.copy(other, root / "train/audio/tickling" / other.name)
    adapter = Adapter(root)
    assert {(row.key, row.reason.split(" (")[0].split(";")[0]) for row in adapter.rejected} == {
        (clip.stem, "also in test"),
        (other.stem, "listed twice"),
    }
    assert samples(adapter)[clip.stem].split == "test"


def test_another_file_among_the_clips_is_named(root):
    (root / "test/audio/singing/read me.txt").touch()
    (root / "test/audio/singing/notes.txt").touch()
    adapter = Adapter(root)
    assert [row.reason for row in adapter.rejected] == ["a clip's name is letters, digits, - and _"]
    index = next(i for i in range(32) if adapter._rows["test"][i].key == "notes")
    with pytest.raises(BadSample, match="no file of this name"):
        adapter.sample("test", index)


def test_a_folder_of_no_class_is_named(root):
    (root / "train/video/sining").mkdir()
    with pytest.raises(DataError, match=r"video/sining: .*called 'sining'.*Did you mean 'singing'"):
        Adapter(root)


def test_folders_without_a_clip_are_named(tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match="no sample is left"):
        Adapter(tmp_path)


def test_lists_give_filter_banks_as_they_are_and_labels_by_number(built):
    numbers = [str(number) for number in range(31)]
    adapter = Adapter(built, folder="lists", layout="lists", classes=numbers)
    assert adapter.num_samples == {"train": 124, "val": 31, "test": 31}
    with pytest.raises(ParameterError, match=r"must be 31 names, in the order .* my_train\.txt, not 30"):
        Adapter(built, folder="lists", layout="lists", classes=numbers[:30])
    sample = adapter.sample("test", 2)
    name, label = next(
        line.split(",10,")
        for line in (built / "lists/my_test.txt").read_text().splitlines()
        if line.startswith(sample.key)
    )
    assert (sample.key, str(sample.label)) == (name, label)
    assert sample.members["audio.npy"] == (built / f"lists/audio/{name}.npy").read_bytes()
    with av.open(io.BytesIO(sample.members["video.mp4"])) as container:
        assert [float(frame.time) for frame in container.decode(video=0)] == [0, 1, 2, 3, 4]


def test_pickled_spectrograms_are_read_where_the_option_names_their_folder(built):
    sample = Adapter(built, folder="lists", layout="lists", audio="audio_spec").sample("train", 1)
    assert np.load(io.BytesIO(sample.members["audio.npy"])).shape[1] == 257


def test_lists_separated_by_spaces_give_the_same(built, tmp_path):
    for split in ("train", "test"):
        text = (built / f"lists/my_{split}.txt").read_text()
        (tmp_path / f"{split}.txt").write_text(text.replace(",10,", " 10 "))
        (tmp_path / f"short_{split}.txt").write_text(text.replace(",10,", "  "))
    expected = read(built / "lists")[0]
    for name in ("", "short_"):
        rows = read(tmp_path, f"{name}train.txt", f"{name}test.txt")[0]
        assert [(row.key, row.split, row.label) for row in rows] == [
            (row.key, row.split, row.label) for row in expected
        ]


def test_a_clip_that_a_list_names_and_that_has_no_files_is_a_bad_sample(built, tmp_path):
    shutil.copytree(built / "lists", tmp_path, dirs_exist_ok=True)
    adapter = Adapter(tmp_path, layout="lists")
    key = adapter.sample("test", 0).key
    (tmp_path / f"audio/{key}.npy").unlink()
    with pytest.raises(BadSample, match="no file of this name") as caught:
        adapter.sample("test", 0)
    assert caught.value.file == str(tmp_path / "audio" / key)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("abc;10;3", r"my_test\.txt:1: 'abc;10;3' is no name and label"),
        ("abc,10,31", "label of 0 to 30"),
        ("abc,10,", "is no name and label"),
        ("../abc,10,3", "is no name and label"),
        ("abc", "is no name and label"),
    ],
)
def test_a_line_that_is_no_row_is_named(tmp_path, line, sentence):
    (tmp_path / "my_train.txt").write_text("a,10,3\n")
    (tmp_path / "my_test.txt").write_text(f"{line}\n")
    with pytest.raises(DataError, match=sentence):
        Adapter(tmp_path, layout="lists")


@pytest.mark.parametrize("option", ["layout", "incomplete"])
def test_an_option_that_is_none_is_named(built, option):
    with pytest.raises(ParameterError, match=rf"dataset\.options\.{option}: .* called 'list'"):
        Adapter(built, **{option: "list"})
