"""Exact evaluation: every sample under every pattern once; the result at any missing rate follows by arithmetic.

The expected metric at rates eta is sum_S p_eta(S) metric(S): no masks are drawn, so there is no sampling noise, and a
further rate needs no forward pass.
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
    """Metrics of a model's predictions for every sample under every pattern, including the empty one.

    `share_correct` and `nll` map a pattern to (sample,) float64. If a sample lacks part of a pattern, its entry is that
    of the part it has; `has[pattern]` (sample,) bool says which samples have all of it. With several labels
    `share_correct`, like the bounds on it, is for the most probable classes; F1 is for the decision thresholds.
    """

    def __init__(self, predictions: Predictions) -> None:
        self.modalities, self.present = predictions.modalities, predictions.present
        self.has = {pattern: predictions.has(pattern) for pattern in predictions.logits}
        self.has_several_labels = predictions.label.ndim == 2
        decisions = {pattern: predictions.decisions(pattern) for pattern in predictions.logits}
        self.is_correct = {
            pattern: classification.is_correct(value, predictions.label)
            for pattern, value in predictions.logits.items()
        }
        self.counts = {
            pattern: classification.class_counts(value, predictions.label) for pattern, value in decisions.items()
        }
        self.nll_by_variable = {
            pattern: classification.nll_by_variable(value, predictions.label)
            for pattern, value in predictions.logits.items()
        }
        self.share_correct = {pattern: value.double().mean(dim=1) for pattern, value in self.is_correct.items()}
        self.nll = {pattern: value.sum(dim=1) for pattern, value in self.nll_by_variable.items()}

    def patterns(self) -> list[Pattern]:
        """Return the non-empty patterns that some sample has in full, the complete one first."""
        return [pattern for pattern in patterns(len(self.modalities)) if self.has[pattern].any()]

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
        """Return the accuracy, with several labels F1 too, under a pattern on the samples `rows`."""
        metrics = {"accuracy": self.share_correct[pattern][rows].mean().item()}
        return metrics | _f1(self.counts[pattern][rows].sum(dim=0)) if self.has_several_labels else metrics

    def expected(self, rates: Sequence[float]) -> dict[str, float]:
        """Return the exact expected accuracy and cross-entropy when each modality is missing at its own rate.

        Over all samples, in addition to what is missing in the data; a sample left with nothing gets the prior. With
        several labels also F1 of the expected counts, and the two means whose ratio is micro F1.
        """
        shares = {pattern: probability(pattern, rates) for pattern in self.share_correct}
        return self._mixed([(share, pattern, slice(None)) for pattern, share in shares.items()])

    def expected_many(self, rates: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return what `expected` returns, each (vector,) float64, for many rates (vector, modality) at once."""
        shares = pattern_shares(list(self.share_correct), rates.double())
        return {
            name: shares @ torch.stack([value.mean() for value in values.values()])
            for name, values in (("accuracy", self.share_correct), ("cross_entropy", self.nll))
        }

    def under(self, protocol: str, rates: Sequence[float]) -> dict[str, float]:
        """Return the exact expected accuracy and cross-entropy if modalities are hidden as in training.

        In addition to what is missing in the data, but never everything that a sample has.
        """
        has, group = self.present.unique(dim=0, return_inverse=True)
        parts: list[tuple[float, Pattern, torch.Tensor | slice]] = []
        for number, pattern in enumerate(has.tolist()):
            left = outcomes(tuple(pattern), rates, protocol) if any(pattern) else {tuple(pattern): 1.0}
            parts += [(share, kept, group == number) for kept, share in left.items()]
        return self._mixed(parts)

    def _mixed(self, parts: Sequence[tuple[float, Pattern, torch.Tensor | slice]]) -> dict[str, float]:
        """Return the metrics over all samples, given (share, pattern, rows) of how they are mixed."""

        def total(values: Mapping[Pattern, torch.Tensor]) -> float:
            return sum(share * values[pattern][rows].sum().item() for share, pattern, rows in parts) / len(self.present)

        metrics = {"accuracy": total(self.share_correct), "cross_entropy": total(self.nll)}
        if self.has_several_labels:
            weighted_counts = [share * self.counts[pattern][rows].sum(dim=0) for share, pattern, rows in parts]
            counts = torch.stack(weighted_counts).sum(0)
            hits, predicted, true = (counts.sum(dim=1) / len(self.present)).tolist()
            metrics |= _f1(counts)
            metrics |= {"hits": hits, "labels": (predicted + true) / 2}  # micro F1 of any mixture follows from these
        return metrics


def results(main: Table, uni: Table, grid: Sequence[float]) -> dict[str, Any]:
    """Return `patterns`, `rates` and `protocols` of robustness.json; `uni` holds each tower's predictions.

    A pattern's `uni` is the accuracy of the best tower of the set, selected and measured on the same samples: that
    favours the towers, so "not below the uni-modal model" is not made easier. With several labels the best is the one
    with the highest micro F1, and F1 is given beside every accuracy.
    """
    by_pattern: dict[str, Any] = {}
    for pattern in main.patterns():
        rows = main.has[pattern]
        towers = {
            main.modalities[m]: uni.worth(_only(m, len(pattern)), rows)
            for m, is_present in enumerate(pattern)
            if is_present
        }
        best = max(towers, key=lambda name: towers[name].get("f1_micro", towers[name]["accuracy"]))
        by_pattern[pattern_name(pattern, main.modalities)] = {
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
    return {"patterns": by_pattern, "rates": rates, "protocols": _by_protocol(main, grid)}


def _by_protocol(table: Table, grid: Sequence[float]) -> list[dict[str, Any]]:
    """Return a row for every protocol, what it hides (every modality equally, or one) and rate."""
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
    """Return {what is missing: rate -> rates}; under `absent` not every modality can be missing."""
    num = len(modalities)
    settings: dict[str, Callable[[float], tuple[float, ...]]] = {}
    if protocol != "absent":
        settings["every modality"] = lambda rate: (rate / (num if protocol == "balanced" else 1),) * num
    for m, name in enumerate(modalities):
        settings[name] = lambda rate, m=m: tuple(rate * flag for flag in _only(m, num))  # type: ignore[misc]
    return settings


def _only(m: int, num_modalities: int) -> Pattern:
    return tuple(number == m for number in range(num_modalities))


def _f1(counts: torch.Tensor) -> dict[str, float]:
    return {"f1_macro": classification.f1_macro(counts).item(), "f1_micro": classification.f1_micro(counts).item()}


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in values.items()}
