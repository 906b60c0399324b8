"""What rows stand for where they are neither vectors nor images: texts as bytes, and tables by
their columns; nothing here trains, compares or reads files.
"""
