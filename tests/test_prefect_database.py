"""Prefect's records in a PostgreSQL of the user's own, a real one on loopback; its password is told to nobody."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest

from flows.settings import DATABASE, database, without_secrets
from tests.test_flows import call
from tests.test_flows_server import PYTHON, RUN, free_port, last_run, make_project
from umemma.errors import ParameterError

PASSWORD = "p@ss/word 4711"
NOBODY = 65534
SERVER = (PYTHON, "-m", "flows.server")


@pytest.mark.parametrize("address", ["postgresql://u:hunter2@h/d", "mysql+x://u:hunter2@h/d", "hunter2"])
def test_an_address_of_another_kind_is_refused_without_being_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv(DATABASE, address)
    with pytest.raises(ParameterError, match=rf"{DATABASE} must start with postgresql\+asyncpg://") as error:
        database(tmp_path)
    assert "hunter2" not in str(error.value)


def test_the_password_is_left_out_of_text_as_given_and_as_it_stands_in_the_address() -> None:
    address = f"postgresql+asyncpg://me:{quote(PASSWORD, safe='')}@h/d"
    text = f"cannot connect to {address}: no role me with {PASSWORD}"
    assert without_secrets(text, address) == "cannot connect to postgresql+asyncpg://me:***@h/d: no role me with ***"
    assert without_secrets(text, None) == text


@pytest.fixture
def address() -> Iterator[str]:
    """Start PostgreSQL with a password; yield the address of its database."""
    programs = shutil.which("initdb"), shutil.which("postgres")
    if None in programs:
        pytest.skip("there is no PostgreSQL on this machine")
    user: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    if user:  # PostgreSQL refuses to run as root
        os.chown(folder, NOBODY, NOBODY)
    try:
        with _postgres(folder, user) as port:
            yield f"postgresql+asyncpg://me:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/postgres"
    finally:
        shutil.rmtree(folder)


@contextmanager
def _postgres(folder: Path, user: dict[str, Any]) -> Iterator[int]:
    secret, data, port = folder / "secret", folder / "data", free_port()
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    subprocess.run(
        ["initdb", "-D", data, "-U", "me", "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--no-sync"],
        check=True,
        capture_output=True,
        cwd=folder,
        **user,
    )
    options = ["-p", str(port), "-k", folder, "-h", "127.0.0.1", "-c", "fsync=off"]
    with subprocess.Popen(
        ["postgres", "-D", data, *options], cwd=folder, stderr=subprocess.PIPE, text=True, **user
    ) as process:
        try:
            assert process.stderr is not None
            assert any("ready to accept connections" in line for line in process.stderr)
            yield port
        finally:
            process.terminate()
            process.communicate(timeout=30)


@pytest.mark.slow
def test_postgresql_takes_the_place_of_sqlite_and_its_password_is_told_to_the_server_alone(
    tmp_path: Path, address: str
) -> None:
    root = make_project(tmp_path / "project")
    secrets = PASSWORD, quote(PASSWORD, safe="")
    said = call(root, "env", f"UMEMMA_PREFECT_PORT={free_port()}", f"{DATABASE}={address}", *SERVER, "up")
    try:
        assert database(root) == address
        assert (root / ".prefect/database").stat().st_mode & 0o777 == 0o600
        said += call(root, *RUN, "-p", "name=in-postgres")
        said += call(root, PYTHON, "-m", "flows.pipeline")
        assert last_run(root)[0]["state"]["type"] == "COMPLETED"
        said += (status := call(root, *SERVER, "status"))
        assert "last run" in status
        worker = psutil.Process(json.loads((root / ".prefect/pids/worker.json").read_text())["pid"])
        environments = "".join(str(process.environ()) for process in [worker, *worker.children(recursive=True)])
    finally:
        call(root, *SERVER, "down")
    assert not (root / ".prefect/home/prefect.db").exists()
    logs = "".join(path.read_text() for path in (root / ".prefect/logs").iterdir())
    for secret in secrets:
        assert secret not in said + environments + logs
    wrong = address.replace(secrets[1], "hunter2")
    said = call(root, "env", f"UMEMMA_PREFECT_PORT={free_port()}", f"{DATABASE}={wrong}", *SERVER, "up", code=1)
    assert "the Prefect server did not start" in said
    assert "hunter2" not in said
