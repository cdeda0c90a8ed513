"""The training loop: what a seed determines, how long it runs, and that it learns; towers are saved and calibrated."""

import ctypes
import itertools
import mmap
import os
import shutil
import tempfile
import time

import numpy as np
import pytest
import torch

from tests.conftest import CPU
from umemma.data import on_disk
from umemma.data.batch import Batch
from umemma.errors import DataError, TrainingError
from umemma.metrics.calibration import temperature
from umemma.metrics.classification import nll
from umemma.metrics.objective import log_prior
from umemma.models import unimodal
from umemma.models.run_encoders import encode, encode_split
from umemma.models.unimodal import Encoder, Tower
from umemma.training import resume, schedule
from umemma.training.loop import kept, train
from umemma.training.schedule import MAX_STEPS, MIN_STEPS, Schedule


def trained(media, seed: int, epochs=6.0, validation=lambda step: -step):
    """Train a tower; `validation` {number of the evaluation: its cross-entropy}."""
    torch.manual_seed(seed)
    evaluations = itertools.count()
    tower = Tower(Encoder("image", (1, 8, 8), {"name": "lenet", "width": 4, "dim": 5, "dropout": 0.0}), 3)
    curve = train(
        tower,
        lambda batch: tower(batch.values["image"]),
        [(list(tower.parameters()), 0.01)],
        media,
        schedule=Schedule(epochs, 6, 0.01),
        seed=seed,
        device=CPU,
        present=lambda batch, _: batch.present,
        validate=lambda: {"val_cross_entropy": float(validation(next(evaluations)))},
        name="image",
    )
    return tower, curve


def test_a_seed_fixes_the_weights_bit_for_bit(media):
    first, again, other = (trained(media, seed)[0].state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_training_lowers_the_loss_and_says_what_it_cost(media):
    _, curve = trained(media, 0)
    assert curve[-1]["train_loss"] < 0.7 * curve[0]["train_loss"]
    assert [row["epoch"] for row in curve] == [1, 2, 3, 4, 5, 6]
    assert curve[-1]["samples_seen"] == 6 * 24


@pytest.mark.parametrize(("epochs", "steps"), [(2, 8), (0.5, 2), (0.01, 1), (1.25, 5)])
def test_epochs_may_be_fractions(epochs, steps):
    batches = list(Schedule(epochs, 6, 0.0).batches(24, seed=0))
    assert len(batches) == steps == Schedule(epochs, 6, 0.0).num_steps(24)


def test_the_model_of_the_best_evaluation_is_kept(media):
    first = trained(media, 0, epochs=1.0)[0].state_dict()
    tower, curve = trained(media, 0, epochs=1.0, validation=lambda _: 1.0)
    assert kept(curve) is curve[0]
    assert all(torch.equal(first[name], value) for name, value in tower.state_dict().items())

    states = []
    _, curve = trained(media, 0, validation=lambda number: (states.append(number), abs(number - 2))[1])
    assert (kept(curve)["epoch"], len(states)) == (3, 6)
    whole = trained(media, 0)[0].state_dict()
    best = trained(media, 0, validation=lambda number: abs(number - 2))[0].state_dict()
    assert not torch.equal(whole["head.weight"], best["head.weight"])


def test_auto_trains_on_while_validation_improves_and_stops_when_it_does_not(media):
    _, stopped = trained(media, 0, epochs="auto", validation=lambda number: abs(number - 1))
    assert kept(stopped) is stopped[1]
    assert MIN_STEPS <= stopped[-1]["step"] - stopped[1]["step"] < MIN_STEPS + stopped[0]["step"] + 1
    schedule = Schedule("auto", "auto", 0.0)
    assert not any(schedule.is_exhausted(step, step - 30) for step in range(30, MAX_STEPS, 30))


def test_auto_keeps_the_averaged_weights_it_was_judged_by(media):
    tower, curve = trained(media, 0, epochs="auto", validation=lambda number: abs(number - 1))
    again, _ = trained(media, 0, epochs="auto", validation=lambda number: abs(number - 1))
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in tower.state_dict().items())
    assert kept(curve)["step"] < curve[-1]["step"]


