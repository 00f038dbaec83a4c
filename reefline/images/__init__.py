"""Image files: decoding, orientation, perceptual hashes."""
