"""Every arm: its budget, what it trains, what is hidden from it, and that it leaves the towers unchanged."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch import nn

from stages.fuse import fuse
from tests.conftest import CPU
from umemma import missingness
from umemma.data.batch import Batch
from umemma.errors import ParameterError
from umemma.evaluation import unchanged
from umemma.evaluation.failure import ON_TOWERS
from umemma.missingness import key_digest
from umemma.models import checkpoint
from umemma.models.early_fusion import EarlyFusion
from umemma.models.late_fusion import LateFusion
from umemma.models.run_encoders import encode_split
from umemma.models.unimodal import Encoder, Tower
from umemma.prediction.predict import predict
from umemma.prediction.predictions import Predictions
from umemma.training import inherited, masks, reference, regression, unimodal_fit
from umemma.training.arms import ARMS
from umemma.training.context import TrainingContext
from umemma.training.fit import Trained, fit
from umemma.training.settings import ArmName, Compute, Fuse, Pretrain

CLASSES = ["a", "b", "c"]
TRAINED = [name for name, arm in ARMS.items() if arm.trains != "nothing"]
WITH_ENCODERS = [name for name in TRAINED if ARMS[name].fusion != "classical"]
EQUAL_BUDGET: list[ArmName] = ["joint", "joint+mma", "ump", "ume-mma", "frozen", "early"]
each_arm = pytest.mark.parametrize("name", ARMS)


@pytest.fixture
def context(media, towers) -> TrainingContext:
    """Towers trained for two epochs and one; half an epoch of fusion; missing modalities in val and test."""
    towers["image"].samples_seen, towers["audio"].samples_seen = 48, 24
    splits = {"train": media}
    for number, split in enumerate(("val", "test"), start=2):
        noise = torch.Generator().manual_seed(number)
        values = {name: value + torch.randn(value.shape, generator=noise) for name, value in media.values.items()}
        holed = media.present.clone()
        holed[:4, 0], holed[4:7, 1] = False, False
        splits[split] = Batch(values, holed, media.label, key_digest([f"{split}{i}" for i in range(24)]))
    encoders = {name: tower.encoder for name, tower in towers.items()}
    features = {split: batch.with_values(encode_split(encoders, batch, device=CPU)) for split, batch in splits.items()}
    settings = Fuse(
        head="sum_logits",
        substitute="none",
        substitute_at="feature",
        protocol="independent",
        missing_rate=0.5,
        epochs=0.5,
        batch_size=6,
        lr=0.01,
        tower_lr=0.01,
        weight_decay=0.0,
        class_balance=0.0,
    )
    pretrain = Pretrain(batch_size=6, lr=0.01, weight_decay=0.0, label_smoothing=0.0, class_balance=0.0)
    compute = Compute(device="cpu", precision="float32", threads=None)
    early = {"name": "lenet", "width": 4, "dim": 5, "size_px": 8}
    context = TrainingContext(
        media=splits,
        compute=compute,
        num_classes=3,
        seed=5,
        towers=towers,
        features=features,
        fuse=settings,
        pretrain=pretrain,
        early=early,
    )
    first = (True,) + (False,) * (len(towers) - 1)
    return replace(context, base=fit("frozen", context.of(first)).model)


def with_fuse(context: TrainingContext, **settings: object) -> TrainingContext:
    return replace(context, fuse=Fuse.model_validate(context.fuse.model_dump() | settings))


def snapshot(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def predictions_of(trained: Trained, context: TrainingContext, split: str = "test") -> Predictions:
    return predict(trained.model, context.media[split], context.log_prior, group=context.media[split].key, device=CPU)


@contextmanager
def training_batches() -> Iterator[list[Batch]]:
    """Record every batch that a whole model is trained on."""
    met: list[Batch] = []

    def note(module: nn.Module, given: tuple) -> None:
        if isinstance(module, LateFusion | EarlyFusion) and module.training:
            met.append(given[0])

    handle = nn.modules.module.register_module_forward_pre_hook(note)
    try:
        yield met
    finally:
        handle.remove()


def test_the_arms_are_those_that_parameters_allow():
    assert set(ARMS) == set(get_args(ArmName))


def test_only_arms_that_end_with_the_towers_and_hidden_modalities_promise_to_keep_up_with_them():
    keeping_up = {name for name, arm in ARMS.items() if arm.keeps_up}
    assert "frozen" in keeping_up
    assert keeping_up.isdisjoint({name for name, arm in ARMS.items() if arm.trains == "all from scratch"})
    assert all(ARMS[name].hides for name in keeping_up if ARMS[name].fusion == "late")


def test_an_arm_that_does_not_exist_is_an_error(context):
    with pytest.raises(KeyError, match="ume-maa"):
        fit("ume-maa", context)


def test_arms_with_something_to_train_see_equally_many_samples_pre_training_included(context, tmp_path):
    spent = {}
    for name in EQUAL_BUDGET:
        fuse(name, context, tmp_path / name, CLASSES)
        budget = json.loads((tmp_path / name / "budget.json").read_text())
        assert budget["total"] == sum(budget["pretrain"].values()) + budget["fuse"]
        spent[name] = budget["total"]
    towers, fusion = 48 + 24, 2 * 24 // 2  # two modalities, half an epoch of 24
    assert spent == dict.fromkeys(EQUAL_BUDGET, towers + fusion)


@pytest.mark.parametrize("name", ["uni", "ensemble"])
def test_an_arm_with_nothing_to_train_spends_what_its_towers_did(name, context, tmp_path):
    fuse(name, context, tmp_path / "model", CLASSES)
    budget = json.loads((tmp_path / "model/budget.json").read_text())
    assert (budget["pretrain"], budget["fuse"], budget["total"]) == ({"image": 48, "audio": 24}, 0, 72)


def test_how_far_fusion_training_moved_each_part_is_measured_from_the_towers(context):
    trained = fit("ume-mma", context)
    for name, tower in context.towers.items():
        start, now = (
            nn.utils.parameters_to_vector(encoder.parameters()).double()
            for encoder in (tower.encoder, trained.model.encoders[name])
        )
        share = (now - start).norm() / max(start.norm(), now.norm())
        assert share > 0
        assert trained.moved[f"encoders.{name}"] == pytest.approx(share.item(), abs=2e-6)
    slower = fit("ume-mma", with_fuse(context, tower_lr=1e-4)).moved
    assert all(slower[f"encoders.{name}"] < trained.moved[f"encoders.{name}"] for name in context.towers)
    assert set(fit("frozen", context).moved) == {"head"}
    assert fit("ensemble", context).moved == {}


@each_arm
def test_a_fit_leaves_the_courses_towers_as_they_were(name, context):
    before = {modality: snapshot(tower) for modality, tower in context.towers.items()}
    fit(name, context)
    for modality, tower in context.towers.items():
        assert same(snapshot(tower), before[modality])
        assert all(p.requires_grad for p in tower.parameters())


@each_arm
@pytest.mark.parametrize("substitute", ["none", "noise"])
def test_a_seed_fixes_an_arm_bit_for_bit(name, substitute, context):
    context = with_fuse(context, substitute=substitute)
    first = snapshot(fit(name, context).model)
    torch.rand(3)
    assert same(snapshot(fit(name, context).model), first)
    if name in TRAINED and name != "linear":  # its optimum does not depend on where it starts
        assert not same(snapshot(fit(name, replace(context, seed=6)).model), first)


@pytest.mark.parametrize(
    ("substitute", "at"), [("none", "feature"), ("learned", "feature"), ("learned", "input"), ("donor", "input")]
)
def test_frozen_encoders_stay_bit_for_bit_while_the_head_learns(substitute, at, context):
    context = with_fuse(context, substitute=substitute, substitute_at=at)
    model = fit("frozen", context).model
    for modality, encoder in model.parts().items():
        assert same(snapshot(encoder), snapshot(context.towers[modality].encoder))
    untrained = fit("ensemble", with_fuse(context, head="sum_logits")).model
    assert not any(
        torch.equal(p, q)
        for p, q in zip(model.head.parameters(), untrained.head.parameters(), strict=False)
        if p.requires_grad
    )


@pytest.mark.parametrize("name", ["joint", "joint+mma", "ump", "ume-mma"])
def test_an_arm_that_trains_the_encoders_moves_all_their_weights(name, context):
    model = fit(name, context).model
    for modality, encoder in model.parts().items():
        towers = dict(context.towers[modality].encoder.named_parameters())
        assert not any(torch.equal(p, towers[key]) for key, p in encoder.named_parameters() if p.numel() > 5)


@pytest.fixture
def half_frozen(context) -> TrainingContext:
    """The training context with an image tower of which only the last stage and the projection are trained."""
    pixels = torch.Generator().manual_seed(9)
    images = {
        split: torch.randint(0, 256, (24, 1, 32, 32), dtype=torch.uint8, generator=pixels) for split in context.media
    }
    torch.manual_seed(9)
    encoder = Encoder(
        "image",
        (1, 32, 32),
        {"name": "torchvision:resnet18", "weights": "later", "dim": 5, "trainable": "last_1", "lr_scale": 0.5},
    )
    media = {
        split: batch.with_values(dict(batch.values) | {"image": images[split]})
        for split, batch in context.media.items()
    }
    towers = dict(context.towers) | {"image": Tower(encoder, 3).eval()}
    features = {
        split: batch.with_values(
            encode_split({name: tower.encoder for name, tower in towers.items()}, batch, device=CPU)
        )
        for split, batch in media.items()
    }
    return replace(context, towers=towers, media=media, features=features)


@pytest.mark.parametrize("name", ["ump", "ume-mma", "frozen", "joint+mma"])
def test_no_arm_trains_what_an_encoder_keeps_as_it_is(name, half_frozen):
    half_frozen.towers["image"].samples_seen = 24
    encoder = fit(name, half_frozen).model.parts()["image"]
    trained = {key for key, p in encoder.named_parameters() if p.requires_grad}
    if name != "frozen":
        assert {key.split(".")[3] if "trunk" in key else "projection" for key in trained} == {"layer4", "projection"}
    if name == "joint+mma":  # starts anew
        return
    old = snapshot(half_frozen.towers["image"].encoder)
    moved = {key for key, value in snapshot(encoder).items() if not torch.equal(value, old[key])}
    allowed = set() if name == "frozen" else {"layer4", "projection"}
    assert {key.split(".")[3] if "trunk" in key else "projection" for key in moved} == allowed


def test_pre_training_a_tower_respects_it_too(half_frozen):
    data = {split: batch.only(["image"]) for split, batch in half_frozen.media.items()}
    old = half_frozen.towers["image"].encoder
    trained = unimodal_fit.fit(
        data, old.settings, half_frozen.pretrain, half_frozen.compute, epochs=1, num_classes=3, seed=2
    )
    torch.manual_seed(2)
    fresh = snapshot(Encoder("image", old.shape, old.settings))
    moved = {key for key, value in snapshot(trained.tower.encoder).items() if not torch.equal(value, fresh[key])}
    assert {key.split(".")[3] if "trunk" in key else "projection" for key in moved} == {"layer4", "projection"}
    assert trained.features["test"].shape == (24, 5)


def test_an_arm_from_scratch_knows_nothing_of_the_towers_but_the_scale_of_their_input(context):
    other = {name: value * 2 + 1 for name, value in context.media["train"].values.items()}
    for name, tower in context.towers.items():
        tower.encoder.fit_scale(other[name])
    first = fit("joint", context).model
    for tower in context.towers.values():
        for p in tower.parameters():
            p.data.fill_(float("nan"))
    again = fit("joint", context).model
    assert same(snapshot(first), snapshot(again))
    for name, tower in context.towers.items():
        assert torch.equal(first.parts()[name].mean, tower.encoder.mean)


@pytest.mark.parametrize("protocol", ["independent", "absent", "balanced", "by_class", "class-dependent 70"])
@pytest.mark.parametrize("name", ["joint+mma", "ume-mma", "early"])
def test_training_meets_exactly_the_masks_that_are_on_file(name, protocol, context):
    context = with_fuse(context, protocol=protocol, missing_rate={"audio": 1} if protocol == "absent" else 0.6)
    with training_batches() as met:
        fit(name, context)
    drawn = masks.draw(context.media["train"], context.hiding(), 2)
    row_of = {key: row for row, key in enumerate(context.media["train"].key.tolist())}
    assert len(met) == (2 if name == "ume-mma" else 8)
    for step, batch in enumerate(met):
        rows = [row_of[key] for key in batch.key.tolist()]
        assert torch.equal(batch.present, drawn[step // 4][rows])  # four batches are an epoch


@pytest.mark.parametrize("name", [name for name in WITH_ENCODERS if not ARMS[name].hides])
def test_an_arm_that_hides_nothing_meets_every_modality(name, context):
    with training_batches() as met:
        fit(name, context)
    assert met
    assert all(batch.present.all() for batch in met)


def test_a_frozen_arm_learns_from_holes_as_well(context):
    first, other = (snapshot(fit("frozen", with_fuse(context, missing_rate=rate)).model.head) for rate in (0.0, 0.6))
    assert not same(first, other)


@pytest.mark.parametrize("name", ["frozen", "ume-mma"])
def test_a_pool_is_fitted_to_validation_data_whatever_else_the_arm_trains(name, context):
    context = with_fuse(context, head="pool")
    trained = fit(name, context)
    assert trained.model.head.share.std() > 0
    assert (trained.samples_seen > 0) == (name == "ume-mma")
    assert "val_accuracy/image+audio" in trained.curve[-1]
    if name == "frozen":
        predicted = predictions_of(trained, context)
        alone = predictions_of(fit("uni", context), context)
        for pattern in ((True, False), (False, True)):
            torch.testing.assert_close(predicted.logits[pattern], alone.logits[pattern], rtol=1e-4, atol=1e-4)


@each_arm
def test_every_arm_answers_every_pattern_and_the_same_after_it_was_kept(name, context, tmp_path):
    trained = fuse(name, context, tmp_path / "model", CLASSES)
    predicted = predictions_of(trained, context)
    assert set(predicted.logits) == {*missingness.patterns(2), (False, False)}
    assert all(value.shape == (24, 3) and value.isfinite().all() for value in predicted.logits.values())
    restored = Trained(checkpoint.load(tmp_path / "model/model.safetensors"), [], 0)
    again = predictions_of(restored, context)
    for pattern, value in predicted.logits.items():
        torch.testing.assert_close(again.logits[pattern], value, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["uni", "ensemble"])
def test_with_one_modality_an_arm_without_training_answers_as_its_tower(name, context):
    predicted = predictions_of(fit(name, context), context)
    for m, (modality, tower) in enumerate(context.towers.items()):
        has = predicted.present[:, m]
        with torch.no_grad():
            alone = tower.eval()(context.media["test"].values[modality][has]).log_softmax(dim=1)
        pattern = tuple(other == modality for other in context.modalities)
        torch.testing.assert_close(predicted.logits[pattern][has].log_softmax(dim=1), alone, rtol=1e-4, atol=1e-4)


@each_arm
def test_the_curve_ends_with_what_was_spent(name, context):
    trained = fit(name, context)
    seen = trained.curve[-1]["samples_seen"]
    if name != "specialist":
        assert trained.samples_seen == 2 * seen
    assert (trained.samples_seen > 0) == (name in TRAINED)


def sharp_towers(context: TrainingContext) -> TrainingContext:
    """The image tower is confidently right where both are present, confidently wrong where only the image is."""
    context.towers["image"].temperature.fill_(1e-3)
    val = context.features["val"]
    with torch.no_grad():
        logits = context.towers["image"].answer(val.values["image"])
    label = torch.where(val.present.all(dim=1), logits.argmax(dim=1), logits.argmin(dim=1))
    return replace(
        context,
        media=dict(context.media) | {"val": replace(context.media["val"], label=label)},
        features=dict(context.features) | {"val": replace(val, label=label)},
    )


def test_the_best_tower_of_a_set_is_chosen_on_the_samples_that_have_the_set(context):
    context = sharp_towers(context)
    assert fit("uni", context).model.takes["11"] == ["image"]


@each_arm
def test_a_fit_leaves_the_courses_towers_in_use(name, context):
    fit(name, context)
    assert not any(module.training for tower in context.towers.values() for module in tower.modules())


@pytest.mark.parametrize("name", ARMS)
def test_a_fit_gives_a_model_in_use(name, context):
    assert not any(module.training for module in fit(name, context).model.modules())


@each_arm
def test_media_are_augmented_where_an_arm_is_trained_on_them_and_features_never(name, context):
    plain, first, again = (
        fit(name, replace(context, augment=augment)).model.state_dict()
        for augment in ({"image": {}}, {"image": {"noise": 1.0}}, {"image": {"noise": 1.0}})
    )
    on_media = name not in ("uni", "ensemble", "frozen", "grown", "linear", "trees")
    assert same(plain, first) != on_media
    assert same(first, again)
    assert same(plain, fit(name, context).model.state_dict())


def test_a_specialist_learns_from_all_samples_that_have_any_of_its_set(context):
    holed = context.media["train"].present.clone()
    holed[:4, 0], holed[4:7, 1] = False, False
    splits = {
        name: {**data, "train": data["train"].with_present(holed)}
        for name, data in vars(context).items()
        if name in ("media", "features")
    }
    with training_batches() as met:
        fit("specialist", replace(context, **splits))
    assert {tuple(row) for batch in met for row in batch.present.tolist()} == {
        (True, True),
        (False, True),
        (True, False),
    }


def test_a_model_grows_by_what_it_lacks_and_keeps_its_answers(context):
    trained = fit("grown", context)
    assert list(trained.model.parts()) == list(context.modalities)
    base = context.base
    assert unchanged.compare(trained.model, base, context.media["test"], context.log_prior, device=CPU)[1] == []
    assert trained.curve[-1]["step"] > 0
    weights = base.state_dict()
    kept = {name: value for name, value in trained.model.state_dict().items() if name.startswith("encoders.image")}
    assert kept
    assert all(torch.equal(value, weights[name]) for name, value in kept.items())


def test_what_a_model_gains_comes_behind_what_it_knew(context):
    last = tuple(name == context.modalities[-1] for name in context.modalities)
    of_the_last = replace(context, base=fit("frozen", replace(context.of(last), base=None)).model)
    with pytest.raises(ParameterError, match=r"come first, in its order, then those to be added: audio, image"):
        fit("grown", of_the_last)


def test_a_tower_of_the_base_is_its_encoder_with_the_answer_that_it_has_alone(context):
    data = {split: batch.only(["image"]) for split, batch in context.media.items()}
    base = context.base
    trained = inherited.fit(base, data, context.pretrain, context.compute, num_classes=3, seed=0)
    weights = base.parts()["image"].state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in trained.tower.encoder.state_dict().items())
    has = data["test"].present[:, 0]
    alone = predict(base, data["test"], context.log_prior, group=data["test"].key, device=CPU).logits[(True,)][has]
    shift = trained.tower.log_prior - base.head.log_prior
    torch.testing.assert_close(trained.tower.answer(trained.features["test"][has]) - shift, alone)


def test_a_tower_of_a_base_whose_head_has_none_gets_one_on_the_same_features(context):
    first = context.of((True, False))
    base = fit("frozen", with_fuse(replace(first, base=None), head="concat")).model
    data = {split: batch.only(["image"]) for split, batch in context.media.items()}
    trained = inherited.fit(base, data, context.pretrain, context.compute, num_classes=3, seed=0)
    expected = encode_split(base.parts(), data["test"], device=CPU)["image"]
    assert torch.equal(trained.features["test"], expected)
    assert trained.tower.samples_seen > 0


@pytest.mark.parametrize("name", ["ume-mma", "joint"])
def test_the_heads_of_an_arm_that_trains_encoders_are_on_these(name, context):
    model = fit(name, context).model
    before = snapshot(model)
    own = reference.on_encoders_of(model, context)
    assert same(snapshot(model), before)
    expected = encode_split(model.parts(), context.media["test"], device=CPU)
    for modality, tower in own.towers.items():
        assert torch.equal(own.features["test"].values[modality], expected[modality])
        assert not torch.equal(expected[modality], context.features["test"].values[modality])
        assert same(snapshot(tower.encoder), snapshot(model.parts()[modality]))
    best = reference.heads(own).best.model
    assert same(snapshot(best.members["11"].encoders), snapshot(model.encoders))


def test_training_and_account_agree_on_the_arms_that_leave_the_towers_as_they_are():
    assert {name for name, arm in ARMS.items() if arm.is_on_towers} == set(ON_TOWERS)


def test_an_encoder_that_an_arm_left_as_it_was_keeps_its_tower_and_features(context):
    """Trees are never trained further, and what they say of training samples is by others, grown without these."""
    model = fit("ume-mma", context).model
    model.encoders["audio"] = context.towers["audio"].encoder
    features = {
        split: batch.with_values({**batch.values, "audio": torch.zeros_like(batch.values["audio"])})
        for split, batch in context.features.items()
    }
    own = reference.on_encoders_of(model, replace(context, features=features, is_out_of_fold=True))
    assert own.towers["audio"] is context.towers["audio"]
    assert torch.equal(own.features["train"].values["audio"], features["train"].values["audio"])
    assert not torch.equal(own.features["train"].values["image"], features["train"].values["image"])
    assert not own.is_out_of_fold
    same_towers = reference.on_encoders_of(fit("frozen", context).model, replace(context, is_out_of_fold=True))
    assert same_towers.is_out_of_fold


def test_what_only_two_modalities_together_know_is_found_by_the_yardstick_of_a_thousand_samples(context):
    """The label is an XOR of two signs, the batch 128: eight steps an epoch, of which the fusion has five."""
    rng = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    towers = {name: Tower(Encoder(name, (1,), {"name": "mlp", "depth": 1, "dim": 16}), 2).eval() for name in ("a", "b")}
    media, features = {}, {}
    for split, number in (("train", 1_024), ("val", 512), ("test", 512)):
        values = {name: torch.randn(number, 1, generator=rng) for name in towers}
        label = ((values["a"] > 0) ^ (values["b"] > 0))[:, 0].long()
        present = torch.ones(number, 2, dtype=torch.bool)
        media[split] = Batch(values, present, label, key_digest([f"{split}{i}" for i in range(number)]))
        encoders = {name: tower.encoder for name, tower in towers.items()}
        features[split] = media[split].with_values(encode_split(encoders, media[split], device=CPU))
    fuse = context.fuse.model_copy(update={"epochs": 5.0, "batch_size": 128, "lr": 0.001})
    pretrain = context.pretrain.model_copy(update={"lr": 0.004})
    world = replace(
        context, media=media, features=features, towers=towers, fuse=fuse, pretrain=pretrain, num_classes=2, base=None
    )
    trained = reference.heads(world)
    torch.rand(1)  # whatever was drawn before
    again = reference.heads(world).best.model
    assert same(snapshot(again), snapshot(trained.best.model))
    accuracy = {
        name: (model(media["test"]).argmax(dim=1) == media["test"].label).float().mean().item()
        for name, model in (("best", trained.best.model), ("additive", trained.of_way[0]))
    }
    assert accuracy["additive"] < 0.6
    assert accuracy["best"] > 0.85


def test_a_linear_head_is_solved_whatever_the_scale_of_features_and_answers_at_the_shares_of_all_samples(context):
    """Of two Gaussians the posterior's logit is linear in the feature; class 1 lacks the modality in three of four cases."""
    label = torch.arange(8_000) % 2
    rng = torch.Generator().manual_seed(0)
    feature = (torch.randn(8_000, 1, generator=rng) + 2.0 * label[:, None]) * 1e3 + 5e4
    present = torch.rand(8_000, 1, generator=rng) < torch.tensor([1.0, 0.25])[label][:, None]
    data = Batch({"x": feature}, present, label, key_digest([str(i) for i in range(8_000)]))
    features = {"train": data.rows(slice(0, 6_000)), "val": data.rows(slice(6_000, 8_000))}
    head = nn.Linear(1, 2)
    regression.fit_head(head, features, replace(context, media=features, num_classes=2))
    at = torch.tensor([[5e4], [5.1e4], [5.2e4]])
    logit = torch.stack([head(at)[:, 1] - head(at)[:, 0], torch.tensor([-2.0, 0.0, 2.0])])  # of equal shares, exactly
    torch.testing.assert_close(logit[0], logit[1], atol=0.25, rtol=0)
