"""ServingBundle: the bundle that serves, which a candidate is compared with."""
