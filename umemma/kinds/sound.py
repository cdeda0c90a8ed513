"""Sound as a stream of blocks: WAV, FLAC, Ogg and MP3 by libsndfile, all else by FFmpeg, a video's sound track too.

A block at a time, so that an hour of eight channels takes no more memory than what a decoder keeps of it. libsndfile
reads a file that was cut without a word (of an MP3 it even makes up the rest), so `cut_short` looks at the container.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np
import soundfile

from umemma.errors import DataError
from umemma.kinds import signature

BLOCK = 1 << 16  # samples of each channel
_VIDEO = ("mp4", "mpg", "mkv", "avi", "flv")
_BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_24": 24, "PCM_32": 32}  # of the others 16 are taken
_UNKNOWN_LENGTH = 0x7FFF0000  # a WAV written into a pipe gives this or more as its length


@dataclass(frozen=True)
class Header:
    """What a sound says of itself. `num_samples` None: it does not say. `full_scale`: the largest value it can hold."""

    rate_hz: int
    channels: int
    num_samples: int | None
    full_scale: float
    is_by_ffmpeg: bool


def header(content: bytes) -> Header:
    """Return what the sound says of itself. Raises DataError where there is none or its file is cut short."""
    if signature.suffix(content) in _VIDEO:
        return _ffmpeg_header(content)
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            full_scale = 1 - 2.0 ** (1 - _BITS.get(file.subtype, 16))
            found = Header(file.samplerate, file.channels, file.frames, full_scale, is_by_ffmpeg=False)
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: raw audio, which it knows by name only
        try:
            return _ffmpeg_header(content)
        except DataError:
            raise DataError(f"no readable sound: {_plain(error)}") from error
    if reason := cut_short(content):
        raise DataError(f"no readable sound: it is truncated, {reason}")
    return found


def blocks(content: bytes, known: Header, first: int = 0, last: int | None = None) -> Iterator[np.ndarray]:
    """Yield the samples from `first` up to `last`, float32 (time, channel) within -1..1, in blocks.

    Raises DataError where the sound breaks off.
    """
    whole = _ffmpeg_blocks(content) if known.is_by_ffmpeg else _sndfile_blocks(content, first)
    position = 0 if known.is_by_ffmpeg else first
    for block in whole:
        part = block[max(0, first - position) : None if last is None else max(0, last - position)]
        position += len(block)
        if len(part):
            yield part
        if last is not None and position >= last:
            return
    if not known.is_by_ffmpeg and known.num_samples is not None and first < known.num_samples > position:
        raise DataError(f"no readable sound: {known.num_samples:,} samples are promised, {position:,} could be read")


def count(content: bytes, known: Header) -> int:
    """Return the number of samples of each channel, by decoding once where the header is not to be relied on."""
    if known.num_samples is not None:
        return known.num_samples
    return sum(len(block) for block in blocks(content, known))


def cut_short(content: bytes) -> str:
    """Return in words by how much the file falls short of what its container promises; empty where it does not."""
    promised = {"wav": _wav_bytes, "ogg": _ogg_bytes, "mp3": _mp3_bytes}.get(signature.suffix(content) or "")
    expected = promised(content) if promised else 0
    return f"{expected:,} bytes are promised, {len(content):,} are there" if expected > len(content) else ""


def _sndfile_blocks(content: bytes, first: int) -> Iterator[np.ndarray]:
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            if first >= file.frames:
                return
            file.seek(first)
            while len(block := file.read(BLOCK, dtype="float32", always_2d=True)):
                yield block
    except soundfile.LibsndfileError as error:
        raise DataError(f"no readable sound: {_plain(error)}") from error


def _ffmpeg_header(content: bytes) -> Header:
    try:
        with av.open(io.BytesIO(content), "r") as container:
            if not container.streams.audio:
                raise DataError("no readable sound: the video has no sound track")
            codec = container.streams.audio[0].codec_context
            return Header(codec.sample_rate, codec.channels, None, 1 - 2.0**-15, is_by_ffmpeg=True)
    except av.FFmpegError as error:
        raise DataError(f"no readable sound: {error.strerror}") from error


def _ffmpeg_blocks(content: bytes) -> Iterator[np.ndarray]:
    try:
        with av.open(io.BytesIO(content), "r") as container:
            planar = av.AudioResampler(format="fltp")  # the type of the samples only; the rate stays
            for frame in container.decode(container.streams.audio[0]):
                yield from (part.to_ndarray().T for part in planar.resample(frame))
            yield from (part.to_ndarray().T for part in planar.resample(None))
    except av.FFmpegError as error:
        raise DataError(f"no readable sound: {error.strerror}") from error
    except ValueError as error:  # rate or channels change on the way
        raise DataError(f"no readable sound: {error}") from error


def _wav_bytes(content: bytes) -> int:
    """Return where the last chunk that the file begins must end: chunks are a name, a length and that many bytes."""
    position = 12
    while position + 8 <= len(content):
        length = int.from_bytes(content[position + 4 : position + 8], "little")
        if content[position : position + 4] == b"data":
            return 0 if length >= _UNKNOWN_LENGTH else position + 8 + length
        position += 8 + length + length % 2
    return position


def _ogg_bytes(content: bytes) -> int:
    """Return where the last page that the file begins must end: 27 bytes, a table of lengths, and their sum."""
    position = 0
    while content[position : position + 4] == b"OggS" and position + 27 <= len(content):
        num_segments = content[position + 26]
        position += 27 + num_segments + sum(content[position + 27 : position + 27 + num_segments])
    return position


def _mp3_bytes(content: bytes) -> int:
    """Return where the sound must end by the Xing or Info header that LAME and FFmpeg write; 0 where there is none."""
    start = signature.id3_bytes(content)
    at = max(content.find(mark, start, start + 64) for mark in (b"Xing", b"Info"))
    if at < 0 or not int.from_bytes(content[at + 4 : at + 8], "big") & 2:
        return 0
    skipped = 4 if content[at + 7] & 1 else 0  # the number of frames stands before that of bytes
    return start + int.from_bytes(content[at + 8 + skipped : at + 12 + skipped], "big")


def _plain(error: Exception) -> str:
    """Return libsndfile's own words, without the address of the object it read."""
    return str(getattr(error, "error_string", error)).removeprefix("Error : ").rstrip(".")
