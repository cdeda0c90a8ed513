"""Fuzz all readers, or those named, one after the other, `--minutes` each; what is found is minimised and kept as a test.

The log, data/fuzzing/log.jsonl, has a line for each reader: executions, lines of umemma reached, findings. The inputs that
reached them are in data/fuzzing/corpus, from which the next call goes on. With `--runs` each reader is given as many
inputs, the same in every call, whatever has been found before: for CI, which must not fail by chance.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.bombs import MOST_MIB, MOST_SECONDS
from tests.fuzzing.one import KNOWN
from tests.fuzzing.targets import TARGETS

HERE, OUT = Path(__file__).parent, Path("data/fuzzing")
MOST_BYTES = 2**16
MINIMISING_SECONDS = 20


@dataclass
class Log:
    """What became of one reader."""

    reader: str
    seconds: float = 0.0
    executions: int = 0
    covered: int = 0
    findings: list[str] = field(default_factory=list)


def fuzz(reader: str, seconds: float, runs: int | None) -> Log:
    """Fuzz one reader for a time, or a number of runs, going on after what was found."""
    log, start = Log(reader), time.monotonic()
    corpus, artifacts = OUT / ("corpus" if runs is None else "repeated") / reader.replace(" ", "_"), OUT / "artifacts"
    for folder in (artifacts, *([] if runs is None else [corpus])):
        shutil.rmtree(folder, ignore_errors=True)
    for folder in (corpus, artifacts):
        folder.mkdir(parents=True, exist_ok=True)
    for seed in TARGETS[reader]().seeds():
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    known = artifacts / "known"
    known.touch()
    while (left := seconds - (time.monotonic() - start) if runs is None else runs - log.executions) > 0:
        until = [f"-max_total_time={max(1, round(left))}"] if runs is None else [f"-runs={left}", "-seed=1"]
        done = _child(reader, known, [str(corpus), *until, f"-artifact_prefix={artifacts}/"])
        said = done.stdout + done.stderr
        executed = re.findall(r"stat::number_of_executed_units:\s*(\d+)", said) or re.findall(
            r"^#(\d+)", said, re.MULTILINE
        )
        log.executions += int(executed[-1]) if executed else 0
        log.covered = max([log.covered, *map(int, re.findall(r"cov: (\d+)", said))])
        new = [path for path in artifacts.iterdir() if path != known]
        if not done.returncode:
            break
        for path in new:
            log.findings.append(_kept(reader, path, said))
        if not new:
            last = said.strip().splitlines()[-1:]
            log.findings.append(f"{reader} ended with {done.returncode} and left no input: {last}")
            break
    log.seconds = round(time.monotonic() - start, 1)
    return log


def _child(reader: str, known: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-m", "tests.fuzzing.one", reader, *arguments, "-print_final_stats=1", "-detect_leaks=0"),
            *(f"-timeout={MOST_SECONDS}", f"-rss_limit_mb={MOST_MIB}", f"-max_len={MOST_BYTES}"),
        ],
        env={**os.environ, KNOWN: str(known), "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


def _kept(reader: str, path: Path, said: str) -> str:
    """Minimise an input, keep it beside the tests, and return what was found."""
    kind = path.name.partition("-")[0]  # crash, timeout, oom
    shorter = path.with_suffix(".shorter")
    _child(
        reader,
        Path(os.devnull),
        ["-minimize_crash=1", f"-max_total_time={MINIMISING_SECONDS}", f"-exact_artifact_path={shorter}", str(path)],
    )
    content = (shorter if shorter.is_file() else path).read_bytes()
    folder = HERE / "found" / reader.replace(" ", "_")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha256(content).hexdigest()[:16]).write_bytes(content)
    path.unlink()
    shorter.unlink(missing_ok=True)
    found = re.findall(r'^\{"found": .*\}$', said, re.MULTILINE)
    return f"{kind}: {json.loads(found[-1])['found'] if found else said.strip().splitlines()[-1][:120]}"


def main() -> None:
    """Exit with 1 if anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("readers", nargs="*", help=f"of {', '.join(TARGETS)}; by default all")
    parser.add_argument("--minutes", type=float, default=10.0, help="for each reader")
    parser.add_argument("--runs", type=int, help="of each reader, in place of a time; the same in every call")
    given = parser.parse_args()
    if unknown := set(given.readers) - set(TARGETS):
        parser.error(f"no reader is called {', '.join(sorted(unknown))}")
    OUT.mkdir(parents=True, exist_ok=True)
    num_found = 0
    for reader in given.readers or TARGETS:
        log = fuzz(reader, 60 * given.minutes, given.runs)
        num_found += len(log.findings)
        print(
            f"{reader}: {log.executions:,} executions, {log.covered} lines and branches reached",
            *log.findings,
            sep="; ",
            flush=True,
        )
        with (OUT / "log.jsonl").open("a") as file:
            file.write(json.dumps(asdict(log)) + "\n")
    sys.exit(num_found > 0)


if __name__ == "__main__":
    main()
