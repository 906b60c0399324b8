"""A generator, a metric, an extractor, a strategy and a preset for entroloop: one file each."""

from importlib.resources import files

COPIES = files(__name__) / "copies.yaml"
