"""Pusher: a blessed candidate becomes the bundle that serves."""
