"""Opening sounds and videos by FFmpeg through PyAV, which bundles it.

FFmpeg guesses the format of what it is given, and some formats name other files or addresses to open: playlists (HLS),
lists to concatenate, session descriptions. A file from elsewhere must not be able to have this machine read others, so
only the containers below are opened, and no protocol at all.

Some containers have no list of their tracks: each is found where it begins. In these FFmpeg looks through the whole file
for them, as PyAV ends in an IndexError at a track that it did not know of.
"""

import io
from collections.abc import Iterator
from itertools import chain
from typing import Any

import av
import numpy as np
from av.stream import Disposition

from umemma import limits
from umemma.errors import DataError
from umemma.media.kinds import signature

_DEMUXERS = (
    *("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "asf", "flv", "mpeg", "mpegts", "mpegvideo", "ogg", "gif"),
    *("wav", "w64", "aiff", "au", "caf", "flac", "mp3", "aac", "amr", "ac3", "eac3", "wv", "voc", "nistsphere"),
    *("h264", "hevc", "m4v"),
)
_UNLISTED = ("flv", "mpg", "ts")
_PADDING = 1 << 16  # pixels around a small frame
_HOURS = str(10**11)  # in microseconds
_OPTIONS = {"format_whitelist": ",".join(_DEMUXERS), "protocol_whitelist": "none"}


def opened(content: bytes) -> av.container.InputContainer:
    """Return the opened container, to be used in a `with`. Raises av.FFmpegError if it is none of those read."""
    is_unlisted = signature.suffix(content) in _UNLISTED
    options = _OPTIONS | ({"probesize": str(len(content) + 32), "analyzeduration": _HOURS} if is_unlisted else {})
    return av.open(io.BytesIO(content), "r", metadata_errors="replace", options=options)


def codec(stream: av.VideoStream | av.AudioStream) -> Any:
    """Return how a stream is encoded, of a sound with its rate. Raises DataError where FFmpeg does not know it."""
    known: Any = stream.codec_context
    what = "sound" if stream.type == "audio" else "video"
    if known is None or (what == "sound" and known.sample_rate < 1):
        raise DataError(f"no readable {what}: FFmpeg does not know how it is encoded")
    return known


def samples(container: av.container.InputContainer, stream: av.AudioStream) -> Iterator[np.ndarray]:
    """Yield a sound in blocks, float32 (time, channel), with the channels and the rate of its header.

    For AAC the decoder may return twice either. Interleaved, as the channels of a planar frame are read from memory that is
    not its own where they are eight or more (PyAV 18 looks for the end of a list that has none). Raises DataError if the
    channels change.
    """
    known = codec(stream)
    interleaved, channels = av.AudioResampler("flt", known.layout, known.sample_rate), known.layout.nb_channels
    for frame in chain(container.decode(stream), [None]):
        for part in interleaved.resample(frame):
            if part.layout.nb_channels != channels:
                raise DataError(f"no readable sound: its {channels} channels become {part.layout.nb_channels}")
            yield part.to_ndarray().reshape(-1, channels)


def limited(stream: av.VideoStream) -> av.VideoStream:
    """Return a stream; raise OverLimit by what its header says. Frames beyond twice the limit FFmpeg refuses itself."""
    known = codec(stream)
    limits.check("frame_pixels", stream.width * stream.height, "the video")
    limits.check("frames", stream.frames, "the video")
    limits.check("video_pixels", stream.frames * stream.width * stream.height, "the video")
    most = 2 * limits.current().frame_pixels + _PADDING
    known.options = {"max_pixels": str(most)}
    return stream


def pictures(container: av.container.InputContainer) -> list[av.VideoStream]:
    """Return the streams of pictures, without those of a cover or thumbnail, which is not the video."""
    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]


def kind(content: bytes) -> str | None:
    """Return what a container's streams make it: `video` with pictures, `audio` with sound alone; None if it has neither."""
    try:
        with opened(content) as container:
            return "video" if pictures(container) else "audio" if container.streams.audio else None
    except av.FFmpegError:  # a damaged one, or no container; its reader says why
        return None
