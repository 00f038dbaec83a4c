"""The YAML config: reading it, validating it and describing its problems."""
