"""The pipeline as DVC sees it: every stage with its upstreams and its `meta`, and which stages are stale.

Read once per run, in this process (0.3 s; a `dvc` command takes 0.6 s), under DVC's own lock. Staleness here ignores
upstream stages: whether a fresh stage must run because one of these wrote is known only during the run.

`meta` in dvc.yaml, which DVC ignores, says how the flow runs a stage: `retries` (a count), `retry_delay_seconds`,
`timeout_seconds` (of each try) and `gpu` (anything true). The first three are named as Prefect names them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkx
from dvc.exceptions import DvcException, NotDvcRepoError
from dvc.lock import LockError
from dvc.repo import Repo

from umemma.errors import ParameterError, UmemmaError, unknown


@dataclass(frozen=True)
class Stage:
    """One node: `name` is what `dvc repro` takes, `outs` are paths relative to the project's root."""

    name: str
    upstreams: tuple[str, ...]
    outs: tuple[str, ...]
    retries: int
    retry_delay_seconds: float
    timeout_seconds: float | None
    needs_gpu: bool


@dataclass(frozen=True)
class Graph:
    """Stages in topological order, and the names of those whose dependencies or outputs changed."""

    stages: tuple[Stage, ...]
    stale: frozenset[str]

    def upto(self, targets: Sequence[str]) -> "Graph":
        """Return the stages that the targets need, as in `dvc repro TARGET`; a `foreach` name means all its stages."""
        by_name = {stage.name: stage for stage in self.stages}
        groups = {name.partition("@")[0] for name in by_name if "@" in name}
        wanted: list[str] = []
        for target in targets:
            matches = [name for name in by_name if target in (name, name.partition("@")[0])]
            if not matches:
                raise ParameterError(unknown("dvc.yaml", "stage", target, {*by_name, *groups}))
            wanted += matches
        kept: set[str] = set()
        while wanted:
            name = wanted.pop()
            if name not in kept:
                kept.add(name)
                wanted += by_name[name].upstreams
        return Graph(tuple(stage for stage in self.stages if stage.name in kept), self.stale & kept)

    def makes(self, path: str) -> bool:
        """Whether one of the stages writes this path."""
        return any(path in stage.outs for stage in self.stages)


def project_root(start: Path) -> Path:
    """Return the root of the DVC project that `start` lies in."""
    try:
        return Path(Repo.find_root(str(start)))
    except NotDvcRepoError as error:
        raise UmemmaError(f"{start}: not inside a DVC project (no .dvc folder here or above)") from error


def read_graph(root: Path) -> Graph:
    """Read dvc.yaml, dvc.lock and the state of the files under `root`."""
    try:
        with Repo(str(root), _wait_for_lock=True) as repo:
            graph = repo.index.graph
            status: Mapping[str, Any] = repo.status()
            order = [node for node in networkx.topological_sort(graph.reverse()) if node.cmd]
            stages = tuple(_stage(root, node, graph) for node in order)
            stale = frozenset(_name(root, node) for node in order if node.addressing in status)
    except LockError as error:
        raise UmemmaError(f"{root}: DVC is already running here. {error}") from error
    except DvcException as error:
        raise UmemmaError(f"{root}: DVC cannot read the pipeline. {_causes(error)}") from error
    return Graph(stages, stale)


def _stage(root: Path, node: Any, graph: Any) -> Stage:
    name, meta = _name(root, node), node.meta or {}
    return Stage(
        name=name,
        upstreams=tuple(sorted(_name(root, other) for other in graph.successors(node) if other.cmd)),
        outs=tuple(Path(out.fs_path).relative_to(root).as_posix() for out in node.outs if _inside(root, out.fs_path)),
        retries=_retries(name, meta),
        retry_delay_seconds=_seconds(name, meta, "retry_delay_seconds") or 1,
        timeout_seconds=_seconds(name, meta, "timeout_seconds"),
        needs_gpu=bool(meta.get("gpu", False)),
    )


def _retries(name: str, meta: Mapping[str, Any]) -> int:
    value = meta.get("retries", 0)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ParameterError(f"dvc.yaml: meta.retries of {name} is {value!r}; it must be a count, 0 or more")
    return value


def _seconds(name: str, meta: Mapping[str, Any], key: str) -> float | None:
    value = meta.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value > 0):
        raise ParameterError(f"dvc.yaml: meta.{key} of {name} is {value!r}; it must be a number of seconds above 0")
    return value


def _name(root: Path, node: Any) -> str:
    """Return a stage's address from the project's root; DVC's `addressing` is relative to the current folder."""
    file = Path(node.path).relative_to(root).as_posix()
    name = getattr(node, "name", None)
    if name is None:
        return file
    return str(name) if file == "dvc.yaml" else f"{file}:{name}"


def _inside(root: Path, path: str) -> bool:
    return Path(path).is_relative_to(root)


def _causes(error: BaseException | None) -> str:
    """Join the messages of the chain: DVC puts the useful half of an error into its cause."""
    messages: list[str] = []
    while error is not None:
        messages.append(" ".join(str(error).split()))
        error = error.__cause__
    return ": ".join(message for message in messages if message)
