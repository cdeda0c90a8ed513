"""A run pushed to a remote and taken up in a fresh clone: nothing is computed anew, and the model is restored, byte for byte.

The remotes are a directory and S3, by moto's server on loopback.
"""

import csv
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import run
from tests.test_pipeline import ran, shortened
from umemma.serving import folder

pytestmark = pytest.mark.slow
KEY, SECRET = "AKIAREMOTEOFTESTS000", "s3cr3t/of+the/remote"
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass(frozen=True)
class Project:
    """A project that has run, its run committed and pushed to both remotes; the digest of its model."""

    root: Path
    digest: str


@pytest.fixture(scope="module")
def server():
    """The address of an S3 server with a bucket."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    boto3.client(
        "s3", endpoint_url=address, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1"
    ).create_bucket(Bucket="umemma")
    yield address
    server.stop()


@pytest.fixture(scope="module")
def project(checkout, server):
    root = shortened(checkout())
    for command in (
        ["dvc", "remote", "add", "-q", "directory", str(root.parent / "store")],
        ["dvc", "remote", "add", "-q", "s3", "s3://umemma/store"],
        ["dvc", "remote", "modify", "-q", "s3", "endpointurl", server],
        ["dvc", "--wait-for-lock", "repro"],
        ["git", "add", "dvc.lock", ".dvc/config"],
        ["git", "commit", "-qm", "baseline"],
        ["dvc", "push", "-q", "-r", "directory"],
        ["dvc", "push", "-q", "-r", "s3"],
    ):
        done = run(root, *command, environment=ENVIRONMENT)
        assert done.returncode == 0, done.stdout + done.stderr
        assert SECRET not in done.stdout + done.stderr
    return Project(root, folder.verify(root / "data/export"))


def clone(project: Project, place: Path, remote: str) -> Path:
    subprocess.run(["git", "clone", "-q", str(project.root), str(place)], check=True)
    run(place, "dvc", "remote", "default", "--local", remote)
    return place


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def written(*roots: Path) -> list[bytes]:
    """Return all files, without those of the tests, which name the secret."""
    return [
        content for root in roots for name, content in files(root).items() if not name.startswith(("tests/", ".git/"))
    ]


@pytest.mark.parametrize("remote", ["directory", "s3"])
def test_a_fresh_clone_computes_nothing_and_restores_the_same_model(project, remote, tmp_path):
    root = clone(project, tmp_path / "clone", remote)
    with (project.root / "data/reports/predictions.csv").open(newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    command = ["python", "-m", "flows.trace", row["id"], "--restore", str(tmp_path / "restored")]
    traced = run(root, *command, environment=ENVIRONMENT)
    assert traced.returncode == 0, traced.stdout + traced.stderr
    assert f"sha256 {project.digest}, the same" in traced.stdout
    assert f"test sample {row['key']}, true {row['true']}" in traced.stdout
    assert files(tmp_path / "restored") == files(project.root / "data/export")
    assert not list((root / "data").glob("export"))  # nothing was taken up in the workspace
    again = run(root, "dvc", "--wait-for-lock", "repro", "--pull", environment=ENVIRONMENT)
    assert (again.returncode, ran(again.stdout)) == (0, []), again.stdout + again.stderr
    assert folder.verify(root / "data/export") == project.digest
    assert run(root, "git", "status", "--porcelain").stdout == ""
    said = traced.stdout + traced.stderr + again.stdout + again.stderr
    assert KEY not in said
    assert SECRET not in said
    assert not [content for content in written(root, project.root) if SECRET.encode() in content]


def test_a_remote_that_cannot_be_reached_is_one_line_without_the_keys(project, tmp_path):
    root = clone(project, tmp_path / "clone", "s3")
    run(root, "dvc", "remote", "modify", "--local", "s3", "endpointurl", f"http://{KEY}:{SECRET}@127.0.0.1:9")
    done = run(root, "python", "-m", "flows.trace", project.digest, environment=ENVIRONMENT)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("ERROR: DVC's remote cannot be read: ")
    assert SECRET not in done.stdout + done.stderr
