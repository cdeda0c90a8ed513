"""Stored masks: the description is exact, and masks that break their protocol are named."""

from dataclasses import replace

import pytest
import torch

from umemma import missingness
from umemma.data.batch import Batch
from umemma.data.mechanism import MECHANISMS
from umemma.missingness import hide, key_digest, uniform
from umemma.training import masks
from umemma.training.hiding import Hiding, Plan

CLASSES = ["a", "b", "c"]
PROTOCOLS = [Plan("independent", (0.3, 0.6), 7), Plan("absent", (0.0, 1.0), 7), Plan("balanced", (0.2, 0.5), 7)]
NAMED = [Plan(name, (), 7) for name in ("both 70", "image 40 / audio 80", "class-dependent 60")]
PLANS = [*PROTOCOLS, *(Plan(name, (0.3, 0.6), 7, slope=1.5) for name in ("mcar", "mnar", "by_class"))]
each_protocol = pytest.mark.parametrize("plan", PROTOCOLS, ids=lambda plan: plan.protocol)
each_plan = pytest.mark.parametrize("plan", [*PLANS, *NAMED], ids=lambda plan: plan.protocol)


def data(size: int = 3_000) -> Batch:
    """Three classes; every fourth sample has no image, every seventh no audio."""
    number = torch.arange(size)
    present = torch.stack([number % 4 != 3, (number % 7 != 6) | (number % 4 == 3)], dim=1)
    generator = torch.Generator().manual_seed(1)
    return Batch(
        {name: torch.randn(size, 1, generator=generator) for name in ("image", "audio")},
        present,
        number % 3,
        key_digest([f"{size}-{i}" for i in range(size)]),
    )


def draw(batch: Batch, plan: Plan, rounds: int) -> torch.Tensor:
    return masks.draw(batch, Hiding(plan, {"train": batch}), rounds)


def deviations(drawn, splits, plan):
    return masks.deviations(drawn, splits, Hiding(plan, splits), CLASSES)


@each_protocol
def test_every_round_is_the_draw_of_that_epoch(plan):
    drawn = draw(data(), plan, 3)
    assert drawn.shape == (3, 3_000, 2)
    for epoch in range(3):
        assert torch.equal(
            drawn[epoch],
            hide(data().present, data().key, plan.rates, protocol=plan.protocol, seed=plan.seed, epoch=epoch),
        )


@each_plan
def test_the_description_counts_what_was_hidden_of_what_is_there(plan):
    drawn, batch = draw(data(), plan, 2), data()
    description = masks.describe(drawn, batch, CLASSES)
    assert (description["rounds"], description["n"]) == (2, 3_000)
    for m, name in enumerate(batch.modalities):
        for number, rates in [
            (None, description["realised"]),
            *enumerate(description["by_class"][name] for name in CLASSES),
        ]:
            rows = [i for i in range(3_000) if batch.present[i, m] and number in (None, int(batch.label[i]))]
            hidden = sum(not drawn[epoch, i, m] for epoch in range(2) for i in rows)
            assert rates[name] == pytest.approx(hidden / (2 * len(rows)), abs=1e-6)


def test_the_share_of_a_modality_that_nobody_has_is_not_defined():
    batch = data(30)
    batch = batch.with_present(batch.present & torch.tensor([True, False]))
    description = masks.describe(draw(batch, PLANS[0], 1), batch, CLASSES)
    assert description["realised"] == {"image": 0.0, "audio": None}


def test_the_digest_is_of_the_masks_and_of_nothing_else():
    def digest(plan: Plan, rounds: int = 2) -> str:
        return masks.describe(draw(data(), plan, rounds), data(), CLASSES)["sha256"]

    first = digest(PLANS[0])
    assert digest(PLANS[0]) == first
    others = [digest(PLANS[0], 3), digest(replace(PLANS[0], seed=8)), digest(replace(PLANS[0], rates=(0.3, 0.61)))]
    assert len({first, *others}) == 4


@each_plan
@pytest.mark.parametrize("seed", range(5))
def test_honest_masks_do_not_deviate(plan, seed):
    plan = replace(plan, seed=seed)
    splits = {"train": data(), "val": data(300)}
    hiding = Hiding(plan, splits)
    drawn = {"train": masks.draw(splits["train"], hiding, 4), "val": masks.draw(splits["val"], hiding, 1)}
    compared, sentences = deviations(drawn, splits, plan)
    assert compared == 2 * 3 * 2
    assert sentences == []


