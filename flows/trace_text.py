"""What was traced, for people: hashes of DVC are cut to 12 digits, digests to compare with `sha256sum` are whole."""

import json
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from flows.descent import Descent, Use
from flows.lineage import Artifact, Stage
from flows.origin import Origin

_DIGITS, _WIDTH, _VALUE, _PAGE = 12, 10, 90, 120
_ANSWERS = 10  # listed of one model


def lines(found: Origin | Descent) -> Iterator[str]:
    """Yield the lines."""
    yield from _origin(found) if isinstance(found, Origin) else _descent(found)
    for note in found.notes:
        yield _line("note", note)


def _origin(found: Origin) -> Iterator[str]:
    if found.answer:
        one = found.answer
        yield _line("answer", f"{one.id}: {one.split} sample {one.key}, true {one.true}, predicted {one.predicted}")
    yield from _listed("served", [f"{one.time} as {one.key}: {one.predicted}, from {one.used}" for one in found.served])
    yield _line("model", f"{found.model}{_facts(found)}")
    if found.found_in:
        yield _line("found in", "; ".join(found.found_in))
    if found.code:
        changed = ", with uncommitted changes of tracked files" if found.is_dirty else ""
        yield _line("git", f"commit {found.code}{changed}")
    yield from _mlflow(found.mlflow)
    if found.sample:
        sample = found.sample
        yield _line("sample", f"{sample.key} in {sample.shard} of the shards")
        yield from (_line("", f"{name:<12} sha256 {sha256}") for name, sha256 in sample.sha256.items())
    if found.raw_files is not None:
        files = [f"{name}  sha256 {sha256}" for name, sha256 in found.raw_files.items()]
        yield from _listed("raw files", files or ["none: the adapter makes its data of what packages hold"])
    yield from _listed(
        "shards", [f"{one['name']}  {one['num_samples']:,} samples, sha256 {one['sha256']}" for one in found.shards]
    )
    yield from _listed("set", [f"{key}: {_short(value)}" for key, value in found.parameters.items()])
    for number, stage in enumerate(found.stages):
        yield from _stage("stages" if number == 0 else "", stage)
    yield from (_line("outdated", sentence) for sentence in found.outdated)


def _facts(found: Origin) -> str:
    facts = found.facts
    if not facts:
        return ""
    return f"\n{'':<{_WIDTH}}{facts['dataset']}, arm {facts['arm']}, seed {facts['seed']}, by umemma {facts['umemma']}"


def _mlflow(logged: Sequence[Any]) -> Iterator[str]:
    for run in logged:
        yield _line("MLflow", f"run {run.run} {run.name!r} in experiment {run.experiment}")
        for key, value in run.tags.items():
            yield _line("", f"{key} {value}")
        for model in run.models:
            yield _line("", f"model {model}")
        for one in run.versions:
            aliases = f" ({', '.join(one.aliases)})" if one.aliases else ""
            yield _line("", f"registered as {one.name}/{one.version}{aliases}")


def _stage(title: str, stage: Stage) -> Iterator[str]:
    yield _line(title, stage.name)
    for verb, artifacts in (("reads", stage.deps), ("writes", stage.outs)):
        start = f"{'':<{_WIDTH}}  {verb:<7}"
        yield from textwrap.wrap(
            ", ".join(map(_artifact, artifacts)),
            _PAGE,
            initial_indent=start,
            subsequent_indent=" " * len(start),
            break_long_words=False,
            break_on_hyphens=False,
        )


def _artifact(one: Artifact) -> str:
    return f"{one.path}@{one.md5[:_DIGITS]}{'.dir' if one.md5.endswith('.dir') else ''}"


def _descent(found: Descent) -> Iterator[str]:
    first = found.uses[0]
    what = [*first.how, *(f"sample {one.key} ({one.split}, in {one.shard})" for one in first.samples)]
    yield _line("data", f"{found.asked}: {', '.join(what[:5])}{' and more' if len(what) > 5 else ''}")
    for use in found.uses:
        yield from _use(use)


def _use(use: Use) -> Iterator[str]:
    yield _line("model", use.model or "is stored nowhere that could be looked into")
    named = [f"{use.dataset}, arm {use.arm}, seed {use.seed}"] if use.dataset else []
    yield _line("", "; ".join([*named, *use.found_in]))
    yield from (_line("", f"MLflow run {name}") for name in use.mlflow)
    for answer in use.answers[:_ANSWERS]:
        yield _line("", f"answer {answer.id}: {answer.key}, true {answer.true}, predicted {answer.predicted}")
    if not use.answers or len(use.answers) > _ANSWERS:
        yield _line("", f"{use.num_answers:,} answers on file (data/reports/predictions.csv)")


def _listed(title: str, rows: Sequence[str]) -> Iterator[str]:
    for number, row in enumerate(rows):
        yield _line(title if number == 0 else "", row)


def _line(title: str, text: str) -> str:
    return f"{title:<{_WIDTH}}{text}".rstrip()


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _VALUE else text[: _VALUE - 1] + "…"
