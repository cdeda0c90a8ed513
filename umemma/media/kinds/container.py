"""Detecting truncated files by the length in their header: readers of sound and video silently accept a missing end.

libsndfile even fills in the rest of a truncated MP3, and FFmpeg reads an MP4 with half an index. Numbers are read of
slices, which may end early: a file can be cut in the middle of any of them.
"""

from collections.abc import Callable

from umemma.media.kinds import signature

_WAV_CHUNKS = (b"LIST", b"fact", b"cue ", b"bext", b"smpl", b"id3 ", b"ID3 ", b"JUNK", b"PAD ", b"inst", b"iXML")
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_UNKNOWN_LENGTH = 0x7FFF0000  # a WAV written to a pipe has this or more as its length


def cut_short(content: bytes) -> str:
    """Return as text by how much the file is shorter than its header says; empty if it is not, or has no length."""
    promised, slack = _PROMISES.get(signature.suffix(content) or "", (len, 0))
    expected = promised(content)
    return f"{expected:,} bytes are promised, {len(content):,} are there" if expected > len(content) + slack else ""


def completed(content: bytes) -> bytes:
    """Return a WAV whose header was never completed with the length of its data, up to the end of the file.

    Recorders write the header first, with a length of 0 or of 4 GiB, and the length when they are stopped properly. An
    empty WAV that goes on with another chunk is as it is.
    """
    at = _wav_data(content)
    if at is None or content[:4] != b"RIFF":
        return content
    length, rest = int.from_bytes(content[at - 4 : at], "little"), len(content) - at
    is_unfinished = length >= _UNKNOWN_LENGTH or (not length and content[at : at + 4] not in _WAV_CHUNKS)
    if not rest or rest >= _UNKNOWN_LENGTH or not is_unfinished:
        return content
    return b"".join(
        (b"RIFF", (at + rest - 8).to_bytes(4, "little"), content[8 : at - 4], rest.to_bytes(4, "little"), content[at:])
    )


def _wav_data(content: bytes) -> int | None:
    """Return where the samples of a WAV begin; None if there are none, or it is no WAV."""
    position = 12
    while content[8:12] == b"WAVE" and position + 8 <= len(content):
        if content[position : position + 4] == b"data":
            return position + 8
        length = int.from_bytes(content[position + 4 : position + 8], "little")
        position += 8 + length + length % 2
    return None


def _wav_bytes(content: bytes) -> int:
    """Return where the last chunk in the file must end: chunks are a name, a length and that many bytes."""
    position = 12
    if content[:4] == b"RF64":
        return 8 + int.from_bytes(content[20:28], "little")
    while position + 8 <= len(content):
        length = int.from_bytes(content[position + 4 : position + 8], "little")
        if content[position : position + 4] == b"data":
            return 0 if length >= _UNKNOWN_LENGTH else position + 8 + length
        position += 8 + length + length % 2
    return position


def _form_bytes(content: bytes) -> int:
    return 8 + int.from_bytes(content[4:8], "big")


def _au_bytes(content: bytes) -> int:
    length = int.from_bytes(content[8:12], "big")
    return 0 if length == 2**32 - 1 else int.from_bytes(content[4:8], "big") + length


def _caf_bytes(content: bytes) -> int:
    """Return where the last chunk in the file must end: a name, a length of eight bytes, and that many bytes."""
    position = 8
    while position + 12 <= len(content):
        length = int.from_bytes(content[position + 4 : position + 12], "big", signed=True)
        if length < 0:  # up to the end of the file
            return 0
        position += 12 + length
    return position


def _w64_bytes(content: bytes) -> int:
    return int.from_bytes(content[16:24], "little")


def _asf_bytes(content: bytes) -> int:
    """Return the file's size by its properties, 0 if it was broadcast, or has none."""
    at = content.find(_ASF_PROPERTIES)
    is_broadcast = at < 0 or int.from_bytes(content[at + 88 : at + 89], "big") & 1
    return 0 if is_broadcast else int.from_bytes(content[at + 40 : at + 48], "little")


def _mkv_bytes(content: bytes) -> int:
    """Return where the segment must end: two elements, each a name, a length and that many bytes; 0 if not known."""
    header_at, header_length = _ebml_length(content, 4)
    segment = header_at + header_length
    if content[segment : segment + 4] != b"\x18\x53\x80\x67":
        return 0
    start, length = _ebml_length(content, segment + 4)
    return start + length if length else 0


def _ebml_length(content: bytes, position: int) -> tuple[int, int]:
    """Return (where the content begins, its length), 0 for an unknown one; leading zeros are how many bytes follow."""
    first = content[position] if position < len(content) else 0
    if not first:
        return len(content), 0
    num_bytes = 9 - first.bit_length()
    ones = (1 << 7 * num_bytes) - 1
    length = int.from_bytes(content[position : position + num_bytes], "big") & ones
    return position + num_bytes, 0 if length == ones else length


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
    flags = int.from_bytes(content[at + 4 : at + 8], "big")
    if at < 0 or not flags & 2:
        return 0
    skipped = 4 if flags & 1 else 0  # the number of frames precedes that of bytes
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
    "mkv": (_mkv_bytes, 0),
    "wmv": (_asf_bytes, 0),
    "aiff": (_form_bytes, 1),
    "au": (_au_bytes, 0),
    "caf": (_caf_bytes, 0),
    "w64": (_w64_bytes, 8),
    "avi": (_avi_bytes, 64),
}
