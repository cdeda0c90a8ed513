"""Removal of another data set's files from the workspace, if DVC's cache can restore them.

`python -m flows.leftovers`. When dvc.yaml no longer has a stage, such as the tower of a modality that only another data
set has, DVC leaves its files and its entry in dvc.lock. Going back to that data set restores both from the cache. Files
that are not in the cache, or differ from it, stay and are listed.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dvc.dvcfile import LOCK_FILE, Lockfile
from dvc.fs import localfs
from dvc.repo import Repo
from dvc.utils.serialize import dump_yaml, load_yaml
from dvc_data.hashfile.build import build
from dvc_data.hashfile.tree import Tree

from flows.graph import project_root
from flows.overrides import PARAMS_FILE
from umemma.errors import run


def remove_leftovers(root: Path) -> list[Path]:
    """Remove other data sets' files, and their stages from dvc.lock; return paths that could not be restored."""
    with Repo(str(root)) as repo, repo.lock:
        stages = {getattr(stage, "name", None) for stage in repo.index.stages}
        outs = [Path(out.fs_path) for out in repo.index.outs]
        locked = Lockfile(repo, str(root / LOCK_FILE)).load().get("stages", {})
        gone = {name: entry for name, entry in locked.items() if name not in stages}
        recorded = [root / out["path"] for entry in gone.values() for out in entry.get("outs", [])]
        kept = []
        for path in dict.fromkeys([*recorded, *_of_other_data_sets(root, outs)]):
            if not path.exists() or any(_overlap(path, out) for out in outs):
                continue
            if _is_cached(repo, path):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                _remove_empty(path.parent)
            else:
                kept.append(path)
        _forget(root / LOCK_FILE, [name for name, entry in gone.items() if not _has_files(root, entry, kept)])
    return kept


def _of_other_data_sets(root: Path, outs: Sequence[Path]) -> Iterator[Path]:
    """Yield the paths of other data sets beside the output folders of the one in params.yaml."""
    dataset = load_yaml(str(root / PARAMS_FILE), localfs)["dataset"]["name"]
    relative = [out.relative_to(root).parts for out in outs if out.is_relative_to(root)]
    folders = {root.joinpath(*parts[: parts.index(dataset)]) for parts in relative if dataset in parts}
    for folder in sorted(folders):
        for other in sorted(folder.glob("*/")):
            if other.name != dataset:
                yield from sorted(other.iterdir())


def _overlap(path: Path, out: Path) -> bool:
    return path.is_relative_to(out) or out.is_relative_to(path)


def _is_cached(repo: Any, path: Path) -> bool:
    """Whether DVC's cache holds exactly this content, file by file."""
    cache = repo.cache.local
    _, _, content = build(cache, str(path), localfs, "md5", dry_run=True)
    parts = [part for _, _, part in content] if isinstance(content, Tree) else [content.hash_info]
    return all(part.value and cache.exists(part.value) for part in parts)


def _remove_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()


def _has_files(root: Path, entry: Mapping[str, Any], kept: Sequence[Path]) -> bool:
    return any(root / out["path"] in kept for out in entry.get("outs", []))


def _forget(path: Path, names: Sequence[str]) -> None:
    if names:
        content = load_yaml(str(path), localfs)
        content["stages"] = {name: entry for name, entry in content["stages"].items() if name not in names}
        dump_yaml(str(path), content)


def main() -> None:
    """Remove leftovers and print what stays."""
    root = project_root(Path.cwd())
    for path in remove_leftovers(root):
        print(f"note: {path.relative_to(root)} belongs to another data set and is not in DVC's cache, so it stays")


if __name__ == "__main__":
    run(main)
