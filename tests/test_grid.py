"""Words cut from GRID's clips: picture and sound are those of the word, with the requested noise."""

import io
import shutil
from collections import Counter

import av
import numpy as np
import pytest
import soundfile

from tests.trees import GENUINE, needs_genuine
from umemma.data.sample import BadSample
from umemma.errors import DataError, ParameterError
from umemma.sources.adapters.grid import NOISES, TARGETS, Adapter, _part
from umemma.sources.layouts import cutting

pytestmark = needs_genuine


@pytest.fixture
def root(tmp_path):
    """The first 40 clips, one for noise."""
    (tmp_path / "grid_clips/clips").mkdir(parents=True)
    (tmp_path / "noise").mkdir()
    shutil.copy(GENUINE / NOISES[3], tmp_path / NOISES[3])
    lines = (GENUINE / "grid_clips/labels.csv").read_text().splitlines()[:41]
    (tmp_path / "grid_clips/labels.csv").write_text("\n".join(lines))
    for line in lines[1:]:
        shutil.copy(GENUINE / f"grid_clips/clips/{line.split(',')[0]}.mp4", tmp_path / "grid_clips/clips")
    return tmp_path


def small(root, **options):
    return Adapter(root, **{"noises": [NOISES[3]], **options})


def edit(root, change):
    path = root / "grid_clips/labels.csv"
    path.write_text("\n".join(change(path.read_text().splitlines())))


def sound(sample):
    samples, rate_hz = soundfile.read(io.BytesIO(sample.members["audio.flac"]))
    assert rate_hz == 16_000
    return samples


def num_frames(sample):
    with av.open(io.BytesIO(sample.members["video.mp4"])) as container:
        return len(list(container.decode(video=0)))


@pytest.mark.parametrize("target", TARGETS)
def test_every_kind_of_word_is_a_target_split_within_each_class(target):
    adapter = Adapter(GENUINE, target=target)
    assert sum(adapter.num_samples.values()) == 1_000
    assert not adapter.rejected
    assert adapter.classes == TARGETS[target]
    for split, share in (("train", 0.7), ("val", 0.15), ("test", 0.15)):
        counts = Counter(row.label for row in adapter._rows[split])
        assert set(counts) == set(range(len(adapter.classes)))
        total = Counter(row.label for rows in adapter._rows.values() for row in rows)
        assert all(abs(count - share * total[label]) <= 1 for label, count in counts.items())


def test_letters_are_25_with_28_6_and_6_clips_each():
    adapter = Adapter(GENUINE)
    assert adapter.num_samples == {"train": 700, "val": 150, "test": 150}
    assert "w" not in adapter.classes
    assert Adapter(GENUINE, seed=1)._rows != adapter._rows
    turned = Adapter(GENUINE, classes=adapter.classes[::-1])
    assert [row.label for row in turned._rows["test"]] == [24 - row.label for row in adapter._rows["test"]]


def test_picture_and_sound_span_the_word_and_its_margin_at_the_borders_of_frames(root):
    edit(
        root,
        lambda lines: [
            lines[0],
            *(",".join([*line.split(",")[:11], "30500", "34250", *line.split(",")[13:]]) for line in lines[1:]),
        ],
    )
    for margin_seconds, first, beyond in ((0.0, 30, 35), (0.1, 28, 37), (9.0, 0, 75)):
        sample = small(root, margin_seconds=margin_seconds, snr_db=None).sample("train", 0)
        assert num_frames(sample) == beyond - first
        whole = (root / f"grid_clips/clips/{sample.key}.mp4").read_bytes()
        speech, _ = cutting.sound_span(whole, first / 25, beyond / 25)
        assert sample.members["video.mp4"] == cutting.video_span(whole, first / 25, beyond / 25)
        assert np.abs(sound(sample) - speech[:, 0]).max() < 1 / 32_000