@pytest.mark.parametrize(
    ("num_samples", "batch"), [(7, 7), (100, 16), (500, 16), (1_000, 32), (10_000, 128), (1_000_000, 512)]
)
def test_auto_follows_the_number_of_samples(num_samples, batch):
    schedule = Schedule("auto", "auto", 0.0)
    assert schedule.batch(num_samples) == batch
    steps = schedule.num_steps(num_samples)
    assert steps >= MAX_STEPS
    assert steps >= 2 * schedule.steps_per_epoch(num_samples)
    evaluations = sum(schedule.is_evaluated(step, num_samples) for step in range(1, steps + 1))
    assert 20 <= evaluations <= 101


def test_an_epoch_takes_every_sample_once_and_each_epoch_another_order():
    batches = list(Schedule(2, 6, 0.0).batches(24, seed=0))
    first, second = (torch.cat([rows for epoch, rows in batches if epoch == number]) for number in (0, 1))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(24))
    assert first.tolist() != second.tolist()


@pytest.mark.parametrize("steps", range(1, 13))
def test_any_number_of_steps_trains(media, steps):
    assert trained(media, 0, steps / 4)[1][-1]["step"] == steps


def test_a_loss_that_is_no_number_is_named(media):
    step, rows = 3, list(Schedule(6.0, 6, 0.0).batches(24, seed=0))[2][1]
    values = {name: value.clone() for name, value in media.values.items()}
    values["image"][rows[4]] = float("nan")
    sentence = rf"image: the loss is NaN or infinite at step {step}, on rows {rows[0]}, .*, {rows[4]} and 1 more of .*not evaluated"
    with pytest.raises(TrainingError, match=sentence) as error:
        trained(media.with_values(values), 0)
    assert error.value.keys == tuple(media.key[rows].tolist())


class Killed(BaseException):
    """In place of a signal."""


@pytest.mark.parametrize("epochs", [6.0, "auto"])
@pytest.mark.parametrize("at", [1, 7, 13])
def test_a_killed_training_goes_on_and_ends_in_the_same_bits(media, tmp_path, monkeypatch, epochs, at):
    """Each is of two trainings, with dropout; killed in the second, the first is not trained again."""

    def both(until=None):
        curves, asked = [], []
        for seed in (0, 1):
            torch.manual_seed(seed)
            tower = Tower(Encoder("image", (1, 8, 8), {"name": "lenet", "width": 4, "dim": 5, "dropout": 0.5}), 3)

            def present(batch, _, seed=seed):
                asked.append(seed)
                if seed == 1 and asked.count(1) == until:
                    raise Killed
                return batch.present

            def validate(tower=tower):
                return {"val_cross_entropy": tower.head.weight.abs().sum().item()}

            curve = train(
                tower,
                lambda batch, tower=tower: tower(batch.values["image"]),
                [(list(tower.parameters()), 0.01)],
                media,
                schedule=Schedule(epochs, 6, 0.01),
                seed=seed,
                device=CPU,
                present=present,
                validate=validate,
                name="image",
            )
            curves.append((tower.state_dict(), curve[-1]["step"], torch.rand(1)))
        return curves, asked

    monkeypatch.setattr(resume, "SECONDS", 0.0)
    monkeypatch.setattr(schedule, "MIN_STEPS", 12)
    monkeypatch.setattr(schedule, "MAX_STEPS", 60)
    whole, steps = both()
    folder = tmp_path / "key"
    with pytest.raises(Killed), resume.kept_in(folder):
        both(until=at)
    with resume.kept_in(folder):
        again, steps_again = both()
    assert steps_again.count(0) == 0, "what was over is not trained again"
    assert steps.count(1) - steps_again.count(1) == at - 1
    for (weights, step, drawn), (same, same_step, same_drawn) in zip(whole, again, strict=True):
        assert all(torch.equal(value, same[name]) for name, value in weights.items())
        assert (step, drawn) == (same_step, same_drawn)
    assert not list(tmp_path.iterdir())


