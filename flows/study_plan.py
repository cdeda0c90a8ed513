"""What a study asks and the experiments that answer it, read from conf/study/NAME.yaml.

Its experiments are every combination of its factors' levels, for every case (a data set, with settings) and seed. The
levels of the factor `compare` are the variants: each is held against the level `baseline`, all other factors being
equal, which is a condition. Seeds are the outer loop: a study that is interrupted leaves complete comparisons.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from flows.plan import Planned, legal
from umemma.errors import ParameterError, SettingError, unknown
from umemma.settings import Fraction, Section, section

FOLDER = Path("conf/study")
Levels = Mapping[str, Sequence[str]]  # level -> overrides, as in `dvc exp run -S`
_OWN = {"dataset", "seed"}


class Case(Section):
    """One data set, with overrides for all of its experiments; its `factors` replace those of the study by name."""

    dataset: str
    settings: Sequence[str] = ()
    factors: Mapping[str, Levels] = {}


class Study(Section):
    """A study. `rates`: missing rates at which the expected accuracy is compared beside the sets of modalities.

    `remark`: what a reader must know of the set-up.
    """

    question: str
    remark: str = ""
    seeds: Annotated[Sequence[int], Field(min_length=1)]
    compare: str
    baseline: str
    settings: Sequence[str] = ()
    factors: Mapping[str, Levels]
    cases: Annotated[Mapping[str, Case], Field(min_length=1)]
    rates: Sequence[Fraction] = ()


@dataclass(frozen=True)
class Trial:
    """One experiment and its place: the condition (case, and the level of every factor but the compared one), variant, seed."""

    planned: Planned
    case: str
    condition: str
    variant: str
    seed: int


def names(home: Path) -> list[str]:
    """Return the names of all studies."""
    return sorted(path.stem for path in (home / FOLDER).glob("*.yaml"))


def read(home: Path, name: str) -> Study:
    """Read a study. Raises ParameterError for an unknown name or a file that is none."""
    if name not in names(home):
        raise ParameterError(unknown(f"{FOLDER}/", "study", name, names(home)))
    file = FOLDER / f"{name}.yaml"
    try:
        study = section(Study, **YAML(typ="safe").load((home / file).read_text("utf-8")))
    except (SettingError, YAMLError, TypeError) as error:
        raise ParameterError(f"{file}: {error}") from error
    for title, case in study.cases.items():
        if not re.fullmatch(r"[\w.+-]+", title):
            raise ParameterError(
                f"{file}: cases.{title}: a case's name is one word, as in {legal(title)}: DATASETS lists them"
            )
        _check(study, case, f"{file}: cases.{title}")
    return study


def narrowed(study: Study, datasets: Sequence[str], seeds: Sequence[int]) -> Study:
    """Return the study of these data sets and seeds alone, where any are given; a case may be named in place of its data set."""
    choices = {title: {title, case.dataset} for title, case in study.cases.items()}
    for name in datasets:
        if name not in (known := set().union(*choices.values())):
            raise ParameterError(unknown("--datasets", "data set of this study", name, known))
    cases = {title: study.cases[title] for title, both in choices.items() if not datasets or both & {*datasets}}
    return study.model_copy(update={"cases": cases, "seeds": tuple(dict.fromkeys(seeds or study.seeds))})


def trials(name: str, study: Study) -> list[Trial]:
    """Return every experiment of a study."""
    return [
        _trial(name, study, title, dict(levels), seed)
        for seed in study.seeds
        for title, case in study.cases.items()
        for levels in itertools.product(
            *([(factor, level) for level in levels] for factor, levels in _factors(study, case).items())
        )
    ]


def _factors(study: Study, case: Case) -> dict[str, Levels]:
    return {**study.factors, **case.factors}


def _trial(name: str, study: Study, title: str, levels: Mapping[str, str], seed: int) -> Trial:
    case = study.cases[title]
    factors = _factors(study, case)
    changes = [override for factor, level in levels.items() for override in factors[factor][level]]
    others = [f"{factor} {level}" for factor, level in levels.items() if factor != study.compare]
    overrides = (f"dataset={case.dataset}", f"seed={seed}", *study.settings, *case.settings, *changes)
    return Trial(
        Planned(legal("-".join([name, title, *levels.values(), f"s{seed}"])), overrides),
        title,
        ", ".join([title, *others]),
        levels[study.compare],
        seed,
    )


def _check(study: Study, case: Case, where: str) -> None:
    factors = _factors(study, case)
    if study.compare not in factors:
        raise ParameterError(unknown("compare", "factor", study.compare, factors))
    if study.baseline not in factors[study.compare]:
        raise ParameterError(f"{where}: " + unknown("baseline", "level", study.baseline, factors[study.compare]))
    changes = [one for levels in factors.values() for overrides in levels.values() for one in overrides]
    for override in (*study.settings, *case.settings, *changes):
        if (key := override.partition("=")[0].lstrip("+~")) in _OWN:
            raise ParameterError(f"{where}: {override}: {key} is set by the study itself")
