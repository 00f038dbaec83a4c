"""`reefline detect`: a bundle on images, without TensorFlow."""