def test_a_short_training_writes_nothing_and_old_ones_are_removed(media, tmp_path):
    old = tmp_path / "old"
    old.mkdir()
    os.utime(old, (0, 0))
    with resume.kept_in(tmp_path / "key"):
        trained(media, 0)
        assert {path.name for path in tmp_path.rglob("*")} == {"key", "key.lock"}


def test_a_folder_that_another_process_has_just_removed_ends_no_training(media, tmp_path):
    folder = tmp_path / "key"
    with resume.kept_in(folder):
        trained(media, 0)
        shutil.rmtree(folder)
        folder.with_name("key.lock").unlink()


def test_fewer_samples_than_a_batch_still_train():
    assert [len(rows) for _, rows in Schedule(2, 128, 0.0).batches(10, seed=0)] == [10, 10]


def test_a_tower_that_was_saved_answers_the_same(towers, media, tmp_path):
    tower = towers["image"]
    tower.encoder.fit_scale(media.values["image"])
    tower.temperature.fill_(1.7)
    unimodal.save(tower, tmp_path / "tower")
    again = unimodal.load(tmp_path / "tower")
    assert torch.equal(again(media.values["image"]), tower(media.values["image"]))
    unimodal.save(again, tmp_path / "twice")
    assert (tmp_path / "tower").read_bytes() == (tmp_path / "twice").read_bytes()


