"""A bundle: its files and manifest, and the store that it is pushed to and served from."""
