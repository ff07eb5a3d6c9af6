"""The one clock: monotonic, in integer nanoseconds, the same in every process of a machine."""

from time import perf_counter_ns as now_ns

__all__ = ["now_ns"]
