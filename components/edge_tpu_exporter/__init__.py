"""EdgeTpuExporter: the best checkpoint as a SavedModel and a bundle in the making."""
