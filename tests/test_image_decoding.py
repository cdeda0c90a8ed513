"""Images and video frames as tensors: colours, sizes, orientation and the choice of frames."""

import io
import os
import pickle
import struct
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.stream import Disposition
from PIL import Image
from torchvision.io import ImageReadMode, decode_image

from tests.conftest import ROOT
from tests.media_files import CHANGING_RATE, PIXELS, numbered, picture, png, tone, turned, video
from umemma.errors import DataError, ParameterError
from umemma.media.decoders import frames
from umemma.media.decoders.image import Decoder

GENUINE = Path(os.environ.get("UMEMMA_DATA") or ROOT / "../shared/data")
SMOOTH = np.stack(np.broadcast_arrays(np.arange(64)[:, None] * 3, np.arange(96) * 2, 100), axis=2).astype(np.uint8)
HALVES = np.zeros((8, 8, 3), np.uint8)
HALVES[:, 4:] = (255, 0, 0)


def rgb(content: bytes, **settings: object) -> torch.Tensor:
    """Return the image as (height, width, 3), decoded in colour."""
    return Decoder(mode="rgb", **settings)(content).permute(1, 2, 0)


@pytest.mark.parametrize("mode", ["gray", "rgb"])
@pytest.mark.parametrize("content", [picture(PIXELS[..., 0]), picture(PIXELS[..., :1].repeat(3, 2))])
def test_gray_pictures_are_what_torchvision_makes_of_them(content, mode):
    known = decode_image(
        torch.frombuffer(bytearray(content), dtype=torch.uint8),
        {"gray": ImageReadMode.GRAY, "rgb": ImageReadMode.RGB}[mode],
    )
    assert torch.equal(Decoder(mode=mode)(content), known)


@pytest.mark.parametrize(
    ("form", "options", "tolerance"), [("PNG", {}, 0), ("WEBP", {"lossless": True}, 0), ("JPEG", {"quality": 98}, 6)]
)
def test_every_format_gives_its_pixels(form, options, tolerance):
    pixels = rgb(picture(SMOOTH, form, **options))
    assert pixels.dtype == torch.uint8
    assert (pixels.int() - torch.from_numpy(SMOOTH).int()).abs().max() <= tolerance


def test_cmyk_becomes_the_same_colours():
    cmyk = Image.fromarray(SMOOTH).convert("CMYK")
    pixels = rgb(picture(cmyk, "JPEG", quality=98))
    assert (pixels.int() - torch.from_numpy(SMOOTH).int()).abs().float().mean() < 3


def test_sixteen_bits_become_eight():
    levels = [0, 100, 200, 0x8000, 65535]
    gray = png(5, 1, 16, 0, b"\0" + b"".join(value.to_bytes(2, "big") for value in levels))
    assert Decoder()(gray).flatten().tolist() == [round(value / 257) for value in levels]
    colour = png(1, 1, 16, 2, b"\0" + b"".join(value.to_bytes(2, "big") for value in (65535, 0x8000, 0)))
    assert rgb(colour).flatten().tolist() == [255, 128, 0]


def test_twelve_bits_in_sixteen_keep_their_levels():
    levels = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    for form in ("PNG", "TIFF"):
        content = picture(levels, form)
        assert len(Decoder()(content).unique()) == 17
        decoded = Decoder(max_value=4095)(content)
        assert decoded.flatten().tolist() == np.round(levels.flatten() / 4095 * 255).tolist()
    assert (Decoder(max_value=100)(content)[0, 2:] == 255).all()


def test_float_pictures_are_scaled_between_the_values_that_are_named():
    content = picture(np.array([[-1.0, 0.0, 1.0, 3.0]], np.float32), "TIFF")
    assert Decoder(min_value=-1, max_value=1)(content).flatten().tolist() == [0, 128, 255, 255]
    with pytest.raises(DataError, match=r"numbers of 32 bits, from -1 to 3; decode\.min_value and decode\.max_value"):
        Decoder()(content)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_over_the_background(mode):
    clear = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    clear.putpixel((1, 0), (40, 40, 40, 255))
    content = picture(clear.convert(mode))
    assert rgb(content)[0].tolist() == [[255] * 3, [40] * 3]
    assert rgb(content, background=[9, 8, 7])[0].tolist() == [[9, 8, 7], [40] * 3]
    assert Decoder(background=77)(content).flatten().tolist() == [77, 40]


