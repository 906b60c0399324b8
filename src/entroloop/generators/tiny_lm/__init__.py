"""A small language model trained from scratch: its vocabulary, and the generator of texts."""
