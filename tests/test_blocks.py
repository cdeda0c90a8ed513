"""Inference in blocks: the same bytes for a sample alone, in any batch, in any order, whatever the others have."""

import pytest
import torch

from tests.conftest import CPU
from umemma.data.batch import Batch
from umemma.missingness import key_digest, panel
from umemma.models import late_fusion
from umemma.models.blocks import blocks, in_blocks
from umemma.models.early_fusion import EarlyFusion
from umemma.models.per_pattern import PerPattern
from umemma.models.run_encoders import encode_split
from umemma.models.unimodal import Encoder
from umemma.prediction.predict import answered, features_of

PRIOR = torch.tensor([0.5, 0.3, 0.2]).log()
ENCODERS = {
    "lenet": ({"name": "lenet"}, torch.rand(53, 1, 28, 28)),
    "odd lenet": ({"name": "lenet", "width": 3, "dim": 5}, torch.rand(53, 1, 9, 7)),
    "resnet": ({"name": "resnet"}, torch.rand(53, 3, 32, 32)),
    "mlp": ({"name": "mlp"}, torch.randn(53, 7)),
    "gru": ({"name": "gru"}, torch.randn(53, 5, 31)),
    "tcn": ({"name": "tcn"}, torch.randn(53, 3, 33)),
    "statistics": ({"name": "statistics"}, torch.randn(53, 3, 33)),
    "bcresnet": ({"name": "bcresnet"}, torch.randn(53, 1, 40, 21)),
    "bag_of_words": ({"name": "bag_of_words"}, torch.arange(53 * 32, dtype=torch.int32).reshape(53, 32) % 500),
    "text_cnn": ({"name": "text_cnn"}, torch.arange(53 * 32, dtype=torch.int32).reshape(53, 32) % 500),
}


def test_blocks_have_one_size_and_name_every_row_once():
    parts = list(blocks(37, 16))
    assert [len(index) for index, _ in parts] == [16, 16, 16]
    assert torch.cat([index[:count] for index, count in parts]).tolist() == list(range(37))
    assert parts[-1][0][5:].tolist() == [32] * 11


def test_a_function_that_asks_for_single_rows_gets_them():
    sizes = []

    def counted(value: torch.Tensor) -> torch.Tensor:
        sizes.append(len(value))
        return value

    counted.rows_at_once = 1
    assert torch.equal(in_blocks(counted, torch.arange(3)), torch.arange(3))
    assert sizes == [1, 1, 1]


@pytest.mark.parametrize("name", ENCODERS)
def test_features_are_the_same_bytes_in_any_company(name):
    settings, values = ENCODERS[name]
    torch.manual_seed(0)
    encoder = Encoder("m", values.shape[1:], settings).eval()
    encoder.fit_scale(values)

    def features(rows: list[int]) -> torch.Tensor:
        part = Batch.of({"m": values[rows]}, torch.zeros(len(rows), dtype=torch.int64))
        return encode_split({"m": encoder}, part, device=CPU)["m"]

    whole = features(list(range(53)))
    for rows in ([7], [52, 3], torch.randperm(53).tolist(), list(range(20, 41)), [5] * 17):
        assert torch.equal(features(rows), whole[rows])


def of_kind(kind: str, towers, media: Batch):
    if kind == "early":
        shapes = {name: value.shape[1:] for name, value in media.values.items()}
        encoder = {"name": "lenet", "width": 4, "dim": 5, "size_px": 8}
        return EarlyFusion(shapes, encoder, 3, substitute="donor", rows=media.values)
    head, substitute, at = kind.split("/")
    features = {name: torch.randn(24, 5, generator=torch.Generator().manual_seed(3)) for name in towers}
    rows = dict(media.values) if at == "input" else features

    def late(names):
        return late_fusion.build(
            {name: towers[name] for name in names},
            head=head.removeprefix("each "),
            substitute=substitute,
            substitute_at=at,
            log_prior=PRIOR,
            rows={name: rows[name] for name in names},
        )

    if not head.startswith("each "):
        return late(towers)
    takes = {pattern: [n for n, there in zip(towers, pattern, strict=True) if there] for pattern in panel(len(towers))}
    return PerPattern({pattern: late(names) for pattern, names in takes.items()}, takes, PRIOR)


@pytest.mark.parametrize(
    "kind",
    [
        *(f"{head}/none/feature" for head in ("sum_logits", "concat", "gated", "attention", "pool", "pool_residual")),
        "concat/donor/feature",
        "concat/noise/feature",
        "concat/noise/input",
        "concat/donor/input",
        "each concat/none/feature",
        "early",
    ],
)
def test_a_sample_is_answered_with_the_same_bytes_in_any_company(kind, towers, media):
    torch.manual_seed(1)
    model = of_kind(kind, towers, media).eval()
    index = torch.arange(150) % 24
    present = torch.randint(0, 2, (150, 2), generator=torch.Generator().manual_seed(2)).bool()
    key = key_digest([f"s{number}" for number in range(150)])
    data = Batch({name: value[index] for name, value in media.values.items()}, present, media.label[index], key)

    def logits(rows: list[int]) -> torch.Tensor:
        part = data.rows(torch.tensor(rows))
        features = features_of(model, part, CPU)
        part = part if features is None else part.with_values(features)
        return answered(model, part, PRIOR, of_features=features is not None, device=CPU)

    whole = logits(list(range(150)))
    assert torch.equal(whole[~present.any(dim=1)], PRIOR.expand(int((~present.any(dim=1)).sum()), -1))
    for rows in ([9], torch.randperm(150).tolist(), [3, 77], list(range(60, 131))):
        assert torch.equal(logits(rows), whole[rows])
