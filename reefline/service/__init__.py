"""`reefline serve`: detection over HTTP."""
