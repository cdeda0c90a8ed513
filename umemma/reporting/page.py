"""The report of one experiment as one page: self-contained, readable without JavaScript, reproducible to the byte.

Its Content-Security-Policy forbids loading anything: style, script, charts and data are inline. All text from the data
(names of modalities, classes, models) is escaped by jinja2 and markupsafe.
"""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from umemma.reporting import charts, figures, findings, formatting
from umemma.reporting.data_summary import Summary
from umemma.reporting.expected import Metrics, per_pattern, presence
from umemma.reporting.results import Accounting, Gates, Masks, Robustness


def page(robustness: Robustness, accounting: Accounting, gates: Gates, masks: Masks, data: Summary) -> str:
    """Return report.html."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        filter_.__name__: filter_
        for filter_ in (
            formatting.percent,
            formatting.nats,
            formatting.points,
            formatting.rate,
            formatting.interval,
            formatting.settings,
            formatting.chance,
            formatting.in_words,
        )
    }
    modalities = accounting.modalities
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
            name: charts.dots(modalities, [modality in name.split("+") for modality in modalities])
            for name in accounting.metrics
        },
        strips=figures.strips(robustness, accounting),
        information=figures.information(accounting),
        rates=figures.rates(robustness),
        rate_curves=figures.rate_curves(robustness, known),
        explored=_explored(robustness, known, modalities),
        prices=figures.prices(accounting),
        worth=figures.worth(accounting),
        flips=figures.flips(accounting),
        arms=figures.arms(accounting),
        reliability=figures.reliability(accounting),
        budget=figures.budget(robustness),
    )


def _explored(
    robustness: Robustness, known: Mapping[frozenset[str], Metrics], modalities: Sequence[str]
) -> dict[str, Any] | None:
    """Return the data, text and initial values of the page's sliders; None if a non-empty set is unknown."""
    if len(known.keys() - {frozenset()}) < 2 ** len(modalities) - 1:
        return None
    flags = {present: [name in present for name in modalities] for present in [*known, frozenset()]}
    trained = robustness.training.missing_rate or {}
    return {
        "start": [round(trained.get(name, 0.0), 2) for name in modalities],
        "has_empty": frozenset() in known,
        "has_f1": all("labels" in metrics for metrics in known.values()),
        "rows": [
            {
                "dots": charts.dots(modalities, present),
                "name": " + ".join(itertools.compress(modalities, present)) or "nothing",
            }
            for present in flags.values()
        ],
        "data": {
            "modalities": list(modalities),
            "patterns": [{"present": flags[present], **metrics} for present, metrics in known.items()],
            "rows": list(flags.values()),
            "samples": [{"has": flags[has], "share": share} for has, share in presence(robustness).items()],
        },
    }
