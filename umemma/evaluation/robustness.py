"""Exact evaluation: every sample under every pattern once; every missing rate then follows by arithmetic.

The expected metric at rates eta is sum_S p_eta(S) metric(S): no masks are drawn, so it has no sampling noise, and no
rate costs a new pass through a model.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from umemma.evaluation.information import pattern_shares
from umemma.metrics import classification
from umemma.missingness import PROTOCOLS, Pattern, outcomes, pattern_name, patterns, probability
from umemma.prediction.predictions import Predictions


class Table:
    """What a model's answers are worth, for every sample under every pattern, the empty one too.

    `share_correct` and `nll` map a pattern to (sample,) float64. Where a sample's own data lack part of a pattern, its
    entry is that of the part it has; `has[pattern]` (sample,) bool says where the pattern is there in full. With
    several labels `share_correct`, like the bounds on it, is of the most probable answers; F1 is of those decided for it.
    """

    def __init__(self, answers: Predictions) -> None:
        self.modalities, self.present = answers.modalities, answers.present
        self.has = {one: answers.has(one) for one in answers.logits}
        self.has_several_labels = answers.label.ndim == 2
        decisions = {one: answers.decisions(one) for one in answers.logits}
        self.is_correct = {
            one: classification.is_correct(value, answers.label) for one, value in answers.logits.items()
        }
        self.counts = {one: classification.class_counts(value, answers.label) for one, value in decisions.items()}
        self.nll_by_variable = {
            one: classification.nll_by_variable(value, answers.label) for one, value in answers.logits.items()
        }
        self.share_correct = {one: value.double().mean(dim=1) for one, value in self.is_correct.items()}
        self.nll = {one: value.sum(dim=1) for one, value in self.nll_by_variable.items()}

    def patterns(self) -> list[Pattern]:
        """Return the non-empty patterns that some sample has in full, the complete one first."""
        return [one for one in patterns(len(self.modalities)) if self.has[one].any()]

    def accuracy(self, pattern: Pattern) -> float:
        """Return the accuracy on the samples that have the whole pattern."""
        return self.share_correct[pattern][self.has[pattern]].mean().item()

    def cross_entropy(self, pattern: Pattern) -> float:
        """Return the cross-entropy in nats on the samples that have the whole pattern."""
        return self.nll[pattern][self.has[pattern]].mean().item()

    def f1(self, pattern: Pattern) -> dict[str, float]:
        """Return macro and micro F1 on the samples that have the whole pattern."""
        return _f1(self.counts[pattern][self.has[pattern]].sum(dim=0))

    def worth(self, pattern: Pattern, rows: torch.Tensor) -> dict[str, float]:
        """Return the accuracy, with several labels F1 too, of the answers under a pattern on some samples."""
        found = {"accuracy": self.share_correct[pattern][rows].mean().item()}
        return found | _f1(self.counts[pattern][rows].sum(dim=0)) if self.has_several_labels else found

    def expected(self, rates: Sequence[float]) -> dict[str, float]:
        """Return the exact expected accuracy and cross-entropy when each modality is missing at its own rate.

        Over all samples, on top of what is missing in the data; a sample left with nothing is answered by the prior.
        With several labels also F1, of the expected counts, and the two means of which micro F1 is the ratio.
        """
        shares = {one: probability(one, rates) for one in self.share_correct}
        return self._mixed([(share, one, slice(None)) for one, share in shares.items()])

    def expected_many(self, rates: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return what `expected` returns, each (vector,) float64, for many rates (vector, modality) at once."""
        shares = pattern_shares(list(self.share_correct), rates.double())
        return {
            name: shares @ torch.stack([one.mean() for one in values.values()])
            for name, values in (("accuracy", self.share_correct), ("cross_entropy", self.nll))
        }

    def under(self, protocol: str, rates: Sequence[float]) -> dict[str, float]:
        """Return the exact expected accuracy and cross-entropy where modalities are hidden as in training.

        On top of what is missing in the data, but never all that a sample has.
        """
        has, group = self.present.unique(dim=0, return_inverse=True)
        parts: list[tuple[float, Pattern, torch.Tensor | slice]] = []
        for number, one in enumerate(has.tolist()):
            left = outcomes(tuple(one), rates, protocol) if any(one) else {tuple(one): 1.0}
            parts += [(share, kept, group == number) for kept, share in left.items()]
        return self._mixed(parts)

    def _mixed(self, parts: Sequence[tuple[float, Pattern, torch.Tensor | slice]]) -> dict[str, float]:
        """Return the metrics over all samples where a share of some rows is answered under some pattern."""

        def total(values: Mapping[Pattern, torch.Tensor]) -> float:
            return sum(share * values[one][rows].sum().item() for share, one, rows in parts) / len(self.present)

        found = {"accuracy": total(self.share_correct), "cross_entropy": total(self.nll)}
        if self.has_several_labels:
            counts = torch.stack([share * self.counts[one][rows].sum(dim=0) for share, one, rows in parts]).sum(0)
            hit, answered, true = (counts.sum(dim=1) / len(self.present)).tolist()
            found |= _f1(counts) | {"hits": hit, "labels": (answered + true) / 2}  # reporting.expected makes F1 of them
        return found


