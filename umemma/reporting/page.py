"""The report of one experiment as one page: self-contained, readable without script, the same bytes every time.

The page may load nothing at all (its Content-Security-Policy says so): style, script, charts and data are inside it.
Whatever comes from the data (names of modalities, classes, models) is escaped by jinja2 and markupsafe on its way in.
"""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from umemma.reporting import charts, findings, pictures, written
from umemma.reporting.any_rate import Metrics, per_pattern

Json = Mapping[str, Any]


def page(robustness: Json, accounting: Json, gates: Json, masks: Json, data: Json) -> str:
    """Return report.html from robustness.json, accounting.json, gates.json, masks.json and `left_out.summary`."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        one.__name__: one
        for one in (
            written.percent,
            written.nats,
            written.points,
            written.rate,
            written.interval,
            written.settings,
            written.chance,
            written.in_words,
        )
    }
    modalities = accounting["modalities"]
    known = per_pattern(robustness)
    return environment.get_template("page.html").render(
        robustness=robustness,
        accounting=accounting,
        gates=gates,
        masks=masks,
        data=data,
        modalities=modalities,
        headline=findings.headline(accounting),
        interaction=findings.interaction(accounting),
        tone={name: charts.tone(index) for index, name in enumerate(modalities)},
        dots={
            name: charts.dots(modalities, [one in name.split("+") for one in modalities])
            for name in accounting["metrics"]
        },
        strips=pictures.strips(robustness, accounting),
        information=pictures.information(accounting),
        rates=pictures.rates(robustness),
        rate_curves=pictures.rate_curves(robustness, known),
        explored=_explored(robustness, known, modalities),
        prices=pictures.prices(accounting),
        worth=pictures.worth(accounting),
        flips=pictures.flips(accounting),
        arms=pictures.arms(accounting),
        reliability=pictures.reliability(accounting),
        budget=pictures.budget(robustness),
    )


def _explored(
    robustness: Json, known: Mapping[frozenset[str], Metrics], modalities: Sequence[str]
) -> dict[str, Any] | None:
    """Return what the page's sliders show, compute from, and start at; None where a non-empty set is lacking."""
    if len(known.keys() - {frozenset()}) < 2 ** len(modalities) - 1:
        return None
    flags = {present: [name in present for name in modalities] for present in known}
    trained = (robustness["training"] or {}).get("missing_rate") or {}
    return {
        "start": [round(trained.get(name, 0.0), 2) for name in modalities],
        "has_empty": frozenset() in known,
        "has_f1": all("labels" in metrics for metrics in known.values()),
        "rows": [
            {
                "dots": charts.dots(modalities, there),
                "name": " + ".join(itertools.compress(modalities, there)) or "nothing",
            }
            for there in flags.values()
        ],
        "data": {
            "modalities": list(modalities),
            "patterns": [{"present": flags[present], **metrics} for present, metrics in known.items()],
        },
    }
