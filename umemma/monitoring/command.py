"""`umemma monitor ANSWERS --model FOLDER`: what today's answers are worth, and what has changed since the test.

ANSWERS is the folder of `umemma serve --log`, or the file of `umemma predict --output`. Exit code 0: all well; 1: an
alert, or the accuracy cannot be known; 2: bad input.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from umemma.monitoring import answers, report
from umemma.monitoring.settings import Settings
from umemma.monitoring.verdict import verdict
from umemma.monitoring.watch import watch
from umemma.settings import section


def main(arguments: Sequence[str]) -> None:
    """Read the arguments, compare, print, and exit with the code."""
    given = _arguments(arguments)
    settings = section(Settings, **{name: getattr(given, name) for name in Settings.model_fields})
    since = None if given.since is None else answers.since(given.since, datetime.now(UTC))
    found = watch(given.answers, given.model, settings, since=since, later=given.labels)
    judged = verdict(found, settings)
    if given.json:
        print(json.dumps(asdict(judged) | found.content(), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        print(report.text(found, judged))
    sys.exit(0 if judged.status == "well" else 1)


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("umemma monitor", description=__doc__)
    parser.add_argument("answers", type=Path, help="a folder that `umemma serve --log` wrote, or a file of answers")
    parser.add_argument("--model", type=Path, default=Path("data/export"), help="the model's folder (%(default)s)")
    parser.add_argument("--since", help="only answers since then: 24h, 7d, 2026-11-26, 2026-11-26T10:00 (UTC)")
    parser.add_argument("--labels", type=Path, help="a table of the columns key and label, known since")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    for name, field in Settings.model_fields.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=type(field.default),
            default=field.default,
            help=f"{field.description} (%(default)s)".replace("% ", "%% "),
            metavar="N",
        )
    return parser.parse_args(arguments)
