"""Which operators run on the Edge TPU: the documented limits, the prediction, compiled files."""
