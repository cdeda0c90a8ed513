"""What DVC keeps, by hash: read from its cache, and where that lacks something from the remote, as `dvc pull` does.

By hash and not by path, as the run may be of a commit whose dvc.yaml no longer fits the workspace, and nothing in the
workspace is touched.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from dvc.config import NoRemoteError
from dvc.repo import Repo
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.transfer import transfer
from dvc_data.hashfile.tree import Tree

from umemma.errors import UmemmaError, some
from umemma.redaction import redacted

_HASH = re.compile(r"[0-9a-f]{32}(\.dir)?")


def is_hash(text: object) -> bool:
    """Whether it is an md5 as DVC writes it, and so no path that leads out of the cache."""
    return isinstance(text, str) and _HASH.fullmatch(text) is not None


def md5_of(path: Path) -> str:
    """Return a file's md5."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


class NotStored(UmemmaError):
    """What is neither in DVC's cache nor in the remote."""


class Objects:
    """The cache of a repository, and a remote of it by name, or the default one."""

    def __init__(self, repo: Repo, remote: str | None = None) -> None:
        self._cache, self._repo, self._name = repo.cache.local, repo, remote

    def path(self, md5: str) -> Path:
        """Return where an object lies in the cache; fetch it first if need be. Raises NotStored."""
        self.fetch([md5])
        return Path(self._cache.oid_to_path(md5))

    def read_json(self, md5: str) -> Any:
        """Return the content of a JSON file."""
        return json.loads(self.path(md5).read_bytes())

    def files(self, md5: str) -> dict[str, str]:
        """Return {path below it: md5} of a folder, and {"": md5} of a file."""
        if not md5.endswith(".dir"):
            return {"": md5}
        self.fetch([md5])
        tree = Tree.load(self._cache, HashInfo("md5", md5))
        files = {"/".join(key): found.value for key, _, found in tree}
        for name, value in files.items():
            if ".." in Path(name).parts or Path(name).is_absolute() or not is_hash(value):
                raise UmemmaError(
                    f"DVC's folder {md5} names {name!r}, md5 {value!r}: it leads out of the folder, or the cache"
                )
        return files

    def fetch(self, hashes: Iterable[str]) -> None:
        """Bring objects into the cache. Raises NotStored, or UmemmaError if the remote cannot be read."""
        lacking = self._lacking(hashes)
        if not lacking:
            return
        if self._remote is None:
            raise NotStored(
                f"{some(lacking, 2)} {'is' if len(lacking) == 1 else 'are'} not in DVC's cache, and there is no remote"
            )
        try:
            transfer(self._remote, self._cache, {HashInfo("md5", one) for one in lacking}, verify=True)
        except Exception as error:  # each kind of remote has errors of its own, which share no class
            raise UmemmaError(f"DVC's remote cannot be read: {redacted(_first_line(error))}") from None
        if lacking := self._lacking(lacking):
            raise NotStored(
                f"{some(lacking, 2)}: neither DVC's cache nor its remote has "
                f"{'it' if len(lacking) == 1 else 'them'} whole; `dvc push` where the run was made"
            )

    def copy(self, md5: str, place: Path) -> None:
        """Copy a file or folder to `place`, which must not exist; every file is compared with its hash.

        Copied and not linked: whoever changes a file there must not change the cache.
        """
        files = self.files(md5)
        self.fetch(files.values())
        for name, expected in files.items():
            path = place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            source = self.path(expected)
            shutil.copyfile(source, path)
            if (actual := md5_of(path)) != expected:
                raise UmemmaError(f"{source} in DVC's cache is damaged: its md5 is {actual}; `make repair` removes it")

    def damaged(self, md5: str) -> list[Path]:
        """Return the objects in the cache, of a file or folder, whose content is not what their name says."""
        folder = Path(self._cache.oid_to_path(md5))
        if not folder.is_file():
            return []
        if md5_of(folder) != md5.removesuffix(".dir"):
            return [folder]
        paths = {Path(self._cache.oid_to_path(each)): each for each in self.files(md5).values()}
        return [path for path, each in paths.items() if path.is_file() and md5_of(path) != each.removesuffix(".dir")]

    def _lacking(self, hashes: Iterable[str]) -> list[str]:
        return [one for one in dict.fromkeys(hashes) if not self._cache.exists(one)]

    @cached_property
    def _remote(self) -> Any:
        try:
            return self._repo.cloud.get_remote_odb(self._name)
        except NoRemoteError:
            return None
        except Exception as error:  # an extra that is not installed, a wrong address: of any class
            raise UmemmaError(f"DVC's remote cannot be opened: {redacted(_first_line(error))}") from None


@contextmanager
def opened(home: Path, remote: str | None = None) -> Iterator[Objects]:
    """Open the objects of the project at `home`."""
    with Repo(str(home)) as repo:
        yield Objects(repo, remote)


def _first_line(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
