"""Known vulnerabilities of the packages in requirements.txt: `make audit`. Exit code 1 if there are any.

pip-audit calls packages of which it learnt nothing "no known vulnerabilities": a mirror of the registry answers 404 to
every question about advisories. So it is first asked for a version whose vulnerability is known to everybody. Where that
is not found the advisories cannot be reached from here, and that is what is said: not audited.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KNOWN = "jinja2==2.4.1"  # CVE-2014-1402
UVX = ROOT / ".tools/bin/uvx"
TOOL = "pip-audit>=2.9,<3"


def audited(requirements: Path, seconds: float) -> list[dict]:
    """Return what is known of each package; [] where nothing can be asked."""
    options = ["--disable-pip", "--no-deps", "--format", "json", "--progress-spinner", "off", "--timeout", "15"]
    command = [UVX, "--quiet", "--from", TOOL, "pip-audit", "--requirement", requirements, *options]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
        return json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, OSError, ValueError, KeyError):
        return []


def vulnerable(found: list[dict]) -> list[str]:
    """Return a line for each vulnerability."""
    return [
        f"{one['name']} {one['version']}: {hole['id']}, "
        + (f"fixed in {', '.join(hole['fix_versions'])}" if hole["fix_versions"] else "no fix yet")
        for one in found
        for hole in one.get("vulns", ())
    ]


def main() -> int:
    """Ask, and say what is known."""
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder) / "requirements.txt"
        probe.write_text(KNOWN + "\n")
        if not vulnerable(audited(probe, seconds=90)):
            print(f"NOT AUDITED: no advisories can be reached from here (nothing is known of {KNOWN})")
            return 0
    found = audited(ROOT / "requirements.txt", seconds=900)
    asked = [one for one in found if "skip_reason" not in one]
    if not asked:
        print("NOT AUDITED: the advisories were reached for one package, and not for those of requirements.txt")
        return 0
    holes = vulnerable(asked)
    print(
        f"{len(asked)} packages audited, {len(found) - len(asked)} of which nothing is known, {len(holes)} vulnerabilities"
    )
    print(*holes, sep="\n", end="\n" if holes else "")
    return 1 if holes else 0


if __name__ == "__main__":
    sys.exit(main())
