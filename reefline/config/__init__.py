"""The YAML config: reading, validating, explaining what is wrong with it."""
