"""Metrics: pure functions of feature arrays, one file per family, and the table that names them."""

from entroloop.metrics.metric import Metric
from entroloop.metrics.sets import Sets
from entroloop.metrics.table import METRICS, RECORDED

__all__ = ["METRICS", "RECORDED", "Metric", "Sets"]
