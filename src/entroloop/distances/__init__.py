"""What a distance is, and exact neighbours at multiply speed; rows are arrays in one process."""
