"""What of the data is not in the results, and what was warned of, as the page and the terminal tell it.

Judged = used + quarantined holds in every split (the gate expects it), so whatever is missing from the results stands
in one of the rows here. "" is the split of samples that the data put into none.
"""

from collections.abc import Mapping, Sequence
from typing import Any

SOURCES = "data/reports/quarantine.parquet", "data/reports/validation.json"


def summary(validation: Mapping[str, Any], reasons: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what is told, from validation.json and `quarantine.reasons`.

    `judged`, `used` and `quarantined` count samples by split, in the order of `splits`; `warnings` are sentences,
    `ignored` names of expectations.
    """
    judged, used = validation["quarantine"]["judged"], validation["quarantine"]["kept"]
    return {
        "splits": list(judged),
        "judged": dict(judged),
        "used": dict(used),
        "quarantined": {split: count - used[split] for split, count in judged.items()},
        "reasons": list(reasons),
        "warnings": validation["warnings"],
        "ignored": validation["ignored"],
    }


def lines(told: Mapping[str, Any]) -> list[str]:
    """Return a summary as lines for the terminal."""
    quarantine, validation = SOURCES
    judged, left_out = (sum(told[name].values()) for name in ("judged", "quarantined"))
    found = [
        f"data: {judged - left_out:,} of {judged:,} samples used, {left_out:,} in quarantine"
        + (f" ({quarantine})" if left_out else "")
    ]
    if left_out:
        splits, width = told["splits"], max(len(row["reason"]) for row in told["reasons"])
        found.append(" " * width + "".join(f"{split or 'no split':>10}" for split in splits))
        found += [
            f"{row['reason']:<{width}}"
            + "".join(f"{row['by_split'].get(split, 0):>10,}" for split in splits)
            + (f"  {row['example']}" if row["example"] else "")
            for row in told["reasons"]
        ]
    if told["warnings"]:
        found.append(f"warnings: {len(told['warnings'])} ({validation})")
        found += [f"- {sentence}" for sentence in told["warnings"]]
    if told["ignored"]:
        found.append(f"not judged (validation.severity: ignore): {', '.join(told['ignored'])}")
    return found
