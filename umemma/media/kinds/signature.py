"""The format of a file by its first bytes (magic numbers), whatever its name.

Only formats with an unambiguous signature are recognised; any other file is left to its reader.
"""

FAMILIES = (
    {"jpg", "jpeg"},
    {"mpg", "mpeg"},
    {"mp4", "m4v", "m4a", "mov"},
    {"mkv", "webm"},
    {"npy", "events"},
)  # suffixes of the same format
_NAMES = {
    "png": "a PNG image",
    "jpg": "a JPEG image",
    "webp": "a WebP image",
    "gif": "a GIF image",
    "bmp": "a BMP image",
    "tif": "a TIFF image",
    "wav": "a WAV sound",
    "flac": "a FLAC sound",
    "ogg": "an Ogg sound",
    "mp3": "an MP3 sound",
    "mp4": "an MP4 video",
    "mpg": "an MPEG video",
    "mkv": "a Matroska video",
    "avi": "an AVI video",
    "flv": "a Flash video",
    "npy": "a NumPy array",
    "html": "a web page",
    "pdf": "a PDF document",
    "zip": "a ZIP archive",
    "gz": "a gzip archive",
    "lfs": "a Git LFS pointer: `git lfs pull` fetches the file itself",
}
_STARTS = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpg",
    b"GIF8": "gif",
    b"BM": "bmp",
    b"II*\0": "tif",
    b"MM\0*": "tif",
    b"RF64": "wav",
    b"fLaC": "flac",
    b"OggS": "ogg",
    b"\0\0\1\xba": "mpg",
    b"\0\0\1\xb3": "mpg",
    b"\x1a\x45\xdf\xa3": "mkv",
    b"FLV\1": "flv",
    b"\x93NUMPY": "npy",
    b"%PDF": "pdf",
    b"PK\3\4": "zip",
    b"\x1f\x8b": "gz",
    b"version https://git-lfs.github.com/": "lfs",
}
_RIFF = {b"WAVE": "wav", b"WEBP": "webp", b"AVI ": "avi"}


def suffix(content: bytes) -> str | None:
    """Return the usual suffix of the format by its signature, such as `png`; None if it is not recognised."""
    if content[:4] == b"RIFF":
        return _RIFF.get(content[8:12])
    if content[:3] == b"ID3":  # a tag before the sound, which is nearly always MP3
        return "flac" if content[id3_bytes(content) :][:4] == b"fLaC" else "mp3"
    if content[4:8] in (b"ftyp", b"moov", b"mdat"):
        return "mp4"
    if len(content) > 1 and content[0] == 0xFF and content[1] & 0xE6 == 0xE2:  # frame sync and layer 3
        return "mp3"
    if content[:64].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "html"
    return next((format_ for start, format_ in _STARTS.items() if content.startswith(start)), None)


def named(content: bytes) -> str | None:
    """Return the format by its signature as text: `a PNG image`."""
    format_ = suffix(content)
    return _NAMES[format_] if format_ else None


def contradicts(claimed: str, content: bytes) -> bool:
    """Return whether the content certainly has another format than the suffix `claimed`."""
    actual = suffix(content)
    return actual not in (None, claimed) and not any({actual, claimed} <= family for family in FAMILIES)


def id3_bytes(content: bytes) -> int:
    """Return the length of the ID3 tag at the start of an MP3 file, 0 without: header and four 7-bit digits."""
    if content[:3] != b"ID3" or len(content) < 10:
        return 0
    return 10 + sum(digit << shift for digit, shift in zip(content[6:10], (21, 14, 7, 0), strict=True))
