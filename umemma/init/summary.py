"""What `umemma init` prints: what was read, what may spoil every result, each guess with its reason and the flag that undoes it.

The order is that of a stranger's questions: did it read my table, is something wrong with my data, what did it take for
what, what do I do next.
"""

from collections.abc import Iterator
from pathlib import Path

from umemma.errors import some
from umemma.init import starting_values, survey
from umemma.init.proposal import Proposal
from umemma.init.roles import Guess


def lines(proposal: Proposal, file: Path) -> list[str]:
    """Return the summary as lines."""
    sizes = ", ".join(f"{count} {name}" for name, count in proposal.num_samples.items())
    result = [f"{file.name}: {proposal.num_rows} rows; {sizes}"]
    if proposal.rejected:
        result.append(_entry("left out", "; ".join(f"{count} rows: {why}" for why, count in proposal.rejected.items())))
    if proposal.root != file.parent:
        result.append(_entry("root", f"{proposal.root}; --root names another"))
    if proposal.first:
        result += ["Look at this first:", *(f"  - {sentence}" for sentence in proposal.first)]
    result += ["Guessed:"]
    for guess in proposal.guesses:
        result.append(_entry(guess.role, _told(guess, proposal)))
    result += ["  modalities  (--modality NAME=COLUMN,... groups columns, --drop COLUMN leaves one out)"]
    result += [_modality(proposal, name) for name in proposal.options["modalities"]]
    if proposal.unused:
        result.append(_entry("not used", "; ".join(f"{name} ({why})" for name, why in proposal.unused.items())))
    if proposal.unsure:
        result += ["Unsure:", *(f"  - {sentence}" for sentence in proposal.unsure)]
    return result


def _told(guess: Guess, proposal: Proposal) -> str:
    value = guess.value
    if guess.role == "label":
        several = ", several a row" if proposal.label.task == "multi_label" else ""
        value = f"{value}: {len(proposal.label.classes)} classes{several}: {some(proposal.label.classes, 8)}"
    if guess.role == "split":
        if "split" not in proposal.options:
            value = "drawn by shares"
        elif "shares" in proposal.options:
            value += f", with {' and '.join(proposal.options['shares'])} drawn from its train"
    return f"{value}  ({guess.reason}; {guess.flag})" if guess.reason else value


def _modality(proposal: Proposal, name: str) -> str:
    entry, total = proposal.options["modalities"][name], sum(proposal.num_samples.values())
    width = max(map(len, proposal.options["modalities"]))
    missing = total - proposal.num_present(name)
    seen = survey.sentence(proposal.kind(name), proposal.surveys[name])
    source = entry.get("column") or some(entry["columns"])
    gaps = f"missing in {missing} of {total} ({missing / total:.0%})"
    told = filter(None, [gaps, f"from {source}", seen, *_changed(proposal.kind(name), proposal.surveys[name].facts)])
    return f"    {name:{width}}  {entry['kind']:6}  {'; '.join(told)}"


def _changed(kind: str, facts: starting_values.Facts) -> Iterator[str]:
    """Yield what decoding makes of these files that a look at the figures might regret."""
    decoder = starting_values.decode(kind, facts)
    if kind == "series" and decoder.get("fit") == "stretch":
        yield f"each is stretched to {decoder['length']} steps: `fit: crop` keeps their rate, and drops what is longer"
    if len(set(facts.get("deep", ()))) > 1:
        yield "gray values of eight and of more bits are mixed, which do not mean the same"


def _entry(name: str, text: str) -> str:
    return f"  {name:10}{text}"
