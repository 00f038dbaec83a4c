"""EdgeTpuExporter: the best checkpoint as a SavedModel and the files of a bundle."""
