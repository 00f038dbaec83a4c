"""The rules on annotations and data sets, and how much each one weighs."""
