"""`reefline deploy`: a bundle as another program reads it."""
