"""Sound as a stream of blocks: by libsndfile what it can read, else by FFmpeg, including the sound tracks of videos.

One block at a time, so that an hour of eight channels takes no more memory than the part that a decoder keeps.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np
import soundfile

from umemma import limits
from umemma.errors import DataError
from umemma.media.kinds import container, ffmpeg, signature

BLOCK = 1 << 16  # samples of each channel
_VIDEO = ("mp4", "mpg", "mkv", "avi", "flv", "wmv", "ts")
_BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_24": 24, "PCM_32": 32}  # others count as 16


@dataclass(frozen=True)
class Header:
    """The header of a sound. `num_samples` None: not given. `full_scale`: the largest value its format can hold."""

    rate_hz: int
    channels: int
    num_samples: int | None
    full_scale: float
    is_by_ffmpeg: bool


def header(content: bytes) -> Header:
    """Return the header of a sound. Raises DataError if there is no sound, the file is truncated, or over a limit."""
    known = _header(content)
    limits.check("channels", known.channels, "the sound")
    limits.check("rate_hz", known.rate_hz, "the sound")
    if known.num_samples is not None:
        _check_length(known.num_samples, known)
    return known


def _header(content: bytes) -> Header:
    if reason := container.cut_short(content):
        raise DataError(f"no readable sound: it is truncated, {reason}")
    if signature.suffix(content) in _VIDEO:
        return _ffmpeg_header(content)
    try:
        with soundfile.SoundFile(io.BytesIO(container.completed(content))) as file:
            full_scale = 1 - 2.0 ** (1 - _BITS.get(file.subtype, 16))
            return Header(file.samplerate, file.channels, file.frames, full_scale, is_by_ffmpeg=False)
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: raw audio, recognised by file name only
        try:
            return _ffmpeg_header(content)
        except DataError:
            raise DataError(f"no readable sound: {_plain(error)}") from error


def blocks(content: bytes, known: Header, first: int = 0, last: int | None = None) -> Iterator[np.ndarray]:
    """Yield the samples from `first` up to `last`, float32 (time, channel) within -1..1, in blocks.

    Raises DataError if the sound ends early, or has other channels than its header says.
    """
    whole = _ffmpeg_blocks(content) if known.is_by_ffmpeg else _sndfile_blocks(content, first)
    position = 0 if known.is_by_ffmpeg else first
    for block in whole:
        if block.shape[1] != known.channels:
            raise DataError(f"no readable sound: {known.channels} channels are promised, {block.shape[1]} were read")
        _check_length(position + len(block), known)  # by FFmpeg the length is not known before
        part = block[max(0, first - position) : None if last is None else max(0, last - position)]
        position += len(block)
        if len(part):
            yield part
        if last is not None and position >= last:
            return
    if not known.is_by_ffmpeg and known.num_samples is not None and first < known.num_samples > position:
        raise DataError(f"no readable sound: {known.num_samples:,} samples are promised, {position:,} could be read")


def _check_length(num_samples: int, known: Header) -> None:
    limits.check("seconds", num_samples / known.rate_hz, "the sound")
    limits.check("sound_values", num_samples * known.channels, "the sound")


def count(content: bytes, known: Header) -> int:
    """Return the number of samples per channel, by decoding once if the header does not give it reliably."""
    if known.num_samples is not None:
        return known.num_samples
    return sum(len(block) for block in blocks(content, known))


def _sndfile_blocks(content: bytes, first: int) -> Iterator[np.ndarray]:
    try:
        with soundfile.SoundFile(io.BytesIO(container.completed(content))) as file:
            file.seek(first)
            while len(block := file.read(BLOCK, dtype="float32", always_2d=True)):
                yield block
    except soundfile.LibsndfileError as error:
        raise DataError(f"no readable sound: {_plain(error)}") from error


def _ffmpeg_header(content: bytes) -> Header:
    try:
        with ffmpeg.opened(content) as opened:
            if not opened.streams.audio:
                raise DataError("no readable sound: the video has no sound track")
            codec = ffmpeg.codec(opened.streams.audio[0])
            return Header(codec.sample_rate, codec.channels, None, 1 - 2.0**-15, is_by_ffmpeg=True)
    except av.FFmpegError as error:
        raise DataError(f"no readable sound: {error.strerror}") from error


def _ffmpeg_blocks(content: bytes) -> Iterator[np.ndarray]:
    try:
        with ffmpeg.opened(content) as opened:
            yield from ffmpeg.samples(opened, opened.streams.audio[0])
    except av.FFmpegError as error:
        raise DataError(f"no readable sound: {error.strerror}") from error
    except ValueError as error:  # rate or channels change within the stream
        raise DataError(f"no readable sound: {error}") from error
    except IndexError as error:  # of PyAV, see `ffmpeg`
        raise DataError("no readable sound: a track begins after the others that FFmpeg does not know of") from error


def _plain(error: Exception) -> str:
    """Return libsndfile's message, without the address of the object it read."""
    return str(getattr(error, "error_string", error)).removeprefix("Error : ").rstrip(".")
