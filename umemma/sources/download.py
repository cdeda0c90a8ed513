"""Downloads one file from a list of mirrors: resumed after an interruption, verified by checksum, renamed into place.

- The partial file is `<name>.part` in the same folder; the final name never refers to a partial file.
- If a server ignores Range, the download restarts; if it drops the connection, it is resumed, up to five attempts.
- A short body is an error: `http.client` reports a connection dropped in mid-body as the end of the file.
"""

import errno
import http.client
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from umemma import files
from umemma.errors import DownloadError

TIMEOUT_SECONDS = 30  # for connecting and for every read
ATTEMPTS = 5  # for each URL, as long as it sends any data
CHUNK_BYTES = 1 << 18
LINE_SECONDS = 5  # between progress lines without a terminal


class _Trouble(Exception):
    """Why one attempt failed; `retry`: whether another attempt at the same URL may succeed."""

    def __init__(self, reason: str, retry: bool) -> None:
        super().__init__(reason)
        self.retry = retry


def download(urls: Sequence[str], path: Path, *, sha256: str | None) -> None:
    """Download `path` from the first URL that has it; with `sha256` None the caller verifies the content.

    Raises DownloadError listing every URL and why it failed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    troubles = []
    for url in urls:
        try:
            _from_url(url, part, sha256)
            os.replace(part, path)
            return
        except _Trouble as trouble:
            troubles.append(f"  {url}: {trouble}")
            if sha256 is None:  # without a checksum, never complete one mirror's partial file from another
                part.unlink(missing_ok=True)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            part.unlink(missing_ok=True)
            raise DownloadError(f"the disk is full: {path} could not be written") from error
    raise DownloadError(f"{path.name} could not be downloaded:\n" + "\n".join(troubles or ["  no URL is given"]))


def _from_url(url: str, part: Path, sha256: str | None) -> None:
    """Complete `part` from one URL, or raise _Trouble with the last attempt's reason."""
    for attempt in range(1, ATTEMPTS + 1):
        begun_bytes = part.stat().st_size if part.exists() else 0
        try:
            _append(url, part)
            if sha256 is not None:
                _check(part, sha256, resumed=begun_bytes > 0)
            return
        except _Trouble as trouble:
            if not trouble.retry or attempt == ATTEMPTS:
                raise


def _append(url: str, part: Path) -> None:
    """Request the missing bytes of `part` and append them; return when the server has sent all it announced."""
    begun_bytes = part.stat().st_size if part.exists() else 0
    with _opened(url, part, begun_bytes) as response:
        if response is None:
            return
        first_byte, total_bytes = _range(response, begun_bytes)
        if first_byte not in (0, begun_bytes):
            part.unlink()
            raise _Trouble(f"asked for byte {begun_bytes}, it sent byte {first_byte}", retry=True)
        received_bytes = first_byte
        with part.open("ab" if first_byte else "wb") as file:
            for chunk in _with_progress(_chunks(response), url.rsplit("/", 1)[-1], first_byte, total_bytes):
                file.write(chunk)
                received_bytes += len(chunk)
    if total_bytes is not None and received_bytes != total_bytes:
        raise _Trouble(f"interrupted after {received_bytes} of {total_bytes} bytes", retry=received_bytes > begun_bytes)


@contextmanager
def _opened(url: str, part: Path, begun_bytes: int) -> Iterator[http.client.HTTPResponse | None]:
    """Yield the server's response; None if `part` is already complete."""
    if not url.startswith(("http://", "https://")):
        raise _Trouble("is not an http or https URL", retry=False)
    request = urllib.request.Request(url, headers={"User-Agent": "umemma", "Accept-Encoding": "identity"})
    if begun_bytes:
        request.add_header("Range", f"bytes={begun_bytes}-")
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        with error:
            complete = error.headers.get("Content-Range", "") == f"bytes */{begun_bytes}"
        if error.code != 416 or not begun_bytes:
            raise _Trouble(f"HTTP {error.code} {error.reason}", retry=False) from error
        if not complete:
            part.unlink()
            raise _Trouble("the partial file is longer than the whole one", retry=True) from error
        yield None
        return
    except urllib.error.URLError as error:
        raise _Trouble(str(error.reason), retry=False) from error
    except (OSError, http.client.HTTPException) as error:
        raise _Trouble(str(error) or type(error).__name__, retry=False) from error
    with response:
        yield response


def _range(response: http.client.HTTPResponse, begun_bytes: int) -> tuple[int, int | None]:
    """Return the offset of the response's first byte and the length of the whole file, None if unknown."""
    if response.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if match:
            return int(match[1]), None if match[2] == "*" else int(match[2])
        return begun_bytes, None
    length = response.headers.get("Content-Length")
    return 0, None if length is None else int(length)


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            chunk = response.read1(CHUNK_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise _Trouble(f"interrupted: {error or type(error).__name__}", retry=True) from error
        if not chunk:
            return
        yield chunk


def _with_progress(chunks: Iterator[bytes], name: str, done_bytes: int, total_bytes: int | None) -> Iterator[bytes]:
    """Yield the chunks; show a progress bar on a terminal, else print a line every few seconds and at the end."""
    at_terminal, last = sys.stderr.isatty(), time.monotonic()
    with tqdm(
        desc=name, initial=done_bytes, total=total_bytes, unit="B", unit_scale=True, disable=not at_terminal
    ) as bar:
        for chunk in chunks:
            yield chunk
            done_bytes += len(chunk)
            bar.update(len(chunk))
            if not at_terminal and time.monotonic() - last > LINE_SECONDS:
                last = time.monotonic()
                print(_line(name, done_bytes, total_bytes), file=sys.stderr, flush=True)
    if not at_terminal:
        print(_line(name, done_bytes, total_bytes), file=sys.stderr, flush=True)


def _line(name: str, done_bytes: int, total_bytes: int | None) -> str:
    share = f" ({done_bytes / total_bytes:.0%})" if total_bytes else ""
    return f"{name}: {done_bytes / 2**20:.1f} MiB{share}"


def _check(part: Path, sha256: str, *, resumed: bool) -> None:
    if (actual := files.sha256(part)) != sha256:
        part.unlink()
        # A resumed file may have had a bad beginning: retry from the start.
        raise _Trouble(f"its sha256 is {actual}, expected {sha256}", retry=resumed)
