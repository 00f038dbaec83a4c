"""The machine below: files, processes, signals, the terminal, memory, downloads."""
