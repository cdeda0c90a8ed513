"""Some files of a modality, opened to see how they are to be read."""

from umemma.data.sample import BadSample
from umemma.sources.adapters.table import Adapter

_TRIED = 20  # files of a modality


def some_files(modality: str, adapter: Adapter) -> list[tuple[str, str, bytes]]:
    """Return (path, suffix, content) of files spread over the table; the survey counts those that cannot be read."""
    members, files = adapter.members, []
    rows = [row for row in adapter.rows.label if members.has(modality, row)]
    for row in rows[:: -(-len(rows) // _TRIED) or 1]:
        try:
            if (found := members.content(modality, row)) is not None:
                files.append(found)
        except BadSample:
            continue
    return files
