"""Data sets in the formats of other tools: reading, writing, and the command that connects both."""
