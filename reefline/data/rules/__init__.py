"""The rules on annotations and data sets, listed with their severities in `table`."""
