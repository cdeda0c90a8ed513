"""Unusable media raise a DataError that names the file and the problem."""

import io
import os
import re
import resource
import struct
from contextlib import nullcontext, suppress

import av
import numpy as np
import pytest
from PIL import Image

from tests.media_files import PIXELS, npy, numbered, picture, png, sound, tone, video
from umemma import limits
from umemma.errors import DataError
from umemma.limits import Limits
from umemma.media import facts
from umemma.media.kinds import image

NAN = tone()
NAN[5600] = np.nan
INFINITE = tone()
INFINITE[800] = -np.inf
CHINESE = "多模态模型在缺少模态时仍能工作。这是我们想要的。" * 5
MP3 = sound(tone(seconds=4), form="MP3")
MP4 = video(numbered(12), samples=tone()[:, 0])
INDEX_FIRST = video(numbered(12), index_first=True)
RAGGED = [[1.0, 2.0], [3.0]]
TERABYTES = npy(np.zeros(8)).replace(b"(8,), }" + b" " * 12, b"(8888888888888,), }")


def cut(content: bytes, share: float) -> bytes:
    return content[: int(len(content) * share)]


def first_frames(mp4: bytes, count: int) -> bytes:
    """Return an MP4 whose index comes first, without the frames after `count`, although the index lists them all.

    Frames are located by position, because the encoder's bytes differ between machines.
    """
    with av.open(io.BytesIO(mp4)) as container:
        ends = [packet.pos + packet.size for packet in container.demux(video=0) if packet.size]
    cut = mp4[: ends[count - 1]]
    at = cut.index(b"mdat") - 4
    return cut[:at] + struct.pack(">I", len(cut) - at) + cut[at + 4 :]


