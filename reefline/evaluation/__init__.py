"""COCO metrics, scores and the gate's verdict."""
