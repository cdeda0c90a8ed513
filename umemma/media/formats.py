"""The file formats there are: what each is called, which kinds of media it can hold, and the suffixes that it has.

The one definition for shards, tables and `umemma init`. The content decides what a file is; the suffix is only a hint,
for formats without a signature. Containers hold sound as well as pictures: an .m4a and an .mp4 are the same format, and
a .webm may be a recording of a voice, so the streams decide. A PNG named .jpg is therefore a PNG, and the manifest has
its true format. Formats that Pillow or FFmpeg would hand on to another program or library (EPS to Ghostscript), or that
are no media, are named but not read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from umemma.errors import DataError
from umemma.media.kinds import ffmpeg, signature


@dataclass(frozen=True)
class Format:
    """One format: its name, and {kind: suffixes}, the first of which members of shards get; {}: it is not read."""

    name: str
    suffixes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


FORMATS: Mapping[str, Format] = {
    "png": Format("a PNG image", {"image": ("png", "apng")}),
    "jpg": Format("a JPEG image", {"image": ("jpg", "jpeg", "jpe", "jfif", "mpo")}),
    "webp": Format("a WebP image", {"image": ("webp",)}),
    "gif": Format("a GIF image", {"image": ("gif",), "video": ()}),
    "bmp": Format("a BMP image", {"image": ("bmp", "dib")}),
    "tif": Format("a TIFF image", {"image": ("tif", "tiff")}),
    "avif": Format("an AVIF image", {"image": ("avif",)}),
    "jp2": Format("a JPEG 2000 image", {"image": ("jp2", "j2k", "jpx", "jpf")}),
    "ico": Format("an icon", {"image": ("ico",)}),
    "qoi": Format("a QOI image", {"image": ("qoi",)}),
    "psd": Format("a Photoshop image", {"image": ("psd",)}),
    "ppm": Format("a PPM image", {"image": ("ppm", "pgm", "pbm", "pnm", "pfm")}),
    "tga": Format("a TGA image", {"image": ("tga",)}),
    "pcx": Format("a PCX image", {"image": ("pcx",)}),
    "sgi": Format("an SGI image", {"image": ("sgi",)}),
    "wav": Format("a WAV sound", {"audio": ("wav", "wave", "rf64", "bwf")}),
    "flac": Format("a FLAC sound", {"audio": ("flac",)}),
    "ogg": Format("an Ogg sound", {"audio": ("ogg", "oga", "opus", "spx"), "video": ("ogv",)}),
    "mp3": Format("an MP3 sound", {"audio": ("mp3", "mp2", "mpga")}),
    "aac": Format("an AAC sound", {"audio": ("aac", "adts")}),
    "aiff": Format("an AIFF sound", {"audio": ("aiff", "aif", "aifc")}),
    "au": Format("an AU sound", {"audio": ("au", "snd")}),
    "caf": Format("a CAF sound", {"audio": ("caf",)}),
    "w64": Format("a Wave64 sound", {"audio": ("w64",)}),
    "amr": Format("an AMR sound", {"audio": ("amr",)}),
    "ac3": Format("an AC-3 sound", {"audio": ("ac3", "eac3")}),
    "wv": Format("a WavPack sound", {"audio": ("wv",)}),
    "voc": Format("a VOC sound", {"audio": ("voc",)}),
    "sph": Format("a NIST SPHERE sound", {"audio": ("sph",)}),
    "mp4": Format("an MP4 video", {"video": ("mp4", "m4v", "mov", "qt", "3gp", "3g2"), "audio": ("m4a", "m4b")}),
    "mkv": Format("a Matroska video", {"video": ("mkv", "webm"), "audio": ("mka", "weba")}),
    "wmv": Format("a Windows Media file", {"video": ("wmv", "asf"), "audio": ("wma",)}),
    "mpg": Format("an MPEG video", {"video": ("mpg", "mpeg", "vob", "m1v", "m2v"), "audio": ()}),
    "ts": Format("an MPEG transport stream", {"video": ("ts", "mts", "m2ts"), "audio": ()}),
    "avi": Format("an AVI video", {"video": ("avi",), "audio": ()}),
    "flv": Format("a Flash video", {"video": ("flv",), "audio": ()}),
    "txt": Format("a text", {"text": ("txt", "text", "md")}),
    "npy": Format("a NumPy array", {"vector": ("npy",), "events": ("events",)}),
    "heic": Format("a HEIC image, which is not read; as JPEG or PNG it is"),
    "dcm": Format("a DICOM image, which is not read; as PNG or TIFF of 16 bits it is"),
    "svg": Format("an SVG drawing, which is not read; as PNG it is"),
    "eps": Format("a PostScript file, which is a program and not read; as PNG it is"),
    "mid": Format("a MIDI file: notes, no sound"),
    "html": Format("a web page"),
    "pdf": Format("a PDF document, which is not read; its text as .txt or its pages as images are"),
    "doc": Format("a Microsoft Office document"),
    "h5": Format("an HDF5 file"),
    "zip": Format("a ZIP archive"),
    "gz": Format("a gzip archive, which must be unpacked"),
    "rar": Format("a RAR archive"),
    "7z": Format("a 7-Zip archive"),
    "lfs": Format("a Git LFS pointer: `git lfs pull` fetches the file itself"),
}
_PLAIN = ("image", "audio", "video")  # suffixes of members whose format has none of its own for the kind
KINDS: Mapping[str, str] = {
    suffix: kind for format_ in FORMATS.values() for kind, suffixes in format_.suffixes.items() for suffix in suffixes
} | {kind: kind for kind in _PLAIN}
SUFFIXES: Mapping[str, tuple[str, ...]] = {
    kind: tuple(suffix for suffix, known in KINDS.items() if known == kind and suffix not in _PLAIN)
    for kind in dict.fromkeys(KINDS.values())
}
_CALLED = {"image": "an image", "audio": "a sound", "video": "a video", "text": "a text"}


def kind_of(content: bytes) -> str | None:
    """Return the kind of media by content alone; None if not recognised.

    Of a container it is what its streams make it, or what it usually holds if they cannot be read, as in its first bytes.
    """
    format_ = signature.suffix(content)
    kinds = FORMATS[format_].suffixes if format_ else {}
    by_streams = ffmpeg.kind(content) if {"audio", "video"} <= kinds.keys() else None
    return by_streams or next(iter(kinds), None)


def named(content: bytes) -> str | None:
    """Return the format by its signature as text: `a PNG image`."""
    format_ = signature.suffix(content)
    return FORMATS[format_].name if format_ else None


def format_of(content: bytes, suffix: str) -> str:
    """Return the format by its signature, else the one with this suffix, else the suffix itself."""
    by_suffix = (name for name, one in FORMATS.items() if any(suffix in known for known in one.suffixes.values()))
    return signature.suffix(content) or next(by_suffix, suffix)


def check(kind: str, content: bytes) -> None:
    """Raise DataError if the content is certainly not of this kind: the error page of a download named .jpg."""
    format_ = signature.suffix(content)
    if format_ and kind not in FORMATS[format_].suffixes:
        raise DataError(f"is not {_CALLED.get(kind, 'an array')} but really {FORMATS[format_].name}")


def member_suffix(kind: str, content: bytes, file: str = "") -> str:
    """Return the suffix of a shard's member with this content, of the `file` named so: that of its true format.

    Raises DataError if the content is certainly not of this kind.
    """
    check(kind, content)
    suffix = PurePosixPath(file).suffix.lower().removeprefix(".")
    known = FORMATS.get(format_of(content, suffix), Format("")).suffixes.get(kind, ())
    if suffix in known:
        return suffix
    return known[0] if known else "txt" if kind == "text" else kind
