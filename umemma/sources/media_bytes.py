"""Pixels and waveforms as the bytes of a file, without loss, for samples that a source makes or unpacks."""

import io

import numpy as np
import soundfile
from PIL import Image


def png(pixels: np.ndarray) -> bytes:
    """Return (height, width) or (height, width, channel) uint8 as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def wav(waveform: np.ndarray, rate_hz: int) -> bytes:
    """Return (time,) in -1 to 1 as a WAV file of 16 bits."""
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, rate_hz, format="WAV", subtype="PCM_16")
    return buffer.getvalue()
