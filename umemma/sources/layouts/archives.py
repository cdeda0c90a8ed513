"""Files that a data set publishes as an archive, and that people have as such or unpacked."""

import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from umemma import limits
from umemma.errors import DataError, OverLimit

SUFFIXES = (".tar.xz", ".tar.gz", ".tgz", ".tar", ".zip")


def files(base: Path, name: str, suffix: str) -> Iterator[tuple[str, Path, bytes]]:
    """Yield (name, path on disk, content) of the files that end in `suffix`, of the folder `name` or an archive of it.

    The folder comes first, where there are both. The path is that of the file or of its archive. Raises DataError if
    there is neither, or the archive is damaged.
    """
    if (base / name).is_dir():
        for path in sorted((base / name).rglob(f"*{suffix}")):
            try:
                yield path.name, path, limits.content(path)
            except OverLimit as error:
                raise OverLimit(f"{path}: {error}") from error
        return
    archives = [path for path in (base / f"{name}{ending}" for ending in SUFFIXES) if path.exists()]
    if not archives:
        raise DataError(f"{base} holds neither the folder {name} nor {name}{', '.join(SUFFIXES)}")
    read = _zipped if archives[0].suffix == ".zip" else _tarred
    try:
        for member, content in read(archives[0], suffix):
            yield member, archives[0], content
    except OverLimit as error:
        raise OverLimit(f"{archives[0]}: {error}") from error
    except Exception as error:  # a damaged archive raises almost anything: encrypted, of no known method, ...
        raise DataError(f"{archives[0]} is no readable archive: {error}") from error


def _tarred(path: Path, suffix: str) -> Iterator[tuple[str, bytes]]:
    unpacking = limits.Unpacking(path.stat().st_size)
    with tarfile.open(path) as tar:
        for member in tar:
            unpacking.add(member.size, member.name)
            content = tar.extractfile(member) if member.isfile() and member.name.endswith(suffix) else None
            if content:
                yield member.name, content.read()


def _zipped(path: Path, suffix: str) -> Iterator[tuple[str, bytes]]:
    unpacking = limits.Unpacking(path.stat().st_size)
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.filename.endswith(suffix):
                unpacking.add(member.file_size, member.filename)  # zipfile reads no more than that
                yield member.filename, archive.read(member)
