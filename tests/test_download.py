"""Downloads from a small local server that can misbehave in every way that real servers do."""

import hashlib
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from umemma.errors import DownloadError
from umemma.sources import download as module
from umemma.sources.download import download

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Mirror:
    """What the server does: `files` by path; `cuts`: after how many bytes each of the next responses breaks off."""

    files: dict[str, bytes]
    knows_ranges: bool = True
    says_length: bool = True
    cuts: list[int] = field(default_factory=list)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    behaviour = Mirror({"/file": CONTENT})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            behaviour.requests.append((self.path, wanted))
            if self.path not in behaviour.files:
                self.send_error(404)
                return
            content, first = behaviour.files[self.path], 0
            if wanted and behaviour.knows_ranges:
                first = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
                if first >= len(content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(content)}")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
            else:
                self.send_response(200)
            if behaviour.says_length:
                self.send_header("Content-Length", str(len(content) - first))
            self.end_headers()
            body = content[first:]
            self.wfile.write(body[: behaviour.cuts.pop(0)] if behaviour.cuts else body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    behaviour.url = f"http://127.0.0.1:{server.server_port}"
    yield behaviour
    server.shutdown()
    server.server_close()
    thread.join()


def nobody_there() -> str:
    """Return an address where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("says_length", [True, False])
def test_a_file_arrives_whole_and_nothing_else_is_left(mirror: Mirror, tmp_path: Path, says_length: bool) -> None:
    mirror.says_length = says_length
    download([f"{mirror.url}/file"], tmp_path / "file", sha256=SHA256)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert left_over(tmp_path) == ["file"]


def test_a_cut_connection_is_taken_up_where_it_broke_off(mirror: Mirror, tmp_path: Path) -> None:
    mirror.cuts = [300_000, 200_000]
    download([f"{mirror.url}/file"], tmp_path / "file", sha256=SHA256)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert [wanted for _, wanted in mirror.requests] == [None, "bytes=300000-", "bytes=500000-"]


def test_an_earlier_process_beginning_is_taken_up(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])
    download([f"{mirror.url}/file"], tmp_path / "file", sha256=SHA256)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert mirror.requests == [("/file", "bytes=1000-")]


def test_a_server_without_ranges_is_read_from_the_start(mirror: Mirror, tmp_path: Path) -> None:
    mirror.knows_ranges, mirror.cuts = False, [400_000]
    download([f"{mirror.url}/file"], tmp_path / "file", sha256=SHA256)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert len(mirror.requests) == 2


def test_a_beginning_that_is_the_whole_file_is_only_checked(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT)
    download([f"{mirror.url}/file"], tmp_path / "file", sha256=SHA256)
    assert left_over(tmp_path) == ["file"]


@pytest.mark.parametrize("beginning", [b"x" * 1000, b"x" * len(CONTENT), CONTENT + b"x"])
def test_a_beginning_of_another_file_is_thrown_away(mirror: Mirror, tmp_path: Path, beginning: bytes) -> None:
    (tmp_path / "file.part").write_bytes(beginning)
    download([f"{mirror.url}/file"], tmp_path / "file", sha256=SHA256)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_wrong_checksum_names_both_digests_and_leaves_nothing(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files["/file"] = b"something else"
    with pytest.raises(DownloadError) as caught:
        download([f"{mirror.url}/file"], tmp_path / "file", sha256=SHA256)
    assert SHA256 in str(caught.value)
    assert hashlib.sha256(b"something else").hexdigest() in str(caught.value)
    assert left_over(tmp_path) == []


def test_the_next_mirror_is_asked_after_each_kind_of_failure(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files["/wrong"] = b"something else"
    urls = [nobody_there() + "/file", f"{mirror.url}/absent", f"{mirror.url}/wrong", f"{mirror.url}/file"]
    download(urls, tmp_path / "file", sha256=SHA256)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_the_next_mirror_continues_what_the_first_began(mirror: Mirror, tmp_path: Path) -> None:
    mirror.cuts = [300_000, 0]
    download([f"{mirror.url}/file", f"{mirror.url}/file"], tmp_path / "file", sha256=SHA256)
    assert [wanted for _, wanted in mirror.requests] == [None, "bytes=300000-", "bytes=300000-"]
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_without_a_checksum_no_mirror_continues_what_another_began(mirror: Mirror, tmp_path: Path) -> None:
    mirror.cuts = [300_000, 0]
    download([f"{mirror.url}/file", f"{mirror.url}/file"], tmp_path / "file", sha256=None)
    assert [wanted for _, wanted in mirror.requests] == [None, "bytes=300000-", None]
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_offline_every_address_is_named_with_its_reason(mirror: Mirror, tmp_path: Path) -> None:
    urls = [nobody_there() + "/file", f"{mirror.url}/absent", "ftp://example.org/file"]
    with pytest.raises(DownloadError) as caught:
        download(urls, tmp_path / "file", sha256=SHA256)
    for url, reason in zip(urls, ("refused", "404", "not an http"), strict=True):
        line = next(line for line in str(caught.value).splitlines() if url in line)
        assert reason in line
    assert left_over(tmp_path) == []


def test_a_server_that_always_cuts_is_given_up_and_the_beginning_kept(mirror: Mirror, tmp_path: Path) -> None:
    mirror.cuts = [1000] * 100
    with pytest.raises(DownloadError, match=f"interrupted after {1000 * module.ATTEMPTS} of {len(CONTENT)}"):
        download([f"{mirror.url}/file"], tmp_path / "file", sha256=SHA256)
    assert left_over(tmp_path) == ["file.part"]


def test_a_silent_server_is_given_up_after_the_timeout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(DownloadError, match="timed out"):
        download([f"http://127.0.0.1:{silent.getsockname()[1]}/file"], tmp_path / "file", sha256=SHA256)


def test_progress_without_a_terminal_is_plain_lines(
    mirror: Mirror, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    download([f"{mirror.url}/file"], tmp_path / "file", sha256=SHA256)
    assert capsys.readouterr().err == "file: 1.0 MiB (100%)\n"
