"""Where a model's failure lies: in its encoders, in its family of heads, or in this head; and what late fusion cannot see.

The failure under S, how much worse this run is than the best known model, is a sum of three, each with a remedy of its own:

- encoder      the best known model has what no head on these features has: train the encoders, or other ones;
- family       the best head of any kind on these features is better than the best additive one: take a head that interacts;
- adaptation   the best of the family, fitted to S alone, is better than this run's head, which answers every S: hide more.

Each part is a difference of two cross-entropies on the same test samples, of models chosen on validation data. Other heads
on an arm's features are those of the stage `reference`, where it leaves the towers as they are, else those of `heads`.
Early fusion has no features of one modality, and no parts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from umemma.evaluation.bootstrap import Interval, Resamples, difference
from umemma.evaluation.comparison import UNI, Model
from umemma.evaluation.known import Candidates
from umemma.evaluation.pairs import against_zero
from umemma.evaluation.yardstick import ADDITIVE, SPECIALISTS
from umemma.missingness import Pattern

PRODUCT = "ensemble"
ADDING = (ADDITIVE, PRODUCT, UNI)  # arms whose heads sum one term per modality
ON_TOWERS = (UNI, PRODUCT, "frozen")  # arms whose features are those of the towers
ON_OWN = " on this model's encoders"  # ends the names of arms whose heads are on the encoders that a run's arm trained


@dataclass(frozen=True)
class Heads:
    """Heads on the same encoders: `any` are of all kinds, `additive` sum one term per modality, `product` is untrained.

    The best additive head of a set was trained for this set alone.
    """

    any: Candidates
    additive: Candidates
    product: Model

    @classmethod
    def of(
        cls, models: Sequence[Model], main: Model, resamples: Resamples, *, is_additive: bool, on: str = ""
    ) -> "Heads | None":
        """Choose them from the models of this run's seed; None if its product of experts or specialists are not among them.

        `is_additive`: does this run's own head sum one term per modality? `on`: those on the towers, or `ON_OWN`.
        """

        def of_arm(arm: str) -> list[Model]:
            return [model for model in models if (model.arm, model.seed) == (f"{arm}{on}", main.seed)]

        if not (of_arm(PRODUCT) and of_arm(ADDITIVE)):
            return None
        own = [main] if on or main.arm in ON_TOWERS else []
        adding = [*(own if is_additive else []), *(model for arm in ADDING for model in of_arm(arm))]
        others = of_arm(SPECIALISTS)
        every, adding = (list(dict.fromkeys(several)) for several in ([*own, *others, *adding], adding))
        return cls(Candidates(every, main, resamples), Candidates(adding, main, resamples), of_arm(PRODUCT)[0])


def parts(
    main: Model, known: Candidates, heads: Heads | None, pattern: Pattern, resamples: Resamples, *, is_additive: bool
) -> dict[str, Interval] | None:
    """Return the failure under a pattern and its three parts, nats; None where no other `heads` on this run's encoders are known."""
    if heads is None:
        return None
    family = heads.additive if is_additive else heads.any
    steps = [_best(candidates, main, pattern) for candidates in (known, heads.any, family)]
    nll = [*steps, main.tables["test"].nll[pattern]]
    rows = main.splits["test"].has(pattern)

    def more(of: int, than: int) -> Interval:
        return difference(resamples.mean(nll[of] - nll[than], rows), resamples.clusters_of(rows))

    return {"failure": more(3, 0), "encoder": more(1, 0), "family": more(2, 1), "adaptation": more(3, 2)}


def late_fusion(
    main: Model, heads: Heads | None, patterns: Sequence[Pattern], resamples: Resamples
) -> dict[Pattern, Any]:
    """Return by set of several modalities what heads that add miss of what the best head on the same features finds, nats.

    `product`: the product of the calibrated towers. With exact towers its gap is TC(X_S|Y) - KL(p(x_S) || q(x_S)), the
    part of the conditional total correlation that tells the label. `additive`: the best additive head trained for the set.
    p is one-sided, of no gap, corrected by Holm's method over sets and both columns.
    """
    if heads is None:
        return {}
    several = [pattern for pattern in patterns if sum(pattern) > 1]
    columns: dict[tuple[Pattern, str], torch.Tensor] = {}
    for pattern in several:
        best = _best(heads.any, main, pattern)
        columns[pattern, "product"] = heads.product.tables["test"].nll[pattern] - best
        columns[pattern, "additive"] = _best(heads.additive, main, pattern) - best
    rows = {key: main.splits["test"].has(key[0]) for key in columns}
    estimates = {key: (resamples.mean(value, rows[key]), rows[key]) for key, value in columns.items()}
    gaps = against_zero(estimates, resamples, two_sided=False)
    return {pattern: {kind: gaps[pattern, kind] for kind in ("product", "additive")} for pattern in several}


def _best(candidates: Candidates, main: Model, pattern: Pattern) -> torch.Tensor:
    model, uses = candidates.best(pattern, main.splits["val"].has(pattern))
    return model.tables["test"].nll[uses]
