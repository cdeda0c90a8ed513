"""A small piece of a media file, to be looked at or listened to: a thumbnail, a few seconds of sound, the first words."""

import base64
import io

import numpy as np
import soundfile
from PIL import Image

from umemma.media import waveform
from umemma.media.formats import KINDS
from umemma.media.kinds import array, events, image, text, video
from umemma.reporting.preview import Preview

THUMBNAIL_PX, SECONDS, SAMPLE_RATE_HZ, CHARS, NUMBERS = 128, 4, 16_000, 280, 8


def preview(modality: str, suffix: str, content: bytes) -> Preview:
    """Return the preview of a file by its suffix in the shards. Raises DataError if it cannot be read."""
    kind = KINDS[suffix]
    if kind == "image":
        return Preview(modality, "picture", _thumbnail(image.read(content)[0]))
    if kind == "video":
        return Preview(modality, "picture", _thumbnail(Image.fromarray(next(iter(video.frames(content, "rgb24"))))))
    if kind == "audio":
        return Preview(modality, "sound", _clip(content))
    if kind == "text":
        words = text.read(content)
        return Preview(modality, "text", words if len(words) <= CHARS else words[:CHARS].rstrip() + "…")
    return Preview(modality, "text", _numbers(events.read(content) if kind == "events" else array.read(content)))


def _thumbnail(picture: Image.Image) -> str:
    small = picture.convert("RGB")
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=60)
    return _uri("image/jpeg", buffer.getvalue())


def _clip(content: bytes) -> str:
    samples = waveform.load(content, sample_rate_hz=SAMPLE_RATE_HZ, num_samples=SECONDS * SAMPLE_RATE_HZ).numpy()
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, SAMPLE_RATE_HZ, format="MP3", subtype="MPEG_LAYER_III", compression_level=0.9)
    return _uri("audio/mpeg", buffer.getvalue())


def _numbers(values: np.ndarray) -> str:
    if values.ndim == 1:
        shown = ", ".join(f"{value:.4g}" for value in values[:NUMBERS])
        return shown + (f", … ({len(values)} numbers)" if len(values) > NUMBERS else "")
    with np.errstate(invalid="ignore"):
        low, high = np.nanmin(values), np.nanmax(values)
    return f"{values.shape[0]:,} steps of {values.shape[1]} channels, {low:.4g} to {high:.4g}"


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
