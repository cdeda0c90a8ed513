"""Files that a data set publishes as an archive, and that people have as such or unpacked."""

import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from umemma.errors import DataError

SUFFIXES = (".tar.xz", ".tar.gz", ".tgz", ".tar", ".zip")


def files(base: Path, name: str, suffix: str) -> Iterator[tuple[str, Path, bytes]]:
    """Yield (name, path on disk, content) of the files that end in `suffix`, of the folder `name` or an archive of it.

    The folder comes first, where there are both. The path is that of the file or of its archive. Raises DataError if
    there is neither, or the archive is damaged.
    """
    if (base / name).is_dir():
        for path in sorted((base / name).rglob(f"*{suffix}")):
            yield path.name, path, path.read_bytes()
        return
    archives = [path for path in (base / f"{name}{ending}" for ending in SUFFIXES) if path.exists()]
    if not archives:
        raise DataError(f"{base} holds neither the folder {name} nor {name}{', '.join(SUFFIXES)}")
    read = _zipped if archives[0].suffix == ".zip" else _tarred
    try:
        for member, content in read(archives[0], suffix):
            yield member, archives[0], content
    except (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, OSError) as error:
        raise DataError(f"{archives[0]} is no readable archive: {error}") from error


def _tarred(path: Path, suffix: str) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() and member.name.endswith(suffix) else None
            if content:
                yield member.name, content.read()


def _zipped(path: Path, suffix: str) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name.endswith(suffix):
                yield name, archive.read(name)
