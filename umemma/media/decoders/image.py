"""Encoded image bytes to a uint8 tensor.

As `umemma.media.kinds.image` reads them: upright, the first frame of an animation, CMYK and palettes converted to
colours. Values of more than eight bits are scaled to eight, from `min_value` (0) to `max_value` (255). Transparency is
composited over `background`: white by default, as most transparent images show dark writing.
"""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from umemma.errors import DataError, ParameterError, unknown
from umemma.media.kinds import image
from umemma.media.resizing import Colour, Resizing, colour_of

_MODES = {"gray": "L", "rgb": "RGB"}
_SIXTEEN_BITS = 65_535.0
_ROWS = 256


class Decoder:
    """Decode an image to uint8 (channel, height, width); `mode` gray gives one channel, rgb three.

    `region_px`, `size_px`, `fit`, `interpolation`, `antialias`: see `umemma.media.resizing`; without resizing all
    images must have the same size. `background`: one number 0..255 or [red, green, blue], under transparency and around
    a padded image. `min_value`, `max_value`: of gray images of more than eight bits, what becomes 0 and 255, with all
    beyond; `max_value` null: 65,535. Images of twelve bits in sixteen need 4095.
    """

    def __init__(
        self,
        *,
        mode: str = "gray",
        size_px: int | Sequence[int] | None = None,
        fit: str = "crop",
        interpolation: str = "bilinear",
        antialias: bool = True,
        background: int | Sequence[int] = (255, 255, 255),
        region_px: Sequence[int] | None = None,
        min_value: float = 0.0,
        max_value: float | None = None,
    ) -> None:
        if mode not in _MODES:
            raise ParameterError(unknown("decode.mode", "image mode", mode, _MODES))
        if not min_value < (_SIXTEEN_BITS if max_value is None else max_value):
            raise ParameterError(f"decode.min_value {min_value} must be less than decode.max_value {max_value}")
        self._mode, self._background = _MODES[mode], colour_of(background)
        self._min_value, self._max_value = min_value, max_value
        self._resizing = Resizing(
            size_px,
            fit=fit,
            interpolation=interpolation,
            antialias=antialias,
            background=self._background,
            region_px=region_px,
        )

    def __call__(self, content: bytes) -> torch.Tensor:
        """Return the image. Raises DataError if the bytes are not an image."""
        picture, _ = image.read(content)
        shallow = self._scaled(picture) if image.is_deep(picture) else _opaque(picture, self._background)
        pixels = np.array(shallow.convert(self._mode))  # a copy: torch wants to own it
        return self._resizing(torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1)).permute(2, 0, 1)).contiguous()

    def _scaled(self, picture: Image.Image) -> Image.Image:
        """Return an image of more than eight bits with eight; some rows at a time, as those of 50 million pixels took 2 GB."""
        values = np.asarray(picture)
        is_sixteen = picture.mode != "F" and values.min() >= 0 and values.max() <= _SIXTEEN_BITS
        if self._max_value is None and not is_sixteen:
            raise DataError(
                f"image has numbers of 32 bits, from {values.min():g} to {values.max():g}; decode.min_value and "
                "decode.max_value say which of them are black and white"
            )
        top = _SIXTEEN_BITS if self._max_value is None else self._max_value
        shallow = np.empty(values.shape, np.uint8)
        for start in range(0, len(values), _ROWS):
            part = values[start : start + _ROWS].astype(np.float64)
            share = (part - self._min_value) / (top - self._min_value)
            shallow[start : start + _ROWS] = (share * 255).round().clip(0, 255)
        return Image.fromarray(shallow)


def _opaque(picture: Image.Image, background: Colour) -> Image.Image:
    """Return the image without transparency."""
    if not picture.has_transparency_data:
        return picture
    ground = Image.new("RGBA", picture.size, background)
    return Image.alpha_composite(ground, picture.convert("RGBA")).convert("RGB")
