"""Reads Parquet within limits: a megabyte of it can hold 60 million equal rows, or a cell of a gigabyte.

The footer says how many rows and values there are, and how large pages are once unpacked. What it does not say is how
large cells are. A text that stands once in a dictionary may be the cell of every row: texts are read as their dictionary,
and counted before each becomes a cell. With DELTA_BYTE_ARRAY a cell shares its beginning with the one before: of such
columns so few rows are read at a time that they fit even if each is as large as all that is unpacked.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from umemma import limits
from umemma.errors import DataError, OverLimit
from umemma.sources.tables import parquet_footer
from umemma.sources.tables.parquet_footer import Chunk

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_AMBIGUOUS = "its footer can be read in two ways"
_BATCH_ROWS = 1 << 16
_BYTES = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 8, "FLOAT": 4, "DOUBLE": 8, "BYTE_ARRAY": 4}  # of a value


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn errors of pyarrow within into a DataError that names the file."""
    import pyarrow as pa

    try:
        yield
    except OverLimit as error:
        raise OverLimit(f"{path}: {error}") from error
    except (pa.ArrowException, OSError, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise DataError(f"{path} is no readable Parquet file: {error}") from error


def whole(content: bytes) -> "pa.Table":
    """Return a file's rows. Raises OverLimit before they are read, or as soon as they take too much."""
    import pyarrow as pa

    groups = parquet_footer.chunks(content)
    file = _opened(pa.BufferReader(content), groups)
    limits.check_table(file.metadata.num_rows, file.metadata.num_columns, "the table")
    limits.check_bytes(sum(map(_least_bytes, groups)), "the table")
    parts, num_bytes = [], 0
    for batch, size in _batches(file, groups, _BATCH_ROWS):
        num_bytes += size
        limits.check_bytes(num_bytes, "the table")
        parts.append(batch)
    return pa.Table.from_batches(parts, file.schema_arrow)


def batches(path: Path, num_rows: int) -> Iterator["pa.RecordBatch"]:
    """Yield all rows, at most `num_rows` at a time. Raises OverLimit for rows that take too much."""
    groups = parquet_footer.chunks(_end(path))
    file = _opened(path, groups)
    limits.check("columns", file.metadata.num_columns, "the table")
    for batch, size in _batches(file, groups, num_rows):
        limits.check_bytes(size, f"{batch.num_rows} rows")
        yield batch


def _end(path: Path) -> bytes:
    """Return the end of a file, with its footer."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 8))
        length = int.from_bytes(file.read(4), "little") + 8
        limits.check_bytes(min(length, size), "its footer")
        file.seek(max(0, size - length))
        return file.read()


def _opened(source: Any, groups: Sequence[Sequence[Chunk]]) -> "pq.ParquetFile":
    import pyarrow.parquet as pq

    chunks = [chunk for group in groups for chunk in group]
    texts = {chunk.path for chunk in chunks if chunk.physical_type == "BYTE_ARRAY"}
    deltas = {chunk.path for chunk in chunks if chunk.encodings & parquet_footer.DELTAS}  # arrow reads none of them so
    try:
        file = pq.ParquetFile(source, read_dictionary=sorted(texts - deltas))
    except KeyError as error:  # a column that its schema does not have
        raise ValueError(_AMBIGUOUS) from error
    if file.metadata.num_row_groups != len(groups):
        raise ValueError(_AMBIGUOUS)
    return file


def _batches(
    file: "pq.ParquetFile", groups: Sequence[Sequence[Chunk]], most_rows: int
) -> Iterator[tuple["pa.RecordBatch", int]]:
    """Yield rows, and the bytes of their cells."""
    most_bytes = limits.current().file_mib * limits.MIB
    for number, chunks in enumerate(groups):
        for chunk in chunks:
            limits.check_bytes(chunk.num_bytes, f"column {chunk.path}")
        growing = sum(chunk.num_bytes for chunk in chunks if parquet_footer.DELTA_BYTE_ARRAY in chunk.encodings)
        num_rows = int(max(1, min(most_rows, most_bytes // max(1, growing))))
        for batch in file.iter_batches(num_rows, row_groups=[number]):
            yield batch, sum(map(_size, batch.columns, batch.schema.names))


def _size(cells: "pa.Array", name: str) -> int:
    """Return the bytes of cells. Raises OverLimit for one that is too large."""
    import pyarrow.compute as pc
    import pyarrow.types as kinds

    if kinds.is_list(cells.type) or kinds.is_large_list(cells.type) or kinds.is_fixed_size_list(cells.type):
        return _size(cells.flatten(), name)
    if kinds.is_map(cells.type):
        return _size(cells.keys, name) + _size(cells.items, name)
    if kinds.is_struct(cells.type):
        return sum(_size(part, name) for part in cells.flatten())
    if not (kinds.is_dictionary(cells.type) or kinds.is_string(cells.type) or kinds.is_binary(cells.type)):
        return int(cells.nbytes)
    lengths = pc.binary_length(cells.dictionary if kinds.is_dictionary(cells.type) else cells)
    limits.check("cell_mib", (pc.max(lengths).as_py() or 0) / limits.MIB, f"a cell of {name}")
    return pc.sum(pc.take(lengths, cells.indices) if kinds.is_dictionary(cells.type) else lengths).as_py() or 0


def _least_bytes(group: Sequence[Chunk]) -> int:
    """Return how many bytes the values of a row group take, without those of texts."""
    return sum(chunk.num_values * _BYTES.get(chunk.physical_type, 1) for chunk in group)
