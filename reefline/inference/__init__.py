"""Running a model on one image, a split or a folder of images."""
