"""Monitors: what a model in training makes, measured as it trains. One file per callback.

`monitor.py` is the way in. What a metric is stands in `metrics/`; nothing is defined here again.
"""
