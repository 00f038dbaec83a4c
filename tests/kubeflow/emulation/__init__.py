"""Kubeflow Pipelines v2 without a cluster: its driver and launcher, as far as a compiled package can tell.

Written after kubeflow/pipelines, backend/src/v2: driver, component/launcher_v2.go, cacheutils, metadata, objectstore.
"""
