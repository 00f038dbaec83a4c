"""File formats of annotated images: parsing and writing, and nothing else."""
