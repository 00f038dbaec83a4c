"""ModelScorer: how good the candidate is, and the model that serves."""
