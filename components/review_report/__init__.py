"""ReviewReport: the review page of a run, as far as it follows from the artifacts."""
