"""The study folder: its stages, their lists and the records; how they are made is not here."""
