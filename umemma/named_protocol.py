"""Protocols by the names that papers give them: how often a sample keeps which set of modalities, in per cent.

    complete                      nothing is hidden
    both 70                       70 % of the samples are incomplete, half of them without the one, half without the other
    incomplete 70                 the same of any number of modalities: each incomplete set equally often
    image 30 / text 100           so many per cent of the samples keep each, of those not named all; a sample lacks at most one
    each 30                       `image 30`, then `text 30`, ...: a protocol for every modality
    leave-random-sensors-out 50   each sample loses half of the modalities, rounded; every half equally often
    leave-fixed-sensors-out 50    every sample loses the same half, the modalities that tell most by themselves
    class-dependent 70            70 % of the samples of class c lose modality number c modulo M, so that presence tells the class

The rate of the first five is that of missing-aware prompts (Lee et al. 2023, arXiv 2303.03369): a share of samples. Sensors
are left out as by Raindrop (Zhang et al. 2022, arXiv 2110.05357), a modality in place of a sensor. The last is ours: no
definition is shared by several papers.

A sample that would lose all that it has keeps it, as under every protocol of `umemma.missingness`.
"""

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from umemma.errors import SettingError, unknown

if TYPE_CHECKING:
    from umemma.missingness import Pattern  # imports torch, which whoever only reads parameters does without

