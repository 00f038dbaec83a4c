"""Images and annotations: decoding, rules, splitting, the demo data set."""
