"""Facts of media files that the gate judges, for files that are valid however odd they look."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from tests.conftest import ROOT
from tests.media_files import CHANGING_RATE, PIXELS, npy, numbered, picture, png, sound, tone, turned, video
from umemma.errors import DataError
from umemma.media import facts, formats
from umemma.media.kinds import container, signature

PALETTE = Image.fromarray(PIXELS).convert("P")
SAME_TWICE = Image.new("P", (4, 4))
SAME_TWICE.putpalette([9, 9, 9, 9, 9, 9])
SAME_TWICE.putpixel((1, 1), 1)
CLEAR = Image.fromarray(PIXELS).convert("RGBA")
CLEAR.putalpha(0)
FRAMES = [Image.fromarray(PIXELS), Image.fromarray(255 - PIXELS), Image.fromarray(PIXELS[::-1])]


def turned_exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.png", picture(PIXELS), {"mode": "RGB", "channels": 3, "height_px": 24, "width_px": 32, "num_frames": 1}),
        ("a.webp", picture(PIXELS, "WEBP"), {"mode": "RGB", "channels": 3}),
        ("a.JPG", picture(Image.fromarray(PIXELS).convert("CMYK"), "JPEG"), {"mode": "CMYK", "channels": 4}),
        ("a.png", png(2, 2, 16, 0, b"\0\0\1\2\0\0\0\0\0\0"), {"mode": "I;16", "channels": 1, "blank": False}),
        ("a.png", picture(CLEAR), {"mode": "RGBA", "channels": 4, "blank": True}),
        ("a.png", picture(PALETTE), {"mode": "P", "channels": 3, "blank": False}),
        ("a.png", picture(SAME_TWICE), {"mode": "P", "blank": True}),
        ("a.png", picture(Image.new("1", (5, 5), 1)), {"mode": "1", "blank": True}),
        (
            "a.webp",
            picture(FRAMES[0], "WEBP", save_all=True, append_images=FRAMES[1:]),
            {"num_frames": 3, "blank": False},
        ),
        ("a.png", picture(FRAMES[0], "PNG", save_all=True, append_images=FRAMES[1:]), {"num_frames": 3}),
        (
            "a.jpeg",
            picture(FRAMES[0], "MPO", save_all=True, append_images=FRAMES[1:]),
            {"num_frames": 3, "mode": "RGB"},
        ),
        ("a.jpg", picture(PIXELS, "JPEG", exif=turned_exif(6)), {"height_px": 32, "width_px": 24}),
    ],
)
def test_facts_of_images(name, content, expected):
    result = facts.facts(name, content)
    assert result["kind"] == "image"
    assert result["num_bytes"] == len(content)
    assert {fact: result[fact] for fact in expected} == expected


GRAY = PIXELS[..., 0]
TWELVE_BITS = GRAY.astype(np.uint16) * 16


@pytest.mark.parametrize(
    ("form", "format_"),
    [
        ("GIF", "gif"),
        ("BMP", "bmp"),
        ("TIFF", "tif"),
        ("AVIF", "avif"),
        ("JPEG2000", "jp2"),
        ("ICO", "ico"),
        ("QOI", "qoi"),
        ("JPEG", "jpg"),
        ("MPO", "jpg"),
    ],
)
def test_the_content_says_what_a_picture_is_whatever_its_suffix(form, format_):
    result = facts.facts("a.png", picture(PIXELS, form))
    assert (result["format"], result["kind"], result["channels"]) == (format_, "image", 3)


@pytest.mark.parametrize(("form", "suffix"), [("PPM", "ppm"), ("TGA", "tga"), ("PCX", "pcx"), ("SGI", "sgi")])
def test_a_format_without_a_signature_is_the_one_of_its_suffix(form, suffix):
    assert facts.facts(f"a.{suffix}", picture(PIXELS, form))["format"] == suffix


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (picture(GRAY), {"bits": 8, "low": GRAY.min(), "high": GRAY.max()}),
        (picture(TWELVE_BITS), {"bits": 16, "high": 16 * int(GRAY.max()), "range_used": 16 * int(GRAY.max()) / 65535}),
        (picture(TWELVE_BITS, "TIFF"), {"bits": 16, "high": 16 * int(GRAY.max())}),
        (
            picture(GRAY.astype(np.uint16) + 29_000),
            {"bits": 16, "low": 29_000 + int(GRAY.min()), "range_used": int(np.ptp(GRAY)) / 65535},
        ),
        (picture(GRAY.astype(np.float32) - 300, "TIFF"), {"bits": 32, "low": -300.0, "range_used": 1.0}),
        (png(2, 1, 16, 2, b"\0" + bytes(10) + b"\x0f\0"), {"bits": 16, "high": 0x0F0F, "mode": "RGB"}),
        (picture(SAME_TWICE), {"bits": 8, "low": 9, "high": 9}),
        (picture(CLEAR), {"low": PIXELS.min(), "high": PIXELS.max()}),
    ],
)
def test_the_range_of_values_of_a_picture_is_looked_at(content, expected):
    result = facts.facts("a.png", content)
    assert {fact: result[fact] for fact in expected} == expected


def test_not_a_number_in_a_picture_is_named():
    values = GRAY.astype(np.float32)
    values[3, 4] = np.nan
    with pytest.raises(DataError, match="image holds NaN or infinity"):
        facts.facts("a.tif", picture(values, "TIFF"))


@pytest.mark.parametrize("options", [{"pnginfo": "zTXt"}, {"pnginfo": "iTXt"}, {"icc_profile": bytes(2_000_000)}])
def test_megabytes_of_metadata_do_not_cost_the_picture(options):
    if "pnginfo" in options:
        info = PngImagePlugin.PngInfo()
        add = info.add_text if options["pnginfo"] == "zTXt" else info.add_itxt
        add("workflow", "x" * 2_000_000, zip=True)
        options = {"pnginfo": info}
    content = picture(PIXELS, exif=turned_exif(6), **options)
    assert facts.facts("a.png", content)["height_px"] == 32


def test_a_container_is_of_the_kind_that_is_asked_for():
    for kind, suffix in (("audio", "m4a"), ("video", "mp4")):
        assert formats.member_suffix(kind, HEARD_VIDEO, "a.bin") == suffix
    assert formats.member_suffix("video", HEARD_VIDEO, "a.MOV") == "mov"
    assert formats.member_suffix("image", picture(PIXELS), "a.jpg") == "png"
    assert formats.member_suffix("image", picture(PIXELS, "TGA"), "a.tga") == "tga"
    assert formats.member_suffix("audio", video(numbered(3), form="avi"), "a.avi") == "audio"
    assert formats.kind_of(picture(PIXELS)) == "image"
    assert formats.kind_of(b"words") is None


def test_every_suffix_has_one_kind():
    named = [
        (suffix, kind) for one in formats.FORMATS.values() for kind in one.suffixes for suffix in one.suffixes[kind]
    ]
    assert len(dict(named)) == len(named)
    assert all(formats.KINDS[suffix] == kind for suffix, kind in named)


LIKE_BRIGHT = np.array([[200, 0, 0], [0, 102, 0]], np.uint8)  # red, then green of the same brightness
CLIPPED = np.clip(4 * tone(), -1, 1)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (
            "a.wav",
            sound(tone(channels=8)),
            {"channels": 8, "sample_rate_hz": 16000, "seconds": 0.5, "clipped_share": 0.0},
        ),
        ("a.flac", sound(tone(), form="FLAC"), {"seconds": 0.5, "blank": False, "constant": False}),
        ("a.ogg", sound(tone(), form="OGG"), {"seconds": 0.5}),
        ("a.ogg", sound(tone(), form="OGG", subtype="OPUS"), {"seconds": 0.5}),
        ("a.mp3", sound(tone(), form="MP3"), {"seconds": 0.5, "sample_rate_hz": 16000}),
        ("a.wav", sound(np.zeros((800, 2))), {"blank": True, "constant": True, "peak": 0.0}),
        ("a.wav", sound(np.full(800, 0.25)), {"blank": False, "constant": True, "peak": 0.25}),
        ("a.wav", sound(np.full((800, 2), 1e-6), subtype="FLOAT"), {"blank": True, "constant": True}),
        ("a.wav", sound(np.stack([np.zeros(9), np.arange(9) / 9], axis=1)), {"blank": False, "constant": False}),
    ],
)
def test_facts_of_sounds(name, content, expected):
    result = facts.facts(name, content)
    assert result["kind"] == "audio"
    assert {fact: result[fact] for fact in expected} == expected


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT"])
def test_clipping_is_seen_whatever_the_samples_are_stored_as(subtype):
    share = (np.abs(4 * tone()) >= 1).mean()
    result = facts.facts("a.wav", sound(CLIPPED, subtype=subtype))
    assert result["clipped_share"] == pytest.approx(share, abs=0.02)
    assert result["peak"] > 0.99
    assert facts.facts("a.wav", sound(0.97 * tone(), subtype=subtype))["clipped_share"] == 0


def test_a_long_sound_is_read_in_blocks_and_gives_the_same_facts(monkeypatch):
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (5000, 2))
    content = sound(samples)
    whole = facts.facts("a.wav", content)
    monkeypatch.setattr("umemma.media.kinds.sound.BLOCK", 333)
    assert facts.facts("a.wav", content) == whole
    assert whole["peak"] == pytest.approx(np.abs(samples).max(), abs=1e-4)


def test_a_wav_from_a_pipe_that_does_not_know_its_length_is_read_to_its_end():
    content = sound(tone())
    at = content.index(b"data") + 4
    piped = content[:at] + b"\xff\xff\xff\xff" + content[at + 4 :]
    assert facts.facts("a.wav", piped)["seconds"] == 0.5


SILENT_VIDEO = video(numbered(12))
HEARD_VIDEO = video(numbered(12), samples=tone()[:, 0])


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (
            "a.mp4",
            SILENT_VIDEO,
            {
                "height_px": 32,
                "width_px": 48,
                "num_frames": 12,
                "fps": 25.0,
                "seconds": 0.48,
                "has_sound": False,
                "blank": False,
            },
        ),
        ("a.mp4", HEARD_VIDEO, {"num_frames": 12, "has_sound": True}),
        ("a.mov", video(numbered(1), form="mov"), {"num_frames": 1, "seconds": 0.04}),
        (
            "a.mpg",
            video(numbered(9), form="mpeg", codec="mpeg1video", samples=tone()[:, 0], sound_codec="mp2"),
            {"num_frames": 9, "has_sound": True, "fps": 25.0},
        ),
        ("a.mpeg", video(numbered(9), form="mpeg", codec="mpeg2video"), {"num_frames": 9, "has_sound": False}),
        ("a.avi", video(numbered(9), form="avi"), {"num_frames": 9}),
        ("a.mkv", video(numbered(9), form="matroska"), {"num_frames": 9}),
        ("a.webm", video(numbered(9), form="webm", codec="vp9"), {"num_frames": 9}),
        ("a.mp4", video([np.full((32, 48, 3), 7, np.uint8)] * 5), {"blank": True}),
        ("a.mp4", video([np.full((32, 48, 3), level, np.uint8) for level in (40, 40, 200)]), {"blank": False}),
        ("a.mp4", video(np.tile(LIKE_BRIGHT[:, None, None], (1, 32, 48, 1))), {"blank": False}),
        ("a.mp4", turned(SILENT_VIDEO), {"height_px": 48, "width_px": 32}),
        ("a.mp4", video(numbered(3), title="Caf?").replace(b"Caf?", b"Caf\xe9"), {"num_frames": 3}),
    ],
)
def test_facts_of_videos(name, content, expected):
    result = facts.facts(name, content)
    assert result["kind"] == "video"
    assert {fact: result[fact] for fact in expected} == expected


def test_the_sound_of_a_video_has_the_facts_of_a_sound_under_the_name_of_one():
    result = facts.facts("a.m4a", HEARD_VIDEO)
    assert result["kind"] == "audio"
    assert result["seconds"] == pytest.approx(0.5, abs=0.1)
    assert result["sample_rate_hz"] == 16000


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"words", {"num_chars": 5, "blank": False, "num_replaced": 0}),
        (b"\xef\xbb\xbfwords", {"num_chars": 5}),
        (b"\xef\xbb\xbf", {"num_chars": 0, "blank": True}),
        (" \t\r\n\u3000".encode(), {"num_chars": 5, "blank": True}),
        ("caf\ufffd".encode(), {"num_chars": 4, "num_replaced": 1}),
        ("BM: 十".encode(), {"num_chars": 5}),
    ],
)
def test_facts_of_texts(content, expected):
    result = facts.facts("a.txt", content)
    assert result["kind"] == "text"
    assert {fact: result[fact] for fact in expected} == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.arange(5), {"kind": "vector", "num_values": 5, "num_missing": 0, "blank": False}),
        (np.ones(5, np.uint8), {"kind": "vector", "blank": True}),
        (np.arange(6.0).reshape(3, 2), {"kind": "series", "num_steps": 3, "channels": 2, "blank": False}),
        (np.asfortranarray(np.tile([1.0, 2.0], (3, 1))), {"kind": "series", "channels": 2, "blank": True}),
        (np.array([1.0, np.nan, 1.0]), {"kind": "vector", "num_missing": 1, "blank": False}),
        (np.array([[1.0, np.nan], [np.nan, np.nan], [2.0, 3.0]]), {"num_steps": 3, "num_missing": 3, "blank": False}),
        (np.full((4, 2), np.nan), {"kind": "series", "num_missing": 8, "blank": True}),
    ],
)
def test_facts_of_arrays(values, expected):
    result = facts.facts("a.npy", npy(values))
    assert {fact: result[fact] for fact in expected} == expected


@pytest.mark.parametrize("name", ["a.png", "a.webp"])
def test_a_format_that_pillow_does_not_load_at_once_is_read_first_thing(name, tmp_path):
    """In a separate process: a library that is already imported would hide a missing import."""
    (tmp_path / name).write_bytes(picture(PIXELS, name[2:].upper()))
    code = (
        "import pathlib, sys; from umemma.media import facts; path = pathlib.Path(sys.argv[1]); "
        "print(facts.facts(path.name, path.read_bytes())['height_px'], 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / name], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["24", "False"], done.stderr  # and without torch


@pytest.mark.parametrize(
    "content",
    [
        sound(tone()),
        sound(tone(), form="OGG"),
        sound(tone(seconds=5), form="MP3"),
        HEARD_VIDEO,
        video(numbered(9), form="avi"),
        b"\0\0\0\x18ftypmp42" + bytes(12) + bytes(40),
        b"\0\0\0\x18ftypmp42" + bytes(12) + b"\xff" * 40,
    ],
)
def test_a_whole_file_is_not_called_cut(content):
    assert container.cut_short(content) == ""


def test_a_tag_before_the_sound_is_passed_over():
    tag = b"ID3\3\0\0\0\0\1\0" + bytes(128)
    assert signature.suffix(tag + sound(tone(), form="FLAC")) == "flac"
    assert signature.suffix(tag + sound(tone(), form="MP3")) == "mp3"
    assert facts.facts("a.mp3", tag + sound(tone(), form="MP3"))["seconds"] == 0.5


TWO = np.stack([tone()[:, 0], -tone()[:, 0]], axis=1)


@pytest.mark.parametrize(
    ("samples", "level"),
    [(tone(), 1.0), (tone(channels=2), 1.0), (TWO, 0.0), (TWO * [1, 0], 0.5), (np.zeros((800, 2)), 1.0)],
)
def test_channels_that_cancel_out_are_noticed(samples, level):
    assert facts.facts("a.wav", sound(samples))["mix_level"] == pytest.approx(level, abs=1e-3)


@pytest.mark.parametrize("length", [0, 2**31 - 1, 2**32 - 1])
def test_a_wav_whose_header_was_never_completed_is_read_to_its_end(length):
    content = sound(tone())
    at = content.index(b"data") + 4
    unfinished = content[:at] + length.to_bytes(4, "little") + content[at + 4 :]
    assert facts.facts("a.wav", unfinished)["seconds"] == 0.5
    with pytest.raises(DataError, match="0 samples"):
        facts.facts("a.wav", content[:at] + bytes(4) + b"LIST\4\0\0\0abcd")


@pytest.mark.parametrize(
    ("form", "format_"),
    [("AIFF", "aiff"), ("AU", "au"), ("CAF", "caf"), ("W64", "w64"), ("VOC", "voc"), ("NIST", "sph"), ("RF64", "wav")],
)
def test_the_content_says_what_a_sound_is_whatever_its_suffix(form, format_):
    result = facts.facts("a.mp3", sound(tone(), form=form))
    assert (result["format"], result["seconds"]) == (format_, 0.5)


@pytest.mark.parametrize(
    ("form", "codec", "format_"),
    [("adts", "aac", "aac"), ("asf", "mp2", "wmv"), ("ogg", "libopus", "ogg"), ("mpegts", "mp2", "ts")],
)
def test_sounds_that_libsndfile_does_not_know_are_read_by_ffmpeg(form, codec, format_):
    result = facts.facts("a.wav", video([], form=form, samples=tone(seconds=1.0)[:, 0], sound_codec=codec))
    assert result["format"] == format_
    assert result["seconds"] == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(
    ("form", "codec", "format_"),
    [("mpegts", "mpeg2video", "ts"), ("asf", "wmv2", "wmv"), ("3gp", "mpeg4", "mp4"), ("flv", "flv", "flv")],
)
def test_the_content_says_what_a_video_is_whatever_its_suffix(form, codec, format_):
    result = facts.facts("a.mp4", video(numbered(10), form=form, codec=codec))
    assert (result["format"], result["num_frames"]) == (format_, 10)
    assert result["seconds"] == pytest.approx(0.4, abs=0.01)


def test_the_length_of_a_video_is_that_of_its_times_whatever_its_rate():
    assert facts.facts("a.mkv", CHANGING_RATE)["seconds"] == pytest.approx(6.0, abs=0.01)
