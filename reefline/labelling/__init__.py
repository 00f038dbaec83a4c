"""Boxes from a model: labelling images, and finding labels that a model disagrees with."""
