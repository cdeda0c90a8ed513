"""`umemma verify` and `umemma sign`: what of a model folder was changed, and who vouches for it."""

import shutil
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests import served_sample
from umemma.errors import ParameterError
from umemma.serving import folder as files
from umemma.serving import signature, verify
from umemma.serving.folder import ModelFolderError
from umemma.serving.verify import NotAsExported


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    return served_sample.made(tmp_path_factory.mktemp("pets")).folder


@pytest.fixture
def model(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "model")


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Two pairs of keys, {name: (private, public)}, and an RSA key that cannot be used."""
    folder = tmp_path_factory.mktemp("keys")
    pairs = {"ours": ec.generate_private_key(ec.SECP256R1()), "theirs": ec.generate_private_key(ec.SECP384R1())}
    pairs["rsa"] = rsa.generate_private_key(65537, 2048)
    return {name: _written(folder / name, key) for name, key in pairs.items()}


def _written(path, key):
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    path.with_suffix(".pem").write_bytes(private)
    path.with_suffix(".pub").write_bytes(public)
    return path.with_suffix(".pem"), path.with_suffix(".pub")


def checked(capsys, model, *options):
    verify.main([str(model), *map(str, options)])
    return capsys.readouterr().out


def refused(capsys, model, *options):
    with pytest.raises(NotAsExported) as refusal:
        verify.main([str(model), *map(str, options)])
    assert refusal.value.exit_code == 1
    return capsys.readouterr().out


def test_a_folder_as_exported_passes_and_what_was_not_checked_is_said(model, capsys):
    said = checked(capsys, model)
    number = len((model / "SHA256SUMS").read_text("utf-8").splitlines())
    assert f"checked      files: {number} as they were exported" in said
    assert "not checked  version" in said
    assert f"not checked  signature: there is none at {model}.sig" in said


def test_every_changed_missing_and_added_file_is_named(model, capsys):
    for name in ("weights.safetensors", "README.md"):
        (model / name).write_bytes((model / name).read_bytes() + b" ")
    (model / "measured.json").unlink()
    (model / "backbones").mkdir()
    (model / "backbones/.hidden").write_text("x")
    said = refused(capsys, model)
    assert [line.split()[:2] for line in said.splitlines() if line.split()[0] in ("changed", "missing", "added")] == [
        ["changed", "README.md:"],
        ["changed", "weights.safetensors:"],
        ["missing", "measured.json"],
        ["added", "backbones/.hidden"],
    ]
    assert "checked      files" not in said


def test_a_model_that_was_sealed_anew_has_another_digest(model, capsys):
    told = files.verify(model)
    assert f"checked      version: {told[:12]}" in checked(capsys, model, "--digest", told[:12])
    (model / "README.md").write_text("another card")
    files.seal(model)
    assert "another      model" in refused(capsys, model, "--digest", told)
    for digest in (told[:4], "x" * 12, told.upper()):
        with pytest.raises(ParameterError, match="not a digest"):
            verify.main([str(model), "--digest", digest])


def test_what_is_no_model_is_an_error_of_its_own(tmp_path):
    with pytest.raises(ModelFolderError, match="is no folder") as error:
        verify.main([str(tmp_path / "nothing")])
    assert error.value.exit_code == 2


def test_a_signature_lies_beside_the_folder_and_leaves_it_as_it_was(model, keys, capsys):
    before = files.verify(model)
    signature.main([str(model), "--key", str(keys["ours"][0])])
    assert files.differences(model).added == []
    assert files.verify(model) == before
    assert "is there, give --key" in checked(capsys, model)
    assert f"checked      signature: {model}.sig is of the key" in checked(capsys, model, "--key", keys["ours"][1])
    moved = model.parent / "deep/elsewhere"
    shutil.copytree(model, moved)
    shutil.copy(f"{model}.sig", f"{moved}.sig")  # a signature does not depend on where the folder lies
    assert "checked      signature" in checked(capsys, moved, "--key", keys["ours"][1])


def test_a_signature_of_another_key_or_of_other_files_is_refused(model, keys, capsys):
    assert "is not there" in refused(capsys, model, "--key", keys["ours"][1])
    signature.main([str(model), "--key", str(keys["ours"][0])])
    assert "unsigned" in refused(capsys, model, "--key", keys["theirs"][1])
    (model / ".gitattributes").write_text("x")  # ignored by `model-signing` unless told
    files.seal(model)  # forged: the digests fit
    said = refused(capsys, model, "--key", keys["ours"][1])
    assert "checked      files" in said
    assert "Extra files found" in said
    assert ".gitattributes" in said
    (model.parent / "model.sig").write_text("{}")
    assert "unsigned" in refused(capsys, model, "--key", keys["ours"][1])


def test_a_changed_folder_is_not_signed(model, keys):
    (model / "README.md").write_text("another card")
    with pytest.raises(ModelFolderError, match=r"README\.md is not what was exported"):
        signature.main([str(model), "--key", str(keys["ours"][0])])
    assert not (model.parent / "model.sig").exists()


@pytest.mark.parametrize(("name", "number"), [("rsa", 0), ("ours", 1)])
def test_a_key_that_cannot_sign_is_refused_with_the_command_that_makes_one(model, keys, name, number):
    with pytest.raises(ParameterError, match=r"is no private elliptic-curve key .*openssl ecparam"):
        signature.main([str(model), "--key", str(keys[name][number])])


def test_a_private_key_is_not_taken_for_a_public_one(model, keys):
    with pytest.raises(ParameterError, match="is no public elliptic-curve key"):
        verify.main([str(model), "--key", str(keys["ours"][0])])


def test_verify_needs_neither_mlflow_nor_dvc_nor_the_package_that_signs(model):
    program = (
        "import sys; sys.argv = ['umemma', 'verify', sys.argv[1]]; import umemma.__main__ as m; m.main();"
        "assert not {'mlflow', 'dvc', 'model_signing', 'torch'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(model)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
