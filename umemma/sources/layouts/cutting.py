"""Cuts, packs and inspects video and sound with PyAV, byte for byte reproducibly.

- A span of a video is re-encoded as H.264 at visually lossless quality (CRF 12): spans start between key frames, so
  packets cannot be copied. One thread and FFmpeg's `bitexact` make the bytes reproducible.
- JPEG frames are packed unchanged into a playable MP4 (Motion JPEG).
- Sound is cut at the exact sample and written as 16-bit FLAC.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain, dropwhile, takewhile
from typing import Any

import numpy as np
import soundfile
from PIL import Image

from umemma import limits
from umemma.errors import DataError
from umemma.media.kinds import ffmpeg

_BITEXACT = {"fflags": "+bitexact"}
_H264 = {"crf": "12", "preset": "veryfast", "flags": "+bitexact"}


def has_sound(content: bytes) -> bool:
    """Return whether a video file has a sound track. Raises DataError if it is not a video file."""
    with _opened(content) as container:
        return bool(container.streams.audio)


def seconds(content: bytes) -> float:
    """Return the duration of a file's video stream. Raises DataError if it has none or it is unknown."""
    with _opened(content) as container:
        if not container.streams.video:
            raise DataError("has no picture")
        stream = container.streams.video[0]
        if stream.duration is None or stream.time_base is None:
            raise DataError("does not say how long it lasts")
        return float(stream.duration * stream.time_base)


def motion_jpeg(frames: Sequence[bytes], *, fps: int) -> bytes:
    """Pack JPEG files of one size into an MP4. Raises DataError if one is not a JPEG or of another size."""
    import av

    sizes = [_size(number, frame) for number, frame in enumerate(frames, 1)]
    if len(set(sizes)) != 1:
        raise DataError(
            f"its frames have {len(set(sizes))} sizes, such as {sizes[0]} and "
            f"{next(size for size in sizes if size != sizes[0])} px"
        )
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4", options=_BITEXACT) as container:
        stream: Any = container.add_stream("mjpeg", rate=fps)
        stream.width, stream.height = sizes[0]
        stream.pix_fmt = "yuvj420p"  # only a hint: decoders use the JPEG headers
        for number, frame in enumerate(frames):
            packet: Any = av.Packet(frame)
            packet.stream, packet.time_base = stream, Fraction(1, fps)
            packet.pts = packet.dts = number
            packet.duration, packet.is_keyframe = 1, True
            container.mux(packet)
    return buffer.getvalue()


def video_span(content: bytes, start_seconds: float, end_seconds: float) -> bytes:
    """Return the frames whose midpoint is in the span, as an MP4 without sound that starts at 0.

    Frames are decoded and encoded one by one. Raises DataError if the file is not a video or has no frame in the span.
    """
    with _opened(content) as container:
        if not container.streams.video:
            raise DataError("has no picture")
        stream = ffmpeg.limited(container.streams.video[0])
        rate = stream.average_rate or stream.guessed_rate
        if not rate or stream.time_base is None:
            raise DataError("does not say how many frames a second it has")
        half, begin = Fraction(1, 2) / rate, stream.start_time or 0
        times = (
            ((frame.pts - begin) * stream.time_base + half, frame)
            for frame in container.decode(stream)
            if frame.pts is not None
        )
        later = dropwhile(lambda timed: timed[0] < start_seconds, times)
        inside = (frame for _, frame in takewhile(lambda timed: timed[0] < end_seconds, later))
        first = next(inside, None)
        if first is None:
            raise DataError(f"has no frame between {start_seconds:g} and {end_seconds:g} s")
        return _h264(first, inside, rate)


def sound_span(content: bytes, start_seconds: float, end_seconds: float) -> tuple[np.ndarray, int]:
    """Return the sound of a span as float32 (sample, channel) within -1..1, and its rate in Hz.

    Raises DataError if the file has no sound in the span.
    """
    with _opened(content) as container:
        if not container.streams.audio:
            raise DataError("has no sound")
        stream = container.streams.audio[0]
        rate_hz = ffmpeg.codec(stream).sample_rate
        first, last, position, parts = round(start_seconds * rate_hz), round(end_seconds * rate_hz), 0, []
        for part in ffmpeg.samples(container, stream):
            parts.append(part[max(0, first - position) : max(0, last - position)])
            position += len(part)
            limits.check("sound_values", position * part.shape[1], "the sound")
            if position >= last:
                break
    if not sum(map(len, parts)):
        raise DataError(f"has no sound between {start_seconds:g} and {end_seconds:g} s")
    return np.concatenate(parts), rate_hz


def flac(samples: np.ndarray, rate_hz: int) -> bytes:
    """Encode float samples, (sample,) or (sample, channel), as 16-bit FLAC; clipped to -1..1."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


@contextmanager
def _opened(content: bytes) -> Iterator[Any]:
    """Open a video file in memory; FFmpeg errors, also in the body, become DataError."""
    import av

    try:
        with ffmpeg.opened(content) as container:
            yield container
    except (av.FFmpegError, ValueError, EOFError, IndexError) as error:
        raise DataError(f"no readable video: {getattr(error, 'strerror', None) or error}") from error


def _h264(first: Any, others: Iterable[Any], rate: Fraction) -> bytes:
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4", options=_BITEXACT) as container:
        stream: Any = container.add_stream("libx264", rate=rate, options=_H264)
        stream.width, stream.height = (max(side - side % 2, 2) for side in (first.width, first.height))
        stream.pix_fmt, stream.codec_context.thread_count = "yuv420p", 1
        for number, frame in enumerate(chain([first], others)):
            even = frame.reformat(stream.width, stream.height, "yuv420p")
            even.pts, even.time_base = number, 1 / rate
            container.mux(stream.encode(even))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def _size(number: int, frame: bytes) -> tuple[int, int]:
    try:
        with Image.open(io.BytesIO(frame), formats=["JPEG"]) as image:
            return image.size
    except OSError as error:
        raise DataError(f"frame {number} is no readable JPEG: {error}") from error
