"""The charts of the page: inline SVG from plain numbers.

Colours are CSS classes: `c0` to `c6` are the modalities in the data set's order, the others are named by their meaning
(`used`, `failure`, `rest`, `this`, `other`). Text has the text colour of the page, never that of a line, since pale
colours are hard to read. Shapes and dashes repeat what colours distinguish.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from umemma.reporting.results import Bin, Interval
from umemma.reporting.svg import TEXT_PX, Scale, drawing, element, fitted, scale_over, spread, text, text_width

NUM_COLOURS = 7
STRIP_WIDTH, STRIP_HEIGHT = 208, 30


@dataclass(frozen=True)
class Line:
    """One line of a chart: its path, the points that were measured, and its interval as (x, low, high)."""

    label: str
    tone: str
    path: Sequence[tuple[float, float]]
    points: Sequence[tuple[float, float]]
    band: Sequence[tuple[float, float, float]] = ()


@dataclass(frozen=True)
class Panel:
    """One column of a dot plot: an interval or None for each row, and how its numbers are formatted."""

    title: str
    cells: Sequence[Interval | None]
    format_value: Callable[[float], str]
    has_zero: bool = False
    highest: float = float("inf")


def tone(index: int) -> str:
    """Return the colour class of the modality at this index."""
    return f"c{index % NUM_COLOURS}"


def sprite(patterns: Mapping[str, Sequence[bool]]) -> Markup:
    """Return the drawings of all patterns, once for the whole page; `dots` shows one of them by its number."""
    symbols = [
        element(
            "symbol",
            *(
                element("circle", cx=8 + 16 * m, cy=8, r=5, class_=f"{tone(m)} {'full' if is_present else 'empty'}")
                for m, is_present in enumerate(present)
            ),
            id=f"pattern-{number}",
        )
        for number, present in enumerate(patterns.values())
    ]
    return drawing(0, 0, symbols, title="Sets of modalities")


def dots(number: int, modalities: Sequence[str], present: Sequence[bool]) -> Markup:
    """Return a row of dots, filled where the modality is present: the pattern of this number in `sprite`."""
    names = [name for name, is_present in zip(modalities, present, strict=True) if is_present]
    title = f"{', '.join(names) or 'nothing'} present"
    return drawing(16 * len(modalities), 16, [element("use", href=f"#pattern-{number}")], title=title)


def strip_scale(values: Sequence[float]) -> Scale:
    """Return the scale that the strips of a table share; its last tick is at most 1."""
    return scale_over(values, 24, STRIP_WIDTH - 24, most_ticks=5, highest=1.0)


def strip_axis(scale: Scale, format_value: Callable[[float], str]) -> Markup:
    """Return the axis in the header of a column of strips."""
    return drawing(
        STRIP_WIDTH,
        18,
        [text(scale(value), 13, format_value(value), "middle") for value in _labelled_ticks(scale, format_value, 5)],
        title=f"scale from {format_value(scale.low)} to {format_value(scale.high)}",
    )


def strip(
    scale: Scale,
    point: Interval,
    *,
    title: str,
    band: tuple[float, float] | None = None,
    mark: float | None = None,
    tone: str = "this",
) -> Markup:
    """Return the picture of one row: a band, a point with its interval, and a diamond at `mark`."""
    middle = STRIP_HEIGHT / 2
    parts = [
        element("line", x1=scale(tick), x2=scale(tick), y1=0, y2=STRIP_HEIGHT, class_="grid") for tick in scale.ticks()
    ]
    if band is not None:
        left, right = scale(band[0]), scale(band[1])
        parts.append(
            element("rect", x=left, y=6, width=max(right - left, 1.0), height=STRIP_HEIGHT - 12, rx=3, class_="band")
        )
    if mark is not None:
        parts.append(element("path", d=f"M{scale(mark):.2f} {middle - 7:.2f}l5.5 7l-5.5 7l-5.5 -7z", class_="mark"))
    return drawing(STRIP_WIDTH, STRIP_HEIGHT, [*parts, *_whisker(scale, point, middle, tone)], title=title)


def stack(parts: Sequence[tuple[str, float]], *, total: float, title: str, mark: float | None = None) -> Markup:
    """Return a stacked bar of (class, length); `total` fills its container; `mark`: a tick at that length."""
    drawn, at = [], 0.0
    for kind, length in parts:
        drawn.append(element("rect", x=1000 * at / total, y=2, width=1000 * length / total, height=20, class_=kind))
        at += length
    if mark is not None:
        drawn.append(element("line", x1=1000 * mark / total, x2=1000 * mark / total, y1=0, y2=24, class_="truth"))
    return drawing(1000, 24, drawn, title=title, stretched=True)


def curves(
    lines: Sequence[Line],
    *,
    title: str,
    y_label: str,
    format_value: Callable[[float], str],
    width: float,
    highest: float = float("inf"),
    lowest: float | None = None,
) -> Markup:
    """Return lines over the missing rate, 0 to 1, each labelled at its right end; at most `width` px wide."""
    named = min(max(text_width(line.label) for line in lines), 0.34 * width)
    top, bottom = 34.0, 282.0
    values = [y for line in lines for _, y in [*line.path, *line.points]]
    values += [y for line in lines for _, low, high in line.band for y in (low, high)]
    up = scale_over([*values, *([] if lowest is None else [lowest])], bottom, top, most_ticks=7, highest=highest)
    start, end = max(text_width(format_value(tick)) for tick in up.ticks()) + 14, min(width - named - 30, 560.0)
    across = Scale(0, 1, start, end, 0.25 if end - start > 300 else 0.5)
    parts = [
        *(
            element("line", x1=start, x2=end, y1=up(tick), y2=up(tick), class_="zero" if tick == 0 else "grid")
            for tick in up.ticks()
        ),
        *(text(start - 10, up(tick) + 4, format_value(tick), "end") for tick in up.ticks()),
        *(text(across(tick), bottom + 20, f"{tick:.0%}", "middle") for tick in across.ticks()),
        text(0, 14, y_label),
        text((start + end) / 2, bottom + 42, "missing rate", "middle", "label"),
    ]
    for line in lines:
        if line.band:
            edge = [*((x, high) for x, _, high in line.band), *((x, low) for x, low, _ in reversed(line.band))]
            parts.append(element("path", d=_path(edge, across, up) + "z", class_=f"{line.tone} area"))
    ends = spread([up(line.path[-1][1]) for line in lines], TEXT_PX + 5, top, bottom)
    for line, place in zip(lines, ends, strict=True):
        parts.append(element("path", d=_path(line.path, across, up), class_=f"{line.tone} line"))
        parts += [
            element(
                "circle",
                element("title", f"{line.label}, missing rate {x:g}: {format_value(y)}"),
                cx=across(x),
                cy=up(y),
                r=3.5,
                class_=f"{line.tone} full",
            )
            for x, y in line.points
        ]
        x, y = line.path[-1]
        parts.append(
            element(
                "path", d=f"M{across(x) + 6:.2f} {up(y):.2f}L{end + 20:.2f} {place:.2f}", class_=f"{line.tone} thin"
            )
        )
        parts.append(text(end + 24, place + 4, fitted(line.label, named)))
    detail = "; ".join(
        f"{line.label}: {format_value(line.path[0][1])} at {line.path[0][0]:.0%} missing, "
        f"{format_value(line.path[-1][1])} at {line.path[-1][0]:.0%}"
        for line in lines
    )
    return drawing(end + 30 + named, bottom + 52, parts, title=title, detail=detail + ".")


def dot_panels(rows: Sequence[str], tones: Sequence[str], panels: Sequence[Panel], *, title: str) -> Markup:
    """Return a dot plot: a row for each name, a column for each panel with its own scale, points with intervals."""
    left = min(max(text_width(row) for row in rows), 220) + 22
    titles = max(text_width(panel.title) for panel in panels)
    each = max(150.0, min(titles + 22, 200.0), (780 - left) / len(panels))
    bottom = 34.0 + 27 * len(rows)
    parts = [
        text(0, 52 + 27 * index, fitted(row, left - 22), class_="strong" if tones[index] == "this" else None)
        for index, row in enumerate(rows)
    ]
    details = []
    for number, panel in enumerate(panels):
        start = left + each * number
        known = [cell for cell in panel.cells if cell is not None and cell.value is not None]
        parts.append(text(start + 6, 18, fitted(panel.title, each - 20), class_="label"))
        if not known:
            parts.append(text(start + 8, 52, "not measured", class_="label"))
            continue
        values = [end for cell in known for end in (cell.value, cell.low, cell.high) if end is not None]
        scale = scale_over(
            [*values, *([0.0] if panel.has_zero else [])],
            start + 22,
            start + each - 34,
            most_ticks=5,
            highest=panel.highest,
        )
        labelled = _labelled_ticks(scale, panel.format_value, 10)
        parts += [
            element(
                "line",
                x1=scale(tick),
                x2=scale(tick),
                y1=30,
                y2=bottom,
                class_="zero" if tick == 0 and panel.has_zero else "grid",
            )
            for tick in scale.ticks()
        ]
        parts += [text(scale(tick), bottom + 18, panel.format_value(tick), "middle") for tick in labelled]
        for index, cell in enumerate(panel.cells):
            if cell is not None and cell.value is not None:
                parts += _whisker(
                    scale,
                    cell,
                    48 + 27 * index,
                    tones[index],
                    f"{rows[index]}, {panel.title}: {panel.format_value(cell.value)}",
                )
                details.append(f"{rows[index]}, {panel.title}: {panel.format_value(cell.value)}")
    return drawing(left + each * len(panels), bottom + 28, parts, title=title, detail="; ".join(details) + ".")


def reliability(bins: Sequence[Bin], title: str) -> Markup:
    """Return a reliability diagram (Niculescu-Mizil & Caruana 2005): a dot for each bin, its area the bin's share."""
    across, up = Scale(0, 1, 44, 146, 0.5), Scale(0, 1, 112, 10, 0.5)
    parts = [
        element("rect", x=44, y=10, width=102, height=102, class_="frame"),
        element("line", x1=44, y1=112, x2=146, y2=10, class_="diagonal"),
        text(44, 128, "0%"),
        text(146, 128, "100%", "end"),
        text(38, 20, "100%", "end"),
        text(38, 112, "0%", "end"),
        element("path", d=_path([(bin_.confidence, bin_.accuracy) for bin_ in bins], across, up), class_="this thin"),
    ]
    parts += [
        element(
            "circle",
            element(
                "title",
                f"confidence {100 * bin_.confidence:.1f}%: accuracy "
                f"{100 * bin_.accuracy:.1f}%, {100 * bin_.share:.1f}% of the samples",
            ),
            cx=across(bin_.confidence),
            cy=up(bin_.accuracy),
            r=2 + 9 * bin_.share**0.5,
            class_="this bubble",
        )
        for bin_ in bins
    ]
    return drawing(156, 132, parts, title=title)


def _whisker(scale: Scale, cell: Interval, y: float, tone: str, title: str = "") -> list[Markup]:
    assert cell.value is not None, "an undefined figure is not drawn"
    parts = []
    if cell.low is not None and cell.high is not None:
        parts.append(element("line", x1=scale(cell.low), x2=scale(cell.high), y1=y, y2=y, class_=f"{tone} whisker"))
    hint = [element("title", title)] if title else []
    return [*parts, element("circle", *hint, cx=scale(cell.value), cy=y, r=4.0, class_=f"{tone} point")]


def _path(points: Sequence[tuple[float, float]], across: Scale, up: Scale) -> str:
    return "M" + "L".join(f"{across(x):.2f} {up(y):.2f}" for x, y in points)


def _labelled_ticks(scale: Scale, format_value: Callable[[float], str], gap: float) -> list[float]:
    """Return every tick, or every second, third ..., so that the labels have room; zero is always among them."""
    ticks = scale.ticks()
    room = max(text_width(format_value(tick)) for tick in ticks) + gap
    each = abs(scale(scale.low + scale.step) - scale(scale.low)) if len(ticks) > 1 else room
    skip = math.ceil(room / each)
    return [tick for tick in ticks if round(tick / scale.step) % skip == 0]
