"""`reefline detect`: running a bundle on images, without TensorFlow."""
