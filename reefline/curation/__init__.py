"""Data sets before a run: duplicates, preparing, converting, class names."""
