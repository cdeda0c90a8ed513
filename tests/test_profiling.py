"""The bench: work by independent formulas, phases that a training names, and parts that add up."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.conftest import CPU
from tests.test_arms import context  # noqa: F401 (a fixture)
from umemma.profiling import machine, plain, table, trainings
from umemma.profiling.phases import PHASES, STEP, timed
from umemma.profiling.work import Work, count
from umemma.training.settings import Compute, Pretrain

MACHINE = {
    "processor": "test",
    "device": "cpu",
    "cores": 2,
    "threads": 1,
    "torch": torch.__version__,
    "load": 0.0,
    "product_flops": {"float32": 1e9, "bfloat16": 4e9},
    "memory_bytes": 1e9,
    "disk_write_bytes": 1e9,
    "disk_read_bytes": 1e9,
}


def test_a_product_has_the_work_that_a_formula_says():
    left, right = torch.randn(5, 7), torch.randn(7, 3)
    assert count(lambda: left @ right) == Work(2 * 5 * 7 * 3, 4 * (5 * 7 + 7 * 3 + 5 * 3))


def test_a_backward_pass_is_counted_and_a_view_moves_nothing():
    layer, value = nn.Linear(7, 3, bias=False), torch.randn(5, 7)
    assert count(lambda: layer(value).sum().backward()).flops == 2 * 2 * 5 * 7 * 3  # to the weight, not to the input
    assert count(lambda: value.T.reshape(-1, 5)[:2]) == Work()
    assert count(lambda: value.add_(1.0)).num_bytes == 2 * value.numel() * 4


def test_the_floor_is_the_longer_of_operations_and_bytes():
    assert Work(2e9, 1e9).floor_seconds(MACHINE, CPU) == 2.0
    assert Work(2e9, 1e9).floor_seconds(MACHINE, replace(CPU, uses_bfloat16=True)) == 1.0
    assert (Work(1.0, 2.0) + Work(3.0, 5.0) * 2).num_bytes == 12.0


def tower_profile(media, epochs=3.0):
    return trainings.of_tower(
        dict.fromkeys(("train", "val", "test"), media.only(["image"])),
        {"name": "lenet", "width": 4, "dim": 5},
        Pretrain(batch_size=6, lr=0.01, weight_decay=0.0, label_smoothing=0.0, class_balance=0.0),
        Compute(device="cpu", precision="float32", threads=None),
        epochs=epochs,
        num_classes=3,
        seed=0,
        augmentation={},
    )


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(trainings, "_STEPS", 4)
    monkeypatch.setattr(trainings, "_WARM_UP", 1)


def test_every_phase_of_a_tower_takes_time_and_the_parts_add_up(media, quick):
    profile = tower_profile(media)
    report = profile.report(MACHINE, CPU, imports=1.0, writing=2.0)
    assert set(report["parts"]) == {"import", "set-up", *PHASES, "writing"}
    assert min(profile.parts.values()) > 0
    assert report["seconds"] == pytest.approx(sum(report["parts"].values()), abs=0.01)
    assert report["share"] == pytest.approx(profile.work.floor_seconds(MACHINE, CPU) / report["seconds"], abs=1e-3)
    assert 0 < report["data_share_of_step"] < 1


def test_each_further_epoch_is_the_same_work(media, quick):
    two, four, six = (tower_profile(media, epochs).work.flops for epochs in (2.0, 4.0, 6.0))
    assert six - four == pytest.approx(four - two)
    assert two > four - two  # all samples are encoded at the end


@pytest.mark.parametrize("arm", ["frozen", "ume-mma", "joint", "early"])
def test_an_arm_is_profiled_on_what_it_trains_on(arm, context, quick):  # noqa: F811
    seen = {name: tower.samples_seen for name, tower in context.towers.items()}
    profile = trainings.of_fusion(arm, context)
    assert min(profile.parts[name] for name in STEP) > 0
    assert profile.work.flops > 0
    assert {name: tower.samples_seen for name, tower in context.towers.items()} == seen


def test_an_arm_that_takes_no_steps_has_no_profile(context):  # noqa: F811
    assert trainings.of_fusion("ensemble", context) is None
    assert trainings.of_fusion("trees", context) is None


def test_time_outside_of_the_phases_is_the_rest():
    _, seconds = timed(lambda: torch.randn(200, 200) @ torch.randn(200, 200))
    assert seconds["rest"] > 0
    assert all(seconds[name] == 0 for name in PHASES)


def test_the_plain_network_is_the_same_function():
    torch.manual_seed(0)
    tower = plain.Tower(plain.Encoder("x", (1, 20, 20), {"name": "lenet", "dropout": 0.0}), 3)
    value = torch.randint(0, 256, (4, 1, 20, 20), dtype=torch.uint8)
    tower.encoder.fit_scale(value)
    network = plain.plain_network(tower)
    network[-1].load_state_dict(tower.head.state_dict())
    torch.testing.assert_close(network(value), tower(value))
    assert [type(layer).__name__ for layer in network][2:5] == ["BatchNorm2d", "ReLU", "MaxPool2d"]


def test_the_table_has_a_row_for_each_training_and_says_when_others_were_at_work(tmp_path, monkeypatch):
    for name, value in {"_SIDE": 32, "_BYTES_OF_MEMORY": 2**16, "_BYTES_OF_FILE": 2**16}.items():
        monkeypatch.setattr(machine, name, value)
    measured = machine.measure(CPU, tmp_path)
    assert min(*measured["product_flops"].values(), measured["memory_bytes"], measured["disk_read_bytes"]) > 0
    assert not list(tmp_path.iterdir())
    row = {
        "seconds": 10.0,
        "floor_seconds": 2.0,
        "share": 0.2,
        "flops": 3e9,
        "bytes": 4e9,
        "parts": {"data": 5.0, "rest": 5.0},
    }
    report = {
        "machine": {**measured, "load": 3.0},
        "trainings": {"pretrain@image": row},
        "plain": {"side_px": 112, "samples_per_second": 400.0, "plain_samples_per_second": 160.0, "times_faster": 2.5},
    }
    text = "\n".join(table.lines(report))
    assert "others were at work" in text
    assert ["pretrain@image", "10.0", "2.0", "20%", "3", "4", "50%", "50%"] in [
        line.split() for line in text.splitlines()
    ]
    assert "2.5 times faster" in text
