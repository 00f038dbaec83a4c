"""TFLite graphs and the Edge TPU compiler."""
