"""Resizing pictures, or a region of them, to a fixed size: for the decoders of images and of video frames.

Uses torch's interpolation of bytes: with antialiasing it equals Pillow's, and unlike Pillow's it also works without.
"""

from collections.abc import Sequence

import torch
from torch.nn import functional

from umemma.errors import DataError, ParameterError, unknown

FITS = ("crop", "pad", "stretch")
INTERPOLATIONS = ("bilinear", "bicubic", "nearest")
Colour = tuple[int, int, int]


class Resizing:
    """Callable uint8 (..., height, width) -> (..., *size): `size_px` null keeps the size, one number is a square.

    `region_px`, [top, left, height, width], is cropped first, if all pictures show the object in the same place.
    `fit`: `crop` covers the target and crops both sides, `pad` fits the whole picture in and fills the rest with
    `background`, `stretch` ignores the aspect ratio. `antialias` filters before downsampling; `nearest` has none.
    """

    def __init__(
        self,
        size_px: int | Sequence[int] | None,
        *,
        fit: str,
        interpolation: str,
        antialias: bool,
        background: Colour,
        region_px: Sequence[int] | None = None,
    ) -> None:
        if fit not in FITS:
            raise ParameterError(unknown("decode.fit", "way to fit", fit, FITS))
        if interpolation not in INTERPOLATIONS:
            raise ParameterError(unknown("decode.interpolation", "interpolation", interpolation, INTERPOLATIONS))
        if not isinstance(antialias, bool):
            raise ParameterError(f"decode.antialias is true or false, not {antialias!r}")
        self._size_px, self._region_px = size_of(size_px), region_of(region_px)
        self._fit, self._background = fit, background
        self._mode = "nearest-exact" if interpolation == "nearest" else interpolation
        self._antialias = antialias and interpolation != "nearest"

    def __call__(self, picture: torch.Tensor) -> torch.Tensor:
        """Return the resized picture; (channel, height, width), or with more leading axes.

        Raises DataError if the region exceeds the picture.
        """
        if self._region_px is not None:
            picture = _cut_out(picture, self._region_px)
        if self._size_px is None or tuple(picture.shape[-2:]) == self._size_px:
            return picture
        if self._fit == "crop":
            return self._resized(_cut_to_ratio(picture, self._size_px), self._size_px)
        if self._fit == "stretch":
            return self._resized(picture, self._size_px)
        height, width = self._size_px
        scale = min(height / picture.shape[-2], width / picture.shape[-1])
        inner = (max(1, round(picture.shape[-2] * scale)), max(1, round(picture.shape[-1] * scale)))
        return self._framed(self._resized(picture, inner))

    def _resized(self, picture: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        if tuple(picture.shape[-2:]) == size:
            return picture
        flat = picture.reshape(-1, *picture.shape[-3:])
        resized = functional.interpolate(flat, size, mode=self._mode, antialias=self._antialias)
        return resized.reshape(*picture.shape[:-2], *size)

    def _framed(self, picture: torch.Tensor) -> torch.Tensor:
        assert self._size_px is not None
        height, width = self._size_px
        channels = picture.shape[-3]
        colour = self._background if channels == 3 else (luminance(self._background),) * channels
        framed = torch.tensor(colour, dtype=torch.uint8)[:, None, None].expand(*picture.shape[:-2], height, width)
        top, left = (height - picture.shape[-2]) // 2, (width - picture.shape[-1]) // 2
        framed = framed.clone()
        framed[..., top : top + picture.shape[-2], left : left + picture.shape[-1]] = picture
        return framed


def size_of(size_px: int | Sequence[int] | None) -> tuple[int, int] | None:
    """Return (height, width). Raises ParameterError unless it is one number above 0 or two."""
    sides = [size_px] * 2 if isinstance(size_px, int) else size_px
    if sides is None:
        return None
    if not _are_whole(sides, 2) or min(sides) < 1:
        raise ParameterError(f"decode.size_px is null, one whole number above 0 or [height, width], not {size_px!r}")
    return (sides[0], sides[1])


def region_of(region_px: Sequence[int] | None) -> tuple[int, int, int, int] | None:
    """Return (top, left, height, width). Raises ParameterError if it is no valid region."""
    if region_px is None:
        return None
    if not _are_whole(region_px, 4) or min(region_px[:2]) < 0 or min(region_px[2:]) < 1:
        raise ParameterError(
            "decode.region_px is null or [top, left, height, width], whole numbers, the last two "
            f"above 0, not {region_px!r}"
        )
    top, left, height, width = region_px
    return (top, left, height, width)


def colour_of(background: int | Sequence[int]) -> Colour:
    """Return (red, green, blue). Raises ParameterError unless it is one number 0..255 or three."""
    parts = [background] * 3 if isinstance(background, int) else background
    if not _are_whole(parts, 3) or not 0 <= min(parts) <= max(parts) <= 255:
        raise ParameterError(f"decode.background is one number from 0 to 255 or [red, green, blue], not {background!r}")
    return (parts[0], parts[1], parts[2])


def luminance(colour: Colour) -> int:
    """Return the gray value of a colour, with the weights of ITU-R 601-2, as in Pillow."""
    red, green, blue = colour
    return round((299 * red + 587 * green + 114 * blue) / 1000)


def _are_whole(numbers: object, length: int) -> bool:
    return (
        isinstance(numbers, Sequence)
        and len(numbers) == length
        and all(isinstance(number, int) and not isinstance(number, bool) for number in numbers)
    )


def _cut_out(picture: torch.Tensor, region_px: tuple[int, int, int, int]) -> torch.Tensor:
    top, left, height, width = region_px
    region = picture[..., top : top + height, left : left + width]
    if tuple(region.shape[-2:]) != (height, width):
        raise DataError(
            f"a picture of {picture.shape[-2]}x{picture.shape[-1]} px (height, width) does not hold "
            f"decode.region_px {list(region_px)} (top, left, height, width)"
        )
    return region


def _cut_to_ratio(picture: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Crop the centre of the picture to the aspect ratio of `size`."""
    height, width = picture.shape[-2:]
    scale = min(height / size[0], width / size[1])
    cut_height, cut_width = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    top, left = (height - cut_height) // 2, (width - cut_width) // 2
    return picture[..., top : top + cut_height, left : left + cut_width]