def test_half_transparency_is_mixed():
    half = picture(Image.new("RGBA", (1, 1), (0, 0, 0, 128)))
    assert rgb(half, background=255).flatten().tolist() == [127] * 3


def test_an_animation_gives_its_first_frame():
    others = [Image.fromarray(255 - PIXELS)]
    for form, options in (("PNG", {}), ("WEBP", {"lossless": True})):
        content = picture(PIXELS, form, save_all=True, append_images=others, **options)
        assert torch.equal(rgb(content), torch.from_numpy(PIXELS))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_stands_as_exif_says(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    ways = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
        8: np.rot90,
    }
    upright = np.ascontiguousarray(ways[orientation](PIXELS))
    assert torch.equal(rgb(picture(PIXELS, "PNG", exif=exif)), torch.from_numpy(upright))


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize(("size_px", "shape"), [(20, (20, 20)), ([10, 40], (10, 40)), ([100, 300], (100, 300))])
def test_every_way_to_fit_gives_the_size(fit, interpolation, antialias, size_px, shape):
    for mode, channels in (("gray", 1), ("rgb", 3)):
        decoder = Decoder(mode=mode, size_px=size_px, fit=fit, interpolation=interpolation, antialias=antialias)
        pixels = decoder(picture(SMOOTH))
        assert pixels.shape == (channels, *shape)
        assert pixels.dtype == torch.uint8
        assert pixels.is_contiguous()


@pytest.mark.parametrize(
    ("interpolation", "filtered"), [("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)]
)
def test_stretching_is_what_pillow_does(interpolation, filtered):
    known = np.asarray(Image.fromarray(PIXELS).resize((20, 9), filtered)).astype(int)
    pixels = rgb(picture(PIXELS), size_px=[9, 20], fit="stretch", interpolation=interpolation)
    assert np.abs(pixels.numpy().astype(int) - known).max() <= 1
    rough = rgb(picture(PIXELS), size_px=[9, 20], fit="stretch", interpolation=interpolation, antialias=False)
    assert np.abs(rough.numpy().astype(int) - known).max() > 20


def test_cropping_keeps_the_middle_and_padding_keeps_all():
    bars = np.zeros((10, 30, 3), np.uint8)
    bars[:, 10:20] = 200
    assert (rgb(picture(bars), size_px=10) == 200).all()
    assert (rgb(picture(bars.swapaxes(0, 1)), size_px=10) == 200).all()
    padded = rgb(picture(bars), size_px=30, fit="pad", background=[1, 2, 3])
    assert (padded[:10] == torch.tensor([1, 2, 3])).all()
    assert torch.equal(padded[10:20], torch.from_numpy(bars))
    assert (padded[20:] == torch.tensor([1, 2, 3])).all()
    assert Decoder(size_px=30, fit="pad", background=[255, 0, 0])(picture(bars))[0, 0, 0] == 76


@pytest.mark.parametrize("size_px", [None, [12, 10]])
def test_a_region_is_cut_out_before_anything_else(size_px):
    cut = picture(PIXELS[3:15, 7:27])
    assert torch.equal(rgb(picture(PIXELS), region_px=[3, 7, 12, 20], size_px=size_px), rgb(cut, size_px=size_px))
    whole, part = (
        frames.Decoder(num_frames=12, region_px=region, mode="gray")(CLIP) for region in (None, [8, 16, 20, 32])
    )
    assert torch.equal(part, whole[..., 8:28, 16:48])


@pytest.mark.parametrize("region_px", [[13, 0, 12, 8], [0, 25, 12, 8], [24, 0, 1, 1], [0, 0, 25, 33]])
def test_a_region_that_is_not_in_the_picture_is_named(region_px):
    with pytest.raises(DataError, match=r"24x32 px .* does not hold decode\.region_px \["):
        Decoder(region_px=region_px)(picture(PIXELS))


def test_without_a_size_the_picture_keeps_its_own():
    assert Decoder()(picture(PIXELS)).shape == (1, 24, 32)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"mode": "grey"}, r"no image mode called 'grey'; there are gray, rgb\. Did you mean 'gray'"),
        ({"fit": "cover"}, r"decode\.fit: there is no way to fit called 'cover'; there are crop, pad, stretch"),
        ({"interpolation": "cubic"}, r"decode\.interpolation: .*'cubic'; there are bicubic, bilinear, nearest"),
        ({"antialias": 1}, r"decode\.antialias is true or false, not 1"),
        ({"size_px": 0}, r"decode\.size_px is null, one whole number above 0 or \[height, width\], not 0"),
        ({"size_px": [1, 2, 3]}, r"decode\.size_px is null"),
        ({"size_px": "24"}, r"decode\.size_px is null, .*'24'"),
        ({"size_px": 2.5}, r"decode\.size_px is null, .*2\.5"),
        ({"region_px": [0, 0, 8]}, r"decode\.region_px is null or \[top, left, height, width\], .*\[0, 0, 8\]"),
        ({"region_px": [-1, 0, 8, 8]}, r"decode\.region_px is null or"),
        ({"region_px": [0, 0, 0, 8]}, r"decode\.region_px is null or"),
        ({"region_px": 8}, r"decode\.region_px is null or"),
        ({"min_value": 9, "max_value": 9}, r"decode\.min_value 9 must be less than decode\.max_value 9"),
        ({"background": 256}, r"decode\.background is one number from 0 to 255 or \[red, green, blue\], not 256"),
        ({"background": 0.5}, r"decode\.background is one number"),
        ({"background": "white"}, r"decode\.background is one number"),
    ],
)
def test_a_setting_of_images_that_cannot_be_is_named(settings, sentence):
    with pytest.raises(ParameterError, match=sentence):
        Decoder(**settings)


