"""Running git."""

import os
import subprocess
from pathlib import Path

from umemma.errors import UmemmaError


def git(cwd: Path, *arguments: str, otherwise: str = "") -> str:
    """Run git without the user's hooks; return what it prints. `otherwise` replaces git's error message."""
    settings = ("-c", f"core.hooksPath={os.devnull}", "-c", "core.quotePath=false")
    done = subprocess.run(["git", *settings, *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UmemmaError(f"git {arguments[0]} in {cwd}: {otherwise or done.stderr.strip()}")
    return done.stdout.strip()
