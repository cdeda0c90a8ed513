"""Encoded image bytes to a uint8 tensor.

PNG, JPEG and WebP as `umemma.media.kinds.image` reads them: upright, the first frame of an animation, CMYK and palettes
converted to colours. Sixteen bits are scaled to eight (the largest value becomes 255). Transparency is composited over
`background`: white by default, as most transparent images show dark writing.
"""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from umemma.errors import ParameterError, unknown
from umemma.media.kinds import image
from umemma.media.resizing import Colour, Resizing, colour_of

_MODES = {"gray": "L", "rgb": "RGB"}


class Decoder:
    """Decode an image to uint8 (channel, height, width); `mode` gray gives one channel, rgb three.

    `region_px`, `size_px`, `fit`, `interpolation`, `antialias`: see `umemma.media.resizing`; without resizing all
    images must have the same size. `background`: one number 0..255 or [red, green, blue], under transparency and around
    a padded image.
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
    ) -> None:
        if mode not in _MODES:
            raise ParameterError(unknown("decode.mode", "image mode", mode, _MODES))
        self._mode, self._background = _MODES[mode], colour_of(background)
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
        pixels = np.array(_flat(picture, self._background).convert(self._mode))  # a copy: torch wants to own it
        return self._resizing(torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1)).permute(2, 0, 1)).contiguous()


def _flat(picture: Image.Image, background: Colour) -> Image.Image:
    """Return the image with eight bits per channel and without transparency."""
    if picture.mode.startswith("I"):
        return Image.fromarray(((np.asarray(picture).astype(np.int64) + 128) // 257).clip(0, 255).astype(np.uint8))
    if not picture.has_transparency_data:
        return picture
    ground = Image.new("RGBA", picture.size, background)
    return Image.alpha_composite(ground, picture.convert("RGBA")).convert("RGB")
