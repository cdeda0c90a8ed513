"""Sounds, series and vectors as tensors: rates, channels, lengths, and the sound track of a video."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torchaudio.functional import resample

from tests.conftest import ROOT
from tests.media_files import npy, numbered, sound, surround, tone, video
from umemma.errors import DataError, ParameterError
from umemma.media import crop_or_pad
from umemma.media import waveform as waveforms
from umemma.media.decoders import log_mel, series, spectrogram, vector, waveform
from umemma.media.kinds import sound as sound_kind
from umemma.settings import call
from umemma.sources.layouts import cutting

GENUINE = Path(os.environ.get("UMEMMA_DATA") or ROOT / "../shared/data")
SECOND = tone(seconds=1.0)
NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, 8000).astype(np.float32)


def heard(content: bytes, **settings: object) -> torch.Tensor:
    return waveform.Decoder(**{"sample_rate_hz": 16000, "seconds": 0.5} | settings)(content)


def loudest_hz(wave: torch.Tensor, rate_hz: int) -> float:
    spectrum = torch.fft.rfft(wave * torch.hann_window(len(wave))).abs()
    return spectrum.argmax().item() * rate_hz / len(wave)


@pytest.mark.parametrize(
    ("form", "subtype", "tolerance"),
    [
        ("WAV", "PCM_16", 1e-4),
        ("WAV", "PCM_24", 1e-6),
        ("WAV", "FLOAT", 0),
        ("FLAC", "PCM_16", 1e-4),
        ("OGG", "VORBIS", 0.05),
        ("MP3", None, 0.05),
    ],
)
def test_every_format_gives_its_samples(form, subtype, tolerance):
    wave = heard(sound(tone(), form=form, subtype=subtype))
    assert wave.shape == (8000,)
    assert wave.dtype == torch.float32
    middle = slice(2000, 6000)  # lossy codecs lose more at the ends
    assert (wave[middle] - torch.from_numpy(tone()[middle, 0])).abs().max() <= tolerance


@pytest.mark.parametrize(
    ("form", "codec", "sound_codec"),
    [
        ("mp4", "mpeg4", "aac"),
        ("mpeg", "mpeg1video", "mp2"),
        ("matroska", "mpeg4", "flac"),
        ("avi", "mpeg4", "pcm_s16le"),
    ],
)
def test_the_sound_track_of_a_video_is_heard(form, codec, sound_codec):
    clip = video(numbered(25), form=form, codec=codec, samples=tone(880, 1.0)[:, 0], sound_codec=sound_codec)
    wave = heard(clip, seconds=0.9)
    assert loudest_hz(wave, 16000) == pytest.approx(880, abs=5)
    assert wave.abs().max() == pytest.approx(0.5, abs=0.1)


def test_a_video_without_sound_is_named():
    with pytest.raises(DataError, match="no readable sound: the video has no sound track"):
        heard(video(numbered(3)))


@pytest.mark.parametrize("rate_hz", [8000, 11025, 22050, 44100, 48000])
def test_another_rate_is_resampled(rate_hz):
    wave = heard(sound(tone(880, 0.5, rate_hz), rate_hz))
    assert wave.shape == (8000,)
    middle = slice(1000, 7000)
    assert (wave[middle] - torch.from_numpy(tone(880)[middle, 0])).abs().max() < 0.01


def test_resampling_is_torchaudios():
    wave = waveforms.load(sound(NOISE, 8000, subtype="FLOAT"), sample_rate_hz=12000)
    torch.testing.assert_close(wave, resample(torch.from_numpy(NOISE), 8000, 12000))


def test_rates_without_a_common_divisor_are_refused_before_they_take_memory():
    with pytest.raises(DataError, match=r"sound has 44101 Hz, which has too little in common with .*16000"):
        heard(sound(NOISE, 44101))


def test_channels_are_averaged_or_one_is_taken():
    samples = np.stack([np.full(8000, 0.5), np.zeros(8000), np.full(8000, -0.2)], axis=1)
    content = sound(samples, subtype="FLOAT")
    assert heard(content).mean() == pytest.approx(0.1, abs=1e-6)
    assert heard(content, channel=2).mean() == pytest.approx(-0.2, abs=1e-6)
    with pytest.raises(DataError, match=r"sound has 3 channels, decode\.channel is 3 \(the first is 0\)"):
        heard(content, channel=3)
    assert heard(sound(tone(channels=8))).shape == (8000,)


@pytest.mark.parametrize("block", [1 << 16, 700])
def test_channels_of_opposite_polarity_are_silent_in_the_mix_and_the_loudest_is_heard(monkeypatch, block):
    monkeypatch.setattr(sound_kind, "BLOCK", block)
    wave = tone()[:, 0]
    content = sound(np.stack([0.5 * wave, -wave, 0.5 * wave], axis=1), subtype="FLOAT")
    assert heard(content).abs().max() < 1e-6
    assert torch.equal(heard(content, channel="loudest"), -torch.from_numpy(wave))
    settings = {"sample_rate_hz": 16000, "n_fft": 512, "hop": 256, "frames": 9}
    spoken, alone = spectrogram.Decoder(**settings, channel="loudest")(content), sound(-wave, subtype="FLOAT")
    assert torch.equal(spoken, spectrogram.Decoder(**settings)(alone))


def test_full_scale_of_floats_may_be_another():
    content = sound(32768 * tone(), subtype="FLOAT")
    torch.testing.assert_close(heard(content, full_scale=32768), torch.from_numpy(tone()[:, 0]))
    settings = {"sample_rate_hz": 16000, "seconds": 0.5}
    loud, usual = log_mel.Decoder(**settings, full_scale=32768)(content), log_mel.Decoder(**settings)
    assert torch.equal(loud, usual(sound(tone(), subtype="FLOAT")))
    with pytest.raises(ParameterError, match=r"decode\.full_scale is above 0, not 0"):
        heard(content, full_scale=0)


@pytest.mark.parametrize(("crop", "first"), [("start", 0), ("centre", 3000), ("end", 6000)])
@pytest.mark.parametrize("block", [1 << 16, 700])
@pytest.mark.parametrize("by_ffmpeg", [False, True])
def test_a_longer_sound_is_cropped_where_it_is_asked_for(monkeypatch, crop, first, block, by_ffmpeg):
    monkeypatch.setattr(sound_kind, "BLOCK", block)
    content = video(numbered(3), form="matroska", samples=NOISE, sound_codec="flac") if by_ffmpeg else sound(NOISE)
    wave = heard(content, seconds=0.125, crop=crop)
    torch.testing.assert_close(wave, torch.from_numpy(NOISE[first : first + 2000]), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("pad", "expected"),
    [
        ("end", [1, 2, 3, 0, 0, 0, 0]),
        ("both", [0, 0, 1, 2, 3, 0, 0]),
        ("hold", [1, 2, 3, 3, 3, 3, 3]),
        ("repeat", [1, 2, 3, 1, 2, 3, 1]),
    ],
)
def test_what_is_too_short_is_filled_up(pad, expected):
    short = torch.tensor([[1.0, 2, 3], [2, 4, 6]])
    padded = crop_or_pad.fitted(short, 7, crop="start", pad=pad)
    assert padded[0].tolist() == expected
    assert torch.equal(padded[1], 2 * padded[0])
    quarter = heard(sound(tone(seconds=0.25)), pad=pad)
    assert (quarter[4000:].abs().max() > 0.4) == (pad in ("both", "repeat"))


def test_int16_and_float16_are_the_same_sound_in_less():
    content = sound(tone(), subtype="PCM_16")
    whole, half, whole_numbers = (heard(content, store=store) for store in ("float32", "float16", "int16"))
    assert (half.dtype, whole_numbers.dtype) == (torch.float16, torch.int16)
    torch.testing.assert_close(half.float(), whole, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(whole_numbers / 32767, whole, atol=2e-5, rtol=0)
    assert heard(sound(np.full(8000, 3.0), subtype="FLOAT"), store="int16").max() == 32767


def test_a_long_sound_is_read_no_further_than_needed(monkeypatch):
    taken = []
    original = sound_kind._sndfile_blocks

    def counted(content, first):
        for block in original(content, first):
            taken.append(len(block))
            yield block

    monkeypatch.setattr(sound_kind, "_sndfile_blocks", counted)
    monkeypatch.setattr(sound_kind, "BLOCK", 1000)
    heard(sound(np.zeros(100_000)), seconds=0.25, crop="centre")
    assert sum(taken) == 4000


@pytest.mark.parametrize(
    "content", [sound(np.full(4000, np.nan), subtype="FLOAT"), sound(np.full(4000, np.inf), subtype="FLOAT")]
)
def test_what_is_no_number_is_named(content):
    with pytest.raises(DataError, match="sound holds NaN or infinity"):
        heard(content)


@pytest.mark.parametrize("window_samples", [480, 400])
def test_the_log_mel_is_what_bc_resnet_takes(window_samples):
    """Reimplemented from the definition: power of a Hann STFT, triangles on the HTK mel scale, logarithm."""
    decoder = log_mel.Decoder(sample_rate_hz=16000, seconds=1.0, window=window_samples)
    mel = decoder(sound(NOISE.repeat(2), subtype="FLOAT"))
    assert mel.shape == (1, 40, 101)
    assert mel.dtype == torch.float16
    padded = np.pad(NOISE.repeat(2).astype(np.float64), 240, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window_samples) / window_samples)
    window = np.pad(window, (480 - window_samples) // 2)
    power = np.stack([np.abs(np.fft.rfft(padded[160 * t : 160 * t + 480] * window)) ** 2 for t in range(101)], axis=1)
    mels = np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 42)
    edges = 700 * (10 ** (mels / 2595) - 1)
    hz = np.linspace(0, 8000, 241)
    bands = np.maximum(
        0,
        np.minimum(
            (hz - edges[:-2, None]) / np.diff(edges)[:-1, None], (edges[2:, None] - hz) / np.diff(edges)[1:, None]
        ),
    )
    np.testing.assert_allclose(mel[0].numpy(), np.log(bands @ power + 1e-6), atol=0.01)


def test_a_silent_log_mel_is_at_its_floor():
    decoder = log_mel.Decoder(sample_rate_hz=16000, seconds=1.0, floor=1e-4)
    assert decoder(sound(np.zeros(800))).float().unique().item() == pytest.approx(np.log(1e-4), abs=0.01)


def test_decibels_are_cut_below_the_loudest():
    settings = {"sample_rate_hz": 16000, "seconds": 1.0, "scale": "db"}
    whole, cut = (log_mel.Decoder(**settings, top_db=top)(sound(SECOND)).float() for top in (None, 40.0))
    assert whole.max() - whole.min() > 60
    torch.testing.assert_close(cut, whole.clamp_min(whole.max() - 40.0), atol=0.05, rtol=0)
    logs = log_mel.Decoder(sample_rate_hz=16000, seconds=1.0)(sound(SECOND)).float()
    loud = logs > -5
    torch.testing.assert_close(whole[loud], 10 / np.log(10) * logs[loud], atol=0.1, rtol=0.01)


def test_a_band_of_the_log_mel_may_be_chosen():
    decoder = log_mel.Decoder(
        sample_rate_hz=16000, seconds=1.0, f_min=300, f_max=4000, n_mels=20, n_fft=512, window=400
    )
    image = decoder(sound(tone(3900, 1.0)))
    assert image.shape == (1, 20, 101)
    assert image[0].float().mean(dim=1).argmax() == 19


def test_a_spectrogram_at_another_rate_has_its_tone_at_the_same_place():
    decoder = spectrogram.Decoder(sample_rate_hz=8000, n_fft=256, hop=128, frames=20)
    same, other = decoder(sound(tone(1000, 1.0, 8000), 8000)), decoder(sound(tone(1000, 1.0, 44100), 44100))
    assert (same[0, :, 2:].argmax(dim=0) == 32).all()
    assert (other[0, :, 2:].argmax(dim=0) == 32).all()


def test_a_spectrogram_of_a_long_sound_is_that_of_its_beginning():
    decoder = spectrogram.Decoder(sample_rate_hz=16000, n_fft=64, hop=32, frames=10)
    begun, long = decoder(sound(NOISE[:1000])), decoder(sound(np.concatenate([NOISE[:1000], 0.9 * NOISE])))
    assert torch.equal(begun, long)


@pytest.mark.parametrize(
    ("decoder", "settings", "sentence"),
    [
        (waveform, {"sample_rate_hz": 0, "seconds": 1.0}, "sample_rate_hz, seconds and their product must be above 0"),
        (
            waveform,
            {"sample_rate_hz": 8000, "seconds": 0.0},
            "sample_rate_hz, seconds and their product must be above 0",
        ),
        (
            waveform,
            {"sample_rate_hz": 8000, "seconds": 1.0, "channel": -1},
            r"decode\.channel is null, a number from 0 on or loudest, not -1",
        ),
        (
            waveform,
            {"sample_rate_hz": 8000, "seconds": 1.0, "store": "int8"},
            "'int8'; there are float16, float32, int16",
        ),
        (
            waveform,
            {"sample_rate_hz": 8000, "seconds": 1.0, "crop": "center"},
            "'center'; there are centre, end, start",
        ),
        (
            waveform,
            {"sample_rate_hz": 8000, "seconds": 1.0, "pad": "zero"},
            "'zero'; there are both, end, hold, repeat",
        ),
        (log_mel, {"sample_rate_hz": 8000, "seconds": 0.01}, "seconds longer than half of n_fft 480; seconds are 0.01"),
        (log_mel, {"sample_rate_hz": 8000, "seconds": 1.0, "f_max": 5000}, "f_max <= sample_rate_hz / 2"),
        (log_mel, {"sample_rate_hz": 8000, "seconds": 1.0, "window": 500}, "window <= n_fft"),
        (log_mel, {"sample_rate_hz": 8000, "seconds": 1.0, "hop": 0}, "hop, n_mels, window and floor must be above 0"),
        (log_mel, {"sample_rate_hz": 8000, "seconds": 1.0, "scale": "dB"}, "no scale called 'dB'; there are db, log"),
        (log_mel, {"sample_rate_hz": 8000, "seconds": 1.0, "top_db": 80.0}, "top_db is above 0 and goes with scale db"),
        (series, {"length": 0}, "length is null or a whole number above 0, not 0"),
        (series, {"fit": "pad"}, r"decode\.fit: .*'pad'; there are crop, stretch"),
    ],
)
def test_a_setting_of_sounds_or_series_that_cannot_be_is_named(decoder, settings, sentence):
    with pytest.raises(ParameterError, match=sentence):
        call(decoder.Decoder, settings, "decode")


STEPS = np.stack([np.arange(5.0), 10 * np.arange(5.0)], axis=1)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"length": 3}, [0, 1, 2]),
        ({"length": 3, "crop": "centre"}, [1, 2, 3]),
        ({"length": 3, "crop": "end"}, [2, 3, 4]),
        ({"length": 7}, [0, 1, 2, 3, 4, np.nan, np.nan]),
        ({"length": 7, "pad": "both"}, [np.nan, 0, 1, 2, 3, 4, np.nan]),
        ({"length": 7, "pad": "hold"}, [0, 1, 2, 3, 4, 4, 4]),
        ({"length": 9, "fit": "stretch"}, [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4]),
        ({"length": 3, "fit": "stretch"}, [0, 2, 4]),
    ],
)
def test_a_series_is_channels_of_one_length(settings, expected):
    values = series.Decoder(**settings)(npy(STEPS))
    assert values.dtype == torch.float32
    np.testing.assert_array_equal(values, [expected, [10 * value for value in expected]])


def test_one_axis_is_one_channel_and_integers_are_numbers():
    assert series.Decoder()(npy(np.arange(4, dtype=np.int16))).tolist() == [[0, 1, 2, 3]]
    assert vector.Decoder()(npy(np.arange(4, dtype=np.uint8))).tolist() == [0, 1, 2, 3]
    with pytest.raises(DataError, match=r"no readable vector: shape \(5, 2\)"):
        vector.Decoder()(npy(STEPS))


def test_decoders_travel_to_other_processes():
    content = sound(SECOND)
    for module in (log_mel, waveform):
        decoder = module.Decoder(sample_rate_hz=8000, seconds=1.0)
        assert torch.equal(pickle.loads(pickle.dumps(decoder))(content), decoder(content))


@pytest.mark.skipif(not (GENUINE / "grid_clips").is_dir(), reason="the video clips are not on this machine")
def test_genuine_clips_are_heard():
    decoder = log_mel.Decoder(sample_rate_hz=16000, seconds=3.0)
    for path in sorted((GENUINE / "grid_clips/clips").glob("*.mp4"))[:3]:
        mel = decoder(path.read_bytes()).float()
        assert mel.shape == (1, 40, 301)
        assert mel.std() > 2


@pytest.mark.parametrize(
    ("layout", "channels"), [("stereo", 2), ("5.1", 6), ("7.1", 8), ("hexadecagonal", 16), ("22.2", 24)]
)
def test_every_channel_of_a_film_is_heard_and_cut(layout, channels):
    """From eight on PyAV reads planes from memory that is not theirs: 7.1 ended the process."""
    seconds = np.arange(8192) / 48000
    samples = 0.5 * np.sin(2 * np.pi * np.outer(seconds, 200.0 * np.arange(1, channels + 1)))
    content = surround(samples, layout)
    known = sound_kind.header(content)
    heard = np.concatenate(list(sound_kind.blocks(content, known)))
    assert heard.shape == (8192, channels)
    assert np.abs(heard - samples).max() < 1e-4
    cut, rate_hz = cutting.sound_span(content, 0.05, 0.1)
    assert rate_hz == 48000
    assert np.abs(cut - samples[2400:4800]).max() < 1e-4


def test_channels_that_a_decoder_keeps_apart_are_heard_from_eight_on():
    seconds = np.arange(48 * 1024) / 48000
    samples = 0.5 * np.sin(2 * np.pi * np.outer(seconds, 200.0 * np.arange(1, 9)))
    content = surround(samples, "7.1", "aac", "adts")
    heard = np.concatenate(list(sound_kind.blocks(content, sound_kind.header(content))))
    assert heard.shape[1] == 8
    places = [0, 1, 2, 4, 5, 6, 7]  # the fourth is for low tones alone
    assert [loudest_hz(torch.from_numpy(heard[8192:40960, place]), 48000) for place in places] == pytest.approx(
        [200.0 * (place + 1) for place in places], abs=5
    )
