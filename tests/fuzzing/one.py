"""Fuzz one reader in this process, until something is found or the time is up: `python -m tests.fuzzing.one READER ...`.

Atheris drives libFuzzer: inputs that reach new lines of umemma are kept and changed further. An exception that is not the
project's own, ten seconds, and 1.5 GB end the process, which leaves the input.
"""

import json
import os
import sys
import traceback
from pathlib import Path

import atheris

KNOWN = "UMEMMA_FUZZING_KNOWN"  # a file of lines: where exceptions come from that have been found already


def origin(error: BaseException) -> str:
    """Return the kind of an exception, and the innermost line of umemma that it came from."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/umemma/" in frame.filename]
    place = f"{Path(frames[-1].filename).name}:{frames[-1].name}" if frames else "?"
    return f"{type(error).__name__} in {place}"


def main() -> None:
    """Fuzz the reader that the first argument names; the others are libFuzzer's."""
    with atheris.instrument_imports(include=["umemma"]):
        from tests.fuzzing.targets import TARGETS, checked

        target = TARGETS[sys.argv[1]]()
        for seed in target.seeds():
            checked(target, seed)  # imports what is imported when it is needed
    known_file = Path(os.environ.get(KNOWN, os.devnull))
    known = set(known_file.read_text().splitlines())

    def read(content: bytes) -> None:
        try:
            checked(target, content)
        except Exception as error:
            if (found := origin(error)) not in known:
                with known_file.open("a") as file:
                    file.write(found + "\n")
                print(json.dumps({"found": found, "says": str(error)[:200]}), flush=True)
                raise

    atheris.Setup([sys.argv[0], *sys.argv[2:]], read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
