"""AVE: its genuine lists with all their flaws, and clips whole, cut and in parts."""

import io
import pickle
import shutil
from collections import Counter

import av
import numpy as np
import pytest
import soundfile

from tests import trees
from tests.trees import AVE_LISTS, needs_genuine
from umemma.data.sample import BadSample
from umemma.errors import DataError, ParameterError
from umemma.sources.adapters.ave import CLASSES, Adapter, read
from umemma.sources.layouts import cutting

pytestmark = needs_genuine
ZERO = "Church bell&VWi2ENBuTbw&good&0&0"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("events")
    trees.ave(folder / "AVE_Dataset")
    return folder


@pytest.fixture
def root(built, tmp_path):
    return shutil.copytree(built, tmp_path / "events")


@pytest.fixture
def published(tmp_path):
    for name in AVE_LISTS.values():
        (tmp_path / name).write_text(trees.genuine(f"AVE_{name}"))
    return tmp_path


def listed(root, split="train"):
    return (root / "AVE_Dataset" / AVE_LISTS[split]).read_text().splitlines()


def write(root, lines, split="train"):
    (root / "AVE_Dataset" / AVE_LISTS[split]).write_text("".join(f"{line}\n" for line in lines))


@pytest.mark.parametrize("repeated", ["first", "last"])
def test_the_published_lists_have_3338_402_402_rows_and_45_repeated_ids_18_of_them_across_splits(published, repeated):
    rows = {split: (published / name).read_text().splitlines() for split, name in AVE_LISTS.items()}
    assert [len(listed) for listed in rows.values()] == [3_338, 402, 402]
    kept, rejected = read(published, repeated=repeated)
    assert Counter(row.split for row in kept) == {"train": 3_293, "val": 401, "test": 402}
    assert len({row.key for row in kept}) == len(kept)
    assert len(kept) + len(rejected) == sum(len(listed) for listed in rows.values())
    leaked = {part: {row.key for row in rejected if f"also in {part}" in row.reason} for part in ("val", "test")}
    assert [len(listed) for listed in leaked.values()] == [10, 8]
    assert len({row.key for row in rejected}) == 45
    test = {line.split("&")[1]: line.split("&")[0] for line in rows["test"]}
    assert {row.key: CLASSES[row.label] for row in kept if row.split == "test"} == test


def test_of_an_id_twice_in_a_split_the_first_or_the_last_category_counts(published):
    lines = [line for name in AVE_LISTS.values() for line in (published / name).read_text().splitlines()]
    first = {row.key: CLASSES[row.label] for row in read(published)[0]}
    last = {row.key: CLASSES[row.label] for row in read(published, repeated="last")[0]}
    differing = {key for key in first if first[key] != last[key]}
    assert len(differing) == 27, "26 of training, 1 of validation"
    for key in differing:
        categories = [line.split("&")[0] for line in lines if line.split("&")[1] == key]
        assert (first[key], last[key]) == (categories[0], categories[-1])


def test_the_event_of_no_seconds_is_left_out_so_that_both_copies_of_the_list_agree(published):
    before = read(published)[0]
    path = published / "trainSet.txt"
    path.write_text(ZERO + "\n" + path.read_text())
    kept, rejected = read(published)
    assert [row.key for row in kept] == [row.key for row in before]
    assert (rejected[0].key, rejected[0].reason) == ("VWi2ENBuTbw", "its event lasts from second 0 to 0")


def test_a_header_is_skipped_wherever_it_stands(published):
    before = [row.key for row in read(published)[0]]
    for name in AVE_LISTS.values():
        (published / name).write_text("Category&VideoID&Quality&StartTime&EndTime\n" + (published / name).read_text())
    assert [row.key for row in read(published)[0]] == before


def test_a_label_is_the_place_of_its_category_in_any_order_of_the_classes(published):
    annotations = [line.split("&")[0] for line in trees.genuine("AVE_Annotations.txt").splitlines()]
    test = [line.split("&")[0] for line in (published / "testSet.txt").read_text().splitlines()]
    assert tuple(dict.fromkeys(annotations)) == tuple(dict.fromkeys(test)) == CLASSES
    categories = [
        {row.key: order[row.label] for row in read(published, classes=order)[0]} for order in (CLASSES, sorted(CLASSES))
    ]
    assert categories[0] == categories[1]


def test_a_whole_clip_is_the_member_of_both_modalities_under_either_kind_of_name(built):
    adapter = Adapter(built)
    assert adapter.num_samples == {"train": 84, "val": 28, "test": 28}
    names = {path.name for path in (built / "AVE_Dataset/AVE").iterdir()}
    assert any("&" in name for name in names)
    for index, line in enumerate(listed(built)[:6]):
        sample, key = adapter.sample("train", index), line.split("&")[1]
        name = f"{line}.mp4" if f"{line}.mp4" in names else f"{key}.mp4"
        content = (built / "AVE_Dataset/AVE" / name).read_bytes()
        assert sample.members == {"video.mp4": content, "audio.mp4": content}
        assert (sample.key, sample.group, CLASSES[sample.label]) == (key, key, line.split("&")[0])


