"""TFLite files: reading, converting, labelling, debugging."""
