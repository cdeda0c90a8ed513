"""What a media file is, without the tensors: the facts that the manifest holds and the gate judges."""

import io

import numpy as np
import soundfile
from PIL import Image, UnidentifiedImageError

from umemma.errors import DataError

KINDS = {"png": "image", "jpg": "image", "jpeg": "image", "wav": "audio", "flac": "audio", "ogg": "audio",
         "npy": "vector"}


def facts(name: str, content: bytes) -> dict[str, object]:
    """Return kind, size and emptiness of one member: `name` is its member name, such as `image.png`.

    `blank` is true for an image of one colour, for digital silence and for a vector of equal numbers. Raises
    DataError where it cannot be read.
    """
    suffix = name.rsplit(".", 1)[-1]
    if suffix not in KINDS:
        raise DataError(f"{name}: no media kind is known by '.{suffix}'; there are {', '.join(sorted(KINDS))}")
    kind = KINDS[suffix]
    return {"kind": kind, "num_bytes": len(content)} | _READERS[kind](name, content)


def _image(name: str, content: bytes) -> dict[str, object]:
    try:
        with Image.open(io.BytesIO(content)) as image:
            extrema = image.getextrema()
            bands = extrema if isinstance(extrema[0], tuple) else (extrema,)
            return {
                "height_px": image.height, "width_px": image.width, "channels": len(image.getbands()),
                "blank": all(low == high for low, high in bands),
            }
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"{name}: no readable image: {error}") from error


def _audio(name: str, content: bytes) -> dict[str, object]:
    try:
        samples, rate_hz = soundfile.read(io.BytesIO(content), dtype="int16", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise DataError(f"{name}: no readable sound: {error}") from error
    return {
        "sample_rate_hz": rate_hz, "seconds": len(samples) / rate_hz, "channels": samples.shape[1],
        "blank": bool(not np.any(samples)),
    }


def _vector(name: str, content: bytes) -> dict[str, object]:
    try:
        values = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except Exception as error:  # NumPy reads the header as Python code: a damaged one raises almost anything
        raise DataError(f"{name}: no readable vector: {error}") from error
    return {"num_values": values.size, "blank": bool((values == values.flat[0]).all()) if values.size else True}


_READERS = {"image": _image, "audio": _audio, "vector": _vector}
