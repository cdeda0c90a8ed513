"""`python -m flows.repair`: what was damaged on disk is removed, from the workspace and from DVC's cache, to be made again.

Where files of the workspace are links to the cache, as they are by default, a damaged one is damaged in both. DVC trusts
a write-protected object in its cache, so `dvc checkout` and the run-cache bring it back as it is, and `dvc repro --force`
leaves it there. Once it is gone, the next run restores it from a remote, or runs its stage.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

from dvc.dvcfile import LOCK_FILE, Lockfile
from dvc.repo import Repo

from flows.graph import project_root
from flows.objects import NotStored, Objects, md5_of
from umemma.errors import run


def repair(root: Path) -> Iterator[str]:
    """Compare every output that dvc.lock names with its digests; yield a line for each that had to be removed."""
    with Repo(str(root)) as repo, repo.lock:
        objects = Objects(repo)
        for name, stage in Lockfile(repo, str(root / LOCK_FILE)).load().get("stages", {}).items():
            for out in stage.get("outs", []):
                damaged = objects.damaged(out["md5"])
                for path in damaged:
                    path.unlink()
                here = root / out["path"]
                if damaged or _is_damaged(here, objects, out["md5"]):
                    shutil.rmtree(here) if here.is_dir() else here.unlink(missing_ok=True)
                    yield f"{out['path']}, which the stage {name} makes, was damaged: removed"


def _is_damaged(here: Path, objects: Objects, md5: str) -> bool:
    """Whether a file or folder of the workspace, whose objects in the cache are whole, has other content."""
    try:
        files = objects.files(md5)
    except NotStored:  # as it was just made, or the cache was emptied: there is nothing to compare it with
        return False
    return any(
        (path := here / name if name else here).is_file() and md5_of(path) != expected
        for name, expected in files.items()
    )


def main() -> None:
    """Repair, and say what is to be done."""
    lines = list(repair(project_root(Path.cwd())))
    print("\n".join([*lines, "`make run` makes it again"] if lines else ["nothing is damaged"]))


if __name__ == "__main__":
    run(main)
