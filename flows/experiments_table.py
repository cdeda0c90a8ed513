"""A table of experiments: `python -m flows.experiments_table` prints the settings and scores of each.

`dvc exp show` has a column for every parameter that differs anywhere, too many for any screen with two data sets. Here
one column lists the settings: where an experiment's parameters differ from what conf/ composes for its data set. Read
with git, as experiments are git refs, and from the cache: `dvc exp show` takes 2.5 s.
"""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from dvc.dvcfile import LOCK_FILE
from dvc.repo import Repo
from ruamel.yaml import YAML

from flows.experiments import experiments
from flows.git import git
from flows.graph import project_root
from umemma.composition import composed, differences
from umemma.errors import ParameterError, run

PARAMETERS, METRICS = Path("params.yaml"), Path("data/reports/metrics.json")
WIDTH, NAME, SETTINGS = 100, 30, 24  # characters: the table, at most for a name, at least for the settings
SCORES = {"accuracy": "accuracy", "f1_micro": "micro F1"}
SUMMARY = {"all": "all", "worst_single": "worst", "mean": "mean"}


@dataclass(frozen=True)
class Entry:
    """An experiment, or the workspace; `metrics` are empty before the first run, `baseline` is a short commit or ''."""

    name: str
    baseline: str
    parameters: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, Any]]

    @property
    def score(self) -> str:
        """The name of the score: the only key of the metrics, or ''."""
        return next(iter(self.metrics), "")

    @property
    def figures(self) -> Mapping[str, Any]:
        """The figures by name, `patterns` among them."""
        return self.metrics.get(self.score, {})


def entries(home: Path) -> Iterator[Entry]:
    """Yield the workspace, the baseline if HEAD has a run, then every experiment: those on HEAD first, then the newest.

    The workspace has no figures where params.yaml has changed since the last run.
    """
    text = {
        path: (home / path).read_text("utf-8") if (home / path).exists() else ""
        for path in (PARAMETERS, METRICS, Path(LOCK_FILE))
    }
    parameters = _mapping(text[PARAMETERS])
    is_up_to_date = _is_of(_mapping(text[Path(LOCK_FILE)]), parameters)
    yield Entry("workspace", "", parameters, _metrics(text[METRICS]) if is_up_to_date else {})
    head = git(home, "rev-parse", "HEAD")
    if metrics := _output(home, head):
        yield Entry("baseline", "", _mapping(_committed(home, head, PARAMETERS)), _metrics(metrics))
    for one in sorted(experiments(home), key=lambda one: one.baseline != head):
        parameters = _mapping(_committed(home, one.revision, PARAMETERS))
        baseline = "" if one.baseline == head else one.baseline[:7]
        yield Entry(one.name, baseline, parameters, _metrics(_output(home, one.revision)))


def settings(entry: Entry, conf: Path) -> list[str]:
    """Return `key=value` wherever the parameters differ from what conf/ composes for the data set, except `arm`."""
    name = entry.parameters.get("dataset", {}).get("name")
    changed = [f"dataset={name}"]
    try:
        changed = [] if name == _composed(conf)["dataset"]["name"] else changed
        defaults = _composed(conf, f"dataset={name}")
    except ParameterError:  # conf/ no longer has the experiment's data set, or is not valid itself
        return changed
    return changed + [
        f"{key}={_short(value)}" for key, value, _ in differences(entry.parameters, defaults) if key != "arm"
    ]


