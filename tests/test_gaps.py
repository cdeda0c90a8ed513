"""Numbers that were not measured, in vectors and series: no network, loss or other sample is touched by them."""

import math
from collections.abc import Mapping

import numpy as np
import pytest
import torch

from tests.test_late_fusion import every_head, every_place, every_substitute, mixed, predict
from umemma.data.batch import Batch
from umemma.errors import SettingError
from umemma.media.decoders import series
from umemma.missingness import key_digest
from umemma.models import checkpoint, late_fusion, measured, unimodal
from umemma.models.early_fusion import EarlyFusion
from umemma.models.measured import Gaps
from umemma.models.substitutes import SUBSTITUTES
from umemma.models.unimodal import Tower
from umemma.sources.tables.series import npy
from umemma.training import augment
from umemma.training.in_memory import train_fusion, train_tower

NAN = math.nan
ENCODERS = {"lab": {"name": "mlp", "width": 8, "dim": 6}, "pulse": {"name": "tcn", "width": 4, "kernel": 3, "dim": 5}}
PRIOR = torch.full((3,), 1 / 3).log()


def made_up(num: int = 48, seed: int = 1, *, gaps: bool = True) -> Batch:
    """A vector of four numbers and a series of two channels, both far from 0; a third of the numbers is missing.

    The series are 7 to 12 steps long; the last column of the vector and one sample's series were never measured.
    """
    draw = torch.Generator().manual_seed(seed)
    label = torch.arange(num) % 3
    lab = torch.randn(num, 4, generator=draw) * 0.5 + 140 + label[:, None]
    pulse = torch.randn(num, 2, 12, generator=draw) * 0.5 + 1013 + label[:, None, None]
    if gaps:
        lab = lab.masked_fill(torch.rand(lab.shape, generator=draw) < 0.3, NAN)
        pulse = pulse.masked_fill(torch.rand(pulse.shape, generator=draw) < 0.3, NAN)
        length = torch.randint(7, 13, (num, 1, 1), generator=draw)
        pulse = pulse.masked_fill(torch.arange(12) >= length, NAN)
        lab[:, 3] = NAN
        pulse[1] = NAN
    present = torch.ones(num, 2, dtype=torch.bool)
    return Batch({"lab": lab, "pulse": pulse}, present, label, key_digest([f"{seed} {i}" for i in range(num)]))


@pytest.fixture(scope="module")
def towers() -> Mapping[str, Tower]:
    data = {"train": made_up(150), "val": made_up(seed=2)}
    return {
        name: train_tower(name, encoder, data, epochs=15, batch_size=16, lr=0.02) for name, encoder in ENCODERS.items()
    }


def further_gaps(batch: Batch, row: int) -> Batch:
    """Lose one more number of a sample's vector, and one step of its series."""
    values = {name: value.clone() for name, value in batch.values.items()}
    values["lab"][row, 0], values["pulse"][row, :, 2] = NAN, NAN
    return batch.with_values(values)


def test_the_towers_learn_from_what_was_measured(towers):
    test = made_up(90, seed=3)
    for name, tower in towers.items():
        logits = tower(test.values[name])
        assert logits.isfinite().all()
        assert (logits.argmax(dim=1) == test.label).float().mean() > 0.7


@every_head
@every_substitute
@every_place
def test_a_number_that_was_not_measured_moves_no_other_samples_logits(towers, head, substitute, at):
    data = mixed(made_up(24, seed=4))
    rows = {name: value[:20] for name, value in made_up().values.items()}
    if at == "feature":
        with torch.no_grad():
            rows = {name: towers[name].encoder(value) for name, value in rows.items()}
    fusion = late_fusion.build(
        towers, head=head, substitute=substitute, substitute_at=at, log_prior=PRIOR, rows=rows
    ).eval()
    with torch.no_grad():
        clean, other = predict(fusion, data), predict(fusion, further_gaps(data, 5))
    assert data.present[5].any()
    assert clean.isfinite().all()
    assert other.isfinite().all()
    is_other = torch.arange(24) != 5
    assert torch.equal(clean[is_other], other[is_other])
    assert not torch.equal(clean[5], other[5])


