"""``history.parquet``: the rows of ``history.csv`` with their types, and the seconds that each generation took."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jaxga.runs.draft import draft
from jaxga.runs.history import Columns


@contextmanager
def parquet_writer(path: Path, seconds: dict[int, float]) -> Iterator[Callable[[Columns], None]]:
    """A function that appends a block of the history; the file is put in place when the context ends without an error.

    Args:
        path: of the file.
        seconds: by number of generation; a generation without them has NaN.
    """
    with draft(path) as made, ExitStack() as stack:
        writer = None

        def write(block: Columns) -> None:
            nonlocal writer
            of_rows = np.array([seconds.get(number, np.nan) for number in block["generation"].tolist()], np.float32)
            columns = block | {"seconds": of_rows}
            table = pa.Table.from_arrays([_array(column) for column in columns.values()], names=list(columns))
            writer = writer or stack.enter_context(pq.ParquetWriter(made, table.schema, compression="zstd"))
            writer.write_table(table)

        yield write


def _array(column: np.ndarray) -> Any:
    """A column as an Arrow array, through its memory: ``pyarrow.array`` would import pandas, a third of a second."""
    if column.ndim > 1:
        places = np.arange(len(column) + 1, dtype=np.int32) * column.shape[1]
        return pa.ListArray.from_arrays(_array(places), _array(column.ravel()))
    if column.dtype.kind in "USO":
        cells = [str(cell).encode() for cell in column.tolist()]
        ends = np.cumsum([0, *map(len, cells)], dtype=np.int32)
        return pa.StringArray.from_buffers(len(cells), pa.py_buffer(ends), pa.py_buffer(b"".join(cells)))
    if column.dtype.kind == "b":
        return pa.BooleanArray.from_buffers(
            pa.bool_(), len(column), [None, pa.py_buffer(np.packbits(column, bitorder="little"))]
        )
    values = np.ascontiguousarray(column)
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [None, pa.py_buffer(values)])
