"""Readers of what rows come in, one file a kind; `data/loading.py` has the table of all kinds."""
