"""One file per command of the CLI."""
