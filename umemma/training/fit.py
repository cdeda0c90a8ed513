"""Training the model of each arm, all from the same towers, samples and missing modalities.

An arm from scratch sees as many samples as pre-training and fusion together, with the settings of `pretrain`; an arm
that continues to train pre-trained parts uses those of `fuse`. Statistics that a substitute needs (`train_mean`,
`noise`, `donor`) come from the encoders before fusion training.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import mean
from typing import cast

import torch
from torch import nn

from umemma.data.batch import Batch
from umemma.errors import ParameterError
from umemma.metrics.classification import nll, share_correct
from umemma.metrics.objective import log_class_weight
from umemma.missingness import Pattern, panel, pattern_name, specialists_panel
from umemma.models import late_fusion
from umemma.models.checkpoint import Model
from umemma.models.early_fusion import EarlyFusion
from umemma.models.grown import GrownHead, of_modalities, with_modality
from umemma.models.heads import pool_residual
from umemma.models.late_fusion import FittedHead, LateFusion
from umemma.models.per_pattern import PerPattern
from umemma.models.run_encoders import encode_in_use, encode_split
from umemma.models.unimodal import AnyEncoder, Tower, same_weights
from umemma.prediction.predict import predict
from umemma.prediction.predictions import Predictions
from umemma.settings import BaselineName
from umemma.training import augment, baseline, distillation, presence
from umemma.training.arms import ARMS
from umemma.training.average import state
from umemma.training.context import TrainingContext
from umemma.training.copies import HeldOut, with_copies
from umemma.training.hiding import Hiding
from umemma.training.loop import CRITERION, Curve, kept, train
from umemma.training.movement import Movement
from umemma.training.schedule import MIN_STEPS, Schedule
from umemma.training.settings import ArmName

Group = tuple[list[nn.Parameter], float]  # parameters and their learning rate
_NUM_ROWS = 5_000  # training inputs from which a scale, a mean or a donor is taken


@dataclass(frozen=True)
class Trained:
    """A model, its training curve, and the samples that its encoders saw after pre-training, summed over modalities.

    `moved` {part: share}: how far training moved it (`Movement`), empty where nothing was trained step by step.
    """

    model: Model
    curve: Curve
    samples_seen: int
    moved: Mapping[str, float] = field(default_factory=dict)


def fit(name: ArmName, context: TrainingContext) -> Trained:
    """Train the arm `name`."""
    torch.manual_seed(context.seed)
    arm = ARMS[name]
    if arm.fusion == "best tower":
        return _best_towers(context)
    if arm.fusion == "specialists":
        return specialists(
            context,
            (lambda subset: late(subset, "towers and head", hides=False), lambda subset: early(subset, hides=False)),
        ).best
    if arm.fusion == "early":
        return early(context, hides=arm.hides)
    if arm.fusion == "classical":
        return classical(cast(BaselineName, name), context)
    if arm.fusion == "grown":
        return grown(context)
    if arm.trains == "nothing":
        fuse = context.fuse.model_copy(update={"head": "product_of_experts", "substitute": "none"})
        context = replace(context, fuse=fuse)
    return late(context, arm.trains, hides=arm.hides)


def late(context: TrainingContext, trains: str, *, hides: bool) -> Trained:
    """Train a late-fusion model: nothing, its head, everything starting from the towers, or everything from scratch.

    With towers, a head that cannot start from theirs is trained on their features first (`_long_enough`), so that what is
    trained further starts from a head that knows them (Kumar et al. 2022, arXiv 2202.10054).
    """
    scratch, fuse = trains == "all from scratch", context.fuse
    towers = {
        name: Tower(tower.encoder.fresh(), tower.head.out_features) if scratch else deepcopy(tower)
        for name, tower in context.towers.items()
    }
    at_input = fuse.substitute_at == "input"
    source = context.media["train"] if at_input or scratch else context.features["train"]
    rows = _rows(source)
    if scratch and not at_input:
        with torch.no_grad():
            rows = {
                name: torch.cat([towers[name].encoder.eval()(part) for part in value.split(500)])
                for name, value in rows.items()
            }
    model = late_fusion.build(
        towers,
        head=fuse.head,
        substitute=fuse.substitute,
        substitute_at=fuse.substitute_at,
        log_prior=context.log_prior,
        rows=rows,
    )
    on_features = trains in ("nothing", "head")
    if on_features:
        model.encoders.requires_grad_(False)
    contexts = [context] if scratch else _long_enough(model, context)
    if on_features or contexts[0] is not context:
        trained = _on_features(model, contexts, hides)
    if on_features:
        return _with_fitted_head(trained, model, context, context.features, hides=hides)
    lr, tower_lr = (context.pretrain.lr,) * 2 if scratch else (fuse.lr, fuse.tower_lr)
    groups = _fusing(model, lr)
    for encoder in model.parts().values():  # only what the encoder's `trainable` allows
        groups += encoder.parameter_groups(tower_lr)
    trained = _trained(model, groups, context, hides, context.media, scratch=scratch)
    if not isinstance(model.head, FittedHead):
        return trained
    changed = changed_encoders(model, context)
    encoded = {split: features_of(changed, context, split) for split in ("train", "val")}
    return _with_fitted_head(trained, model, context, encoded, hides=hides)


def changed_encoders(model: LateFusion, context: TrainingContext) -> dict[str, AnyEncoder]:
    """Return the model's encoders that are not the towers' own, bit for bit."""
    return {
        name: encoder
        for name, encoder in model.parts().items()
        if not same_weights(encoder, context.towers[name].encoder)
    }


def features_of(changed: Mapping[str, AnyEncoder], context: TrainingContext, split: str) -> Batch:
    """Return the samples of a split as features: of the `changed_encoders`, of all others the towers' own.

    Those are cached, and of trees out of fold for training samples: an encoder that is asked again knows these by heart.
    """
    cached = context.features[split]
    if not changed:
        return cached
    on_device = {name: encoder.to(context.device.torch_device) for name, encoder in changed.items()}
    encoded = encode_split(on_device, context.media[split].only(list(changed)), device=context.device)
    for encoder in changed.values():
        encoder.cpu()
    return cached.with_values({**cached.values, **encoded})


def _long_enough(model: LateFusion, context: TrainingContext) -> list[TrainingContext]:
    """Return the contexts in which the head is tried on the towers' features.

    A head that starts from the towers' own needs few steps. One that starts from nothing gets `MIN_STEPS` where the fusion
    has fewer: in 40, five epochs of 1,000 samples, it would learn nothing. It is tried with the learning rate of the fusion, and
    with that of what else starts from nothing: on films `attention` needs the first, `gated` and `concat` the second, ten times
    as high.
    """
    fuse, num_samples = context.fuse, len(context.features["train"])
    schedule = Schedule(fuse.epochs, fuse.batch_size, fuse.weight_decay)
    if not getattr(model.head, "starts_from_nothing", False) or schedule.num_steps(num_samples) >= MIN_STEPS:
        return [context]
    epochs = MIN_STEPS / schedule.steps_per_epoch(num_samples)
    return [
        replace(context, fuse=fuse.model_copy(update={"epochs": epochs, "lr": lr}), title=f"{context.title}, lr {lr:g}")
        for lr in sorted({fuse.lr, context.pretrain.lr})
    ]


def _on_features(model: LateFusion, contexts: list[TrainingContext], hides: bool) -> Trained:
    """Train the head on the towers' features in each context; the model has the weights of the best on validation data."""
    start = state(model)
    best: tuple[Trained, dict[str, torch.Tensor]] | None = None
    for context in contexts:
        model.load_state_dict(start)
        trained = _trained(
            model, _fusing(model, context.fuse.lr), context, hides, context.features, forward=_fused(model)
        )
        if best is None or kept(trained.curve)[CRITERION] < kept(best[0].curve)[CRITERION]:
            best = trained, state(model)
    assert best is not None, "there is a context"
    model.load_state_dict(best[1])
    return best[0]


