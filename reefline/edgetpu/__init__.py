"""Which operators run on the Edge TPU: documented limits, prediction, compiler, compiled files."""
