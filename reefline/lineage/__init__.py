"""What ran, with which inputs, and what came out: ML Metadata, read only but for artifacts that were deleted."""