_RATED = ("both", "incomplete", "each", "leave-random-sensors-out", "leave-fixed-sensors-out", "class-dependent")
FORMS = ("complete", *(f"{form} RATE" for form in _RATED), "MODALITY RATE / ...")
_OF_TESTS = ("each", "leave-fixed-sensors-out")  # what training cannot follow: several at once, and what towers tell
ANY = "any"  # class, in a protocol of one's own
_MOST_SETS = 5_000  # that training chooses from: all of twelve modalities
_PART = re.compile(r"(\S+) (\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class NamedProtocol:
    """The sets of modalities that are kept, and how often.

    shares   (row, set), each row sums to 1; samples of class c have row c modulo the number of rows
    num_of   how many sets the protocol draws from, where only some of them, as good as drawn at random, are in `sets`
    """

    name: str
    sets: "tuple[Pattern, ...]"
    shares: tuple[tuple[float, ...], ...]
    num_of: int

    @property
    def rates(self) -> tuple[float, ...]:
        """Return how often each modality is hidden from samples that have everything, every class counting the same."""
        often = [fmean(column) for column in zip(*self.shares, strict=True)]
        return tuple(
            sum(share for share, kept in zip(often, self.sets, strict=True) if not kept[m])
            for m in range(len(self.sets[0]))
        )


def is_named(text: str) -> bool:
    """Return whether a text has the form of a name, whatever the modalities are called."""
    return text == "complete" or all(_PART.fullmatch(part) for part in text.split(" / "))


def expanded(names: Sequence[str], modalities: Sequence[str]) -> list[str]:
    """Return each name once, `each 30` as one name for every modality; none that hides something of a single modality."""
    if len(modalities) == 1:
        names = [name for name in names if name == "complete"]
    result: list[str] = []
    for name in names:
        form, _, rate = name.partition(" ")
        result += [f"{modality} {rate}" for modality in modalities] if form == "each" else [name]
    return list(dict.fromkeys(result))


def of_training(name: str, modalities: Sequence[str], where: str = "fuse.protocol") -> NamedProtocol:
    """Return the protocol as training follows it. Raises SettingError where it can only be tested, or fits no modalities."""
    if name.partition(" ")[0] in _OF_TESTS:
        raise SettingError(f"{where}: {name!r} is for tests, in evaluate.protocols, and training cannot follow it")
    try:
        return parsed(name, modalities)
    except SettingError as error:
        raise SettingError(f"{where}: {error}") from error


def parsed(
    name: str, modalities: Sequence[str], *, order: Sequence[int] = (), known: "Sequence[Pattern] | None" = None
) -> NamedProtocol:
    """Return the protocol of a name.

    `order`: modalities by what they tell, most first, which `leave-fixed-sensors-out` needs. `known`: sets on file; of
    the sets of a size, which are equally often left, those stand for all. Raises SettingError for a name that says
    nothing of these modalities, or of too many sets.
    """
    num = len(modalities)
    everything = (True,) * num
    form, _, rate_text = name.partition(" ")
    if name == "complete":
        return _of(name, {everything: 1.0})
    if num == 1:
        raise SettingError(f"protocol {name!r} hides modalities, and there is only {modalities[0]}")
    if form in _RATED and form not in modalities:
        rate = _fraction(name, rate_text)
        if form == "both" and num != 2:
            raise SettingError(f"protocol {name!r} is of two modalities, not of {num}: take 'incomplete {rate_text}'")
        if form in ("both", "incomplete"):
            sizes = {size: rate * math.comb(num, size) / (2**num - 2) for size in range(num - 1, 0, -1)}
            return _of_sizes(name, {num: 1 - rate} | sizes, num, known)
        if form == "class-dependent":
            return _by_class(name, rate, num)
        if form == "each":
            raise SettingError(f"protocol {name!r} is one for every modality; name one of them")
        lost = min(max(1, round(rate * num)), num - 1)
        if form == "leave-random-sensors-out":
            return _of_sizes(name, {num - lost: 1.0}, num, known)
        assert len(order) == num, "`order` says which tell most"
        return _of(name, {tuple(m not in order[:lost] for m in range(num)): 1.0})
    return _of(name, _at_most_one(name, modalities))


def own(
    name: str, by_class: Mapping[str, Mapping[str, float]], modalities: Sequence[str], classes: Sequence[str]
) -> NamedProtocol:
    """Return a protocol from {class: {set: share}}; `any` in place of a class is every class that is not named.

    Raises SettingError for an unknown class or modality, and for shares that do not sum to 1.
    """
    for unknown_class in by_class.keys() - {ANY, *classes}:
        raise SettingError(unknown(name, "class", unknown_class, [ANY, *classes]))
    if missing := [] if ANY in by_class else [known for known in classes if known not in by_class]:
        raise SettingError(f"{name}: says nothing of class {missing[0]!r}; `any` is every class that is not named")
    rows = {row: _sets(f"{name}: {row}", shares, modalities) for row, shares in by_class.items()}
    sets = tuple(dict.fromkeys(pattern for shares in rows.values() for pattern in shares))
    table = [[rows[row].get(pattern, 0.0) for pattern in sets] for row in (c if c in rows else ANY for c in classes)]
    return NamedProtocol(name, sets, tuple(map(tuple, table)), len(sets))


def _sets(where: str, shares: Mapping[str, float], modalities: Sequence[str]) -> "dict[Pattern, float]":
    result = {}
    for text, share in shares.items():
        names = text.split("+")
        for name in names:
            if name not in modalities:
                raise SettingError(unknown(where, "modality", name, modalities))
        result[tuple(name in names for name in modalities)] = share
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise SettingError(f"{where}: the shares of its sets sum to 1, not {sum(shares.values()):g}")
    return result


def _of(name: str, shares: "Mapping[Pattern, float]", num_of: int | None = None) -> NamedProtocol:
    some = {pattern: share for pattern, share in shares.items() if share > 0}
    return NamedProtocol(name, tuple(some), (tuple(some.values()),), num_of or len(some))


def _fraction(name: str, text: str) -> float:
    if not re.fullmatch(r"\d+(\.\d+)?", text) or float(text) > 100:
        raise SettingError(f"protocol {name!r}: a rate is a number of per cent from 0 to 100, not {text!r}")
    return float(text) / 100


def _at_most_one(name: str, modalities: Sequence[str]) -> "dict[Pattern, float]":
    lacks = dict.fromkeys(modalities, 0.0)
    for part in name.split(" / "):
        matched = _PART.fullmatch(part)
        if not matched:
            raise SettingError(unknown(f"protocol {name!r}", "form", part, FORMS))
        if matched[1] not in lacks:
            raise SettingError(unknown(f"protocol {name!r}", "modality or form", matched[1], [*modalities, *_RATED]))
        lacks[matched[1]] = 1 - _fraction(name, matched[2])
    if (total := sum(lacks.values())) > 1 + 1e-9:
        raise SettingError(
            f"protocol {name!r}: a sample lacks at most one modality, so the shares that lack one sum to at most 100 %, "
            f"not {100 * total:g} %"
        )
    without = {tuple(number != m for number in range(len(modalities))): share for m, share in enumerate(lacks.values())}
    return {(True,) * len(modalities): max(0.0, 1 - total)} | without


def _of_sizes(name: str, often: Mapping[int, float], num: int, known: "Sequence[Pattern] | None") -> NamedProtocol:
    """Return the protocol that leaves so many modalities so `often`, every set of a size alike."""
    num_of = sum(math.comb(num, size) for size, share in often.items() if share)
    if known is None and num_of > _MOST_SETS:
        raise SettingError(
            f"protocol {name!r} chooses from {num_of:,} sets of {num} modalities, more than {_MOST_SETS:,}"
        )
    shares: dict[Pattern, float] = {}
    for size, share in often.items():
        if known is None:
            sets = [tuple(m in left for m in range(num)) for left in itertools.combinations(range(num), size)]
        else:
            sets = [pattern for pattern in known if sum(pattern) == size]
        shares |= dict.fromkeys(sets, share / max(1, len(sets)))
    return _of(name, shares, num_of)


def _by_class(name: str, rate: float, num: int) -> NamedProtocol:
    sets = ((True,) * num, *(tuple(number != m for number in range(num)) for m in range(num)))
    shares = tuple((1 - rate, *(rate * (m == number) for number in range(num))) for m in range(num))
    return NamedProtocol(name, sets, shares, len(sets))
