"""The machine: files, processes, signals, the terminal, memory, downloads."""
