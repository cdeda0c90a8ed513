"""Opening sounds and videos by FFmpeg through PyAV, which bundles it.

FFmpeg guesses the format of what it is given, and some formats name other files or addresses to open: playlists (HLS),
lists to concatenate, session descriptions. A file from elsewhere must not be able to have this machine read others, so
only the containers below are opened, and no protocol at all.
"""

import io

import av

_DEMUXERS = (
    *("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "asf", "flv", "mpeg", "mpegts", "mpegvideo", "ogg", "gif"),
    *("wav", "w64", "aiff", "au", "caf", "flac", "mp3", "aac", "amr", "ac3", "eac3", "wv", "voc", "nistsphere"),
    *("h264", "hevc", "m4v"),
)
_OPTIONS = {"format_whitelist": ",".join(_DEMUXERS), "protocol_whitelist": "none"}


def opened(content: bytes) -> av.container.InputContainer:
    """Return the opened container, to be used in a `with`. Raises av.FFmpegError if it is none of those read."""
    return av.open(io.BytesIO(content), "r", metadata_errors="replace", options=_OPTIONS)
