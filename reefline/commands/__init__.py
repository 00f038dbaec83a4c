"""One file per command of the CLI, and the options that commands share."""
