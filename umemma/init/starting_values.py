"""What `umemma init` writes: decoder, encoders and training for each kind of media, by the size of files and table.

The single place for these values. Files are cut to what trains in minutes on two cores: images become 64 pixels, sound at
most 16 kHz and ten seconds, texts 256 words, series 1,024 steps. Training is the recipe, `auto` (umemma/training/
schedule.py), and the encoder is searched for where that is cheap: of a few hundred series a logistic regression on
statistics is often better than a network, of a few thousand texts one on words, and of another table it is the reverse.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from umemma.validation.settings import Validation

Values = dict[str, Any]
Facts = Mapping[str, Sequence[float]]  # {fact of `media.facts`: a value for each file that was read}

SIDE_PX, MAX_HZ, MAX_SECONDS, MAX_WORDS, MAX_STEPS = 64, 16_000, 10.0, 256, 1024
# Words collide: TF-IDF with logistic regression on the film plots of mmimdb_lite, mean average precision on validation
# data, reached 50.1 with 20,000 buckets, 50.9 with 50,000 and 51.4 with 100,000, at twice the memory.
BUCKETS = 50_000
_FEW = 20_000  # training samples below which simple models may be the best, and are cheap to try
_RARE = 0.2  # of an equal share of the samples, below which a class is weighted up
_FEW_BAD = 3  # unusable samples that must not stop a small data set: one of 90 is more than 1 %
_CANCELLED = 0.2  # mix level of a recording whose channels cancel out, twice the gate's bound
_BEYOND = 4.0  # peak above which full scale is not 1: floats of 16 or 24 bits
_INTEGERS = (2.0**15, 2.0**23, 2.0**31)  # full scale of numbers of 16, 24 and 32 bits
_LONG_FRAMES = 128  # frames of a spectrogram above which the first convolution has a stride in time


def decode(kind: str, facts: Facts) -> Values:
    """Return a modality's decoder with its settings; `facts` may be empty if no file could be read."""
    return _DECODERS[kind](facts)


def encoders(kind: str, decoded: Values, num_train: int) -> list[Values]:
    """Return a modality's encoder, suited to the decoder `decoded`, and the candidates for `pretrain.search`."""
    chosen = [dict(values) for values in _ENCODERS[kind]]
    if kind == "audio" and _num_frames(decoded) > _LONG_FRAMES:
        chosen[0]["stem_stride"] = [1, min(4, math.ceil(_num_frames(decoded) / _LONG_FRAMES))]
    if kind == "text":
        chosen = [values | {"vocabulary": decoded["buckets"]} for values in chosen]
    return chosen if num_train < _FEW else [values for values in chosen if values["name"] in _NETWORKS]


