"""`umemma verify FOLDER`: whether a model folder is what was exported, and, with a key, who says so.

Needs neither the repository nor DVC nor MLflow. Digests show damage, not forgery: whoever changes a file can change
SHA256SUMS as well. What shows forgery is a digest that came another way (`--digest`) or a signature (`--key`). Exit code 1
if the folder is not what it should be, 2 if that cannot be told.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from umemma.errors import DataError, ParameterError
from umemma.files import sha256
from umemma.serving import folder as files
from umemma.serving.folder import Differences, Facts

_SHORT = 12  # digits of a digest that are shown everywhere


class NotAsExported(DataError):
    """A model folder that was changed. Exit code 1."""

    exit_code = 1


def main(arguments: Sequence[str]) -> None:
    """Read the arguments, check, and say what was checked and what was not."""
    given = _arguments(arguments)
    found = files.differences(given.model)
    digest, wrong = sha256(given.model / files.SUMS), [*_sentences(found)]
    print(f"{given.model}: model {digest[:12]}{'' if wrong else _about(given.model)}")
    _say("files", not wrong, f"{found.num_files} as they were exported, none missing, none added", wrong)
    if given.digest is not None:
        wrong += _about_digest(given.digest, digest)
    else:
        print("not checked  version: --digest DIGEST compares it with the one that you were told")
    path = given.signature or files.signature_of(given.model)
    if given.key is not None:
        wrong += _about_signature(given.model, given.key, path)
    else:
        there = f"{path} is there, give --key PUBLIC.pem" if path.exists() else f"there is none at {path}"
        print(f"not checked  signature: {there}; without one, whoever changed a file could change {files.SUMS}, too")
    if wrong:
        raise NotAsExported(f"{given.model} is not what was exported; do not use it: copy or export it again")


def _about(model: Path) -> str:
    facts = files.read(model / files.FACTS, Facts)
    return f", {facts.dataset} trained as {facts.arm}, written by umemma {facts.umemma}"


def _sentences(found: Differences) -> Iterator[str]:
    for name, (actual, exported) in found.changed.items():
        yield f"changed      {name}: sha256 {actual[:12]}..., exported was {exported[:12]}..."
    yield from (f"missing      {name}" for name in found.missing)
    yield from (f"added        {name}" for name in found.added)


def _about_digest(expected: str, digest: str) -> list[str]:
    if len(expected) < _SHORT or set(expected) - set("0123456789abcdef"):
        raise ParameterError(
            f"--digest {expected}: not a digest; give {_SHORT} hexadecimal digits of the model's name or more"
        )
    wrong = [] if digest.startswith(expected) else [f"another      model: {digest}, not {expected}"]
    _say("version", not wrong, expected, wrong)
    return wrong


def _about_signature(model: Path, key: Path, path: Path) -> list[str]:
    try:
        from umemma.serving import signature
    except ModuleNotFoundError as error:
        raise ParameterError(
            f"--key needs {error.name}, which is not installed: pip install 'umemma[signing]'"
        ) from error
    trouble = signature.trouble(model, key, path)
    wrong = [f"unsigned     {trouble}"] if trouble else []
    _say("signature", not wrong, f"{path} is of the key {key} and of these files", wrong)
    return wrong


def _say(what: str, is_right: bool, sentence: str, wrong: Sequence[str]) -> None:
    if is_right:
        print(f"checked      {what}: {sentence}")
    print(*wrong, sep="\n", end="\n" if wrong else "")


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("umemma verify", description=__doc__)
    parser.add_argument("model", type=Path, help="a model folder, or models:/NAME@ALIAS of MLflow's registry")
    parser.add_argument("--digest", help="the model's name, or how it begins: the sha256 of its SHA256SUMS")
    parser.add_argument("--key", type=Path, help="the public key (PEM) of who should have signed it")
    parser.add_argument("--signature", type=Path, help="the signature; without it, FOLDER.sig")
    return parser.parse_args(arguments)
