"""Encoded image bytes to a uint8 tensor."""

import torch
from torchvision.io import ImageReadMode, decode_image

from umemma.errors import DataError, ParameterError, unknown

_MODES = {"gray": ImageReadMode.GRAY, "rgb": ImageReadMode.RGB}


class Decoder:
    """Decode PNG or JPEG to uint8 (channel, height, width); `mode` gray gives one channel, rgb three."""

    def __init__(self, *, mode: str = "gray") -> None:
        if mode not in _MODES:
            raise ParameterError(unknown("decode.mode", "image mode", mode, _MODES))
        self._mode = _MODES[mode]

    def __call__(self, content: bytes) -> torch.Tensor:
        """Return the image. Raises DataError where the bytes are none."""
        try:
            return decode_image(torch.frombuffer(bytearray(content), dtype=torch.uint8), self._mode)
        except (RuntimeError, ValueError) as error:
            raise DataError(f"no readable image: {str(error).splitlines()[0]}") from error
