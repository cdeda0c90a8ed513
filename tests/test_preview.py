"""What the page shows of a sample: small, playable, and never markup of its own."""

import base64
import io

import numpy as np
import pytest
import soundfile
from PIL import Image

from tests.page_sample import TWO, sample
from umemma.data import shards
from umemma.errors import DataError
from umemma.media.preview import CHARS, SECONDS, THUMBNAIL_PX, preview
from umemma.reporting.page import page
from umemma.reporting.preview import Preview


def decoded(uri, kind):
    head, content = uri.split(",")
    assert head == f"data:{kind};base64"
    return io.BytesIO(base64.b64decode(content))


def encoded(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_a_picture_becomes_a_thumbnail():
    buffer = io.BytesIO()
    Image.new("RGBA", (900, 300), (250, 0, 0, 255)).save(buffer, "PNG")
    shown = preview("photo", "png", buffer.getvalue())
    picture = Image.open(decoded(shown.content, "image/jpeg"))
    assert (shown.modality, shown.kind) == ("photo", "picture")
    assert picture.width == THUMBNAIL_PX
    assert picture.getpixel((5, 5))[0] > 230
    assert len(shown.content) < 10_000


def test_a_sound_becomes_a_few_seconds_that_can_be_played():
    buffer = io.BytesIO()
    rate, seconds = 44_100, 9
    tone = np.sin(np.arange(rate * seconds) * 2 * np.pi * 440 / rate).astype(np.float32)
    soundfile.write(buffer, np.stack([tone, tone], axis=1), rate, format="WAV")
    shown = preview("voice", "wav", buffer.getvalue())
    samples, rate = soundfile.read(decoded(shown.content, "audio/mpeg"))
    assert SECONDS - 0.1 < len(samples) / rate < SECONDS + 0.3
    assert samples.ndim == 1
    assert np.abs(samples).max() > 0.5
    assert len(shown.content) < 60_000


def test_a_long_text_is_cut_and_numbers_are_listed():
    shown = preview("plot", "txt", ("word " * 500).encode())
    assert shown.kind == "text"
    assert len(shown.content) <= CHARS + 1
    assert shown.content.endswith("…")
    assert preview("plot", "txt", b"<b>hi</b>").content == "<b>hi</b>"
    assert preview("n", "npy", encoded(np.array([1.5, np.nan, 3], np.float32))).content == "1.5, nan, 3"
    assert preview("n", "npy", encoded(np.arange(12, dtype=np.float32))).content.endswith("(12 numbers)")
    series = preview("n", "npy", encoded(np.arange(40, dtype=np.float32).reshape(20, 2))).content
    assert series == "20 steps of 2 channels, 0 to 39"


def test_what_cannot_be_read_is_an_error():
    with pytest.raises(DataError):
        preview("photo", "png", b"no picture")


def test_the_files_of_one_sample_are_read_from_its_shard(tmp_path):
    import webdataset

    with webdataset.TarWriter(str(tmp_path / "test-000000.tar"), mtime=0, encoder=False) as tar:
        for key in ("a", "ab", "b"):
            tar.write({"__key__": key, "json": b"{}", "text.txt": key.encode(), "voice.wav": b"w" + key.encode()})
    assert shards.files(tmp_path, "test-000000.tar", "a") == {"text": ("txt", b"a"), "voice": ("wav", b"wa")}
    assert shards.files(tmp_path, "test-000000.tar", "ab")["text"] == ("txt", b"ab")


def test_the_page_shows_previews_beside_the_wrong_answers_and_escapes_their_text():
    reports = sample(TWO)
    key = reports.classes.wrong[0].key
    shown = {
        key: [
            Preview("photo", "picture", "data:image/jpeg;base64,AAAA"),
            Preview("voice", "sound", "data:audio/mpeg;base64,BBBB"),
            Preview("plot", "text", "<script>alert(1)</script>"),
        ]
    }
    html = page(reports, shown)
    assert '<img src="data:image/jpeg;base64,AAAA" alt="photo">' in html
    assert 'src="data:audio/mpeg;base64,BBBB" aria-label="voice"></audio>' in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script>alert" not in html
    assert "&lt;i&gt;k-0&lt;/i&gt;" in html
    assert "<i>k-0" not in html
