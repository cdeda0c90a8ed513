"""The next step: which experiment the figures suggest, as a sentence and a command.

The rules are tried in order; the first that applies is the advice. All of it is judged on test data, so it is a
suggestion of what to try, to be decided on validation data.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from umemma.reporting import findings, verdict
from umemma.reporting.formatting import listed, percent, points
from umemma.reporting.results import Accounting, Robustness

EXPERIMENT = "dvc exp run -S "
INTERACTING = ("gated", "attention", "pool_residual")
FURTHER = "ume-mma"  # the arm that trains pre-trained encoders further
POOLS = ("pool", "pool_residual")  # heads whose weights depend on what is present
_NEARLY_ALL = 0.99  # of what is known; the rest is worth no run


@dataclass(frozen=True)
class NextStep:
    """What to do next and why, and the command that does it."""

    sentence: str
    command: str


def next_step(robustness: Robustness, accounting: Accounting) -> NextStep:
    """Return the next step."""
    return next(step for rule in RULES if (step := rule(robustness, accounting)))


def _too_few(_: Robustness, accounting: Accounting) -> NextStep | None:
    if not verdict.is_too_few(accounting):
        return None
    fullest = findings.headline(accounting).fullest
    return NextStep(
        f"With {verdict.size(accounting, fullest)} no experiment can show that it helps: four times as many halve the "
        "interval. Until then, look at how far results move with the seed alone.",
        'make ablation SEEDS="0 1 2"',
    )


def _baseline(_: Robustness, accounting: Accounting) -> NextStep | None:
    better = verdict.better_baselines(accounting)
    if not better:
        return None
    return NextStep(
        f"{better[0]} is better: take it as the model, or find out what it sees that the encoders do not.",
        f"{EXPERIMENT}arm={better[0]}",
    )


def _tower(robustness: Robustness, accounting: Accounting) -> NextStep | None:
    fullest, key = findings.headline(accounting).fullest, accounting.score
    row = robustness.patterns[fullest]
    tower = row.uni if key == "accuracy" else row.uni_f1_micro
    fused = getattr(row, key)
    if "+" not in fullest or tower is None or fused is None or tower <= fused or robustness.training.head in POOLS:
        return None
    return NextStep(
        f"{row.uni_tower} alone ({percent(tower)}) is better than all modalities together ({percent(fused)}): a head whose "
        "weights depend on what is present keeps a weak tower from spoiling the others.",
        f"{EXPERIMENT}fuse.head=pool",
    )


def _interaction(robustness: Robustness, accounting: Accounting) -> NextStep | None:
    if not findings.interaction(accounting) or robustness.training.head in INTERACTING:
        return None
    return NextStep(
        "Something is only to be seen in several modalities together: try a head that lets them interact.",
        f"{EXPERIMENT}fuse.head=gated",
    )


def _nothing_hidden(robustness: Robustness, accounting: Accounting) -> NextStep | None:
    """Training met no missing modality, and without one the model falls below a single tower."""
    if any((robustness.training.missing_rate or {"": 1.0}).values()):
        return None
    fallen = [
        name
        for name, row in robustness.patterns.items()
        if "+" not in name and row.uni - row.accuracy > 0.02 and accounting.metrics[name].n > 50
    ]
    if not fallen:
        return None
    return NextStep(
        f"With only {listed(fallen, 'or')} left the model is worse than a model of that modality alone, as nothing was "
        "hidden in training: hide modalities.",
        f"{EXPERIMENT}arm={FURTHER}",
    )


def _useless(_: Robustness, accounting: Accounting) -> NextStep | None:
    weak = [
        name
        for name in accounting.modalities
        if len(accounting.modalities) > 1 and name in accounting.majority and verdict.is_useless(accounting, name)
    ]
    if not weak:
        return None
    return NextStep(
        f"{listed(weak)} alone {'tells' if len(weak) == 1 else 'tell'} nothing so far: look whether what is decoded "
        "still holds what a person would look at, then try smaller steps.",
        f"{EXPERIMENT}pretrain.lr=0.001",
    )


def _utilisation(robustness: Robustness, accounting: Accounting) -> NextStep | None:
    fullest = findings.headline(accounting).fullest
    row = accounting.information[fullest]
    used, most = row.utilisation.value, row.utilisation.high
    if used is None or most is None or most >= 1 or used > _NEARLY_ALL or robustness.arm == FURTHER:
        return None
    if row.parts is not None and (row.parts.encoder.low or 0.0) <= 0:  # a head on the same encoders finds it
        return None
    return NextStep(
        f"{row.best_known.model} is known to find more in the same data (this run uses {percent(used)} "
        "of it): train the encoders further.",
        f"{EXPERIMENT}arm={FURTHER}",
    )


def _worst_loss(_: Robustness, accounting: Accounting) -> NextStep | None:
    losses = {
        name: row.loss for name, row in accounting.by_modality.items() if row.loss.low is not None and row.loss.low > 0
    }
    if len(accounting.modalities) < 2 or not losses:
        return None
    worst = max(losses, key=lambda name: losses[name].value or 0.0)
    return NextStep(
        f"Losing {worst} costs most ({points(losses[worst].value).lstrip('+')} points). Whether another way of training "
        "keeps more of it, all of them with three seeds show.",
        'make ablation SEEDS="0 1 2"',
    )


def _seeds(_: Robustness, __: Accounting) -> NextStep:
    return NextStep("See whether another way of training does better, with three seeds.", 'make ablation SEEDS="0 1 2"')


RULES: Sequence[Callable[[Robustness, Accounting], NextStep | None]] = (
    _too_few,
    _baseline,
    _tower,
    _interaction,
    _nothing_hidden,
    _useless,
    _utilisation,
    _worst_loss,
    _seeds,
)
