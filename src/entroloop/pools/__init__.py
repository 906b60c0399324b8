"""Rows that may lie in several processes, and one way to query them; what is chosen is not here."""
