"""Raw data: its location, errors about wrong files, and how a fresh folder is filled."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest

from stages.fetch import fetch
from tests.test_download import Mirror, mirror, nobody_there  # noqa: F401  (the fixture)
from umemma import composition, parameters
from umemma.data.settings import Dataset
from umemma.errors import DataError, DownloadError
from umemma.sources import raw

ROOT = Path(__file__).parent.parent
UNPACKED = b"an image" * 100
FILES = {
    "pictures/one.gz": gzip.compress(UNPACKED, mtime=0),
    "pictures/two.gz": b"second picture",
    "sounds/spoken/a.wav": b"sound a",
    "sounds/spoken/b.wav": b"sound b",
}

CHECKSUMS = Path("conf/dataset")
verified, fetched = (partial(function, folder=CHECKSUMS) for function in (raw.verified, raw.fetched))


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of small raw files; the adapter `fake` wants them, and the cwd has their checksums."""
    adapter = ModuleType("umemma.sources.adapters.fake")
    adapter.raw_files = lambda: list(FILES)
    adapter.CONTENT_SHA256 = {"pictures/one.gz": hashlib.sha256(UNPACKED).hexdigest()}
    monkeypatch.setitem(sys.modules, adapter.__name__, adapter)
    monkeypatch.delenv("UMEMMA_DATA", raising=False)
    monkeypatch.setenv("UMEMMA_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    checksums = tmp_path / "conf/dataset/fake.sha256"
    checksums.parent.mkdir(parents=True)
    checksums.write_text("".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in FILES.items()))
    for name, content in FILES.items():
        (tmp_path / "given" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "given" / name).write_bytes(content)
    return tmp_path / "given"


def fake(*, root: Path | None = None, **sources: list[str]) -> Dataset:
    return Dataset.model_construct(name="small", adapter="fake", root=root and str(root), sources=sources)


def archive(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def serve(mirror: Mirror, members: dict[str, bytes] | None = None) -> dict[str, list[str]]:  # noqa: F811
    """Put the fakes on the server, the sounds as an archive; return `sources` that point there."""
    mirror.files |= {
        f"/base/{name.split('/')[1]}": content for name, content in FILES.items() if name.startswith("pictures/")
    }
    mirror.files["/v1.tar.gz"] = archive(
        members
        or {"sounds-1.0/spoken/a.wav": b"sound a", "sounds-1.0/spoken/b.wav": b"sound b", "sounds-1.0/README": b"read"}
    )
    return {"pictures": [f"{mirror.url}/base/"], "sounds": [f"{mirror.url}/v1.tar.gz"]}


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_root_is_given_by_the_parameter_then_the_variable_then_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UMEMMA_HOME", str(tmp_path))
    monkeypatch.setenv("UMEMMA_DATA", "variable")
    assert raw.root(fake(root=Path("/parameter"))) == Path("/parameter")
    assert raw.root(fake(root=Path("parameter"))) == tmp_path / "parameter", "experiments run in folders of their own"
    assert raw.root(fake()) == tmp_path / "variable"
    monkeypatch.delenv("UMEMMA_DATA")
    assert raw.root(fake()) == tmp_path / "data/raw/small"


def test_right_files_pass_and_are_left_as_they_are(fakes: Path) -> None:
    before = everything(fakes)
    assert verified(fake(root=fakes)) == fetched(fake(root=fakes)) == fakes
    assert everything(fakes) == before


@pytest.mark.parametrize("damage", ["truncated", "changed", "missing"])
def test_a_wrong_file_is_named_with_both_digests_and_the_remedy(fakes: Path, damage: str) -> None:
    name = "sounds/spoken/b.wav"
    content = {"truncated": b"sound", "changed": b"sound c", "missing": None}[damage]
    (fakes / name).unlink() if content is None else (fakes / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        verified(fake(root=fakes))
    line = next(line for line in str(caught.value).splitlines() if name in line)
    if content is None:
        assert "missing" in line
    else:
        assert hashlib.sha256(content).hexdigest() in line
        assert hashlib.sha256(FILES[name]).hexdigest() in line
    assert "dataset.root" in str(caught.value)
    assert "1 of 4" in str(caught.value)


def test_a_file_packed_anew_is_right_and_one_with_other_content_is_not(fakes: Path) -> None:
    (fakes / "pictures/one.gz").write_bytes(gzip.compress(UNPACKED, compresslevel=1, mtime=7))
    verified(fake(root=fakes))
    for content in (gzip.compress(UNPACKED[1:]), gzip.compress(UNPACKED)[:-9], b"no gzip"):
        (fakes / "pictures/one.gz").write_bytes(content)
        with pytest.raises(DataError, match=r"pictures/one\.gz: sha256"):
            verified(fake(root=fakes))


def test_a_folder_of_the_users_is_never_written_to(fakes: Path, mirror: Mirror) -> None:  # noqa: F811
    (fakes / "pictures/two.gz").unlink()
    with pytest.raises(DataError, match=r"pictures/two\.gz: missing"):
        fetched(fake(root=fakes, **serve(mirror)))
    assert not mirror.requests
    assert not (fakes / "pictures/two.gz").exists()


def test_an_empty_home_is_filled_with_the_files_and_nothing_else(fakes: Path, mirror: Mirror) -> None:  # noqa: F811
    dataset = fake(**serve(mirror))
    place = fetched(dataset)
    assert everything(place) == FILES
    mirror.requests.clear()
    assert fetched(dataset) == place
    assert not mirror.requests


def test_only_what_is_missing_is_fetched(fakes: Path, mirror: Mirror) -> None:  # noqa: F811
    dataset = fake(**serve(mirror))
    place = fetched(dataset)
    (place / "pictures/two.gz").unlink()
    mirror.requests.clear()
    fetched(dataset)
    assert [path for path, _ in mirror.requests] == ["/base/two.gz"]


def test_offline_the_addresses_the_files_and_the_way_round_are_named(fakes: Path) -> None:
    url = nobody_there()
    with pytest.raises(DownloadError) as caught:
        fetched(fake(pictures=[f"{url}/a/", f"{url}/b"], sounds=[f"{url}/v1.tar.gz"]))
    for expected in (f"{url}/a/one.gz", f"{url}/b/one.gz", "refused", "dataset.root", "UMEMMA_DATA", *FILES):
        assert expected in str(caught.value)


def test_a_source_without_an_address_is_named(fakes: Path) -> None:
    with pytest.raises(DownloadError, match="no address for pictures"):
        fetched(fake())


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"sounds-1.0/spoken/a.wav": b"sound a"}, r"does not hold spoken/b\.wav"),
        ({"sounds-1.0/../../../outside.wav": b"x", "/sounds-1.0/spoken/a.wav": b"x"}, "does not hold"),
        ({"sounds-1.0/spoken/a.wav": b"sound a", "sounds-1.0/spoken/b.wav": b"another"}, r"b\.wav: sha256"),
    ],
)
def test_an_archive_with_other_contents_is_refused_and_deleted(
    fakes: Path,
    mirror: Mirror,  # noqa: F811
    members: dict[str, bytes],
    reason: str,
) -> None:
    with pytest.raises((DownloadError, DataError), match=reason):
        fetched(fake(**serve(mirror, members)))
    home = fakes.parent / "home"
    assert set(everything(home / "data/raw/small")) <= set(FILES)
    assert {path.name for path in home.iterdir()} == {"data"}


