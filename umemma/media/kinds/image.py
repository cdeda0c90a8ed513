"""Images in the formats of FORMATS, read by Pillow.

Pillow rather than torchvision.io: it gives an image's size before decoding (so a decompression bomb is refused
unopened) and handles 16-bit and CMYK pixels, palettes with transparency, EXIF and animation; torchvision.io drops or
rejects some of these. It takes 0.62 ms, against 0.52, for a JPEG of 256 x 256. Colour profiles are not applied. Of an
animation or a TIFF of several pages only the first is read.
"""

import io
import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from umemma import limits
from umemma.errors import DataError
from umemma.media.kinds import signature

# An allow list: Pillow would hand EPS on to Ghostscript, and opens formats that are rarely read and rarely mended. The
# last ones have no signature, or a weak one.
FORMATS = (
    *("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "ICO", "QOI", "PSD"),
    *("PPM", "DIB", "SGI", "PCX", "TGA"),
)
_SHALLOW = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV")
_DEEP = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")
_FULL = {8: 255, 16: 65_535}
_UNUSED_PNG = (b"iCCP", b"zTXt")


def read(content: bytes) -> tuple[Image.Image, int]:
    """Return the first frame, decoded and rotated upright by EXIF, and the number of frames.

    Raises DataError if it is no image, damaged, or over a limit.
    """
    image, num_frames, _ = _read(content)
    return image, num_frames


def is_deep(image: Image.Image) -> bool:
    """Whether a value of the image has more than eight bits."""
    return image.mode in _DEEP


def facts(content: bytes) -> dict[str, object]:
    """Return size, channels and Pillow's mode as stored; `blank`: one colour, or fully transparent.

    A palette has three channels, or one if all its colours are gray. `bits` of a value, and the least and the largest
    value of any channel, `low` and `high`; of a palette they are those of its colours. `deep`: whether these are gray
    values of more than eight bits, which decoding scales. `range_used`: of 16 bits what lies between low and high, as a
    share of what they can hold: cameras of twelve bits write sixteen, and temperatures may lie in a narrow band. It is 1
    for eight bits, which are used as they are, and for 32, which have no usual range.
    """
    image, num_frames, bits = _read(content)
    low, high = _extremes(image, bits)
    return {
        "height_px": image.height,
        "width_px": image.width,
        "channels": _channels(image),
        "mode": image.mode,
        "num_frames": num_frames,
        "bits": bits,
        "deep": is_deep(image),
        "low": low,
        "high": high,
        "range_used": (high - low) / _FULL[bits] if bits == 16 else 1.0,
        "blank": _is_blank(image),
    }


def _read(content: bytes) -> tuple[Image.Image, int, int]:
    """Return `read`'s image and number of frames, and the bits of a value as stored."""
    try:
        with warnings.catch_warnings(), _pillows_limit():
            warnings.simplefilter("ignore")  # about odd metadata; only the pixels matter here
            with Image.open(io.BytesIO(_without_texts(content)), formats=FORMATS) as image:
                _check_size(image, content)
                bits = _bits(image)
                image.load()
                if image.mode not in (*_SHALLOW, *_DEEP):
                    raise DataError(f"no readable image: colours of Pillow's mode {image.mode} are not read")
                num_frames = int(getattr(image, "n_frames", 1))
                return _upright(image), num_frames, bits
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        limits.check("pixels", int(re.findall(r"\d+", str(error))[0]), "the image")
        raise DataError(f"no readable image: {error}") from error
    except Exception as error:  # a damaged file makes Pillow raise almost anything
        reason = str(error) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            reason = f"it is none of {', '.join(FORMATS)}, or its beginning is damaged"
        raise DataError(f"no readable image: {reason}") from error


def _without_texts(content: bytes) -> bytes:
    """Return a PNG without its compressed texts and its colour profile, which no decoder uses.

    Pillow rejects the whole picture if they are large: programs that make pictures keep megabytes of their settings
    there. An XMP text stays, as it may hold the orientation.
    """
    if signature.suffix(content) != "png":
        return content
    kept, start, position = [], 0, 8
    while position + 12 <= len(content):
        name, end = content[position + 4 : position + 8], position + 12 + int.from_bytes(content[position:][:4], "big")
        if name in _UNUSED_PNG or (name == b"iTXt" and not content.startswith(b"XML:com.adobe.xmp", position + 8)):
            kept.append(content[start:position])
            start = end
        position = end
    return b"".join([*kept, content[start:]]) if kept else content


def _channels(image: Image.Image) -> int:
    if image.mode not in ("P", "PA"):
        return len(image.getbands())
    red, green, blue = (np.asarray(band) for band in image.convert("RGB").split())
    is_gray = bool((red == green).all() and (green == blue).all())
    return (1 if is_gray else 3) + (image.mode == "PA")


def _bits(image: Image.Image) -> int:
    """Return the bits of a value as stored: Pillow reads colours of 16 bits as 8, and says so in its raw mode only."""
    if image.mode in ("I", "F"):
        return 32
    if image.mode.startswith("I;16"):
        return 16
    return 16 if any(";16" in str(tile) for tile in getattr(image, "tile", ())) else 8


@contextmanager
def _pillows_limit() -> Iterator[None]:
    """Let Pillow, which looks at pictures inside of others, too, stop at the same limit: at twice what it is told."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = -(-limits.current().pixels // 2)
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _check_size(image: Image.Image, content: bytes) -> None:
    limits.check("pixels", image.width * image.height, "the image")
    if image.format == "JPEG":  # in what is compressed no byte 255 is followed by this one
        limits.check("scans", content.count(b"\xff\xda"), "the JPEG")


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged EXIF gives no orientation; the pixels are intact
        return image.copy()


def _extremes(image: Image.Image, bits: int) -> tuple[float, float]:
    """Return the least and the largest value, on the scale of the bits. Raises DataError for NaN and infinity."""
    if is_deep(image):
        values = np.asarray(image)
        low, high = float(values.min()), float(values.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise DataError("image holds NaN or infinity")
        return low, high
    colours = image.convert("RGB") if image.mode in ("1", "P", "PA") else image
    bands = np.reshape(colours.getextrema(), (-1, 2))
    if "A" in colours.getbands():
        bands = bands[:-1]
    scale = _FULL[bits] // _FULL[8]
    return float(bands[:, 0].min() * scale), float(bands[:, 1].max() * scale)


def _is_blank(image: Image.Image) -> bool:
    if image.mode in ("P", "PA"):  # two palette entries may have the same colour
        image = image.convert("RGBA")
    if is_deep(image):
        values = np.asarray(image)
        return bool((values == values.flat[0]).all())
    extrema = image.getextrema()
    bands = list(extrema) if isinstance(extrema[0], tuple) else [extrema]
    is_transparent = image.mode in ("RGBA", "LA") and bands[-1][1] == 0
    return is_transparent or all(low == high for low, high in bands)