@pytest.mark.parametrize("content", [b"", b"no weights", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_file_that_is_no_tower_is_named(tmp_path, content):
    (tmp_path / "tower").write_bytes(content)
    with pytest.raises(DataError, match="tower holds no weights of umemma"):
        unimodal.load(tmp_path / "tower")


def test_the_temperature_is_the_best_one(towers):
    tower, generator = towers["image"], torch.Generator().manual_seed(0)
    features = 30 * torch.randn(3000, 5, generator=generator)
    label = torch.multinomial((tower.head(features) / 5).softmax(dim=1), 1, generator=generator).squeeze(1)
    tower.fit_temperature(features, label)
    best = tower.temperature.item()

    def loss(temperature: float) -> float:
        return nll(tower.head(features) / temperature, label).mean().item()

    assert best == pytest.approx(5, rel=0.2)
    assert loss(best) <= min(loss(best * 1.02), loss(best / 1.02))
    torch.testing.assert_close(tower.calibrated_head()(features), tower.answer(features))


def test_a_tower_that_knows_nothing_answers_the_prior(towers):
    tower, generator = towers["image"], torch.Generator().manual_seed(0)
    tower.log_prior.copy_(torch.tensor([0.7, 0.2, 0.1]).log())
    features = 30 * torch.randn(2000, 5, generator=generator)
    label = torch.multinomial(tower.log_prior.exp().expand(2000, -1), 1, generator=generator).squeeze(1)
    tower.fit_temperature(features[:200], label[:200])
    prior = tower.log_prior.expand(2000, -1)
    assert nll(tower.answer(features), label).mean() < nll(prior, label).mean() + 0.01
    assert nll(tower.head(features), label).mean() > 1 + nll(prior, label).mean()
    torch.testing.assert_close(tower.calibrated_head()(features), tower.answer(features))


def test_a_few_right_answers_make_no_tower_certain():
    logits = 4 * torch.eye(3).repeat(9, 1)
    label = torch.arange(3).repeat(9)
    assert temperature(logits, label) > 0.5
    assert temperature(logits.repeat(300, 1), label.repeat(300)) < 0.5


def test_a_split_is_encoded_as_its_batches_are_and_training_mode_is_kept(towers, media):
    encoders = {name: tower.encoder.train() for name, tower in towers.items()}
    encoded = encode_split(encoders, media, device=CPU)
    assert all(encoder.training for encoder in encoders.values())
    whole = encode({name: encoder.eval() for name, encoder in encoders.items()}, media)
    for name in encoders:
        torch.testing.assert_close(encoded[name], whole[name].detach(), rtol=1e-4, atol=1e-4)


def test_the_prior_is_the_classes_shares_and_never_zero():
    prior = log_prior(torch.tensor([0, 0, 1, 0, 1, 0, 0]), 3).exp()
    torch.testing.assert_close(prior, torch.tensor([6, 3, 1]) / 10)


def test_rows_are_taken_on_the_device_that_has_the_values(media):
    held = media.with_values({name: value.to("meta") for name, value in media.values.items()})
    some = held.rows(torch.tensor([3, 1]))
    assert {value.device.type for value in some.values.values()} == {"meta"}
    assert torch.equal(some.label, media.label[[3, 1]])
    assert some.present.device.type == "cpu"  # what is hidden is drawn there
    assert not CPU.has_room(1)


@pytest.mark.parametrize("index", [torch.tensor([3, 1, 3]), torch.arange(24) > 20, slice(2, 5)])
def test_rows_are_those_that_indexing_takes(media, index):
    some = media.rows(index)
    for name, value in media.values.items():
        assert torch.equal(some.values[name], value[index])


def test_the_rows_of_a_step_are_asked_for_before_the_step_before_reads_its_own(media, monkeypatch):
    events = []
    taken, schedule_ = Batch.rows, Schedule(1.5, 6, 0.01)
    monkeypatch.setattr(Batch, "will_need", lambda _, rows: events.append(("asked", rows.tolist())))
    monkeypatch.setattr(Batch, "rows", lambda batch, rows: events.append(("read", rows.tolist())) or taken(batch, rows))
    trained(media, seed=0, epochs=1.5)
    steps = [rows.tolist() for _, rows in schedule_.batches(len(media), 0)]
    expected = [("asked", steps[1]), ("read", steps[0])]
    for rows, following in itertools.pairwise(steps[1:]):
        expected += [("asked", following), ("read", rows)]
    assert events == [*expected, ("read", steps[-1])]


def test_rows_on_disk_that_are_asked_for_are_read_and_hardly_any_other(tmp_path, monkeypatch):
    """A page that was not read is not resident; those that were asked for are, before anybody has touched them."""
    size = 4 * mmap.PAGESIZE  # of a row
    np.save(tmp_path / "values.npy", np.zeros((1_000, size), np.uint8))
    with (tmp_path / "values.npy").open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    value = on_disk.mapped(tmp_path / "values.npy")
    rows = torch.arange(7, 1_000, 100)
    if any(resident(value, row) for row in rows.tolist()):
        pytest.skip("this file system keeps all pages in memory")
    monkeypatch.setattr(on_disk, "LARGE", 1)
    Batch.of({"image": value}, torch.zeros(1_000, dtype=torch.int64)).will_need(rows)
    deadline = time.monotonic() + 10
    while not all(resident(value, row) for row in rows.tolist()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert all(resident(value, row) for row in rows.tolist())
    assert sum(resident(value, row) for row in range(1_000)) < 100  # and not the whole file


def resident(value: torch.Tensor, row: int) -> bool:
    """Whether the page in which a row begins is in memory."""
    state, start = (ctypes.c_ubyte * 1)(), value[row].data_ptr()
    assert ctypes.CDLL(None).mincore(ctypes.c_void_p(start - start % mmap.PAGESIZE), mmap.PAGESIZE, state) == 0
    return bool(state[0] & 1)


def test_many_rows_of_a_file_come_from_a_file_and_are_the_same(media, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(on_disk, "LARGE", 1)
    has = torch.arange(24) % 3 > 0
    for name, value in media.values.items():
        np.save(tmp_path / name, value.numpy())
    held = media.with_values({name: on_disk.mapped(tmp_path / f"{name}.npy") for name in media.modalities})
    some = held.rows(has).rows(torch.tensor([2, 0]))
    for name, value in media.values.items():
        assert torch.equal(held.values[name], value)
        assert torch.equal(some.values[name], value[has][[2, 0]])
        some.values[name][0] = 0  # a change is the reader's own
    assert list((tmp_path / "temporary").iterdir()) == []  # the file has no name, so no kill leaves one
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(FileNotFoundError):
        held.rows(has)
    media.rows(has)  # what is in memory stays there


def test_an_array_without_rows_is_mapped(tmp_path):
    np.save(tmp_path / "values.npy", np.zeros((0, 3), np.float32))
    value = on_disk.mapped(tmp_path / "values.npy")
    assert (value.shape, value.dtype) == ((0, 3), torch.float32)
