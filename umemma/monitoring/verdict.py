"""What a report comes to: all well, an alert, or that it cannot be known."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from umemma.errors import some
from umemma.monitoring.settings import Settings
from umemma.monitoring.transport import Estimate
from umemma.monitoring.watch import Report

Status = Literal["well", "alert", "cannot know"]


@dataclass(frozen=True)
class Verdict:
    """The sentence to begin with, and what is to be looked at."""

    status: Status
    sentence: str
    alerts: tuple[str, ...]


def verdict(report: Report, settings: Settings) -> Verdict:
    """Judge a report by the settings."""
    found, tested = report.expected, written(report.tested)
    alerts = (*_of_labels(report, settings), *_of_modalities(report, settings))
    if found.accuracy is None:
        unknown = f"the accuracy of these answers cannot be known without labels: {_reason(report)}"
        if found.differ:
            low, high = found.bounds
            unknown += (
                f". It lies between {percent(low)} and {percent(high)} if, whatever is answered, the odds of being right "
                f"changed by at most a factor of {settings.odds:g}"
            )
        return Verdict("cannot know", f"{unknown}; in the test it was {tested}", alerts)
    if found.accuracy.high < report.tested.value - settings.loss:
        alerts = (f"expected accuracy is below the tested one by more than {percent(settings.loss)}", *alerts)
    expected = f"expected accuracy {written(found.accuracy)}; in the test it was {tested}"
    return Verdict("alert" if alerts else "well", expected, alerts)


def percent(share: float | None) -> str:
    """Return a share as percent; a dash for None."""
    return "-" if share is None else f"{100 * share:.1f} %"


def written(estimate: Estimate) -> str:
    """Return an estimate with its interval."""
    return f"{percent(estimate.value)} ({100 * estimate.low:.1f} to {100 * estimate.high:.1f})"


def _reason(report: Report) -> str:
    found = report.expected
    seen = " and ".join(report.given)
    if found.differ:
        given = f", given {seen}," if seen else ""
        return f"answers from {some(report.names(found.differ), 3)}{given} are not distributed as in the test"
    name = report.names(found.unseen)[0]
    like = f" and are like these in {seen}" if seen else ""
    return f"only {report.patterns[name].today.n_reference:.0f} test samples hold {name}{like}"


def _of_labels(report: Report, settings: Settings) -> Iterator[str]:
    if report.labelled is None:
        return
    if report.labelled.accuracy.high < report.tested.value - settings.loss:
        yield (
            f"{report.labelled.n:,} labelled answers are right in {written(report.labelled.accuracy)}, below the test by more "
            f"than {percent(settings.loss)}"
        )
    expected = report.labelled.expected.accuracy
    if expected and (report.labelled.accuracy.low > expected.high or report.labelled.accuracy.high < expected.low):
        yield f"{written(expected)} was expected of labelled answers, and {written(report.labelled.accuracy)} are right"


def _of_modalities(report: Report, settings: Settings) -> Iterator[str]:
    for name, one in report.modalities.items():
        presence, content = one.presence, one.content
        if presence.moved > settings.moved and presence.p < settings.significance:
            yield f"{name} is there in {percent(presence.today)} of answers, in the test in {percent(presence.test)}"
        if content and content.moved > settings.moved and content.p < settings.significance:
            yield (
                f"{name} has changed: {content.statistic} is {content.today:.3g} in the middle, in the test {content.test:.3g}; "
                f"it is larger than a test sample's in {percent(content.rank)} of cases"
            )
