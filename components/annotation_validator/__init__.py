"""AnnotationValidator: the verdict on the data, before training."""
