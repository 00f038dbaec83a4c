"""VocExampleGen: a folder of images with VOC annotations becomes tf.Examples, a label map and a report."""
