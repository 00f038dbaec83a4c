"""The only door to the TensorFlow Object Detection API."""
