"""A disk that is full, then is not: `python -m tests.full_disk --mib 1 5 10 -- make run DATASET=synthetic`. Linux, as root.

A clone of this checkout's last commit lies on a disk of its own in memory, with so many MiB free beside it. The command
fails there, at some stage or in DVC, git or MLflow; then the disk is enlarged, and the same command must complete and make
the same bytes as one that had room from the start.

What was said last goes to the terminal for each size. The exit code is 1 if a second run failed or anything differed.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.kills import Command, cloned, differing, made

MIB = 2**20
ROOM = 2048 * MIB
LINES = 4  # of what was said last


@contextmanager
def disk(place: Path) -> Iterator[Path]:
    """Mount a disk with room; unmount it at the end."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def resize(place: Path, size: int) -> None:
    """Give the disk a size in bytes."""
    subprocess.run(["mount", "-o", f"remount,size={size}", place], check=True)


def tried(words: Sequence[str], place: Path, mib: float) -> tuple[int, int, str, dict[str, str]]:
    """Run twice, first with `mib` free; return both exit codes, what the first said last, and what was made."""
    with disk(place):
        project = cloned(place / "project")
        resize(place, shutil.disk_usage(place).used + int(mib * MIB))
        full = Command(words, project)
        first = full.complete()
        resize(place, ROOM)
        said = "\n".join([line for line in full.log.read_text("utf-8").splitlines() if line.strip()][-LINES:])
        second = Command(words, project).complete()
        return first, second, said, made(project) if second == 0 else {}


def main() -> None:
    """Run with room, then at every size; print what was said, and whether the same came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="+", metavar="COMMAND")
    parser.add_argument("--mib", type=float, nargs="+", default=[1, 5, 10, 20], help="free beside the clone")
    given = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        _, code, _, expected = tried(given.words, place, ROOM / MIB / 2)
        if code:
            sys.exit(f"{' '.join(given.words)} ended with {code} where there was room")
        for mib in given.mib:
            first, second, said, found = tried(given.words, place, mib)
            differ = differing(expected, found)
            failed |= bool(second or differ)
            print(f"{mib:g} MiB: ended with {first}, with room {second}; {len(differ)} of {len(expected)} differ")
            print(f"{said}\n", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
