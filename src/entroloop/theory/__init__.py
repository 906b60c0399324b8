"""The theory bench: loops simple enough for closed forms, thousands of them at once.

Here are the loops and what theory says of them, derived in docs/theory.md; studies of generators
are in `study/`.
"""
