"""AnnotationValidator: the verdict on the data, before anything is trained on it."""
