"""A training run: where it starts, its loop and checkpoints, what it reports."""
