"""A generator, a metric, an extractor and a strategy for entroloop: one file each."""