def results(main: Table, uni: Table, grid: Sequence[float]) -> dict[str, Any]:
    """Return `patterns`, `rates` and `protocols` of robustness.json; `uni` holds each tower's answers.

    A pattern's `uni` is the accuracy of the best tower of the set on the same samples, best on these very samples: it
    flatters the towers, so that "not below the uni-modal model" is not made easier. With several labels the best is
    that of the highest micro F1, and F1 stands beside every accuracy.
    """
    found: dict[str, Any] = {}
    for pattern in main.patterns():
        rows = main.has[pattern]
        towers = {
            main.modalities[m]: uni.worth(_only(m, len(pattern)), rows) for m, there in enumerate(pattern) if there
        }
        best = max(towers, key=lambda name: towers[name].get("f1_micro", towers[name]["accuracy"]))
        found[pattern_name(pattern, main.modalities)] = {
            "n": int(rows.sum()),
            **_rounded(
                {
                    **main.worth(pattern, rows),
                    "cross_entropy": main.cross_entropy(pattern),
                    **{"uni" if name == "accuracy" else f"uni_{name}": value for name, value in towers[best].items()},
                }
            ),
            "uni_tower": best,
        }
    rates = [
        {"missing_rate": dict(zip(main.modalities, rate, strict=True)), **_rounded(main.expected(rate))}
        for rate in itertools.product(grid, repeat=len(main.modalities))
    ]
    return {"patterns": found, "rates": rates, "protocols": _by_protocol(main, grid)}


def _by_protocol(table: Table, grid: Sequence[float]) -> list[dict[str, Any]]:
    """Return a row for every protocol, what it hides (every modality alike, or one) and rate."""
    rows = []
    for protocol in PROTOCOLS:
        for missing, rates_at in _settings(table.modalities, protocol).items():
            rows += [
                {
                    "protocol": protocol,
                    "missing": missing,
                    "rate": rate,
                    **_rounded(table.under(protocol, rates_at(rate))),
                }
                for rate in (grid if protocol != "absent" else [1.0])
            ]
    return rows


def _settings(modalities: Sequence[str], protocol: str) -> dict[str, Callable[[float], tuple[float, ...]]]:
    """Return {what is missing: rate -> rates}; that every modality is absent, no protocol can mean."""
    num = len(modalities)
    found: dict[str, Callable[[float], tuple[float, ...]]] = {}
    if protocol != "absent":
        found["every modality"] = lambda rate: (rate / (num if protocol == "balanced" else 1),) * num
    for m, name in enumerate(modalities):
        found[name] = lambda rate, m=m: tuple(rate * flag for flag in _only(m, num))  # type: ignore[misc]
    return found


def _only(m: int, num_modalities: int) -> Pattern:
    return tuple(number == m for number in range(num_modalities))


def _f1(counts: torch.Tensor) -> dict[str, float]:
    return {"f1_macro": classification.f1_macro(counts).item(), "f1_micro": classification.f1_micro(counts).item()}


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in values.items()}
