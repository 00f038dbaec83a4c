"""Runs the pipeline on Kubeflow Pipelines v2: all that knows KFP."""
