"""Getting images from the web: search services, polite and guarded downloads, where each image comes from."""
