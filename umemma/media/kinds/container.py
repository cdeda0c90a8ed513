"""Detecting truncated files by the length in their header: readers of sound and video silently accept a missing end.

libsndfile even fills in the rest of a truncated MP3, and FFmpeg reads an MP4 with half an index.
"""

from collections.abc import Callable

from umemma.media.kinds import signature

_UNKNOWN_LENGTH = 0x7FFF0000  # a WAV written to a pipe has this or more as its length


def cut_short(content: bytes) -> str:
    """Return as text by how much the file is shorter than its header says; empty if it is not, or has no length."""
    promised, slack = _PROMISES.get(signature.suffix(content) or "", (len, 0))
    expected = promised(content)
    return f"{expected:,} bytes are promised, {len(content):,} are there" if expected > len(content) + slack else ""


def _wav_bytes(content: bytes) -> int:
    """Return where the last chunk in the file must end: chunks are a name, a length and that many bytes."""
    position = 12
    while position + 8 <= len(content):
        length = int.from_bytes(content[position + 4 : position + 8], "little")
        if content[position : position + 4] == b"data":
            return 0 if length >= _UNKNOWN_LENGTH else position + 8 + length
        position += 8 + length + length % 2
    return position


def _avi_bytes(content: bytes) -> int:
    return 8 + int.from_bytes(content[4:8], "little")


def _ogg_bytes(content: bytes) -> int:
    """Return where the last page in the file must end: 27 bytes, a table of lengths, and their sum."""
    position = 0
    while content[position : position + 4] == b"OggS" and position + 27 <= len(content):
        num_segments = content[position + 26]
        position += 27 + num_segments + sum(content[position + 27 : position + 27 + num_segments])
    return position


def _mp3_bytes(content: bytes) -> int:
    """Return where the sound must end by the Xing or Info header of LAME and FFmpeg; 0 if there is none."""
    start = signature.id3_bytes(content)
    at = max(content.find(mark, start, start + 64) for mark in (b"Xing", b"Info"))
    if at < 0 or not int.from_bytes(content[at + 4 : at + 8], "big") & 2:
        return 0
    skipped = 4 if content[at + 7] & 1 else 0  # the number of frames precedes that of bytes
    return start + int.from_bytes(content[at + 8 + skipped : at + 12 + skipped], "big")


def _mp4_bytes(content: bytes) -> int:
    """Return where the last box in the file must end: a length, a name, and the content."""
    position = 0
    while position + 8 <= len(content):
        length = int.from_bytes(content[position : position + 4], "big")
        if length == 1:  # the actual length follows the name
            length = int.from_bytes(content[position + 8 : position + 16], "big")
        if length < 8 or not content[position + 4 : position + 8].isalnum():  # 0: to the end; no name: no more boxes
            return len(content)
        position += length
    return position


_PROMISES: dict[str, tuple[Callable[[bytes], int], int]] = {  # and the tolerated shortfall, in bytes
    "wav": (_wav_bytes, 64),  # some programs include the header in the length
    "ogg": (_ogg_bytes, 0),
    "mp3": (_mp3_bytes, 1_500),  # some include their own header frame, of at most 1,441 bytes
    "mp4": (_mp4_bytes, 0),
    "avi": (_avi_bytes, 64),
}
