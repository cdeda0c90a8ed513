"""Clips are cut and packed reproducibly, to the byte; missing or broken files give clear errors."""

import io
import pickle

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from tests.trees import GENUINE, frames, grid_clips, needs_genuine, spectrogram, write_frames
from umemma.data.sample import BadSample
from umemma.errors import DataError
from umemma.sources.layouts import clip_files, cutting
from umemma.sources.layouts.listing import File

pytestmark = needs_genuine
CLIP = GENUINE / "grid_clips/clips/bbaf2n.mp4"


def pictures(content: bytes) -> list[np.ndarray]:
    with av.open(io.BytesIO(content)) as container:
        return [frame.to_ndarray(format="gray").astype(int) for frame in container.decode(video=0)]


def times(content: bytes) -> list[float]:
    with av.open(io.BytesIO(content)) as container:
        return [float(frame.time) for frame in container.decode(video=0)]


def test_a_span_of_video_holds_its_frames_and_no_others_and_looks_the_same():
    whole = CLIP.read_bytes()
    span = cutting.video_span(whole, 30 / 25, 42 / 25)
    assert times(span) == pytest.approx([number / 25 for number in range(12)])
    originals = pictures(whole)
    for number, frame in enumerate(pictures(span)):
        differences = [np.abs(frame - other).mean() for other in originals]
        assert differences[30 + number] < 1.5, "gray levels of 255"
        assert min(differences) == differences[30 + number]
    assert cutting.video_span(whole, 30 / 25, 42 / 25) == span
    assert len(times(cutting.video_span(whole, 0, 3))) == 75


def test_a_span_of_sound_is_cut_to_the_sample():
    whole, rate_hz = cutting.sound_span(CLIP.read_bytes(), 0, 99)
    span, _ = cutting.sound_span(CLIP.read_bytes(), 1.2, 1.68)
    assert rate_hz == 16_000
    assert np.array_equal(span, whole[19_200:26_880])
    samples, found_hz = soundfile.read(io.BytesIO(cutting.flac(span, rate_hz)), always_2d=True)
    assert found_hz == rate_hz
    assert np.abs(samples - span).max() < 1 / 32_000


@pytest.mark.parametrize("size", [(96, 96), (33, 45)])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_frames_are_packed_as_they_are(size, mode):
    content = []
    for number in range(3):
        buffer = io.BytesIO()
        Image.effect_noise(size, 20 + number).convert(mode).save(buffer, "JPEG")
        content.append(buffer.getvalue())
    packed = cutting.motion_jpeg(content, fps=2)
    assert packed == cutting.motion_jpeg(content, fps=2)
    with av.open(io.BytesIO(packed)) as container:
        assert [bytes(packet) for packet in container.demux(video=0) if packet.size] == content
    assert times(packed) == [0.0, 0.5, 1.0]
    assert np.abs(pictures(packed)[1] - np.asarray(Image.open(io.BytesIO(content[1])).convert("L"))).mean() < 1


def test_frames_of_two_sizes_or_no_jpeg_are_named():
    small, large = (io.BytesIO() for _ in range(2))
    Image.new("RGB", (8, 8)).save(small, "JPEG")
    Image.new("RGB", (16, 8)).save(large, "JPEG")
    with pytest.raises(DataError, match=r"2 sizes, such as \(8, 8\) and \(16, 8\) px"):
        cutting.motion_jpeg([small.getvalue(), large.getvalue()], fps=1)
    with pytest.raises(DataError, match="frame 2 is no readable JPEG"):
        cutting.motion_jpeg([small.getvalue(), b"garbage"], fps=1)


@pytest.mark.parametrize("content", [b"", b"garbage", CLIP.read_bytes()[:9000] if CLIP.is_file() else b""])
@pytest.mark.parametrize(
    "work",
    [
        cutting.has_sound,
        cutting.seconds,
        lambda content: cutting.video_span(content, 0, 1),
        lambda content: cutting.sound_span(content, 0, 1),
    ],
)
def test_a_file_that_is_no_video_is_named(content, work):
    with pytest.raises(DataError, match="no readable video"):
        work(content)


