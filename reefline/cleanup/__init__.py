"""What of a workspace nothing needs any more, and removing it."""
