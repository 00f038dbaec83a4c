"""Running a pushed bundle on images: nothing here needs TensorFlow or TFX, so that it also works on a board."""
