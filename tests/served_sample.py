"""A model folder made in a second: a table of pictures, numbers and notes, towers as they are initialised, real files."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.conftest import CPU
from tests.table_sample import png, write_table
from umemma.data.batch import Batch
from umemma.media.decoders import image, vector, words
from umemma.missingness import key_digest, panel, pattern_name
from umemma.models import checkpoint, late_fusion
from umemma.models.early_fusion import EarlyFusion
from umemma.models.forest import Forest
from umemma.models.linear_experts import Expert, LinearExperts
from umemma.models.per_pattern import PerPattern
from umemma.models.pooling import Pooling
from umemma.models.unimodal import Encoder, Tower
from umemma.prediction.predict import predict
from umemma.prediction.predictions import Predictions
from umemma.reporting.results import Accounting, Information, Interval, PatternMetrics
from umemma.serving import export
from umemma.serving.folder import FORMAT, Decoded, Facts, Inputs
from umemma.sources.adapters import table

CLASSES = ("cat", "dog", "owl")
COLUMNS = {
    "weight": {"type": "number", "decimal": ",", "units": {"kg": 1.0, "g": 0.001}},
    "coat": {"type": "category", "words": ["long", "short"]},
}
MODALITIES = {
    "photo": {"column": "picture", "kind": "image", "path": "photos/{}.png"},
    "body": {"columns": ["age", "weight", "coat"], "kind": "vector"},
    "note": {"column": "note", "kind": "text"},
}
ENCODERS = {
    "photo": {"name": "lenet", "width": 4, "dim": 5},
    "body": {"name": "mlp", "width": 8, "dim": 6},
    "note": {"name": "bag_of_words", "dim": 7},
}
DECODE = {
    "photo": ({"name": "image", "size_px": 8}, image.Decoder(size_px=8)),
    "body": ({"name": "vector"}, vector.Decoder()),
    "note": ({"name": "words", "length": 12, "buckets": 50}, words.Decoder(length=12, buckets=50)),
}


@dataclass(frozen=True)
class Served:
    """The folder of the model, the table that it was made of, and its predictions of every row, by key."""

    folder: Path
    table: Path
    rows: list[dict[str, object]]
    predictions: Predictions
    keys: list[str]


def rows(count: int = 40) -> list[dict[str, object]]:
    """Return rows with holes of every kind: of a whole modality, of single numbers."""
    rng = np.random.default_rng(5)
    return [
        {
            "id": f"k{i:02d}",
            "split": ("train", "val", "test")[i % 3],
            "label": CLASSES[i % 7 % 3],
            "picture": None if i % 5 == 1 else f"p{i}",
            "age": None if i % 4 == 1 else str(i % 9),
            "weight": None if i % 8 == 5 else f"{i % 6 + 1},5 kg" if i % 2 else f"{i % 6 + 1}500 g",
            "coat": None if i % 8 == 5 else ("long", "Short", "curly")[i % 3],
            "note": None if i % 6 == 2 else " ".join(rng.choice(["purrs", "barks", "hoots", "sleeps", "runs"], 4)),
        }
        for i in range(count)
    ]


def made(root: Path, *, kind: str = "sum_logits", count: int = 40) -> Served:
    """Write data of `count` rows and a model below `root`; `kind`: a head, `head/substitute`, `panel`, `early` or `linear`."""
    content, rng = rows(count), np.random.default_rng(0)
    (root / "photos").mkdir(parents=True)
    for row in content:
        if row["picture"]:
            (root / f"photos/{row['picture']}.png").write_bytes(png(rng, side_px=12))
    path = write_table(root / "pets.csv", content)
    options = {"file": path.name, "key": "id", "split": "split", "label": "label", "modalities": MODALITIES}
    options["columns"] = COLUMNS
    adapter = table.Adapter(root, classes=CLASSES, task="single_label", **options)
    data, splits = _batch(adapter)
    torch.manual_seed(0)
    towers = {}
    for m, name in enumerate(MODALITIES):
        known = data.values[name][data.present[:, m]]
        encoder = Encoder(name, known.shape[1:], ENCODERS[name])
        encoder.fit_scale(known)
        towers[name] = Tower(encoder, 3).eval()
    prior = torch.tensor([0.5, 0.3, 0.2]).log()
    network = _network(kind, towers, data, prior).eval()
    predicted = predict(network, data, prior, group=torch.arange(len(data)), device=CPU)
    checkpoint.save(network, root / "weights.safetensors", classes=CLASSES)
    keys = [sample.key for sample in splits]
    export.write(_run(root, options, data, predicted, keys), root / "model", root / "predictions.csv")
    return Served(root / "model", path, content, predicted, keys)


def _network(kind: str, towers: dict[str, Tower], data: Batch, prior: torch.Tensor) -> Any:
    def late(names, head: str, substitute: str = "none"):
        chosen = {name: towers[name] for name in names}
        rows = {name: torch.randn(8, tower.encoder.dim) for name, tower in chosen.items()}
        model = late_fusion.build(
            chosen, head=head, substitute=substitute, substitute_at="feature", log_prior=prior, rows=rows
        )
        if head == "pool_residual":
            model.head.residual, model.head.residual_of_familiar = _stumps(0.5), _stumps(-0.25)
            model.head.familiar = torch.ones(1, len(chosen), dtype=torch.bool)
        return model

    if kind == "panel":
        takes = {pattern: [n for n, there in zip(towers, pattern, strict=True) if there] for pattern in panel(3)}
        return PerPattern({pattern: late(names, "concat") for pattern, names in takes.items()}, takes, prior)
    if kind == "early":
        shapes = {name: value.shape[1:] for name, value in data.values.items()}
        rows = {name: value[data.present[:, m]] for m, (name, value) in enumerate(data.values.items())}
        return EarlyFusion(shapes, {"name": "mlp", "width": 8, "dim": 6}, 3, substitute="none", rows=rows)
    if kind == "linear":
        experts = {}
        for m, (name, value) in enumerate(data.values.items()):
            pooling = Pooling.fit(value[data.present[:, m]], max_columns=20).eval()
            experts[name] = Expert(pooling, 3, has_gaps=name == "body")
        return LinearExperts(experts, prior)
    head, _, substitute = kind.partition("/")
    return late(towers, head, substitute or "none")


def _stumps(value: float) -> Forest:
    """Return a tree for each class: whether the first feature of the first modality is below 0, or missing."""
    tree = {"left_children": [1, -1, -1], "right_children": [2, -1, -1], "split_indices": [0, 0, 0]}
    tree |= {"split_conditions": [0.0, value, -value], "default_left": [1, 0, 0]}
    return Forest.of_xgboost([tree] * len(CLASSES), range(len(CLASSES)), len(CLASSES))


def _batch(adapter: table.Adapter) -> tuple[Batch, list]:
    samples = [adapter.sample(split, i) for split, n in adapter.num_samples.items() for i in range(n)]
    files = [{name.split(".")[0]: content for name, content in sample.members.items()} for sample in samples]
    values = {}
    for name, (_, decoder) in DECODE.items():
        decoded = [decoder(of_sample[name]) if name in of_sample else None for of_sample in files]
        first = next(value for value in decoded if value is not None)
        values[name] = torch.stack([torch.zeros_like(first) if value is None else value for value in decoded])
    present = torch.tensor([[name in of_sample for name in DECODE] for of_sample in files])
    label = torch.tensor([sample.label for sample in samples])
    return Batch(values, present, label, key_digest([sample.key for sample in samples])), samples


def _run(root: Path, options, data: Batch, predicted: Predictions, keys: list[str]) -> export.Run:
    interval = Interval(value=0.5, low=0.4, high=0.6)
    names = [pattern_name(pattern, predicted.modalities) for pattern in predicted.patterns()]
    metrics = PatternMetrics.model_construct(
        n=20, clusters=20, accuracy=interval, f1_micro=interval, ece=interval, cross_entropy=interval
    )
    account = Accounting.model_construct(
        entropy=1.0,
        metrics=dict.fromkeys(names, metrics),
        information=dict.fromkeys(names, Information.model_construct(lower_bound=interval)),
    )
    decoded = {
        name: Decoded(
            decode=settings,
            shape=list(data.values[name].shape[1:]),
            dtype=str(data.values[name].dtype).removeprefix("torch."),
        )
        for name, (settings, _) in DECODE.items()
    }
    inputs = import_module("umemma.sources.adapters.table").inputs(options)
    return export.Run(
        Facts(
            format=FORMAT,
            umemma="0",
            dataset="pets",
            task="single_label",
            classes=list(CLASSES),
            modalities=list(MODALITIES),
            backbones=[],
            arm="frozen",
            seed=0,
            precision="float32",
            fingerprint="f",
            manifest_sha256="m",
            num_samples={"train": 14, "val": 13, "test": 13},
        ),
        Inputs(**inputs, decoded=decoded),
        account,
        root / "weights.safetensors",
        {},
        {"val": predicted, "test": predicted},
        data.present,
        data.label,
        data,
        keys,
        [f"={key}" for key in keys],
    )
