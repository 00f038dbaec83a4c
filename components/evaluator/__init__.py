"""Evaluator: the gate and the blessing."""
