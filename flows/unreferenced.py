"""Files in DVC's cache that no run needs: no commit, branch, experiment or run in MLflow, nor the workspace.

`dvc gc` does not know the runs in MLflow, whose `dvc.lock` says what a model was made from, and opens every commit; here
only those that changed `dvc.lock` are read. A run that cannot be read might need anything, so then nothing is
unreferenced.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dvc.dvcfile import LOCK_FILE
from dvc.repo import Repo
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree

from flows import lineage
from flows.git import git
from flows.lineage import Lineage
from umemma.errors import UmemmaError


def unreferenced(home: Path) -> list[Path]:
    """Return the files of the cache that nothing names. Raises UmemmaError if it cannot be known what something names."""
    with Repo(str(home)) as repo:
        cache = repo.cache.local
        if not Path(cache.path).is_relative_to(home):
            raise UmemmaError(f"{cache.path} lies outside of this project, so others may use it: `dvc gc --projects`")
        every = {"all_commits": True, "all_experiments": True} if _has_dvc_files(home) else {}
        used = {one.value for named in repo.used_objs(**every).values() for one in named}
        used |= set(_with_files(cache, {md5 for run in _runs(home) for md5 in _hashes(run)}))
        return [Path(cache.oid_to_path(md5)) for md5 in cache.all() if md5 not in used]


def _runs(home: Path) -> Iterator[Lineage]:
    from umemma.tracking import find, record  # imports MLflow, 2 s

    def unreadable(where: str, why: str) -> None:
        raise UmemmaError(f"{where} cannot be read, and may need anything: {why}")

    yield from lineage.everywhere(home, unreadable)
    for run, text in find.lineage_files(home, LOCK_FILE):
        yield lineage.of_text(text, f"MLflow run {run}", "")
    for path in record.kept(home).rglob(LOCK_FILE):  # not logged yet
        yield lineage.of_text(path.read_text("utf-8"), str(path), "")


def _hashes(run: Lineage) -> Iterator[str]:
    for stage in run.stages:
        yield from (artifact.md5 for artifact in (*stage.deps, *stage.outs))


def _with_files(cache: Any, hashes: Iterable[str]) -> Iterator[str]:
    """Yield the hashes, and those of the files in folders that the cache has."""
    for md5 in hashes:
        yield md5
        if md5.endswith(".dir") and cache.exists(md5):
            yield from (found.value for _, _, found in Tree.load(cache, HashInfo("md5", md5)))


def _has_dvc_files(home: Path) -> bool:
    """Whether any commit tracks data with a file of its own, `x.dvc`, which dvc.lock does not name."""
    return bool(git(home, "log", "--all", "--format=%H", "-n", "1", "--", "*.dvc"))