def test_a_fixed_number_of_frames_lies_about_the_words_middle_and_within_the_clip(root):
    def timed(start, end):
        edit(
            root,
            lambda lines: [
                lines[0],
                *(",".join([*line.split(",")[:11], start, end, *line.split(",")[13:]]) for line in lines[1:]),
            ],
        )
        adapter = small(root, num_frames=12, snr_db=None)
        span = adapter._span(adapter._rows["train"][0], 3.0)
        assert num_frames(adapter.sample("train", 0)) == 12
        assert len(sound(adapter.sample("train", 0))) == 12 * 640
        return round(span[0] * 25), round(span[1] * 25)

    assert timed("30000", "34000") == (26, 38)
    assert timed("0", "2000") == (0, 12)
    assert timed("73000", "75000") == (63, 75)


@pytest.mark.parametrize("snr_db", [-12.0, 0.0, 10.0])
def test_noise_is_as_loud_as_asked_for(root, snr_db):
    clean, noisy = small(root, snr_db=None), small(root, snr_db=[snr_db, snr_db])
    for index in range(4):
        speech, mixture = sound(clean.sample("train", index)), sound(noisy.sample("train", index))
        assert np.abs(mixture).max() == pytest.approx(0.95, abs=1e-3)
        key = noisy.sample("train", index).key
        assert key == clean.sample("train", index).key
        rng = generator(key)
        begin, end = _part("train", soundfile.info(root / NOISES[3]).frames)
        rng.integers(1)
        offset = begin + int(rng.integers(end - begin - len(speech) + 1))
        noise, _ = soundfile.read(root / NOISES[3], len(speech), offset)
        weights = np.linalg.lstsq(np.stack([speech, noise], axis=1), mixture, rcond=None)[0]
        powers = [np.mean((weight * part) ** 2) for weight, part in zip(weights, (speech, noise), strict=True)]
        assert 10 * np.log10(powers[0] / powers[1]) == pytest.approx(snr_db, abs=0.1)


def generator(key):
    import hashlib

    return np.random.default_rng(list(hashlib.sha256(f"0/{key}".encode()).digest()))


def test_noise_comes_from_every_file_and_from_the_splits_own_part_of_it(root):
    kinds = {"up": np.ones(70_000), "down": -np.ones(15_000), "turning": np.tile([1.0, -1.0], 7_500)}
    soundfile.write(root / "noise/parts.wav", np.concatenate(list(kinds.values())) / 2, 16_000)
    for name, wave in kinds.items():
        soundfile.write(root / f"noise/{name}.wav", np.resize(wave, 100_000) / 2, 16_000)

    def heard(adapter, split):
        speech = np.tile([1.0, 1.0, -1.0, -1.0], 400)  # like none of the noises
        nearest = set()
        for number in range(30):
            mixture = adapter._in_noise(speech, 16_000, split, f"key{number}")
            likeness = {
                name: wave[:1_600] @ mixture
                for name, wave in {**kinds, "down": np.resize(kinds["down"], 1_600)}.items()
            }
            likeness["turning"] = abs(likeness["turning"])  # its sign is arbitrary
            nearest.add(max(likeness, key=likeness.__getitem__))
        return nearest

    parts = small(root, noises=["noise/parts.wav"])
    assert [heard(parts, split) for split in ("train", "val", "test")] == [{"up"}, {"down"}, {"turning"}]
    assert heard(small(root, noises=[f"noise/{name}.wav" for name in kinds]), "val") == set(kinds)


def test_no_noise_leaves_the_sound_as_it_is(root):
    assert np.array_equal(
        sound(small(root, noises=[]).sample("test", 0)), sound(small(root, snr_db=None).sample("test", 0))
    )


