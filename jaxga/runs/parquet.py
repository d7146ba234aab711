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
from jaxga.space import SearchSpace, is_missing


@contextmanager
def parquet_writer(path: Path, space: SearchSpace, seconds: dict[int, float]) -> Iterator[Callable[[Columns], None]]:
    """A function that appends a block of the history; the file is put in place when the context ends without an error.

    Args:
        path: of the file.
        space: that was searched; a hyperparameter with a condition is null where it was inactive.
        seconds: by number of generation; a generation without them has NaN.
    """
    dimensions = dict(space.items)
    nullable = [name for name in dimensions if space.condition_of(name)]
    with draft(path) as made, ExitStack() as stack:
        writer = None

        def write(block: Columns) -> None:
            nonlocal writer
            of_rows = np.array([seconds.get(number, np.nan) for number in block["generation"].tolist()], np.float32)
            columns = block | {"seconds": of_rows}
            arrays = [
                _nullable(column, dimensions[name].dtype) if name in nullable else _array(column)
                for name, column in columns.items()
            ]
            table = pa.Table.from_arrays(arrays, names=list(columns))
            writer = writer or stack.enter_context(pq.ParquetWriter(made, table.schema, compression="zstd"))
            writer.write_table(table)

        yield write


def _nullable(column: np.ndarray, dtype: np.dtype) -> Any:
    """A column of objects as an Arrow array of a type, null where it has NaN."""
    missing = np.array([is_missing(value) for value in column], bool)
    values = np.empty(len(column), object if dtype.kind in "USO" else dtype)
    values[:] = np.where(missing, "" if dtype.kind in "USO" else 0, column)
    plain, valid = _array(values), pa.py_buffer(np.packbits(~missing, bitorder="little"))
    return pa.Array.from_buffers(plain.type, len(column), [valid, *plain.buffers()[1:]])


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