def _with_fitted_head(
    trained: Trained, model: LateFusion, context: TrainingContext, features: Mapping[str, Batch], *, hides: bool
) -> Trained:
    """Fit a head that is not trained step by step, to held-out features, if the arm `hides` with copies that miss some.

    Held out are those of `val`, and of `train` too where the towers' answers for it are out of fold.
    """
    if not isinstance(model.head, FittedHead):
        return trained
    batches = [features[split].rows(features[split].present.any(dim=1)) for split in ("train", "val")]
    train, val = (_filled(model, data, with_copies(data, seed=context.seed) if hides else data) for data in batches)
    model.head.fit(*(train.joined(val) if context.is_out_of_fold else val))
    if isinstance(model.head, pool_residual.Head):
        from umemma.training.boosting import grow_residual  # it imports a library that no other head needs

        grow_residual(model.head, train, val, seed=context.seed)
    data = context.features if features is context.features else context.media
    return replace(trained, curve=[*trained.curve[:-1], trained.curve[-1] | _validated(model, context, data)])


@torch.no_grad()
def _filled(model: LateFusion, data: Batch, copied: Batch) -> HeldOut:
    """Return what the head gets for the samples with their copies."""
    in_use = {name: partial(encode_in_use, encoder) for name, encoder in model.parts().items()}
    filled, visible = model.substitute(copied.values, copied.present, copied.key, in_use)
    return HeldOut(filled, visible, copied.label, len(copied) / max(1, len(data)))


