"""Running a model: one image, a split, a folder of images."""
