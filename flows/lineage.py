"""What a run was made from: one definition of it, for tracing back and for promotion.

dvc.lock names, for each stage, what it read and wrote by hash, and the parameters that it depends on; git says which
code that was. A run is in the workspace, in an experiment, or in a commit.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.dvcfile import LOCK_FILE
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from flows.experiments import changed_files, experiments
from flows.git import git
from flows.objects import Objects, is_hash
from flows.overrides import PARAMS_FILE
from umemma.errors import UmemmaError

EXPORT, MODEL, SHARDS, MASKS = "data/export", "data/model", "data/shards", "data/masks"
VALIDATION, ADMITTED, GATES = "data/reports/validation.json", "data/gates/shards.json", "data/gates/method.json"
RAW, WATCHED = "data/raw.json", "data/watched.json"
WORKSPACE = "the workspace"


@dataclass(frozen=True)
class Artifact:
    """A file or folder as DVC names it: `md5` of a folder ends in `.dir`, `size` is in bytes."""

    path: str
    md5: str
    size: int


@dataclass(frozen=True)
class Stage:
    """One stage as it ran; `params` are what it depends on, by dotted key."""

    name: str
    deps: tuple[Artifact, ...]
    outs: tuple[Artifact, ...]
    params: Mapping[str, Any]


@dataclass(frozen=True)
class Lineage:
    """One dvc.lock, and the commit that it belongs to.

    `where` begins or ends a sentence: "the workspace", "experiment NAME", "commit 1a2b3c4 of 2026-11-26". In the
    workspace `commit` is HEAD, and `is_dirty` says that tracked files differ from it, those apart that runs write.
    """

    where: str
    commit: str
    is_dirty: bool
    stages: tuple[Stage, ...]

    def artifact(self, path: str) -> Artifact | None:
        """Return an output by its path, None if no stage has written it."""
        return next((out for stage in self.stages for out in stage.outs if out.path == path), None)

    def upstream(self, path: str) -> list[Stage]:
        """Return the stage that wrote `path` and all before it, in an order in which they can run."""
        found: dict[str, Stage] = {}

        def add(wanted: str) -> None:
            for stage in self.stages:
                if stage.name not in found and any(_overlap(out.path, wanted) for out in stage.outs):
                    for dep in stage.deps:
                        add(dep.path)
                    found[stage.name] = stage

        add(path)
        return list(found.values())

    def parameters(self, path: str) -> dict[str, Any]:
        """Return what was set of `path` and of all before it, by dotted key."""
        merged: dict[str, Any] = {}
        for stage in self.upstream(path):
            merged |= stage.params
        return dict(sorted(merged.items()))

    def outdated(self, path: str) -> list[str]:
        """Return a sentence for whatever was made anew since `path` was made from it; of a run to its end there is none."""
        sentences = []
        for stage in self.upstream(path):
            for dep in stage.deps:
                now = self.artifact(dep.path)
                if now is not None and now.md5 != dep.md5:
                    sentences.append(f"{dep.path} has been made anew since {stage.name} read it")
        return sentences


def gather(home: Path, revision: str | None = None) -> Lineage:
    """Return what the workspace's run was made from, or that of an experiment by its name, or of a git revision."""
    if revision is None:
        return _of_workspace(home)
    for experiment in experiments(home):
        if revision in (experiment.name, experiment.revision):
            return _of_commit(home, experiment.revision, f"experiment {experiment.name}")
    found = git(
        home,
        "rev-parse",
        "--verify",
        "--quiet",
        "--end-of-options",
        f"{revision}^{{commit}}",
        otherwise=f"there is no experiment, branch, tag or commit {revision!r}",
    )
    return _of_commit(home, found, f"commit {found[:7]}")