def grown(context: TrainingContext) -> Trained:
    """Add the modalities that the `base` lacks, one after another, without those that the data set no longer has.

    Raises ParameterError if the base's modalities do not come first, in their order: a pattern is a row of flags.
    """
    assert context.base is not None, "the arm `grown` has a base"
    names = context.modalities
    model = of_modalities(deepcopy(context.base), names)
    kept = list(model.parts())
    if kept != list(names[: len(kept)]):
        raise ParameterError(
            f"dataset.modalities: the base model's come first, in its order, then those to be added: {', '.join(kept)}, "
            f"{', '.join(name for name in names if name not in kept)}"
        )
    trained = Trained(model.eval(), [_nothing_trained()], 0)
    for name in names[len(kept) :]:
        model = with_modality(model, name, deepcopy(context.towers[name]), context.log_prior)
        part = context.of(tuple(other in model.parts() for other in names))
        groups = [_trained_of(cast(GrownHead, model.head).together, context.fuse.lr)]
        model.encoders.requires_grad_(False)
        trained = _trained(model, groups, part, True, part.features, forward=_fused(model))
        trained = _with_fitted_head(trained, model, part, part.features, hides=True)
    return trained


def _fusing(model: LateFusion, lr: float) -> list[Group]:
    """Return what is trained beside the encoders."""
    return [_trained_of(model.head, lr), _trained_of(model.substitute, lr)]


def _fused(model: LateFusion) -> Callable[[Batch], torch.Tensor]:
    return lambda batch: model.fuse(batch.values, batch.present, batch.key)


def early(context: TrainingContext, *, hides: bool) -> Trained:
    """Train an early-fusion model from scratch."""
    shapes = {name: tower.encoder.shape for name, tower in context.towers.items()}
    model = EarlyFusion(
        shapes,
        context.early,
        context.num_classes,
        substitute=context.fuse.substitute,
        rows=_rows(context.media["train"]),
    )
    return _trained(model, [_trained_of(model, context.pretrain.lr)], context, hides, context.media, scratch=True)


def classical(name: BaselineName, context: TrainingContext) -> Trained:
    """Train a baseline without an encoder, on the same samples."""
    model = baseline.fitted(name, context)
    row = {"epoch": 1, "step": 1, "samples_seen": len(context.media["train"])}
    return Trained(model, [row | _validated(model, context, context.media)], baseline.budget(context))


