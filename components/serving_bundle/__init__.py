"""ServingBundle: the bundle that serves, which a candidate has to stand up to."""
