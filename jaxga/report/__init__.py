"""The report of a run: its page, its figures and its Parquet file."""

from jaxga.report.outputs import preload, write_outputs

__all__ = ["preload", "write_outputs"]