def test_the_next_archive_is_tried_when_the_first_is_broken(fakes: Path, mirror: Mirror) -> None:  # noqa: F811
    sources = serve(mirror)
    mirror.files["/page.tar.gz"] = b"<html>moved</html>"
    mirror.files["/half.tar.gz"] = mirror.files["/v1.tar.gz"][:-40]
    sources["sounds"] = [f"{mirror.url}/page.tar.gz", f"{mirror.url}/half.tar.gz", *sources["sounds"]]
    assert everything(fetched(fake(**sources))) == FILES


def test_a_file_without_a_checksum_is_an_error(fakes: Path) -> None:
    path = fakes.parent / "conf/dataset/fake.sha256"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(DataError, match=r"no checksum of pictures/one\.gz"):
        verified(fake(root=fakes))


def test_a_data_set_without_raw_files_needs_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UMEMMA_HOME", str(tmp_path))
    dataset = Dataset.model_construct(name="digits", adapter="digits", root=None, sources={})
    fetched(dataset)
    assert raw.checksums(dataset, CHECKSUMS) == {}
    assert not list(tmp_path.iterdir())


def test_the_record_is_the_same_wherever_the_files_lie(fakes: Path, mirror: Mirror) -> None:  # noqa: F811
    fetch(fake(root=fakes), Path("given.json"))
    fetch(fake(**serve(mirror)), Path("fetched.json"))
    assert Path("given.json").read_bytes() == Path("fetched.json").read_bytes()
    record = json.loads(Path("given.json").read_text())
    assert record == {"dataset": "small", "files": {n: hashlib.sha256(c).hexdigest() for n, c in FILES.items()}}
    assert list(record["files"]) == sorted(FILES)


def test_the_checksums_of_avmnist_are_in_the_format_of_sha256sum_and_fit_the_files_at_hand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    dataset = parameters.check(composition.composed(ROOT / "conf", ["dataset=avmnist"]), "conf").dataset
    checksums = raw.checksums(dataset, ROOT / "conf/dataset")
    lines = (ROOT / "conf/dataset/avmnist.sha256").read_text().splitlines()
    assert len(lines) == len(checksums) == 3_004
    assert lines == [f"{sha256}  {name}" for name, sha256 in checksums.items()]
    genuine = Path(os.environ.get("UMEMMA_DATA", ROOT.parent / "shared/data"))
    if (genuine / "mnist").is_dir():
        said = subprocess.run(
            ["sha256sum", "-c", ROOT / "conf/dataset/avmnist.sha256"],
            cwd=genuine,
            text=True,
            capture_output=True,
            check=False,
        ).stdout.splitlines()
        failed = {line.split(":")[0] for line in said if not line.endswith(": OK")}
        assert failed <= {f"mnist/{part}-images-idx3-ubyte.gz" for part in ("train", "t10k")}, "packed anew, no more"
        assert verified(dataset.model_copy(update={"root": str(genuine)})) == genuine
