"""SVG as text: elements, linear scales with round ticks, labels that do not overlap.

Text rather than a drawing library: the page has its charts inline and colours them by its own style variables, so that
they follow light and dark mode, and the bytes depend on the numbers alone.
"""

import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

TEXT_PX = 12  # the size of all chart text, set by the page's style for `svg text`


def element(tag: str, *content: str, **attributes: object) -> Markup:
    """Return one element. Text that is not Markup is escaped; `_` in an attribute's name becomes `-`, None omits it."""
    markup = "".join(
        f' {name.strip("_").replace("_", "-")}="{escape(_plain(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    inside = "".join(escape(part) for part in content)
    return Markup(f"<{tag}{markup}>{inside}</{tag}>")  # every part of it has just been escaped


def drawing(
    width: float, height: float, parts: Iterable[Markup], *, title: str, detail: str = "", stretched: bool = False
) -> Markup:
    """Return an `<svg>` of a fixed size in px; `stretched`: as wide as its container, so it must hold no text."""
    size = {"width": "100%", "preserveAspectRatio": "none"} if stretched else {"width": width}
    named = [element("title", title), *([element("desc", detail)] if detail else [])]
    return element(
        "svg", *named, *parts, role="img", viewBox=f"0 0 {_plain(width)} {_plain(height)}", height=height, **size
    )


def text(x: float, y: float, content: str, anchor: str = "start", class_: str | None = None) -> Markup:
    """Return a line of text whose baseline is at y."""
    return element("text", content, x=x, y=y, text_anchor=anchor, class_=class_)


def text_width(content: str) -> float:
    """Return an estimate of a line's width in px, rather too high: the reader's font is unknown."""
    return TEXT_PX * sum(1.05 if unicodedata.east_asian_width(character) in "WF" else 0.64 for character in content)


def fitted(content: str, width: float) -> str:
    """Return the text, truncated with an ellipsis if it would be wider than `width` px."""
    if text_width(content) <= width:
        return content
    kept = content
    while kept and text_width(kept + "…") > width:
        kept = kept[:-1]
    return kept.rstrip() + "…"


@dataclass(frozen=True)
class Scale:
    """A linear map from [low, high] to px [start, end]."""

    low: float
    high: float
    start: float
    end: float
    step: float

    def __call__(self, value: float) -> float:
        """Return the position of a value, clipped to the ends of the scale."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Return the multiples of `step` on the scale."""
        first = math.ceil(self.low / self.step - 1e-9)
        last = math.floor(self.high / self.step + 1e-9)
        return [round(number * self.step, 12) for number in range(first, last + 1)]


def scale_over(
    values: Sequence[float], start: float, end: float, *, most_ticks: int, highest: float = math.inf
) -> Scale:
    """Return a scale with round ends that covers all values; `highest` is the largest possible value."""
    low, high = min(values), max(values)
    if high - low < 1e-6:
        low, high = low - 0.005, high + 0.005
    powers = [10.0**power for power in range(-7, 9)]
    for step in (power * factor for power in powers for factor in (1, 2, 2.5, 5)):
        slack = max(1e-9 / max(step, 1.0), 1e-12)  # a billionth at most is left out, whatever the step
        first, last = math.floor(low / step + slack), math.ceil(high / step - slack)
        if last - first + 1 <= most_ticks:
            return Scale(first * step, min(last * step, highest), start, end, step)
    raise AssertionError(f"no scale holds {low} to {high}")


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return positions near the wanted ones, at least `gap` apart and in the same order, in [low, high] if they fit."""
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    places = [0.0] * len(wanted)
    at = low - gap
    for index in order:
        at = places[index] = max(wanted[index], at + gap)
    at = high + gap
    for index in reversed(order):
        at = places[index] = min(places[index], at - gap)
    return places


def _plain(value: object) -> object:
    """Format floats with at most two decimals and never as `-0`."""
    return f"{round(value, 2) + 0.0:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
