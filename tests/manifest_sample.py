"""A synthetic manifest that passes the gate, with its index and quarantine, and ways to corrupt it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tests.conftest import ROOT
from umemma import parameters
from umemma.data.quarantine import Quarantined
from umemma.data.sample import SPLITS
from umemma.data.shards import Index, Shard
from umemma.validation import gate
from umemma.validation.expectation import Evidence
from umemma.validation.settings import Severities, Validation

DEFAULT = parameters.read(ROOT / "params.yaml").validation
BOUNDS = DEFAULT.model_copy(
    update={
        "min_class_share": 0.1,
        "max_class_share": 0.6,
        "min_presence": 0.5,
        "max_blank": 0.1,
        "min_seconds": 0.1,
        "max_seconds": 2.0,
        "min_class_samples": 4,
        "max_clipped_files": 0.1,
        "max_quarantined": 0.1,
    }
)
SHARD_OF = {split: f"{split}-000000.tar" for split in SPLITS}
PER_SPLIT = 12

Spoil = Callable[[pd.DataFrame], pd.DataFrame]


FACTS = {
    "image": {"height_px": 8, "width_px": 8, "channels": 1, "num_frames": 1, "deep": False, "range_used": 1.0},
    "audio": {
        "sample_rate_hz": 8000,
        "seconds": 0.25,
        "channels": 1,
        "peak": 0.5,
        "clipped_share": 0.0,
        "mix_level": 1.0,
        "constant": False,
    },
    "video": {"height_px": 8, "width_px": 8, "num_frames": 9, "seconds": 0.36, "has_sound": True},
    "text": {"num_chars": 80, "num_replaced": 0},
    "series": {"num_steps": 50, "channels": 3, "num_missing": 0},
    "vector": {"num_values": 16, "num_missing": 0},
    "events": {"num_events": 20, "num_variables": 3},
}


def row(split: str, number: int, modalities: Sequence[str] = ("image", "audio")) -> dict[str, Any]:
    """Return a row of the manifest; each modality is named after its kind."""
    sample = {
        "key": f"{split}-{number:02d}",
        "split": split,
        "label": number % 3,
        "group": f"{split}-g{number // 2}",
        "shard": SHARD_OF[split],
    }
    for name in modalities:
        facts = {"kind": name, "num_bytes": 100, "blank": False, "sha256": f"{split}{number}", **FACTS[name]}
        sample |= {f"{name}_present": True} | {f"{name}_{fact}": value for fact, value in facts.items()}
    return sample


def clean(hidden: Sequence[str] = ("train-01", "val-04", "test-11")) -> pd.DataFrame:
    """Return 12 samples a split, three classes, six recordings; the sound of a few is missing."""
    rows = [row(split, number) for split in SPLITS for number in range(PER_SPLIT)]
    return pd.DataFrame([without_sound(row) if row["key"] in hidden else row for row in rows])


def whole(*modalities: str) -> pd.DataFrame:
    """Return as many samples that have all of these modalities."""
    return pd.DataFrame([row(split, number, modalities) for split in SPLITS for number in range(PER_SPLIT)])


def several_labels(manifest: pd.DataFrame) -> pd.DataFrame:
    """Return a manifest with several labels a sample: its own and, for every second sample, the next class."""
    labels = [sorted({label, (label + number % 2) % 3}) for number, label in enumerate(manifest["label"])]
    place = manifest.columns.get_loc("label")
    changed = manifest.drop(columns="label")
    changed.insert(place, "labels", [np.array(label) for label in labels])
    return changed


def without_sound(row: dict[str, Any]) -> dict[str, Any]:
    return row | {name: None for name in row if name.startswith("audio_")} | {"audio_present": False}


def index(modalities: Sequence[str] = ("image", "audio"), quarantined: Mapping[str, int] = {}) -> Index:
    counts = dict.fromkeys(SPLITS, 0) | dict(quarantined)
    kept = dict.fromkeys(counts, 0) | dict.fromkeys(SPLITS, PER_SPLIT)
    return Index(
        "made-up",
        ("a", "b", "c"),
        tuple(modalities),
        tuple(Shard(SHARD_OF[split], split, PER_SPLIT, "0") for split in SPLITS),
        "0",
        "0",
        {split: kept[split] + count for split, count in counts.items()},
        counts,
        {},
    )


def evidence(
    manifest: pd.DataFrame, quarantined: Sequence[Quarantined] = (), accepted: Mapping[str, Any] | None = None
) -> Evidence:
    """Return the manifest with an index and a quarantine that match it, whatever was changed in it."""
    modalities = [name.removesuffix("_present") for name in manifest if name.endswith("_present")]
    counts = Counter(row.split for row in quarantined)
    return Evidence(manifest, index(modalities or ("image", "audio"), counts), list(quarantined), accepted)


def judge(manifest: pd.DataFrame, bounds: Validation = BOUNDS) -> dict[str, Any]:
    return gate.judge(evidence(manifest), bounds)


def severe(bounds: Validation = BOUNDS, **severities: str) -> Validation:
    """Return the bounds with other severities; `everything` is all of them."""
    known = bounds.severity.model_dump()
    every = {name: severities.get("everything", severity) for name, severity in known.items()}
    chosen = {name: severity for name, severity in severities.items() if name != "everything"}
    return bounds.model_copy(update={"severity": Severities.model_validate(every | chosen)})


def setting(key: str, **values: object) -> Spoil:
    """Return a function that sets values in the row of one sample."""

    def spoil(manifest: pd.DataFrame) -> pd.DataFrame:
        for name, value in values.items():
            if not pd.api.types.is_string_dtype(manifest[name].dtype) and not isinstance(value, (int, float)):
                manifest[name] = manifest[name].astype(object)
            manifest.loc[manifest["key"] == key, name] = value
        return manifest

    return spoil


def everywhere(where: str, **values: object) -> Spoil:
    """Return a function that sets values in all rows that match a query."""

    def spoil(manifest: pd.DataFrame) -> pd.DataFrame:
        for name, value in values.items():
            manifest.loc[manifest.eval(where), name] = value
        return manifest

    return spoil


def blank_images(split: str, number: int) -> Spoil:
    return first(split, number, image_blank=True)


def first(split: str, number: int, **values: object) -> Spoil:
    """Return a function that sets values in the first rows of a split."""

    def spoil(manifest: pd.DataFrame) -> pd.DataFrame:
        for name, value in values.items():
            manifest.loc[manifest.index[manifest["split"] == split][:number], name] = value
        return manifest

    return spoil
