"""One adapter per search service."""