def test_an_event_is_cut_from_picture_and_sound(root):
    lines = listed(root)
    key = lines[0].split("&")[1]
    write(root, [f"{lines[0].split('&')[0]}&{key}&good&1&2", *lines[1:]])
    sample = Adapter(root, clip="event").sample("train", 0)
    assert list(sample.members) == ["video.mp4", "audio.flac"]
    with av.open(io.BytesIO(sample.members["video.mp4"])) as container:
        assert len(list(container.decode(video=0))) == 25
    samples, rate_hz = soundfile.read(io.BytesIO(sample.members["audio.flac"]))
    assert len(samples) == rate_hz
    assert Adapter(root, clip="event").sample("train", 0) == sample


def test_a_video_without_sound_lacks_it(root):
    key = listed(root)[0].split("&")[1]
    path = root / f"AVE_Dataset/AVE/{key}.mp4"
    path.write_bytes(cutting.video_span(path.read_bytes(), 0, 2))
    assert list(Adapter(root).sample("train", 0).members) == ["video.mp4"]
    assert list(Adapter(root, clip="event").sample("train", 0).members) == ["video.mp4"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "is missing; trainSet.txt:1 names it"), (b"", "is empty"), (b"garbage", "no readable video")],
)
def test_a_video_that_is_missing_or_broken_is_a_bad_sample(root, content, reason):
    path = root / f"AVE_Dataset/AVE/{listed(root)[0].split('&')[1]}.mp4"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadSample, match=reason) as caught:
        Adapter(root).sample("train", 0)
    assert caught.value.file == str(path)
    assert Adapter(root).sample("train", 1)


def test_of_two_files_of_one_id_the_one_of_the_row_is_taken(root):
    category, key = listed(root)[0].split("&")[:2]
    folder = root / "AVE_Dataset/AVE"
    shutil.move(folder / f"{key}.mp4", folder / f"{category}&{key}&good&0&10.mp4")
    shutil.copy(next(folder.glob("*.mp4")), folder / f"Accordion&{key}&good&0&10.mp4")
    expected = (folder / f"{category}&{key}&good&0&10.mp4").read_bytes()
    assert Adapter(root).sample("train", 0).members["video.mp4"] == expected


def test_frames_and_spectrograms_are_read_where_the_options_name_their_folders(root):
    for line, clip in zip(listed(root)[:3], trees.grid_clips(), strict=False):
        key = line.split("&")[1]
        trees.write_frames(clip, root / "AVE_Dataset/Image-01-FPS-SE" / key, "{:05d}.jpg", 4)
        (root / "AVE_Dataset/Audio-1004-SE").mkdir(exist_ok=True)
        (root / f"AVE_Dataset/Audio-1004-SE/{key}.pkl").write_bytes(pickle.dumps(trees.spectrogram(clip)))
    adapter = Adapter(root, video="Image-01-FPS-SE", audio="Audio-1004-SE")
    sample = adapter.sample("train", 2)
    assert list(sample.members) == ["video.mp4", "audio.npy"]
    assert np.load(io.BytesIO(sample.members["audio.npy"])).shape[1] == 257
    with pytest.raises(BadSample, match="neither a folder of frames nor a file"):
        adapter.sample("train", 3)
    with pytest.raises(ParameterError, match="'event' cuts videos"):
        Adapter(root, video="Image-01-FPS-SE", audio="Audio-1004-SE", clip="event")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("Church bell,RUhOCu3LNXM,good,0,10", r"trainSet\.txt:2: .* has 1 fields"),
        ("Church bel&RUhOCu3LNXM&good&0&10", r"no category of AVE called 'Church bel'.*Did you mean 'Church bell'"),
        ("Church bell&../../etc/x&good&0&10", "no YouTube id in field 2"),
        ("Church bell&&good&0&10", "no YouTube id in field 2"),
        ("Church bell&RUhOCu3LNXM&good&0&ten", "no whole seconds"),
    ],
)
def test_a_line_that_is_no_row_is_named(root, line, sentence):
    write(root, [listed(root)[0], line])
    with pytest.raises(DataError, match=sentence):
        Adapter(root)


def test_a_missing_list_or_folder_of_videos_is_named(root):
    shutil.rmtree(root / "AVE_Dataset/AVE")
    with pytest.raises(DataError, match=r"AVE holds no \.mp4 file; dataset\.options\.video"):
        Adapter(root)
    (root / "AVE_Dataset/valSet.txt").unlink()
    with pytest.raises(DataError, match=r"valSet\.txt cannot be read"):
        Adapter(root)
    with pytest.raises(DataError, match=r"holds trainSet\.txt"):
        Adapter(root / "nowhere")


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ({"classes": ["Bark", "Clock"]}, "the 28 classes of AVE, in any order; lacking Accordion"),
        ({"clip": "evnt"}, "no clip called 'evnt'"),
        ({"repeated": "both"}, "repeated is 'first' or 'last'"),
    ],
)
def test_an_option_that_is_none_is_named(built, option, sentence):
    with pytest.raises(ParameterError, match=sentence):
        Adapter(built, **option)