@dataclass(frozen=True)
class Specialists:
    """The best model of every set, and those of each way of training them."""

    best: Trained
    of_way: tuple[PerPattern, ...]


def specialists(context: TrainingContext, ways: tuple[Callable[[TrainingContext], Trained], ...]) -> Specialists:
    """Train a model for every set of modalities in several ways each; the best is that by validation cross-entropy.

    Each is trained for its set alone, on all samples that have any of it, with the holes that they have: what the most
    willing user of these modalities would do. For a single modality it is the tower. Of many modalities, the sets are those
    of `missingness.specialists_panel`.
    """
    members: dict[Pattern, nn.Module] = {}
    takes: dict[Pattern, list[str]] = {}
    by_way: tuple[dict[Pattern, nn.Module], ...] = tuple({} for _ in ways)
    curve: Curve = []
    seen = 0
    for pattern in specialists_panel(len(context.modalities)):
        subset = replace(context.of(pattern), judged=((True,) * sum(pattern),))
        takes[pattern] = list(subset.modalities)
        if sum(pattern) == 1 or min(len(batch) for batch in subset.media.values()) == 0:
            # The first modality's, if no sample of a split has any.
            members[pattern] = _tower_alone(subset, subset.log_prior)
            takes[pattern] = list(subset.modalities)[:1]
            for trained_so in by_way:
                trained_so[pattern] = members[pattern]
            continue
        candidates = [way(subset) for way in ways]
        best = min(candidates, key=lambda trained: _cross_entropy(trained.model, subset, subset.media))
        members[pattern] = best.model
        for trained_so, candidate in zip(by_way, candidates, strict=True):
            trained_so[pattern] = candidate.model
        seen += sum(trained.samples_seen for trained in candidates)
        offset = curve[-1]["step"] if curve else 0
        curve += [{**row, "step": row["step"] + offset} for row in best.curve]
    best_of_all = Trained(PerPattern(members, takes, context.log_prior).eval(), curve or [_nothing_trained()], seen)
    each = tuple(PerPattern(trained_so, takes, context.log_prior).eval() for trained_so in by_way)
    return Specialists(best_of_all, each)


def _best_towers(context: TrainingContext) -> Trained:
    """Choose for every set the best single tower, on the validation samples that have the whole set.

    If there are none, on those that have the tower's modality.
    """
    members: dict[Pattern, nn.Module] = {}
    takes: dict[Pattern, list[str]] = {}
    for pattern in panel(len(context.modalities)):
        whole = context.of(pattern).complete()
        if len(whole.media["val"]) == 0:
            whole = context
        alone = {
            name: whole.of(tuple(name == other for other in whole.modalities))
            for name in context.of(pattern).modalities
        }
        one = {name: _tower_alone(of_it, context.log_prior) for name, of_it in alone.items()}
        best = min(alone, key=lambda name: _cross_entropy(one[name], alone[name], alone[name].features))
        members[pattern] = one[best]
        takes[pattern] = [best]
    return Trained(PerPattern(members, takes, context.log_prior).eval(), [_nothing_trained()], 0)


def _tower_alone(context: TrainingContext, log_prior: torch.Tensor) -> LateFusion:
    """Return the first tower as a model for its modality alone, at the class shares `log_prior` (class,)."""
    name, tower = next(iter(context.towers.items()))
    return late_fusion.build(
        {name: deepcopy(tower)},
        head="product_of_experts",
        substitute="none",
        substitute_at="feature",
        log_prior=log_prior,
        rows={name: torch.zeros(1, tower.encoder.dim)},
    ).eval()


def _rows(data: Batch) -> dict[str, torch.Tensor]:
    return {
        name: value[data.present[:, m].nonzero().squeeze(1)[:_NUM_ROWS]]
        for m, (name, value) in enumerate(data.values.items())
    }


