"""One file per strategy of selection, and the table of them."""
