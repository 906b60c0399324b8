"""The study folder: stages, run lists and records; the code that produces them lives elsewhere."""