def test_a_video_without_sound_or_picture_is_known_and_a_span_beyond_its_end_is_named():
    silent = cutting.video_span(CLIP.read_bytes(), 0, 1)
    blind = cutting.flac(np.zeros(1600), 16_000)
    assert cutting.has_sound(CLIP.read_bytes())
    assert not cutting.has_sound(silent)
    assert cutting.seconds(silent) == 1
    with pytest.raises(DataError, match="has no sound"):
        cutting.sound_span(silent, 0, 1)
    for work in (cutting.seconds, lambda content: cutting.video_span(content, 0, 1)):
        with pytest.raises(DataError, match="has no picture"):
            work(blind)
    with pytest.raises(DataError, match=r"has no frame between 3 and 4 s"):
        cutting.video_span(CLIP.read_bytes(), 3, 4)
    with pytest.raises(DataError, match=r"has no sound between 4 and 5 s"):
        cutting.sound_span(CLIP.read_bytes(), 4, 5)


def test_frames_are_ordered_by_number_and_timed_by_their_folder(tmp_path):
    content = frames(CLIP, 11)
    place = tmp_path / "Image-05-FPS-SE" / "clip"
    place.mkdir(parents=True)
    for number, frame in enumerate(content):
        (place / f"frame_{number}.jpg").write_bytes(frame)
    packed = clip_files.video(place.parent, "clip")
    assert packed == File("mp4", cutting.motion_jpeg(content, fps=5), place)


def test_too_few_frames_are_a_bad_sample(tmp_path):
    write_frames(CLIP, tmp_path / "clip", "{}.jpg", 3)
    assert clip_files.video(tmp_path, "clip", min_frames=3).suffix == "mp4"
    with pytest.raises(BadSample, match=r"holds 3 frames .*fewer than 4") as caught:
        clip_files.video(tmp_path, "clip", min_frames=4)
    assert caught.value.file == str(tmp_path / "clip")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadSample, match="holds 0 frames"):
        clip_files.video(tmp_path, "empty", min_frames=0)


def test_an_empty_frame_is_a_bad_sample_that_names_it(tmp_path):
    write_frames(CLIP, tmp_path / "clip", "{}.jpg", 3)
    (tmp_path / "clip/2.jpg").write_bytes(b"")
    with pytest.raises(BadSample, match=r"2\.jpg: is empty"):
        clip_files.video(tmp_path, "clip")
    (tmp_path / "clip/2.jpg").write_bytes(b"\xff\xd8garbage")
    with pytest.raises(BadSample, match=r"clip: frame 2 is no readable JPEG"):
        clip_files.video(tmp_path, "clip")


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "m4a", "npy", "mp4"])
def test_sound_is_handed_on_as_it_is(tmp_path, suffix):
    (tmp_path / f"clip.{suffix}").write_bytes(b"sound")
    assert clip_files.sound(tmp_path, "clip") == File(suffix, b"sound", tmp_path / f"clip.{suffix}")


def test_a_pickled_spectrogram_becomes_a_series_frame_by_frame(tmp_path):
    spectrum = spectrogram(next(grid_clips()))
    (tmp_path / "clip.pkl").write_bytes(pickle.dumps(spectrum.astype(np.float64), 2))
    packed = clip_files.sound(tmp_path, "clip")
    series = np.load(io.BytesIO(packed.content))
    assert (packed.suffix, packed.place) == ("npy", tmp_path / "clip.pkl")
    assert (series.dtype, series.shape) == (np.float32, spectrum.shape[::-1])
    assert np.array_equal(series, spectrum.T)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (np.zeros(3), r"no spectrogram .* ndarray of shape \(3,\)"),
        ({"a": 1}, "no spectrogram .* dict"),
        (print, r"builtins\.print"),
        (np.zeros((0, 2)), r"shape \(0, 2\)"),
    ],
)
def test_a_pickle_of_anything_else_is_a_bad_sample(tmp_path, value, reason):
    (tmp_path / "clip.pkl").write_bytes(pickle.dumps(value))
    with pytest.raises(BadSample, match=reason):
        clip_files.sound(tmp_path, "clip")


def test_a_clip_without_files_is_a_bad_sample_that_says_what_was_looked_for(tmp_path):
    with pytest.raises(BadSample, match=r"neither a folder of frames nor a file of this name \(\.mp4, "):
        clip_files.video(tmp_path, "clip")
    with pytest.raises(BadSample, match=r"no file of this name \(\.wav, "):
        clip_files.sound(tmp_path, "clip")
