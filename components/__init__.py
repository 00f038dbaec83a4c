"""TFX components, one package each; they never import one another."""