@pytest.mark.parametrize("substitute", SUBSTITUTES)
def test_early_fusion_stands_gaps(substitute, tmp_path):
    data, settings = made_up(24), {"name": "mlp", "width": 8, "dim": 6}
    shapes = {name: value.shape[1:] for name, value in data.values.items()}
    fusion = EarlyFusion(shapes, settings, 3, substitute=substitute, rows=dict(data.values)).train()
    torch.nn.functional.cross_entropy(fusion(mixed(data)), data.label).backward()
    assert all(p.grad.isfinite().all() for p in fusion.parameters() if p.requires_grad)
    with torch.no_grad():
        clean, other = fusion.eval()(data), fusion(further_gaps(data, 5))
    is_other = torch.arange(24) != 5
    assert torch.equal(clean[is_other], other[is_other])
    checkpoint.save(fusion, tmp_path / "model", classes=["a", "b", "c"])
    assert torch.equal(checkpoint.load(tmp_path / "model")(data), clean)


@pytest.mark.parametrize(("arm", "at"), [("ume-mma", "input"), ("joint+mma", "feature")])
def test_fusion_is_trained_over_gaps(towers, arm, at):
    data = {"train": made_up(), "val": made_up(seed=2)}
    fusion = train_fusion(
        towers, data, arm=arm, substitute="noise", substitute_at=at, epochs=2, batch_size=16, lr=0.004
    )
    assert predict(fusion, made_up(seed=3)).isfinite().all()
    assert all(value.isfinite().all() for name, value in fusion.state_dict().items() if "substitute" not in name)


@pytest.mark.parametrize("name", ENCODERS)
def test_a_tower_of_gaps_that_was_saved_answers_the_same(towers, name, tmp_path):
    unimodal.save(towers[name], tmp_path / "tower")
    again = unimodal.load(tmp_path / "tower")
    assert again.encoder.facts() == towers[name].encoder.facts()
    value = made_up(seed=3).values[name]
    assert torch.equal(again(value), towers[name](value))


@pytest.mark.parametrize("name", ENCODERS)
def test_a_tower_that_never_met_a_gap_takes_one_as_the_mean(name):
    whole = made_up(gaps=False)
    tower = train_tower(name, ENCODERS[name], {"train": whole, "val": whole}, epochs=1, batch_size=16)
    assert "gaps" not in tower.encoder.facts()
    value = whole.values[name].clone()
    with torch.no_grad():
        value[3], value[7].flatten()[0] = NAN, NAN
        mean = whole.values[name].clone()
        mean[3] = tower.encoder.mean.expand(mean[3].shape)
        mean[7].flatten()[0] = tower.encoder.mean.flatten()[0]
        torch.testing.assert_close(tower(value), tower(mean))


def test_what_is_measured_and_when_is_told_to_the_network(towers):
    assert towers["lab"].encoder.gaps == Gaps((0, 1, 2, 3), has_padding=False)
    assert towers["pulse"].encoder.gaps == Gaps((0, 1), has_padding=True)
    value = made_up(24).values["pulse"].masked_fill(torch.tensor(True), 1014.0)
    shift = value.clone()
    value[:, 0, 3], shift[:, 0, 7] = NAN, NAN
    given = []
    towers["pulse"].encoder.body.register_forward_pre_hook(lambda _, arguments: given.append(arguments[0]))
    with torch.no_grad():
        towers["pulse"].encoder(value)
    assert given[0].shape == (24, 6, 12)
    assert given[0][0, 2].tolist() == [1.0] * 3 + [0.0] + [1.0] * 8
    assert given[0][0, 4, 2:5].tolist() == pytest.approx([0.0, 1 / 12, 0.0])


def test_the_time_since_a_measurement_counts_from_before_the_first_step():
    missing = torch.tensor([[[True, False, True, True, False]]])
    assert (5 * measured.time_since(missing)).flatten().tolist() == pytest.approx([1, 0, 1, 2, 0])


