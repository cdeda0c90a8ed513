"""The format of a file by its first bytes (magic numbers), whatever its name.

Only formats with an unambiguous signature are recognised; any other file is left to its reader. What the formats are
called and what they can hold is in `umemma/media/formats.py`.
"""

_STARTS = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpg",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
    b"II*\0": "tif",
    b"MM\0*": "tif",
    b"II+\0": "tif",
    b"MM\0+": "tif",
    b"\0\0\0\x0cjP  \r\n\x87\n": "jp2",
    b"\xff\x4f\xff\x51": "jp2",
    b"\0\0\1\0": "ico",
    b"qoif": "qoi",
    b"8BPS\0": "psd",
    b"RF64": "wav",
    b"riff\x2e\x91\xcf\x11": "w64",
    b"fLaC": "flac",
    b"OggS": "ogg",
    b"caff\0\1": "caf",
    b".snd\0\0": "au",
    b"#!AMR": "amr",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "wmv",
    b"wvpk": "wv",
    b"Creative Voice File\x1a": "voc",
    b"NIST_1A\n": "sph",
    b"\0\0\1\xba": "mpg",
    b"\0\0\1\xb3": "mpg",
    b"\x1a\x45\xdf\xa3": "mkv",
    b"FLV\1": "flv",
    b"\x93NUMPY": "npy",
    b"MThd\0\0\0\6": "mid",
    b"%!PS": "eps",
    b"\xc5\xd0\xd3\xc6": "eps",
    b"%PDF": "pdf",
    b"PK\3\4": "zip",
    b"\x1f\x8b": "gz",
    b"Rar!\x1a\7": "rar",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "doc",
    b"\x89HDF\r\n\x1a\n": "h5",
    b"version https://git-lfs.github.com/": "lfs",
}
_RIFF = {b"WAVE": "wav", b"WEBP": "webp", b"AVI ": "avi"}
_FORM = {b"AIFF": "aiff", b"AIFC": "aiff"}
_MARKUP = {b"<!doctype html": "html", b"<html": "html", b"<svg": "svg"}
_LAYERS = {0: "aac", 1: "mp3", 2: "mp3"}  # by the bits of layer; 3 is layer 1, and also in FF FE, the mark of UTF-16
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def suffix(content: bytes) -> str | None:
    """Return the usual suffix of the format by its signature, such as `png`; None if it is not recognised."""
    if content[4:8] in (b"ftyp", b"moov", b"mdat"):
        return _of_boxes(content)
    if content[:2] == b"BM" and content[6:10] == bytes(4):
        return "bmp"
    if content[128:132] == b"DICM":
        return "dcm"
    if b"GGGG" in (content[:753:188][:4], content[4:770:192][:4]):  # each packet begins with this byte
        return "ts"
    if content[:3] == b"ID3" and content[3:4] in (b"\2", b"\3", b"\4"):  # a tag before the sound, nearly always MP3
        return _by_start(content[id3_bytes(content) :]) or "mp3"
    return _by_start(content)


def id3_bytes(content: bytes) -> int:
    """Return the length of the ID3 tag at the start of an MP3 file, 0 without: header and four 7-bit digits."""
    if content[:3] != b"ID3" or len(content) < 10:
        return 0
    return 10 + sum(digit << shift for digit, shift in zip(content[6:10], (21, 14, 7, 0), strict=True))


def _by_start(content: bytes) -> str | None:
    if content[:4] in (b"RIFF", b"FORM"):
        return (_RIFF if content[:4] == b"RIFF" else _FORM).get(content[8:12])
    if len(content) > 1 and content[0] == 0xFF and content[1] & 0xE0 == 0xE0:  # frame sync of MPEG sound
        return _LAYERS.get((content[1] >> 1) & 3)
    start = content[:64].lstrip().lower()
    marked = next((format_ for mark, format_ in _MARKUP.items() if start.startswith(mark)), None)
    return marked or next((format_ for mark, format_ in _STARTS.items() if content.startswith(mark)), None)


def _of_boxes(content: bytes) -> str:
    """Return the format of a file of boxes: AVIF and HEIC pictures are built like MP4, and their brand says so."""
    if content[4:8] != b"ftyp":
        return "mp4"
    brands = content[8 : min(64, int.from_bytes(content[:4], "big"))]
    if b"avif" in brands or b"avis" in brands:
        return "avif"
    return "heic" if brands[:4] in _HEIF else "mp4"
