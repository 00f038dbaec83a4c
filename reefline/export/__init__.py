"""From a trained checkpoint to the files of a bundle, and the same for an untrained model."""
