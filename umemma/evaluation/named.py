"""Expected scores of a model under protocols that papers name: `named_protocols` of robustness.json.

Exact, as under any missing rates: every sample under every set is on file, weighted by how often the protocol leaves it.
AUROC too: it is a mean over pairs of a positive and a negative sample, whose sets are independent, so that in expectation
every pair of sets counts as often as it occurs. F1 and AUPRC are ratios: these are of the expected counts, from which those
of a single draw differ by less than chance in the samples.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch

from umemma import named_masks
from umemma.evaluation.robustness import Table
from umemma.metrics import ranking
from umemma.missingness import Pattern
from umemma.named_protocol import NamedProtocol
from umemma.prediction.predictions import Predictions


def by_information(uni: Predictions) -> list[int]:
    """Return the modalities by what their towers tell of the label, most first, in nats on the samples that have each."""
    num = len(uni.modalities)
    table, nothing = Table(uni), (False,) * num

    def gain(m: int) -> float:
        alone = tuple(number == m for number in range(num))
        rows = table.has[alone]
        return (table.nll[nothing][rows] - table.nll[alone][rows]).mean().item() if rows.any() else -math.inf

    return sorted(range(num), key=gain, reverse=True)


def results(table: Table, protocols: Sequence[NamedProtocol]) -> list[dict[str, Any]]:
    """Return a row for every protocol: its name, the realised rates, the scores, or why there are none."""
    return [_row(table, protocol) for protocol in protocols]


def _row(table: Table, protocol: NamedProtocol) -> dict[str, Any]:
    often = named_masks.by_sample(protocol, table.label)
    kept = named_masks.kept(protocol, table.present)
    missing = torch.einsum("bs,bsm->m", often, (~kept).double()) / len(often)
    row = {
        "protocol": protocol.name,
        "missing": dict(zip(table.modalities, _rounded(missing.tolist()), strict=True)),
        "incomplete": _rounded([1 - (often * kept.all(dim=2)).sum().item() / len(often)])[0],
        "sets": len(protocol.sets),
        "of_sets": protocol.num_of,
    }
    shares = _shares(table, protocol, often, kept)
    if unknown := [pattern for pattern in shares if pattern not in table.logits]:
        why = f"{len(unknown):,} of {len(shares):,} sets of modalities that it leaves were not evaluated"
        return row | {"scores": None, "auroc": None, "auprc": None, "why": why}
    scores = {name: round(value, 6) for name, value in table.each.mixed(shares).items()}
    ranked = _ranked(table, shares)
    return row | {"scores": scores, "auroc": ranked[0], "auprc": ranked[1], "why": None}


def _shares(
    table: Table, protocol: NamedProtocol, often: torch.Tensor, kept: torch.Tensor
) -> dict[Pattern, torch.Tensor]:
    """Return how often each sample is answered from each set (sample,); one that would lose all is answered from what it has."""
    everything = (True,) * len(table.modalities)
    shares: dict[Pattern, torch.Tensor] = {}
    for number, pattern in enumerate(protocol.sets):
        is_left = (table.present & torch.tensor(pattern)).any(dim=1)
        for key, rows in ((pattern, is_left), (everything, ~is_left)):
            share = torch.where(rows, often[:, number], 0.0)
            if share.any():
                shares[key] = shares.get(key, 0.0) + share
    return shares


def _ranked(table: Table, shares: dict[Pattern, torch.Tensor]) -> tuple[float | None, float | None]:
    """Return AUROC and AUPRC, the mean over classes, of every sample under every set, weighted."""
    logits = torch.cat([table.logits[pattern] for pattern in shares])
    label = torch.cat([table.label] * len(shares))
    weight = torch.cat(list(shares.values()))
    rows = weight > 0
    macro = ranking.by_class(logits[rows], label[rows], table.ranked, weight[rows][None]).macro()
    auroc, auprc = (round(value.item(), 6) if math.isfinite(value.item()) else None for value in macro)
    return auroc, auprc


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(value, 6) + 0.0 for value in values]