EMPTY = {
    f"empty {name}": (name, b"", "the file is empty, it has 0 bytes")
    for name in ("a.png", "a.webp", "a.wav", "a.mp3", "a.mp4", "a.txt", "a.npy")
}
TRUNCATED = {
    "cut png": ("a.png", cut(picture(PIXELS), 0.6), "no readable image: .*truncated"),
    "cut jpeg": ("a.jpg", cut(picture(PIXELS, "JPEG"), 0.8), "no readable image: .*truncated"),
    "cut webp": ("a.webp", cut(picture(PIXELS, "WEBP", lossless=True), 0.6), "no readable image"),
    "cut wav": ("a.wav", cut(sound(tone()), 0.6), "it is truncated, 16,044 bytes are promised, 9,626 are there"),
    "cut flac": ("a.flac", cut(sound(tone(), form="FLAC"), 0.6), "no readable sound"),
    "cut ogg": ("a.ogg", cut(sound(tone(), form="OGG"), 0.98), "it is truncated, .* bytes are promised"),
    "cut mp3": ("a.mp3", cut(MP3, 0.6), "it is truncated, .* bytes are promised"),
    "mp4 that lost its index": ("a.mp4", cut(MP4, 0.9), "no readable video: it is truncated, .* bytes are promised"),
    "mp4 that lost its end": ("a.mp4", cut(INDEX_FIRST, 0.8), "no readable video: it is truncated"),
    "mp4 of which frames were taken": (
        "a.mp4",
        first_frames(INDEX_FIRST, 5),
        "it is truncated, 12 frames are promised, 5 are there",
    ),
    "cut avi": ("a.avi", cut(video(numbered(9), form="avi"), 0.7), "no readable video: it is truncated"),
    "cut mkv": ("a.mkv", cut(video(numbered(9), form="matroska"), 0.7), "no readable video: it is truncated"),
    "cut webm": ("a.webm", cut(video(numbered(9), form="webm", codec="vp9"), 0.7), "it is truncated"),
    "cut wmv": ("a.wmv", cut(video(numbered(9), form="asf", codec="wmv2"), 0.7), "it is truncated"),
    "cut aiff": ("a.aiff", cut(sound(tone(), form="AIFF"), 0.7), "it is truncated, 16,054 bytes are promised"),
    "cut au": ("a.au", cut(sound(tone(), form="AU"), 0.7), "it is truncated, 16,024 bytes are promised"),
    "cut caf": ("a.caf", cut(sound(tone(), form="CAF"), 0.7), "it is truncated"),
    "cut w64": ("a.w64", cut(sound(tone(), form="W64"), 0.7), "it is truncated"),
    "cut rf64": ("a.wav", cut(sound(tone(), form="RF64"), 0.7), "it is truncated"),
    "cut mpg": ("a.mpg", video(numbered(9), form="mpeg", codec="mpeg1video")[:60], "no readable video"),
    "cut npy": ("a.npy", cut(npy(np.arange(99.0)), 0.7), "it is truncated: 792 bytes of numbers are promised"),
}
WRONG_KIND = {
    "sound named png": ("a.png", sound(tone()), r"is not an image but really a WAV sound"),
    "web page named jpeg": ("a.jpeg", b"\n<!DOCTYPE html><html>404 not found</html>", "really a web page"),
    "archive named npy": ("a.npy", b"PK\3\4" + bytes(60), "really a ZIP archive"),
    "picture named wav": ("a.wav", picture(PIXELS), "is not a sound but really a PNG image"),
    "mp3 named mp4": ("a.mp4", MP3, "is not a video but really an MP3 sound"),
    "png named txt": ("a.txt", picture(PIXELS), "no readable text: .*it is a PNG image"),
    "PostScript, which is a program": (
        "a.png",
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        "really a PostScript file, which is a program",
    ),
    "HEIC": ("a.jpg", b"\0\0\0\x18ftypheic" + bytes(12), "really a HEIC image, which is not read; as JPEG"),
    "DICOM": ("a.tif", bytes(128) + b"DICM" + bytes(9), "really a DICOM image"),
    "notes": ("a.wav", b"MThd\0\0\0\6" + bytes(9), "really a MIDI file: notes, no sound"),
    "no kind": ("a.exe", b"MZ", r"no media kind is known by '\.exe'; there are 3g2, 3gp, aac, .* and \d+ more"),
}
ABSURD = {
    "bomb": ("a.png", png(9500, 9500, 8, 0), "over limits.pixels: .*90,250,000 pixels, at most 50,000,000"),
    "bomb beyond Pillow's own limit": ("a.png", png(30000, 30000, 8, 0), "over limits.pixels: .*900,000,000 pixels"),
    "jpeg bomb": (
        "a.jpg",
        picture(PIXELS, "JPEG").replace(struct.pack(">HH", 24, 32), b"\xff\xf0\xff\xf0"),
        "over limits.pixels",
    ),
    "100 channels": ("a.wav", sound(np.zeros((10, 100))), "over limits.channels: .*100 channels, at most 64 are read"),
    "a day of sound": (
        "a.flac",
        sound(np.zeros(90_000), 8, "FLAC"),
        "over limits.seconds: .*11,250 s, at most 10,800 are read",
    ),
    "10 MB of text": (
        "a.txt",
        b"text " * 2_000_000,
        "over limits.text_bytes: .*10,000,000 bytes, at most 1,048,576 are read",
    ),
    "terabytes promised": ("a.npy", TERABYTES, "truncated: 71,111,111,111,104 bytes"),
}
DAMAGED = {
    "garbage png": ("a.png", b"garbage", "no readable image: it is none of PNG, JPEG, WEBP"),
    "garbage wav": ("a.wav", b"garbage", "no readable sound"),
    "garbage mp4": ("a.mp4", b"garbage" * 99, "no readable video: Invalid data found"),
    "no samples": ("a.wav", sound(np.zeros((0, 1))), "no readable sound: it has 0 samples"),
    "NaN in sound": ("a.wav", sound(NAN, subtype="FLOAT"), r"sound holds NaN or infinity, first at 0\.350 s"),
    "infinite sound": ("a.wav", sound(INFINITE, subtype="FLOAT"), r"NaN or infinity, first at 0\.050 s"),
    "video of sound alone": ("a.mp4", video([], samples=tone()[:, 0]), "it has no picture, only sound"),
    "video without a frame": ("a.avi", video(numbered(4), form="avi").split(b"movi")[0] + b"movi", "no readable video"),
    "gb18030": (
        "a.txt",
        CHINESE.encode("gb18030"),
        r"not utf-8 from byte 0 on; it is likely gb18030 \(`encoding: gb18030`",
    ),
    "latin-1": ("a.txt", "un café noir, s'il vous plaît".encode("latin-1"), "likely cp1252"),
    "half of a letter in utf-16": ("a.txt", "text".encode("utf-16")[:-1], "not utf-16.* from byte"),
    "utf-16 without a mark": ("a.txt", "text".encode("utf-16-le"), "likely UTF-16"),
    "NUL in text": ("a.txt", b"a text of some length that ends in\0", "a NUL character at position 34"),
    "infinite vector": ("a.npy", npy([1.0, np.inf]), "vector holds infinity or"),
    "beyond float32": ("a.npy", npy([1e300]), "a number beyond float32"),
    "infinite series": ("a.npy", npy([[1.0, 2.0], [-np.inf, np.nan]]), "series holds infinity or"),
    "ragged": ("a.npy", npy(RAGGED, dtype=object), "it holds Python objects, such as rows of unequal length"),
    "text in an array": ("a.npy", npy(["a"]), "type <U1, not real numbers"),
    "no values": ("a.npy", npy(np.zeros((5, 0))), r"shape \(5, 0\)"),
    "three axes": ("a.npy", npy(np.zeros((2, 2, 2))), r"shape \(2, 2, 2\)"),
    "complex": ("a.npy", npy([1j]), "type complex128, not real numbers"),
}
BAD = EMPTY | TRUNCATED | WRONG_KIND | ABSURD | DAMAGED


@pytest.mark.parametrize("case", BAD)
def test_a_file_that_cannot_be_used_is_named_with_its_trouble(case):
    name, content, sentence = BAD[case]
    with pytest.raises(DataError, match=rf"^{name}: .*{sentence}"):
        facts.facts(name, content)