def augment(kind: str, decoded: Values) -> Values:
    """Return random changes in training that leave any label what it is: no mirrored letter, no lower voice."""
    if kind in ("image", "video"):
        size_px = decoded["size_px"]
        return {"crop_px": max(1, (size_px if isinstance(size_px, int) else min(size_px)) // 16)}
    if kind == "audio":
        return {
            "shift": 0.1,
            "time_mask": max(1, round(_num_frames(decoded) / 8)),
            "freq_mask": decoded["n_mels"] // 10,
        }
    return {}


def training(num_train: int, class_shares: Sequence[float], kinds: Sequence[str]) -> dict[str, Values]:
    """Return what the sections `pretrain` and `fuse` need to say for these data."""
    search = max(len(_ENCODERS[kind]) for kind in kinds) if num_train < _FEW else 1
    weighting = {"class_balance": 0.5} if min(class_shares) * len(class_shares) < _RARE else {}
    return {
        "pretrain": {"search": search, "batch_size": "auto", **weighting},
        "fuse": {"epochs": "auto", "batch_size": "auto", **weighting},
    }


def early(kinds: Sequence[str]) -> Values:
    """Return the encoder of the arm `early`: convolutional if all modalities are images or sound, else an MLP."""
    if set(kinds) <= {"image", "audio"}:
        return {"name": "resnet", "width": 16, "dim": 64, "size_px": 32}
    return {"name": "mlp", "width": 128, "depth": 2, "dim": 64, "dropout": 0.2}


def validation(
    class_shares: Sequence[float],
    seconds: Sequence[float],
    kinds: Sequence[str],
    *,
    smallest_split: int,
    decoders: Sequence[Values] = (),
    defaults: Validation,
) -> Values:
    """Return the validation bounds that must differ from the defaults for these data, which may come near them by chance.

    `smallest_split` is the number of samples in it.
    """
    bounds: Values = {}
    if defaults.max_quarantined * smallest_split < _FEW_BAD:
        bounds["max_quarantined"] = min(0.1, math.ceil(100 * _FEW_BAD / max(1, smallest_split)) / 100)
    # A class that a split lacks has an expectation of its own.
    occurring = [share for share in class_shares if share > 0]
    if min(occurring) < 2 * defaults.min_class_share:
        bounds["min_class_share"] = _down(min(occurring) / 2)
    if max(class_shares) > 0.8 * defaults.max_class_share:
        bounds["max_class_share"] = min(1.0, math.ceil(max(class_shares) * 120) / 100)
    if seconds and max(seconds) * 1.2 > defaults.max_seconds:
        bounds["max_seconds"] = float(math.ceil(max(seconds) * 1.2))
    if {"image", "audio", "video", "series"} & set(kinds):
        bounds["severity"] = {"same_shape": "ignore"}
    settings = {setting for decoder in decoders for setting in decoder}
    if settings & {"max_value", "full_scale"}:
        bounds.setdefault("severity", {})["value_range"] = "ignore"
    if "channel" in settings:
        bounds.setdefault("severity", {})["mixing"] = "ignore"
    return bounds


def small(
    *,
    least_of_class: int,
    lacks_classes: bool,
    presence: Sequence[float],
    damaged: float,
    severity: Mapping[str, str],
    max_quarantined: float,
    defaults: Validation,
) -> Values:
    """Return further bounds, of what is known exactly: class counts, presence by split, the share of damaged samples."""
    bounds: Values = {}
    severities = dict(severity)
    if damaged * 1.5 > max_quarantined:
        bounds["max_quarantined"] = min(0.5, math.ceil(damaged * 150) / 100)
    if least_of_class < defaults.min_class_samples:
        bounds["min_class_samples"] = max(1, least_of_class)
    if lacks_classes:
        severities |= {"classes_in_every_split": "warn", "label_support": "warn", "class_balance": "warn"}
    if min(presence) < 2 * defaults.min_presence:
        bounds["min_presence"] = _down(min(presence) / 2)
    return bounds | ({"severity": severities} if severities else {})


def _image(facts: Facts) -> Values:
    channels = facts.get("channels", ())
    return {
        "name": "image",
        "mode": "gray" if channels and max(channels) <= 2 else "rgb",
        "size_px": _size_px(facts.get("height_px", ()), facts.get("width_px", ())),
    } | _white(facts)


def _white(facts: Facts) -> Values:
    """Return which values are black and white, of gray images of more than eight bits that need it.

    Those of 16 bits get the whole range of the bits that are used, 4095 of twelve, unless they lie in a narrow band of it.
    """
    if max(facts.get("bits", (8,))) == 8:
        return {}
    deep = [
        (bits, low, high)
        for bits, channels, low, high in zip(
            *(facts[fact] for fact in ("bits", "channels", "low", "high")), strict=True
        )
        if bits > 8 and channels == 1
    ]
    if not deep:
        return {}
    lowest, highest = min(low for _, low, _ in deep), max(high for *_, high in deep)
    if max(bits for bits, *_ in deep) == 16:
        top = 2 ** max(1, math.ceil(math.log2(highest + 1))) - 1
        if highest - lowest < top / 4:  # temperatures, say, in the middle of what there could be: 64 levels of 256
            return {"min_value": _down(lowest, digits=2), "max_value": _outwards(highest)}
        return {"max_value": top} if top < 2**16 - 1 else {}
    usual = next((top for top in (1.0, 255.0, 65_535.0) if highest <= top), None) if lowest >= 0 else None
    return {"min_value": 0.0 if lowest >= 0 else _outwards(lowest), "max_value": usual or _outwards(highest)}


def _audio(facts: Facts) -> Values:
    """Windows of about 50 ms, a hop of 10 ms, 40 mel bands."""
    rate_hz = int(min(MAX_HZ, _usual(facts.get("sample_rate_hz", ()), MAX_HZ)))
    seconds = min(MAX_SECONDS, max(0.2, math.ceil(_most(facts.get("seconds", ()), 1.0) * 10) / 10))
    return {
        "name": "log_mel",
        "sample_rate_hz": rate_hz,
        "seconds": seconds,
        "n_fft": 2 ** round(math.log2(0.06 * rate_hz)),
        "hop": max(1, round(0.01 * rate_hz)),
        "n_mels": 40,
    } | _channel(facts)


def _channel(facts: Facts) -> Values:
    """Return which channel to take if averaging them silences some, and full scale if it is not 1."""
    chosen: Values = {"channel": "loudest"} if min(facts.get("mix_level", (1.0,))) < _CANCELLED else {}
    peak = max(facts.get("peak", (1.0,)))
    return chosen | (
        {"full_scale": next((scale for scale in _INTEGERS if peak <= scale), peak)} if peak > _BEYOND else {}
    )


def _video(facts: Facts) -> Values:
    return {
        "name": "frames",
        "num_frames": 8,
        "mode": "rgb",
        "size_px": _size_px(facts.get("height_px", ()), facts.get("width_px", ())),
    }


def _text(facts: Facts) -> Values:
    return {
        "name": "words",
        "buckets": BUCKETS,
        "length": min(MAX_WORDS, max(16, 16 * math.ceil(_most(facts.get("num_words", ()), 64) / 16))),
    }


def _series(facts: Facts) -> Values:
    """Crop or pad series of similar length; stretch ones that are much too long or differ much in length."""
    steps = sorted(facts.get("num_steps", ())) or [128]
    if steps[0] == steps[-1] <= MAX_STEPS:
        return {"name": "series", "length": int(steps[0])}
    length = min(MAX_STEPS, 8 * math.ceil(_most(steps, 128) / 8))
    is_uneven = steps[-1] > MAX_STEPS or steps[0] * 2 < steps[-1]
    return {"name": "series", "length": length} | ({"fit": "stretch"} if is_uneven else {})


def _vector(_: Facts) -> Values:
    return {"name": "vector"}


_DECODERS: Mapping[str, Callable[[Facts], Values]] = {
    "image": _image,
    "audio": _audio,
    "video": _video,
    "text": _text,
    "series": _series,
    "vector": _vector,
}
_RESNET = {"name": "resnet", "width": 16, "dim": 64}
_ENCODERS: Mapping[str, Sequence[Values]] = {  # the first is `encoder`
    "image": [_RESNET],
    "audio": [_RESNET],
    "video": [_RESNET | {"frames": "mean"}],
    "text": [{"name": "bag_of_words", "dim": 64}, {"name": "text_cnn", "dim": 64}],
    "series": [{"name": "tcn", "width": 32, "dim": 64}, {"name": "statistics", "dim": 64}, {"name": "trees"}],
    "vector": [{"name": "mlp", "width": 64, "depth": 2, "dim": 32, "dropout": 0.2}, {"name": "trees"}],
}
_NETWORKS = ("resnet", "text_cnn", "tcn", "mlp")


def _num_frames(decoded: Values) -> float:
    return decoded["sample_rate_hz"] * decoded["seconds"] / decoded["hop"]


def _size_px(heights: Sequence[float], widths: Sequence[float]) -> list[int] | int:
    """Return the median height and width, scaled to at most SIDE_PX for the shorter side, in steps of 8 pixels."""
    if not heights:
        return SIDE_PX
    height, width = _middle(heights), _middle(widths)
    scale = min(1.0, SIDE_PX / min(height, width))
    if scale == 1.0 and len(set(heights)) == len(set(widths)) == 1 and max(height, width) <= 2 * SIDE_PX:
        size = [int(height), int(width)]
    else:
        size = [max(8, 8 * round(side * scale / 8)) for side in (height, width)]
    size = [min(side, 2 * SIDE_PX) for side in size]
    return size[0] if size[0] == size[1] else size


def _middle(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def _usual(values: Sequence[float], otherwise: float) -> float:
    return max(sorted(set(values)), key=list(values).count, default=otherwise)


def _most(values: Sequence[float], otherwise: float) -> float:
    """Return the 95th percentile."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1] if values else otherwise


def _outwards(value: float) -> float:
    """Round to two significant digits, away from zero."""
    if not value:
        return 0.0
    place = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    return float(f"{math.copysign(math.ceil(abs(value) / place) * place, value):.6g}")


def _down(value: float, digits: int = 1) -> float:
    """Round a positive number down to this many significant digits."""
    place = 10.0 ** (math.floor(math.log10(value)) + 1 - digits)
    return float(f"{math.floor(value / place) * place:.{digits}g}")