def test_a_mask_that_knows_the_class_is_named_though_its_rate_over_all_classes_is_right():
    plan, batch = Plan("independent", (0.0, 0.5), 7), data()
    batch = batch.with_present(torch.ones_like(batch.present))
    rate_of_class = torch.tensor([0.35, 0.5, 0.65], dtype=torch.float64)[batch.label]
    mask = batch.present.clone()
    mask[:, 1] = uniform(batch.key, 1, 99)[:, 0] >= rate_of_class
    realised = masks.describe(mask[None], batch, CLASSES)["realised"]
    assert realised["audio"] == pytest.approx(0.5, abs=0.03)
    _, sentences = deviations({"train": mask[None]}, {"train": batch}, plan)
    assert [sentence.split(":")[0] for sentence in sentences] == ["train, class a, audio", "train, class c, audio"]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.protocol)
def test_masks_of_another_rate_are_named_in_the_split_they_are_in(plan):
    other = replace(plan, rates=plan.rates[::-1])
    splits = {"train": data(), "test": data()}
    drawn = {"train": draw(data(), plan, 1), "test": draw(data(), other, 1)}
    _, sentences = deviations(drawn, splits, plan)
    assert {sentence.split(":")[0] for sentence in sentences} == {
        f"test, class {name}, {modality}" for name in CLASSES for modality in ("image", "audio")
    }


def test_one_entry_of_an_absent_modality_that_shows_is_named():
    plan, batch = Plan("absent", (0.0, 1.0), 0), data()
    mask = draw(batch, plan, 1)
    leaked = next(i for i in range(3_000) if batch.present[i].all())
    mask[0, leaked, 1] = True
    _, sentences = deviations({"train": mask}, {"train": batch}, plan)
    assert len(sentences) == 1
    assert sentences[0].startswith("train, class a, audio: ")


def test_every_protocol_is_tested_here():
    assert {plan.protocol for plan in PLANS} == {*missingness.PROTOCOLS, *MECHANISMS} - {"mar"}  # test_mechanism


@each_plan
def test_a_class_that_a_split_lacks_is_compared_with_nothing(plan):
    splits = {"train": data(), "val": data(300).rows(data(300).label < 2)}
    hiding = Hiding(plan, splits)
    compared, sentences = deviations(
        {name: masks.draw(batch, hiding, 1) for name, batch in splits.items()}, splits, plan
    )
    assert (compared, sentences) == (2 * 3 * 2, [])


def test_honest_masks_of_many_small_classes_do_not_deviate():
    """Ten samples a class and few of them hidden: two where a tenth is expected are no news among 200 counts."""
    number = torch.arange(1_000)
    values = {name: torch.zeros(1_000, 1) for name in ("image", "audio")}
    keys = key_digest([str(i) for i in range(1_000)])
    batch = Batch(values, torch.ones(1_000, 2, dtype=torch.bool), number % 100, keys)
    names = [str(i) for i in range(100)]
    failed = 0
    for seed in range(100):
        hiding = Hiding(Plan("independent", (0.05, 0.05), seed), {"train": batch})
        failed += bool(masks.deviations({"train": masks.draw(batch, hiding, 1)}, {"train": batch}, hiding, names)[1])
    assert failed <= 1


def test_what_is_all_but_sure_to_hide_everything_ends_and_leaves_something():
    size = 2_000
    present, keys = torch.ones(size, 3, dtype=torch.bool), key_digest([str(i) for i in range(size)])
    present[:, 1] = False
    chance = 1 - torch.tensor([[1e-9, 1e-9, 3e-9]], dtype=torch.float64).expand(size, 3)
    left = missingness.hide_by_chance(present, keys, chance, seed=0)
    assert left.any(dim=1).all()
    assert not left[:, 1].any()
    assert left[:, 2].double().mean() == pytest.approx(0.75, abs=0.04)


def test_rates_that_are_all_but_one_end_and_leave_something():
    present, keys = torch.ones(500, 2, dtype=torch.bool), key_digest([str(i) for i in range(500)])
    left = hide(present, keys, [1 - 1e-9, 1 - 3e-9], protocol="independent", seed=0)
    assert left.any(dim=1).all()
    assert left[:, 1].double().mean() == pytest.approx(0.75, abs=0.08)