CLIP = video(numbered(12))


def shown(content: bytes, **settings: object) -> list[int]:
    """Return the numbers of the frames that a decoder takes."""
    pixels = frames.Decoder(mode="gray", **settings)(content)
    assert pixels.dtype == torch.uint8
    return [round((frame[0, 20:, 20:].float().mean().item() - 10) / 8) for frame in pixels]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"num_frames": 3}, [2, 6, 10]),
        ({"num_frames": 12}, list(range(12))),
        ({"num_frames": 1}, [6]),
        ({"num_frames": 24}, [i // 2 for i in range(24)]),
        ({"num_frames": 4, "sampling": "centre"}, [4, 5, 6, 7]),
        ({"num_frames": 14, "sampling": "centre"}, [*range(12), 11, 11]),
        ({"num_frames": 12, "sampling": "fps", "fps": 25}, list(range(12))),
        ({"num_frames": 4, "sampling": "fps", "fps": 12.5}, [3, 5, 7, 9]),
        ({"num_frames": 6, "sampling": "fps", "fps": 10.0}, [1, 3, 6, 8, 11, 11]),
        ({"num_frames": 5, "sampling": "fps", "fps": 50}, [5, 5, 6, 6, 7]),
    ],
)
def test_each_way_of_sampling_takes_its_frames(settings, expected):
    assert shown(CLIP, **settings) == expected


@pytest.mark.parametrize("form", [("mpeg", "mpeg1video"), ("avi", "mpeg4"), ("matroska", "mpeg4"), ("webm", "vp9")])
def test_frames_come_from_every_container(form):
    content = video(numbered(12), form=form[0], codec=form[1])
    assert shown(content, num_frames=4) == [1, 4, 7, 10]


def test_uniform_means_uniform_in_time_whatever_the_rate_of_frames():
    assert shown(CHANGING_RATE, num_frames=6) == [12, 25, 26, 27, 28, 29]


def test_a_thumbnail_is_not_the_video(tmp_path):
    cover = tmp_path / "cover.mp4"
    with av.open(io.BytesIO(CLIP)) as clip, av.open(str(cover), "w") as made:
        thumbnail, copied = made.add_stream("png", rate=1), made.add_stream_from_template(clip.streams.video[0])
        thumbnail.height, thumbnail.width, thumbnail.pix_fmt = 24, 32, "rgb24"
        thumbnail.disposition = Disposition.attached_pic
        made.mux(thumbnail.encode(av.VideoFrame.from_ndarray(PIXELS, format="rgb24")))
        made.mux(thumbnail.encode(None))
        for packet in clip.demux(video=0):
            if packet.size:
                packet.stream = copied
                made.mux(packet)
    assert shown(cover.read_bytes(), num_frames=3) == [2, 6, 10]


