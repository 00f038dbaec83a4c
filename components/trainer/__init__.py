"""Trainer: the OD API's train/eval loop on ingested examples."""
