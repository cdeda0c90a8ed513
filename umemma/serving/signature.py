"""`umemma sign FOLDER --key PRIVATE.pem`: a signature of a model folder, and its check, by OpenSSF's `model-signing`.

With a pair of elliptic-curve keys, so that neither needs a network. The signature is a file beside the folder, not in it:
the folder stays what was exported, and DVC and MLflow know its files by their digests.
"""

import argparse
import contextlib
import io
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from model_signing import hashing, signing, verifying

from umemma.errors import ParameterError
from umemma.files import written_whole
from umemma.serving import folder as files

_MAKE = "`openssl ecparam -name prime256v1 -genkey -noout -out FILE` makes one"


def sign(model: Path, key: Path, path: Path) -> None:
    """Sign every file of a folder that is as exported. Raises ParameterError for what is no private key."""
    files.verify(model)
    try:
        signer = signing.Config().use_elliptic_key_signer(private_key=key)
    except OSError as error:
        raise ParameterError(f"--key {key} cannot be read: {error.strerror}; {_MAKE}") from error
    except (ValueError, TypeError, AttributeError) as error:  # also of an RSA key, or one with a password
        raise ParameterError(
            f"--key {key} is no private elliptic-curve key in PEM without password; {_MAKE}"
        ) from error
    with written_whole(path) as temporary:
        signer.set_hashing_config(_hashing()).sign(model, temporary)


def trouble(model: Path, key: Path, path: Path) -> str | None:
    """Return why a signature is not of this public key and these files, or None. Raises ParameterError for no key."""
    try:
        verifier = verifying.Config().use_elliptic_key_verifier(public_key=key)
    except OSError as error:
        raise ParameterError(f"--key {key} cannot be read: {error.strerror}") from error
    except (ValueError, AttributeError) as error:
        raise ParameterError(
            f"--key {key} is no public elliptic-curve key in PEM; `openssl ec -in PRIVATE.pem -pubout -out PUBLIC.pem` "
            "writes that of a private one"
        ) from error
    if not path.is_file():
        return f"{path} is not there: the folder is not signed, or --signature FILE names where it is"
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            verifier.set_hashing_config(_hashing()).verify(model, path)
    except InvalidSignature:
        return f"{path} is not a signature of the key {key}"
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:  # of JSON that is no signature, too
        return f"{path}: {' '.join(str(error).split())}"
    return None


def _hashing() -> hashing.Config:
    """Return how files are hashed: all of them, hidden ones too, by content where DVC has linked them."""
    return (
        hashing.Config().use_file_serialization(allow_symlinks=True).set_ignored_paths(paths=[], ignore_git_paths=False)
    )


def main(arguments: Sequence[str]) -> None:
    """Read the arguments and sign."""
    parser = argparse.ArgumentParser("umemma sign", description=__doc__)
    parser.add_argument("model", type=Path, help="a model folder, as a run leaves in data/export")
    parser.add_argument("--key", type=Path, required=True, help=f"a private elliptic-curve key (PEM): {_MAKE}")
    parser.add_argument("--signature", type=Path, help="the file to write; without it, FOLDER.sig")
    given = parser.parse_args(arguments)
    path = given.signature or files.signature_of(given.model)
    sign(given.model, given.key, path)
    print(f"{path}: signature of {given.model}; `umemma verify {given.model} --key PUBLIC.pem` checks it")