def test_a_video_of_one_frame_shows_it_all_the_time():
    assert shown(video(numbered(1)), num_frames=3) == [0, 0, 0]


def test_frames_in_colour_are_resized_and_turned_like_pictures():
    red = [np.full((32, 48, 3), (200, 30, 30), np.uint8)] * 4
    pixels = frames.Decoder(num_frames=2, size_px=[16, 20], fit="pad")(video(red))
    assert pixels.shape == (2, 3, 16, 20)
    assert (pixels[0, :, 8, 10].int() - torch.tensor([200, 30, 30])).abs().max() < 8
    assert (pixels[:, :, 0] == 0).all()
    mark = frames.Decoder(num_frames=1, mode="gray")(turned(CLIP))[0, 0]
    assert mark.shape == (48, 32)
    assert mark[:6, -6:].min() > 200  # the mark was in the upper left corner


def test_only_what_is_wanted_is_converted_and_nothing_after_the_last_is_decoded(monkeypatch):
    taken = []
    original = frames.video.frames

    def counted(content, format_):
        for frame in original(content, format_):
            taken.append(frame)
            yield frame

    monkeypatch.setattr(frames.video, "frames", counted)
    frames.Decoder(num_frames=2, sampling="centre")(CLIP)
    assert len(taken) == 7


def test_frames_that_the_file_says_to_leave_out_are_not_counted():
    """An edit list, as cameras and video editors write it: the first five frames are stored but not shown."""
    at = CLIP.index(b"elst") + 12
    duration, start = struct.unpack(">Ii", CLIP[at : at + 8])
    ticks = int.from_bytes(CLIP[CLIP.index(b"mdhd") + 16 : CLIP.index(b"mdhd") + 20], "big")
    cut = CLIP[:at] + struct.pack(">Ii", duration * 7 // 12, start + 5 * ticks // 25) + CLIP[at + 8 :]
    assert len(frames.video.times(cut)) == 7
    assert shown(cut, num_frames=7) == [5, 6, 7, 8, 9, 10, 11]


def test_a_decoder_may_give_fewer_frames_than_there_are_packets(monkeypatch):
    times = frames.video.times(CLIP)
    monkeypatch.setattr(frames.video, "times", lambda content: [*times, 0.48, 0.52])
    assert shown(CLIP, num_frames=14) == [*range(12), 11, 11]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"num_frames": 0}, "num_frames must be a whole number above 0"),
        ({"num_frames": 2, "sampling": "random"}, r"decode\.sampling: .*'random'; there are centre, fps, uniform"),
        ({"num_frames": 2, "mode": "grey"}, r"no frame mode called 'grey'"),
        ({"num_frames": 2, "sampling": "fps"}, "fps goes with sampling fps, and it needs it"),
        ({"num_frames": 2, "fps": 5}, "fps goes with sampling fps"),
        ({"num_frames": 2, "sampling": "fps", "fps": 0}, "fps above 0"),
    ],
)
def test_a_setting_of_frames_that_cannot_be_is_named(settings, sentence):
    with pytest.raises((ParameterError, ValueError), match=sentence):
        frames.Decoder(**settings)


def test_sound_alone_has_no_frames():
    with pytest.raises(DataError, match="it has no picture"):
        frames.Decoder(num_frames=2)(video([], samples=tone()[:, 0]))


@pytest.mark.skipif(not (GENUINE / "grid_clips").is_dir(), reason="the video clips are not on this machine")
def test_genuine_clips_are_decoded_alike_by_a_copy_of_the_decoder():
    decoder = frames.Decoder(num_frames=8, size_px=48)
    for path in sorted((GENUINE / "grid_clips/clips").glob("*.mp4"))[:3]:
        pixels = decoder(path.read_bytes())
        assert pixels.shape == (8, 3, 48, 48)
        assert torch.equal(pickle.loads(pickle.dumps(decoder))(path.read_bytes()), pixels)
        assert len({frame.numpy().tobytes() for frame in pixels}) == 8
