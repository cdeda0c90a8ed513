"""Watching a model as a flow may do it: the comparison of `umemma monitor`, told to Prefect as an event.

An automation can act on the event, such as send a mail: `umemma.monitor.well`, `umemma.monitor.alert` or
`umemma.monitor.cannot-know`, about the resource `umemma.model.<digest>`, with the verdict, the figures and the alerts.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from umemma.errors import GateFailure

if TYPE_CHECKING:
    from umemma.monitoring.verdict import Verdict
    from umemma.monitoring.watch import Report

EVENT = "umemma.monitor"


class Alert(GateFailure):
    """Answers that are not as in the test; the message is the report. Exit code 1."""


def monitor(
    home: Path,
    *,
    answers: str,
    model: str = "data/export",
    since: str = "",
    labels: str = "",
    emit: bool = False,
    **thresholds: float,
) -> str:
    """Compare answers with the test of the model, and return the report. Raises Alert for one that is not all well.

    Paths are relative to `home`; `thresholds` are those of `umemma monitor`. `emit`: tell Prefect, in whose flow run this
    must then be called.
    """
    from umemma.monitoring import answers as logged
    from umemma.monitoring import report
    from umemma.monitoring.settings import Settings
    from umemma.monitoring.verdict import verdict
    from umemma.monitoring.watch import watch
    from umemma.settings import section

    settings = section(Settings, **thresholds)
    begin = logged.since(since, datetime.now(UTC)) if since else None
    found = watch(home / answers, home / model, settings, since=begin, later=home / labels if labels else None)
    judged = verdict(found, settings)
    if emit:
        from prefect.events import emit_event

        emit_event(**event(found, judged))
    text = report.text(found, judged)
    if judged.status != "well":
        raise Alert(text)
    return text


def event(found: "Report", judged: "Verdict") -> dict[str, Any]:
    """Return the arguments of `prefect.events.emit_event`."""
    content = found.content()
    kept = ("source", "model", "dataset", "n", "times", "tested", "expected")
    return {
        "event": f"{EVENT}.{judged.status.replace(' ', '-')}",
        "resource": {
            "prefect.resource.id": f"umemma.model.{found.model[:12]}",
            "prefect.resource.name": f"{found.dataset} {found.model[:12]}",
        },
        "payload": {
            "verdict": judged.sentence,
            "alerts": list(judged.alerts),
            **{name: content[name] for name in kept},
        },
    }