def everywhere(home: Path, unreadable: Callable[[str, str], None]) -> Iterator[Lineage]:
    """Yield the workspace, then the experiments, the newest first, then each commit that changed dvc.lock, likewise.

    `unreadable` is told where a dvc.lock of the past cannot be read, and why; the workspace's raises UmemmaError.
    """
    if (home / LOCK_FILE).exists():
        yield _of_workspace(home)
    for revision, where in (*_experiments(home), *_history(home)):
        try:
            yield _of_commit(home, revision, where)
        except UmemmaError as error:
            unreadable(where, str(error))


def raw_files(lineage: Lineage, objects: Objects) -> dict[str, str]:
    """Return {file: sha256} of the raw files that the run was made from, as its first stages wrote them down.

    Of data that a person may change these are the tables and lists; of the media that they name, see the manifest.
    """
    found: dict[str, str] = {}
    for path, key in ((RAW, "files"), (WATCHED, "lists")):
        if (artifact := lineage.artifact(path)) is not None:
            found |= objects.read_json(artifact.md5)[key]
    return found


def _experiments(home: Path) -> Iterator[tuple[str, str]]:
    for experiment in experiments(home):
        yield experiment.revision, f"experiment {experiment.name}"


def _history(home: Path) -> Iterator[tuple[str, str]]:
    history = ("--exclude=refs/exps/*", "--all", "--diff-filter=AM", "--format=%H %cs")
    for line in git(home, "log", *history, "--", LOCK_FILE).splitlines():
        revision, date = line.split()
        yield revision, f"commit {revision[:7]} of {date}"


def of_text(text: str, where: str, commit: str) -> Lineage:
    """Return the run of a dvc.lock that was kept elsewhere; `commit` is as `git describe --dirty` says."""
    return Lineage(
        where, commit.removesuffix("-dirty"), commit.endswith("-dirty"), _stages(text, f"{LOCK_FILE} of {where}")
    )


def _of_workspace(home: Path) -> Lineage:
    if not (home / LOCK_FILE).exists():
        raise UmemmaError(f"{home} has no {LOCK_FILE}: nothing has run here; `make run` does")
    text = (home / LOCK_FILE).read_text("utf-8")
    head = git(home, "rev-parse", "--verify", "--quiet", "HEAD", otherwise="there is no commit yet")
    return Lineage(WORKSPACE, head, bool(changed_files(home, head)), _stages(text, home / LOCK_FILE))


def _of_commit(home: Path, revision: str, where: str) -> Lineage:
    text = git(home, "show", f"{revision}:./{LOCK_FILE}", otherwise=f"{where} has no {LOCK_FILE}")
    return Lineage(where, revision, is_dirty=False, stages=_stages(text, f"{LOCK_FILE} of {where}"))


def _stages(text: str, where: object) -> tuple[Stage, ...]:
    try:
        content = YAML(typ="safe").load(text)
        return tuple(_stage(name, entry) for name, entry in (content.get("stages") or {}).items())
    except (YAMLError, AttributeError, KeyError, TypeError) as error:
        raise UmemmaError(f"{where} is not as DVC writes it: {' '.join(str(error).split())}") from error


def _stage(name: str, entry: Mapping[str, Any]) -> Stage:
    deps, outs = (tuple(map(_artifact, entry.get(kind) or ())) for kind in ("deps", "outs"))
    return Stage(name, deps, outs, (entry.get("params") or {}).get(PARAMS_FILE) or {})


def _artifact(entry: Mapping[str, Any]) -> Artifact:
    if not is_hash(entry["md5"]) or Path(entry["path"]).is_absolute() or ".." in Path(entry["path"]).parts:
        raise TypeError(f"{entry['path']!r}, md5 {entry['md5']!r}")  # a lock of strangers must not name any other file
    return Artifact(entry["path"], entry["md5"], entry.get("size", 0))


def _overlap(path: str, other: str) -> bool:
    """Whether one is the other, or lies in it: a stage may read a folder that several wrote, or a file of one."""
    return Path(path).is_relative_to(other) or Path(other).is_relative_to(path)