@pytest.mark.parametrize(
    "encoder",
    [{"name": "statistics"}, {"name": "gru", "width": 16, "hidden": 8, "dim": 5, "dropout": 0.0}],
    ids=lambda encoder: encoder["name"],
)
def test_other_encoders_of_series_learn_over_gaps(encoder, tmp_path):
    data = {"train": made_up(150), "val": made_up(seed=2)}
    tower = train_tower("pulse", encoder, data, epochs=15, batch_size=32, lr=0.02)
    value, label = made_up(60, seed=3).values["pulse"], made_up(60, seed=3).label
    unimodal.save(tower, tmp_path / "tower")
    with torch.no_grad():
        logits = tower(value)
        assert (logits.argmax(dim=1) == label).float().mean() > 0.7
        assert torch.equal(unimodal.load(tmp_path / "tower")(value), logits)
        value[5, :, 2] = NAN
        is_other = torch.arange(60) != 5
        assert torch.equal(tower(value)[is_other], logits[is_other])


def test_padding_is_no_gap():
    values = made_up(gaps=False).values["pulse"]
    assert measured.gaps(values) == Gaps()
    values[4, :, 9:], values[5, :, :2] = NAN, NAN
    assert measured.gaps(values) == Gaps((), has_padding=True)
    values[6, 1, 11] = NAN  # the other channel goes on: it was there, and this was not measured
    assert measured.gaps(values) == Gaps((1,), has_padding=True)
    assert measured.gaps((values * 0).nan_to_num(0.0).int()) == Gaps()


@pytest.mark.parametrize("name", ["tcn", "gru"])
def test_the_amount_of_padding_does_not_change_the_answer(name):
    torch.manual_seed(0)
    value = torch.nn.functional.pad(torch.randn(6, 2, 20), (0, 12), value=NAN)
    encoder = unimodal.build("m", value, {"name": name, "width": 8, "dim": 5})
    encoder.fit_scale(value)
    encoder.train()
    encoder(value)  # statistics of batch normalisation other than 0 and 1
    with torch.no_grad():
        answer = encoder.eval()(value)
        torch.testing.assert_close(encoder(value[:, :, :21]), answer)
        if name == "tcn":  # a recurrent network has memory of what was before
            torch.testing.assert_close(encoder(torch.nn.functional.pad(value, (9, 0), value=NAN)), answer)
        assert not torch.allclose(encoder(value.nan_to_num(0.0)), answer)


@pytest.mark.parametrize("length", [100, 160])
def test_the_scale_of_a_series_far_from_zero_does_not_depend_on_its_padding(length):
    rng = np.random.default_rng(0)
    decoder = series.Decoder(length=length)
    waves = [1013 + rng.normal(size=(int(steps), 1)) for steps in rng.integers(60, 100, 200)]
    values = torch.stack([decoder(npy(wave)) for wave in waves])
    encoder = unimodal.build("m", values, {"name": "tcn"})
    encoder.fit_scale(values)
    assert encoder.mean.item() == pytest.approx(1013, abs=0.1)
    assert encoder.std.item() == pytest.approx(1, abs=0.1)


def test_a_stretched_series_keeps_its_gaps():
    steps = np.array([[0.0], [1.0], [NAN], [3.0], [4.0]])
    stretched = series.Decoder(length=9, fit="stretch")(npy(steps))
    np.testing.assert_allclose(stretched[0], [0, 0.5, 1, 1, NAN, 3, 3, 3.5, 4])


def test_a_modality_that_was_never_measured_is_named():
    data = made_up()
    nothing = data.with_values({**data.values, "lab": torch.full((48, 4), NAN)})
    with pytest.raises(SettingError, match=r"lab\.encoder: nothing of lab was measured in the training set"):
        train_tower("lab", ENCODERS["lab"], {"train": nothing, "val": nothing})


@pytest.mark.parametrize(
    "settings", [{"gain_db": 6.0}, {"noise": 0.5}, {"time_mask": 4}], ids=lambda value: next(iter(value))
)
def test_augmentation_neither_spreads_nor_fills_gaps(settings):
    batch = made_up().values["pulse"]
    change = augment.build(settings, batch.shape[1:])
    changed = change(batch, torch.Generator().manual_seed(0))
    assert torch.equal(changed.isnan(), batch.isnan())
    more = batch.clone()
    more[5, :, 2] = NAN
    is_other = torch.arange(48) != 5
    assert torch.equal(
        change(more, torch.Generator().manual_seed(0))[is_other].nan_to_num(0.0), changed[is_other].nan_to_num(0.0)
    )