def test_the_same_bytes_come_every_time_and_another_seed_gives_other_noise(root):
    adapter = small(root)
    before = adapter.sample("train", 2)
    adapter.sample("test", 0)
    assert adapter.sample("train", 2) == before
    assert (
        adapter._in_noise(np.ones(99), 16_000, "train", "a").tolist()
        != small(root, seed=5)._in_noise(np.ones(99), 16_000, "train", "a").tolist()
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read"),
        (b"", "is empty"),
        (b"garbage", "no readable video"),
        ("silent", "has no sound"),
        ("short", r"lasts 0\.4 s; labels\.csv:\d+ has its word later"),
    ],
)
def test_a_clip_that_is_missing_or_broken_is_a_bad_sample(root, content, reason):
    adapter = small(root)
    path = root / f"grid_clips/clips/{adapter.sample('train', 0).key}.mp4"
    before = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(
            {"silent": cutting.video_span(before, 0, 3), "short": cutting.video_span(before, 0, 0.4)}.get(
                content, content
            )
        )
    with pytest.raises(BadSample, match=reason) as caught:
        adapter.sample("train", 0)
    assert caught.value.file == str(path)
    assert adapter.sample("train", 1)


def test_a_word_of_no_length_and_a_clip_listed_twice_are_left_out(root):
    edit(
        root,
        lambda lines: [
            *lines[:3],
            ",".join([*lines[3].split(",")[:12], lines[3].split(",")[11], *lines[3].split(",")[13:]]),
            *lines[4:],
            lines[1],
        ],
    )
    adapter = small(root)
    assert sum(adapter.num_samples.values()) == 39
    assert [(row.file.rsplit("/", 1)[1], row.reason.split(" from")[0].split(";")[0]) for row in adapter.rejected] == [
        ("labels.csv:4", "its letter lasts"),
        ("labels.csv:42", "listed twice"),
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda lines: [line.replace(",", ";") for line in lines],
            r"labels\.csv has no column id, letter, letter_start",
        ),
        (lambda lines: [*lines[:2], lines[2].replace(",f,", ",w,")], r"labels\.csv:3: there is no letter called 'w'"),
        (lambda lines: [*lines[:2], "../x" + lines[2]], r"labels\.csv:3: '\.\./xbbaf3s'"),
        (lambda lines: [*lines[:2], lines[2].replace("28000", "early")], "'early'.* are no id"),
        (lambda lines: [*lines[:2], "bbaf3s,bin"], r"labels\.csv:3: there is no letter called ''"),
        (lambda lines: lines[:1], "no sample is left"),
    ],
)
def test_labels_that_cannot_be_understood_are_named(root, change, sentence):
    edit(root, change)
    with pytest.raises(DataError, match=sentence):
        small(root)


def test_noise_that_is_missing_of_another_rate_too_short_or_silent_is_named(root):
    with pytest.raises(DataError, match=r"dataset\.options\.noises: .*running_tap\.wav is no readable sound"):
        small(root, noises=[NOISES[4]])
    soundfile.write(root / "noise/stereo.wav", np.zeros((9, 2)), 16_000)
    with pytest.raises(DataError, match="has 2 channels, not 1"):
        small(root, noises=["noise/stereo.wav"])
    for name, samples, rate_hz, reason in (
        ("slow", np.ones(99_999), 8_000, "16000 Hz, .*8000 Hz"),
        ("short", np.ones(999), 16_000, "lasts longer than the part"),
        ("silent", np.zeros(999_999), 16_000, r"silent\.wav: is silent"),
    ):
        soundfile.write(root / f"noise/{name}.wav", samples, rate_hz)
        with pytest.raises(BadSample, match=reason):
            small(root, noises=[f"noise/{name}.wav"]).sample("train", 0)


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ({"target": "colour"}, r"no word called 'colour'.*Did you mean 'color'"),
        ({"classes": ["a", "b"]}, r"the 25 classes of GRID by letter, in any order; lacking c, d"),
        ({"margin_seconds": -1.0}, "margin_seconds must be 0 or more"),
        ({"num_frames": 0}, "num_frames 1 or more"),
    ],
)
def test_an_option_that_is_none_is_named(option, sentence):
    with pytest.raises(ParameterError, match=sentence):
        Adapter(GENUINE, **option)
