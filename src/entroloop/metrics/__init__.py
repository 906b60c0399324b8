"""Metrics: pure functions of feature arrays, one file per family, and the table of their names."""

from entroloop.metrics.sets import Sets
from entroloop.metrics.table import METRICS, RECORDED, Metric

__all__ = ["METRICS", "RECORDED", "Metric", "Sets"]
