"""What `reefline verify` does: a run in small, so that what would go wrong goes wrong before it is paid for."""