def _trained(
    model: LateFusion | EarlyFusion,
    groups: list[Group],
    context: TrainingContext,
    hides: bool,
    data: Mapping[str, Batch],
    *,
    forward: Callable[[Batch], torch.Tensor] | None = None,
    scratch: bool = False,
) -> Trained:
    groups = [(parameters, lr) for parameters, lr in groups if parameters]
    if not groups:
        return Trained(model.eval(), [_nothing_trained() | _validated(model, context, data)], 0)
    fuse, pretrain = context.fuse, context.pretrain
    shapes = {name: tower.encoder.shape for name, tower in context.towers.items()}
    change = augment.of_batches(context.augment, shapes, context.seed) if data is context.media else None
    hiding = context.hiding() if hides else None
    schedule = (
        Schedule(context.scratch_epochs, pretrain.batch_size, pretrain.weight_decay, pretrain.label_smoothing)
        if scratch
        else Schedule(fuse.epochs, fuse.batch_size, fuse.weight_decay)
    )
    movement = Movement(model)
    model.to(context.device.torch_device).train()
    curve = train(
        model,
        forward or model,
        groups,
        data["train"],
        schedule=schedule,
        seed=context.seed,
        device=context.device,
        name=context.title,
        validate=lambda: _validated(model, context, data, hiding),
        present=lambda batch, epoch: hiding.left(batch.present, batch.key, epoch) if hiding else batch.present,
        augment=change,
        log_weight=log_class_weight(context.log_prior, (pretrain if scratch else fuse).class_balance),
        offset=presence.offset(context.media["train"], context.num_classes) if fuse.presence == "ignore" else None,
        target=distillation.targets(context) if hides and not scratch else None,
    )
    seen = int(curve[-1]["samples_seen"]) * len(context.modalities)
    return Trained(model.cpu().eval(), curve, seen, movement.shares(model))


def _trained_of(part: nn.Module, lr: float) -> Group:
    return [parameter for parameter in part.parameters() if parameter.requires_grad], lr


def _nothing_trained() -> dict[str, float]:
    return {"epoch": 0, "step": 0, "samples_seen": 0}


def _validated(
    model: Model, context: TrainingContext, data: Mapping[str, Batch], hiding: Hiding | None = None
) -> dict[str, float]:
    """Return validation cross-entropy, and accuracy for every pattern and its mean over these.

    Cross-entropy is that of training: the mean over patterns, each as often as `hiding` leaves it.
    """
    val = _predictions(model, context, data)
    shares = hiding.pattern_shares(data["val"]) if hiding else {(True,) * len(val.modalities): 1.0}
    shares = {pattern: share for pattern, share in shares.items() if pattern in val.logits}
    expected = sum(share * nll(val.logits[pattern], val.label).mean().item() for pattern, share in shares.items())
    accuracy = {
        pattern_name(pattern, val.modalities): share_correct(val.logits[pattern], val.label)[has].mean().item()
        for pattern in val.patterns()
        for has in [val.has(pattern)]
    }
    if context.judged is not None:  # a model of one set, with the holes that samples have
        val_accuracy = mean(share_correct(val.logits[pattern], val.label).mean().item() for pattern in context.judged)
    else:
        val_accuracy = mean(accuracy.values())
    return {"val_cross_entropy": expected / sum(shares.values()), "val_accuracy": val_accuracy} | {
        f"val_accuracy/{name}": accuracy[name] for name in accuracy
    }


def _cross_entropy(model: Model, context: TrainingContext, data: Mapping[str, Batch]) -> float:
    """Return the validation cross-entropy with all modalities of the context present."""
    val = _predictions(model, context, data)
    return nll(val.logits[(True,) * len(context.modalities)], val.label).mean().item()


def _predictions(model: Model, context: TrainingContext, data: Mapping[str, Batch]) -> Predictions:
    val = data["val"]
    are_features = val is context.features["val"]
    return predict(
        model,
        val,
        context.log_prior,
        group=val.key,
        device=context.device,
        features=dict(val.values) if are_features else None,
        patterns=context.judged,
    )
