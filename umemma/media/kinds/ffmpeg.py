"""Opening sounds and videos by FFmpeg through PyAV, which bundles it.

FFmpeg guesses the format of what it is given, and some formats name other files or addresses to open: playlists (HLS),
lists to concatenate, session descriptions. A file from elsewhere must not be able to have this machine read others, so
only the containers below are opened, and no protocol at all.
"""

import io

import av
from av.stream import Disposition

_DEMUXERS = (
    *("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "asf", "flv", "mpeg", "mpegts", "mpegvideo", "ogg", "gif"),
    *("wav", "w64", "aiff", "au", "caf", "flac", "mp3", "aac", "amr", "ac3", "eac3", "wv", "voc", "nistsphere"),
    *("h264", "hevc", "m4v"),
)
_OPTIONS = {"format_whitelist": ",".join(_DEMUXERS), "protocol_whitelist": "none"}


def opened(content: bytes) -> av.container.InputContainer:
    """Return the opened container, to be used in a `with`. Raises av.FFmpegError if it is none of those read."""
    return av.open(io.BytesIO(content), "r", metadata_errors="replace", options=_OPTIONS)


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
