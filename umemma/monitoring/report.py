"""A report as text for a terminal, the verdict first."""

from collections.abc import Iterator, Sequence

from umemma.monitoring.verdict import Verdict, percent, written
from umemma.monitoring.watch import Report

_MOST_ROWS = 15
_TITLES = {"well": "ALL WELL", "alert": "ALERT", "cannot know": "CANNOT KNOW"}


def text(report: Report, verdict: Verdict) -> str:
    """Return the text."""
    lines = [f"{_TITLES[verdict.status]}: {verdict.sentence}", *(f"  ! {alert}" for alert in verdict.alerts), ""]
    lines += [*_about(report), "", *_patterns(report), "", *_modalities(report)]
    if report.labelled is not None:
        lines += ["", *_labelled(report)]
    return "\n".join(lines + [f"note: {remark}" for remark in report.remarks])


def _about(report: Report) -> Iterator[str]:
    times = f", {report.times[0]:%Y-%m-%d %H:%M} to {report.times[1]:%Y-%m-%d %H:%M} UTC" if report.times else ""
    again = "" if report.num_distinct == report.n else f" to {report.num_distinct:,} samples"
    yield f"{report.n:,} answers{again} of {report.dataset} {report.model[:12]}, {report.source}{times}"
    if report.given:
        yield f"test samples are weighted to be like today's in {' and '.join(report.given)}, always there"


def _patterns(report: Report) -> Iterator[str]:
    rows = [
        (
            name,
            percent(one.today.share),
            percent(one.test_share),
            percent(one.today.accuracy),
            percent(one.test_accuracy),
            f"{one.today.n_reference:,.0f}",
            _chance(one.today.p),
        )
        for name, one in report.patterns.items()
    ]
    head = ("answered from", "today", "test", "expected", "tested", "samples", "p, same answers")
    yield from _table(head, rows[:_MOST_ROWS])
    if len(rows) > _MOST_ROWS:
        yield f"and {len(rows) - _MOST_ROWS} rarer ones (--json has all)"


def _modalities(report: Report) -> Iterator[str]:
    rows = []
    for name, one in report.modalities.items():
        content = one.content
        moved = "-" if content is None else f"{content.statistic} {content.test:.3g} -> {content.today:.3g}"
        rows.append(
            (
                name,
                percent(one.presence.today),
                percent(one.presence.test),
                _chance(one.presence.p),
                moved,
                "-" if content is None else f"{content.rank:.2f}",
                _chance(None if content is None else content.p),
                f"{one.rejected:,}",
                "-"
                if one.gain is None
                else f"{100 * one.gain.value:+.1f} ({100 * one.gain.low:.1f} to {100 * one.gain.high:.1f})",
            )
        )
    head = (
        "modality",
        "there today",
        "test",
        "p, same",
        "moved most",
        "rank",
        "p, same",
        "unusable",
        "points if always there",
    )
    yield from _table(head, rows)
    yield "rank: P(larger than a test sample's), 0.50 if nothing moved; points: if what is missing is as in samples that have it"


def _labelled(report: Report) -> Iterator[str]:
    one = report.labelled
    assert one is not None
    expected = (
        "could not be known"
        if one.expected.accuracy is None
        else f"was expected to be {written(one.expected.accuracy)}"
    )
    yield f"of {one.n:,} labelled answers {written(one.accuracy)} are right; it {expected}"
    if one.num_unmatched:
        yield f"note: {one.num_unmatched:,} labels belong to no answer"


def _chance(p: float | None) -> str:
    return "-" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        yield "  ".join(
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
