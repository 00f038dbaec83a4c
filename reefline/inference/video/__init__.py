"""`reefline detect --video`: running a bundle on a video file or a camera."""
