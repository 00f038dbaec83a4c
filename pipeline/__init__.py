"""The TFX pipeline and what runs it."""