def test_a_bomb_is_refused_before_it_takes_memory():
    rows = b"".join(b"\0" + bytes(9500) for _ in range(9500))
    bomb = png(9500, 9500, 8, 0, rows)
    assert len(bomb) < 100_000
    del rows
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match=r"over limits\.pixels"):
        image.read(bomb)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


@pytest.mark.parametrize(
    ("limit", "name", "content", "amount"),
    [
        ("pixels", "a.png", picture(PIXELS), "768 pixels"),
        ("scans", "a.jpg", picture(PIXELS, "JPEG", progressive=True), "10 passes"),
        ("seconds", "a.m4a", MP4, "s"),
        ("seconds", "a.wav", sound(np.zeros(32_000)), "2 s"),
        ("sound_values", "a.m4a", MP4, "samples in all channels"),
        ("sound_values", "a.flac", sound(tone(), form="FLAC"), "8,000 samples in all channels"),
        ("channels", "a.wav", sound(np.zeros((10, 2))), "2 channels"),
        ("rate_hz", "a.wav", sound(tone()), "16,000 Hz"),
        ("frame_pixels", "a.mp4", MP4, "1,536 pixels"),
        ("frames", "a.mp4", MP4, "12 frames"),
        ("frames", "a.mkv", video(numbered(12), form="matroska"), "2 frames"),
        ("video_pixels", "a.mp4", MP4, "18,432 pixels in all"),
        ("video_pixels", "a.mkv", video(numbered(12), form="matroska"), "1,536 pixels in all"),
        ("text_bytes", "a.txt", b"abc", "3 bytes"),
        ("array_values", "a.npy", npy(np.arange(12.0)), "12 numbers"),
    ],
)
def test_every_limit_is_looked_at_and_can_be_raised(limit, name, content, amount):
    least = Limits(**{limit: 0.01 if limit == "seconds" else 1})
    with limits.within(least), pytest.raises(DataError, match=rf"^{name}: over limits\.{limit}: .*{amount}") as error:
        facts.facts(name, content)
    accepted = re.search(r"`limits: \{(\w+): (\d+)\}` in the data set's file accepts it", str(error.value))
    assert accepted[1] == limit
    is_counted = name in ("a.m4a", "a.mkv")  # as it comes: the line accepts this part, not what follows
    with (
        limits.within(Limits(**{limit: type(getattr(least, limit))(accepted[2])})),
        suppress(DataError) if is_counted else nullcontext(),
    ):
        facts.facts(name, content)


GOOD = {
    "a.png": picture(PIXELS),
    "a.jpg": picture(PIXELS, "JPEG"),
    "a.webp": picture(PIXELS, "WEBP"),
    "a.wav": sound(tone()),
    "a.flac": sound(tone(), form="FLAC"),
    "a.ogg": sound(tone(), form="OGG"),
    "a.mp3": MP3,
    "a.mp4": MP4,
    "a.avi": video(numbered(4), form="avi"),
    "a.npy": npy(np.arange(12.0).reshape(6, 2)),
    "a.txt": CHINESE.encode(),
}


@pytest.mark.parametrize("name", GOOD)
def test_whatever_is_done_to_a_file_nothing_but_a_data_error_comes_of_it(name):
    generator = np.random.default_rng(0)
    for _ in range(40):
        content = bytearray(GOOD[name])
        for position in generator.integers(0, min(len(content), 300), 4):
            content[position] = generator.integers(256)
        for damaged in (bytes(content), GOOD[name][: generator.integers(1, len(content))]):
            with suppress(DataError):
                facts.facts(name, damaged)


def test_a_stored_array_is_never_run_as_code(tmp_path):
    class Harm:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harm"),)

    with pytest.raises(DataError, match="Python objects"):
        facts.facts("a.npy", npy([Harm()], dtype=object))
    assert not (tmp_path / "harm").exists()


def test_a_picture_whose_metadata_are_damaged_is_still_a_picture():
    exif = Image.Exif()
    exif[0x0112] = 6
    content = picture(PIXELS, "JPEG", exif=exif)
    at = content.index(b"Exif\0\0") + 6
    assert facts.facts("a.jpg", content)["height_px"] == 32
    assert facts.facts("a.jpg", content[:at] + b"\xff" * 12 + content[at + 12 :])["height_px"] == 24


@pytest.mark.parametrize("kind", ["video.mkv", "audio.wav"])
def test_a_file_that_lists_other_files_to_open_is_not_followed(tmp_path, monkeypatch, kind):
    """FFmpeg would take either list for a video and open what it names: files outside of the data folder."""
    secret = tmp_path / "secret.ts"
    secret.write_bytes(video(numbered(4), form="mpegts", codec="mpeg2video", samples=tone()[:, 0], sound_codec="mp2"))
    monkeypatch.chdir(tmp_path)
    for listed in (f"ffconcat version 1.0\nfile '{secret.name}'\n", f"#EXTM3U\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n"):
        with pytest.raises(DataError, match="no readable"):
            facts.facts(kind, listed.encode())