def table(rows: Sequence[Entry], conf: Path) -> str:
    """Return the table, at most WIDTH wide: name, arm, scores in percent, settings."""
    name_width = min(NAME, max(len(_name(row)) for row in rows)) + 2
    arm_width = max(3, *(len(str(row.parameters.get("arm", ""))) for row in rows)) + 2
    columns = _columns(rows, WIDTH - name_width - arm_width - SETTINGS)
    left = name_width + arm_width + sum(columns.values())
    title = f"{'experiment':<{name_width}}{'arm':<{arm_width}}"
    lines = [title + "".join(f"{name:<{width}}" for name, width in columns.items()) + "set"]
    for row in rows:
        figures = {short: row.figures.get(name) for name, short in SUMMARY.items()} | dict(
            row.figures.get("patterns", {})
        )
        start = f"{_cut(_name(row), name_width - 2):<{name_width}}"
        start += f"{row.parameters.get('arm', ''):<{arm_width}}"
        start += "".join(f"{_percent(figures.get(name)):<{width}}" for name, width in columns.items())
        words = textwrap.wrap(" ".join(settings(row, conf)), WIDTH - left, break_on_hyphens=False) or [""]
        lines += [(start + words[0]).rstrip(), *(" " * left + more for more in words[1:])]
    return "\n".join(lines)


def _columns(rows: Sequence[Entry], room: int) -> dict[str, int]:
    """Return {title: width}: the summary, then as many patterns as fit: all, single modalities, or none."""
    summary = dict.fromkeys(SUMMARY.values(), 7)
    patterns = list(dict.fromkeys(name for row in rows for name in list(row.figures.get("patterns", {}))[1:]))
    for shown in (patterns, [name for name in patterns if "+" not in name]):
        widths = {name: max(len(name), 5) + 2 for name in shown}
        if sum(summary.values()) + sum(widths.values()) <= room:
            return summary | widths
    return summary


def _name(row: Entry) -> str:
    return row.name + (f" @{row.baseline}" if row.baseline else "")


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _short(value: object) -> str:
    return _cut(json.dumps(value, ensure_ascii=False).replace('"', ""), 60)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _mapping(text: str) -> Mapping[str, Any]:
    content = YAML(typ="safe").load(text) if text else {}
    return content if isinstance(content, Mapping) else {}


def _is_of(lock: Mapping[str, Any], parameters: Mapping[str, Any]) -> bool:
    """Return whether dvc.lock holds a run with these parameters, as far as its stages depend on them."""
    for stage in lock.get("stages", {}).values():
        for key, value in stage.get("params", {}).get(str(PARAMETERS), {}).items():
            current: Any = parameters
            for part in key.split("."):
                current = current.get(part) if isinstance(current, Mapping) else None
            # None: a parameter of another data set, whose stages dvc.lock may still hold
            if current is not None and current != value:
                return False
    return True


def _metrics(text: str) -> Mapping[str, Mapping[str, Any]]:
    content: Mapping[str, Mapping[str, Any]] = json.loads(text) if text else {}
    return content


def _output(home: Path, revision: str) -> str:
    """Return the metrics of a commit from DVC's cache; '' where dvc.lock names none, or the cache has lost them."""
    entry = rf"- path: {re.escape(str(METRICS))}\n(?: +hash: md5\n)? +md5: ([0-9a-f]{{32}})"
    if not (match := re.search(entry, _committed(home, revision, Path(LOCK_FILE)))):
        return ""
    path = Path(_cache(home).oid_to_path(match[1]))
    return path.read_text("utf-8") if path.exists() else ""


@cache
def _cache(home: Path) -> Any:
    with Repo(str(home)) as repo:
        return repo.cache.local


def _committed(home: Path, revision: str, path: Path) -> str:
    """Return a file's content in a commit; '' if the commit lacks it, as experiments of older code may."""
    is_present = git(home, "ls-tree", "--name-only", revision, "--", f"./{path}")
    return git(home, "show", f"{revision}:./{path}") if is_present else ""


@cache
def _composed(conf: Path, *overrides: str) -> dict[str, Any]:
    return composed(conf, overrides)


def main() -> None:
    """Print the name of the score, then the table."""
    home = project_root(Path.cwd())
    rows = list(entries(home))
    scores = [SCORES.get(score, score) for score in dict.fromkeys(row.score for row in rows if row.metrics)]
    if scores:
        print(f"test {' or '.join(scores)} in percent, by what is present; `worst` of single modalities\n")
    print(table(rows, home / "conf"))
    if len(rows) == 1:
        print("\nno experiment yet; `dvc exp run -S fuse.missing_rate=0.25` makes one")


if __name__ == "__main__":
    run(main)
