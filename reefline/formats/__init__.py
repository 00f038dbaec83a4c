"""File formats of annotated images: parsing and writing only."""
