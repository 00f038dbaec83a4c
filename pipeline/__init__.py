"""Wiring: configuration and the TFX pipeline."""
