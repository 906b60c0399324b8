"""A study while it runs: what its folder holds by now, on a page of this machine or a terminal.

Nothing here writes to a study, and the server answers to this machine alone.
"""
