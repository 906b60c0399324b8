"""What to leave out of a pool: near-duplicates, and generated rows that copy or stray."""
