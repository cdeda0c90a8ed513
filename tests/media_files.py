"""Good and bad media files, generated for the tests of the readers."""

import io
import struct
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile
from PIL import Image

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def picture(content: Image.Image | np.ndarray, form: str = "PNG", **options: object) -> bytes:
    """Encode a Pillow image, or pixels, in one of Pillow's formats."""
    stream = io.BytesIO()
    image = content if isinstance(content, Image.Image) else Image.fromarray(content)
    image.save(stream, form, **options)
    return stream.getvalue()


def png(width: int, height: int, bits: int, colour: int, rows: bytes = b"") -> bytes:
    """Write a PNG by hand: `colour` 0 is gray, 2 RGB; `rows` are the bytes of all rows, each after a 0."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tone(hz: float = 440.0, seconds: float = 0.5, rate_hz: int = 16000, channels: int = 1) -> np.ndarray:
    """Return a sine of half the full scale, float32 (time, channel)."""
    wave = 0.5 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def sound(samples: np.ndarray, rate_hz: int = 16000, form: str = "WAV", subtype: str | None = None) -> bytes:
    """Encode samples (time, channel) or (time,)."""
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate_hz, format=form, subtype=subtype)
    return stream.getvalue()


def npy(values: object, **options: object) -> bytes:
    """Encode an array as .npy."""
    stream = io.BytesIO()
    np.save(stream, np.asarray(values, **options))
    return stream.getvalue()


def numbered(num: int, height: int = 32, width: int = 48) -> list[np.ndarray]:
    """Return frames whose brightness encodes their number: 10, 18, 26 ..., with a white mark in the upper left corner."""
    frames = [np.full((height, width, 3), 10 + 8 * number, np.uint8) for number in range(num)]
    for frame in frames:
        frame[:8, :8] = 255
    return frames


def video(
    frames: Sequence[np.ndarray],
    *,
    form: str = "mp4",
    codec: str = "mpeg4",
    samples: np.ndarray | None = None,
    sound_codec: str = "aac",
    index_first: bool = False,
    shown_at: Sequence[float] | None = None,
    **metadata: str,
) -> bytes:
    """Encode frames (height, width, 3) at 25 a second or at the times `shown_at`, with 16 kHz sound where `samples` (time,) are given.

    The bytes are the same every time.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip"
        options = {"fflags": "+bitexact"} | ({"movflags": "faststart"} if index_first else {})
        with av.open(str(path), "w", format=form, options=options) as container:
            container.metadata.update(metadata)
            tracks = []
            if len(frames):
                pictures = container.add_stream(codec, rate=25)
                pictures.height, pictures.width = frames[0].shape[:2]
                pictures.pix_fmt, pictures.bit_rate = "yuv420p", 4_000_000
                tracks.append((pictures, _pictures(frames, shown_at)))
            if samples is not None:
                tracks.append((container.add_stream(sound_codec, rate=16000, layout="mono"), _pieces(samples)))
            for stream, pieces in tracks:
                for piece in pieces:
                    container.mux(stream.encode(piece))
                container.mux(stream.encode(None))
        return path.read_bytes()


def surround(samples: np.ndarray, layout: str, codec: str = "pcm_s16le", form: str = "matroska") -> bytes:
    """Encode samples (time, channel) within -1..1 at 48 kHz, a whole number of 1024, as the only track of a container."""
    stream = io.BytesIO()
    with av.open(stream, "w", format=form) as container:
        track = container.add_stream(codec, rate=48000, layout=layout)
        native = av.AudioResampler(track.format.name, layout, 48000)
        for start in range(0, len(samples), 1024):
            written = np.round(samples[start : start + 1024] * 32767).astype(np.int16)
            piece = av.AudioFrame.from_ndarray(written.reshape(1, -1), "s16", layout)
            piece.sample_rate, piece.pts = 48000, start
            for frame in native.resample(piece):
                container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return stream.getvalue()


def _pictures(frames: Sequence[np.ndarray], shown_at: Sequence[float] | None) -> Iterator[av.VideoFrame]:
    for number, frame in enumerate(frames):
        encoded = av.VideoFrame.from_ndarray(frame, format="rgb24")
        if shown_at is not None:
            encoded.pts, encoded.time_base = round(25 * shown_at[number]), Fraction(1, 25)
        yield encoded


def _pieces(samples: np.ndarray) -> Iterator[av.AudioFrame]:
    for start in range(0, len(samples), 1024):
        piece = av.AudioFrame.from_ndarray(samples[None, start : start + 1024].astype(np.float32), "fltp", "mono")
        piece.sample_rate, piece.pts = 16000, start
        yield piece


def turned(mp4: bytes) -> bytes:
    """Return the video with a display matrix that says: turn a quarter clockwise, as a phone held upright writes it."""
    at = mp4.index(b"tkhd") + 44
    matrix = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    return mp4[:at] + matrix + mp4[at + len(matrix) :]


CHANGING_RATE = video(  # a screen recording: 25 frames in the first second, then one a second
    numbered(30), form="matroska", shown_at=[*(i / 25 for i in range(25)), 1.0, 2.0, 3.0, 4.0, 5.0]
)
