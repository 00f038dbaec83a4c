"""`reefline verify` and `reefline doctor`: problems found before a long run starts."""
