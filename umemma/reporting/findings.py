"""What the figures say, in words: the headline, and whether the information lies in the interaction of modalities.

A sentence is only written where the figures carry it: an arm that hears modalities together counts as better only where
its interval lies wholly above that of the best late arm and above zero, and its own p holds after Holm's correction.
Comparing two intervals of paired differences like this is stricter than testing the two arms against each other.
"""

from collections.abc import Mapping
from typing import Any

from umemma.reporting.formatting import in_words, percent

Accounting = Mapping[str, Any]  # the content of accounting.json
EARLY, UNI, SIGNIFICANT = "early", "uni", 0.05
TOGETHER = (EARLY, "specialist", "frozen specialist")  # specialists are tried early, or with a head that interacts, too


def headline(accounting: Accounting) -> dict[str, Any]:
    """Return the patterns that the headline names: the fullest and the worst, and the range of utilisation."""
    metrics = accounting["metrics"]
    fullest = "+".join(accounting["modalities"])
    everything = fullest in metrics
    if not everything:
        fullest = max(metrics, key=lambda name: name.count("+"))
    score = "f1_micro" if accounting["task"] == "multi_label" else "accuracy"
    worst = min(metrics, key=lambda name: metrics[name][score]["value"])
    utilised = [
        row["utilisation"]["value"]
        for row in accounting["information"].values()
        if row["utilisation"] is not None and row["utilisation"]["value"] is not None
    ]
    return {
        "fullest": fullest,
        "everything": everything,
        "worst": worst,
        "score": score,
        "utilisation": (min(utilised), max(utilised)) if utilised else None,
    }


def interaction(accounting: Accounting) -> list[str]:
    """Return a sentence for each sign that modalities tell more together than late fusion can hear; often none."""
    return [*_late_loses(accounting), *_best_known_is_early(accounting)]


def _late_loses(accounting: Accounting) -> list[str]:
    full = "+".join(accounting["modalities"])
    rows = [row for row in accounting["arms"] if full in row["patterns"] and row["arm"] != UNI]
    together = [row for row in rows if row["arm"] in TOGETHER]
    late = [row for row in rows if row["arm"] not in TOGETHER]
    if not together or not late or any(_difference(row, full) is None for row in rows):
        return []

    def mean(row: Mapping[str, Any]) -> float:
        return row["patterns"][full]["accuracy"]["mean"]

    best, rival = max(together, key=mean), max(late, key=mean)
    others = [_difference(row, full) for row in late]
    own = _difference(best, full)
    if best["versus"] is None:
        wins = all(other["high"] < 0 and other["p_holm"] < SIGNIFICANT for other in others)
    else:
        wins = own["p_holm"] < SIGNIFICANT and own["low"] > max(0.0, *(other["high"] for other in others))
    if not wins:
        return []
    who = "early fusion" if best["arm"] == EARLY else f"the {best['arm']}"
    return [
        f"Late fusion loses here. With everything present, {who} is right {percent(mean(best))} of the time and every "
        f"late arm stays significantly below it (the best of them, {rival['arm']}, at {percent(mean(rival))}): the "
        "information is in the interaction of the modalities. A head that adds up what each modality says alone "
        "(sum_logits, mean_logits, concat, product_of_experts) can never hear it; gated and attention can."
    ]


def _difference(row: Mapping[str, Any], pattern: str) -> Any:
    """Return this arm's difference against this run: zero for its own arm, None where it was not measured."""
    if row["versus"] is None:
        return {"value": 0.0, "low": 0.0, "high": 0.0, "p_holm": 1.0}
    found = row["versus"].get(pattern)
    return None if found is None else {**found["difference"], "p_holm": found["p_holm"]}


def _best_known_is_early(accounting: Accounting) -> list[str]:
    """A sign, no proof: early fusion may also be better at what a single modality tells."""
    early = {row["name"] for row in accounting["models"] if row["arm"] == EARLY} | {EARLY}
    found = [
        in_words(name)
        for name, row in accounting["information"].items()
        if "+" in name and row["best_known"]["model"] in early and (row["utilisation"]["high"] or 1) < 1
    ]
    if not found:
        return []
    return [
        f"For {_listed(found)} the best known model is early fusion, and it finds significantly more than this "
        "run: a sign that information lies in the interaction of the modalities, where late fusion misses it."
    ]


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{'; '.join(names[:-1])} and {names[-1]}"
