"""Formatting of numbers on the page: percent, nats, points, intervals, axis ticks. A dash stands for None."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from umemma.reporting.results import Interval
from umemma.reporting.svg import element

_MANY, _FEW = 5, 2  # modalities of a data set, and missing ones, from which and up to which patterns have short names
NONE, MINUS = "\u2013", "\u2212"


def percent(fraction: float | None) -> str:
    """Return a fraction as percent with one digit."""
    return NONE if fraction is None else f"{_signed(100 * fraction, 1)}%"


def nats(value: float | None) -> str:
    """Return nats with three digits."""
    return NONE if value is None else _signed(value, 3)


def points(fraction: float | None) -> str:
    """Return a difference of fractions in percentage points, with its sign."""
    if fraction is None:
        return NONE
    return ("+" if round(100 * fraction, 1) > 0 else "") + _signed(100 * fraction, 1)


def interval(value: Interval | None, form: str = "percent") -> Markup:
    """Return a figure with the ends of its interval; `form`: percent, nats or points."""
    write = {"percent": percent, "nats": nats, "points": points}[form]
    if value is None or value.value is None:
        return element("span", NONE, class_="none")
    figure = element("span", write(value.value), class_="figure")
    if value.low is None or value.high is None:
        return figure
    ends = f"[{write(value.low).rstrip('%')}, {write(value.high).rstrip('%')}]"
    return figure + Markup(" ") + element("span", ends, class_="ends")


def chance(p: float | None) -> str:
    """Return a p value with three digits, as an upper bound if that rounds to zero."""
    return NONE if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def rate(fraction: float | None) -> str:
    """Return a rate as percent with up to two digits."""
    return NONE if fraction is None else f"{round(100 * fraction, 2):g}%"


def lacking(missing: Mapping[str, float]) -> str:
    """Return how many samples lack each modality, as text; those that are never lacking are left out."""
    shares = {name: share for name, share in missing.items() if share}
    if len(shares) > 1 and len(shares) == len(missing) and len({rate(share) for share in shares.values()}) == 1:
        return f"each {rate(next(iter(shares.values())))}"
    return ", ".join(f"{name} {rate(share)}" for name, share in shares.items()) or NONE


def settings(value: Any) -> str:
    """Return a setting of the run as text; a value shared by all modalities is shown once."""
    if not isinstance(value, Mapping):
        return NONE if value is None else str(value)
    if len(value) > 1 and len(set(value.values())) == 1:
        return f"each {next(iter(value.values()))}"
    return ", ".join(f"{name} {setting}" for name, setting in value.items())


def in_words(pattern: str, modalities: Sequence[str] = ()) -> str:
    """Return a pattern's name for use in a sentence; of many `modalities`, where few are missing, by what is missing."""
    missing = [name for name in modalities if name not in pattern.split("+")]
    if len(modalities) < _MANY or len(missing) > _FEW:
        return pattern.replace("+", " + ")
    return f"all but {listed(missing)}" if missing else "everything"


def listed(names: Sequence[str], conjunction: str = "and") -> str:
    """Return names as a list in a sentence."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {conjunction} {names[-1]}"


def quoted(name: str) -> str:
    """Return the name of a class for use in a sentence."""
    return f"\u201c{name}\u201d"


def tick(fraction: float) -> str:
    """Return the label of an axis in percent."""
    return f"{round(100 * fraction, 4):g}%".replace("-", MINUS)


def tick_points(fraction: float) -> str:
    """Return the label of an axis in percentage points."""
    return tick(fraction).rstrip("%")


def tick_nats(value: float) -> str:
    """Return the label of an axis in nats."""
    return f"{round(value, 4):g}".replace("-", MINUS)


def _signed(value: float, digits: int) -> str:
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", MINUS)
