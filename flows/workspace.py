"""Where a run takes place: the user's workspace, or a separate git worktree for a run with overrides.

A worktree rather than `dvc exp run --temp`, because the flow runs stage by stage and that command runs all as one. It
is under `.dvc/tmp`, starts from HEAD plus the uncommitted changes of tracked files (like `dvc exp run`; untracked files
are listed but not copied, except a dvc.lock before its first commit), shares DVC's cache, and ends as an experiment in
the main repository.

Data are linked from the cache, never copied. A lock, which the kernel releases when the process ends, marks a worktree
as in use, so that the next run removes what a killed one left.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from dvc.config import Config
from dvc.dvcfile import LOCK_FILE
from dvc.exceptions import DvcException
from dvc.repo import Repo

from flows.git import git
from flows.overrides import apply_overrides, checked_form
from umemma.errors import ParameterError
from umemma.locks import obtained

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Workspace:
    """`root` is where DVC runs, `home` the main repository; `settings` are added to the environment of the stages."""

    root: Path
    home: Path
    settings: Mapping[str, str]

    def environment(self) -> dict[str, str]:
        """Return the environment of a `dvc` process here; `python` in a stage's command is this interpreter."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        anchors = {"DVC_ROOT": str(self.home), "UMEMMA_HOME": str(self.home)}
        quiet = {"DVC_NO_ANALYTICS": "1", "DO_NOT_TRACK": "true", "PYTHONUNBUFFERED": "1"}
        return {**os.environ, "PATH": path, **quiet, **anchors, **self.settings}


def own_workspace(home: Path) -> Workspace:
    """Return the user's working copy."""
    return Workspace(home, home, {})


@contextmanager
def experiment(home: Path, overrides: Sequence[str], name: str, tell: Tell) -> Iterator[Workspace]:
    """Create a worktree with the overrides applied; remove it at the end in any case."""
    checked_form(overrides)
    baseline = git(home, "rev-parse", "--verify", "--quiet", "HEAD", otherwise="there is no commit to start from")
    _check_name(home, baseline, name)
    store = home / ".dvc" / "tmp" / "flows"
    store.mkdir(parents=True, exist_ok=True)
    prune(home)
    if any(_made_in(folder) == f"{baseline} {name}" for folder in in_use(home)):
        raise ParameterError(f"a run that is under way makes an experiment {name}, too: choose another name")
    folder = store / f"run-{uuid4().hex[:12]}"
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(f"{baseline} {name}")
        lock.flush()
        try:
            _add_worktree(home, folder, baseline, tell)
            root = folder / git(home, "rev-parse", "--show-prefix")
            if (home / LOCK_FILE).exists() and not (root / LOCK_FILE).exists():
                shutil.copy(home / LOCK_FILE, root / LOCK_FILE)
            _share_cache(home, root)
            if overrides:
                git(root, "add", "--force", "--", *apply_overrides(root, overrides))
            yield Workspace(root, home, {"DVC_EXP_NAME": name, "DVC_EXP_BASELINE_REV": baseline})
        finally:
            _remove_worktree(home, folder)


def prune(home: Path) -> None:
    """Remove the worktrees of runs that were killed."""
    for folder in left(home):
        with suppress(OSError), open(folder.with_suffix(".lock")) as lock:
            if obtained(lock):
                _remove_worktree(home, folder)


def left(home: Path) -> list[Path]:
    """Return the worktrees of runs that were killed."""
    return [folder for folder in _worktrees(home) if not _is_in_use(folder)]


def in_use(home: Path) -> list[Path]:
    """Return the worktrees of runs that are under way."""
    return [folder for folder in _worktrees(home) if _is_in_use(folder)]


def _worktrees(home: Path) -> list[Path]:
    return [path.with_suffix("") for path in sorted((home / ".dvc" / "tmp" / "flows").glob("run-*.lock"))]


def _made_in(folder: Path) -> str:
    """Return commit and name of the experiment that a worktree is for; nothing if it has just been removed."""
    try:
        return folder.with_suffix(".lock").read_text()
    except OSError:
        return ""


def _is_in_use(folder: Path) -> bool:
    try:
        with open(folder.with_suffix(".lock")) as lock:
            return not obtained(lock)
    except FileNotFoundError:
        return False
    except OSError:  # of another user
        return True


def _add_worktree(home: Path, folder: Path, baseline: str, tell: Tell) -> None:
    top = Path(git(home, "rev-parse", "--show-toplevel"))
    git(top, "worktree", "add", "--detach", "--quiet", str(folder), baseline)
    plain = ("--binary", "--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/")
    changes = subprocess.run(["git", "diff", "HEAD", *plain], cwd=top, capture_output=True, check=True).stdout
    if changes:
        subprocess.run(["git", "apply", "--index", "--whitespace=nowarn", "-"], cwd=folder, input=changes, check=True)
    untracked = git(top, "ls-files", "--others", "--exclude-standard").splitlines()
    if untracked := [path for path in untracked if Path(path).name != LOCK_FILE]:
        named = ", ".join(untracked[:5]) + (", ..." if len(untracked) > 5 else "")
        tell(f"{len(untracked)} untracked files are not part of this run (git add them): {named}")


def _share_cache(home: Path, root: Path) -> None:
    """Point the worktree's DVC at the main cache and check out what is cached; the run makes the rest."""
    local = home / ".dvc" / "config.local"
    if local.is_file():
        shutil.copy(local, root / ".dvc" / "config.local")
    with Repo(str(home)) as repo:
        cache = repo.cache.local_cache_dir
        links = repo.config["cache"].get("type") or ["reflink", "hardlink", "symlink", "copy"]
    with Config(dvc_dir=str(root / ".dvc")).edit("local") as config:
        config.setdefault("cache", {}).update(dir=str(cache), type=links)
        config.setdefault("core", {})["site_cache_dir"] = str(root / ".dvc" / "tmp" / "site")
    with Repo(str(root)) as repo, suppress(DvcException):
        repo.checkout(force=True, allow_missing=True)


def _check_name(home: Path, baseline: str, name: str) -> None:
    if (
        subprocess.run(["git", "check-ref-format", f"refs/exps/{name}"], cwd=home, check=False).returncode
        or not re.fullmatch(r"\w[\w.+-]*", name, flags=re.ASCII)  # git allows `x;id`, and people paste names
    ):
        raise ParameterError(f"--name {name!r}: not a name for an experiment (letters, digits, '-', '_', '+' and '.')")
    if git(home, "for-each-ref", f"refs/exps/{baseline[:2]}/{baseline[2:]}/{name}"):
        raise ParameterError(f"--name {name!r}: there is an experiment of this name; `dvc exp remove {name}` or rename")


def _remove_worktree(home: Path, folder: Path) -> None:
    subprocess.run(
        ["git", "worktree", "remove", "--force", "--force", str(folder)], cwd=home, capture_output=True, check=False
    )
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run(["git", "worktree", "prune"], cwd=home, capture_output=True, check=False)
    folder.with_suffix(".lock").unlink(missing_ok=True)
