"""Facts about sounds, from one pass over all samples in blocks."""

import numpy as np

from umemma.errors import DataError
from umemma.media.kinds import sound

_HALF_STEP = 2.0**-16  # half a quantisation step of 16 bits


def facts(content: bytes) -> dict[str, object]:
    """Return rate, length, channels and level: `peak` (1 is full scale) and the share of clipped samples.

    `blank`: digital silence, below the resolution of 16 bits. `constant`: no channel ever changes, as with silence or
    a dead microphone. `mix_level`: how loud the average of the channels is against the loudest of them, as a ratio of
    their root mean squares: 1 for one channel, near 0 where two channels cancel out, as with one of reversed polarity.
    Raises DataError for no samples, NaN or infinity, and implausible size.
    """
    known = sound.header(content)
    num_samples, num_clipped = 0, 0
    energy, energy_of_mix = np.zeros(known.channels), 0.0
    low, high = np.full(known.channels, np.inf), np.full(known.channels, -np.inf)
    for block in sound.blocks(content, known):
        if not np.isfinite(block).all():
            at = num_samples + int(np.argmin(np.isfinite(block).all(axis=1)))
            raise DataError(f"sound holds NaN or infinity, first at {at / known.rate_hz:.3f} s")
        num_samples += len(block)
        level = np.abs(block)
        num_clipped += int(((level >= known.full_scale) & (level <= 1)).sum())  # a float beyond 1 is not clipped
        energy += np.square(block, dtype=np.float64).sum(axis=0)
        energy_of_mix += float(np.square(block.mean(axis=1), dtype=np.float64).sum())
        low, high = np.minimum(low, block.min(axis=0)), np.maximum(high, block.max(axis=0))
    if not num_samples:
        raise DataError("no readable sound: it has 0 samples")
    peak = float(max(-low.min(), high.max()))
    return {
        "sample_rate_hz": known.rate_hz,
        "seconds": num_samples / known.rate_hz,
        "channels": known.channels,
        "peak": peak,
        "clipped_share": num_clipped / (num_samples * known.channels),
        "blank": peak < _HALF_STEP,
        "mix_level": float(np.sqrt(energy_of_mix / energy.max())) if energy.max() else 1.0,
        "constant": bool((low == high).all()),
    }
