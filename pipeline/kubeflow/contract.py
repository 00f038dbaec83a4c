"""The names that a package and the pods of its run agree on."""

from __future__ import annotations

import enum

# Where the image keeps the repository; its working folder, too.
IMAGE_HOME = "/app"
SCHEMA_FILE = f"{IMAGE_HOME}/configs/schema.pbtxt"

# KFP's cache key has a task's parameters, and from 2.18 on its container's environment, but not the pod's annotations.
# What must not key the cache, such as the data set's address, travels as an annotation that Kubernetes offers as an
# environment variable. DATA_REFERENCE is the parameter's value then. Other values that start with env:, such as a
# signing key's, are their component's own: a secret never becomes a parameter.
DATA_VARIABLE = "REEFLINE_DATA"
DATA_REFERENCE = f"env:{DATA_VARIABLE}"
DATA_ANNOTATION = "reefline/data"
REPORTS_VARIABLE = "REEFLINE_REPORTS"
MODEL_VARIABLE = "REEFLINE_MODEL"

# KFP's driver replaces this in a task's parameters; releases before 2.1 hand it through as it is.
RUN_ID_PARAMETER = "run_id"
RUN_ID_PLACEHOLDER = "{{$.pipeline_job_uuid}}"
UNRESOLVED_PREFIX = "{{$"

# Facts that the entrypoint adds to each output: who made it, when, and in how many seconds.
RUN_ID_FACT = "reefline_run_id"
STARTED_FACT = "reefline_started"
SECONDS_FACT = "reefline_seconds"

ENTRYPOINT_MODULE = "pipeline.kubeflow.entrypoint"
RESOLVE_MODULE = "pipeline.kubeflow.resolve"
SUMMARY_MODULE = "pipeline.kubeflow.run_summary"
EXECUTOR_INPUT_OPTION = "--executor_input"

PUSHER_TASK = "Pusher"
SUMMARY_TASK = "RunSummary"


class Resolver(str, enum.Enum):
    """The tasks that compute an exec property, by what they resolve; SIGNING_KEY only checks one."""

    DATA = "data"
    START = "start"
    SERVING = "serving"
    SIGNING_KEY = "signing-key"

    @property
    def task(self) -> str:
        """The task's name."""
        if self is Resolver.SIGNING_KEY:
            return "CheckSigningKey"
        return f"Resolve{self.value.capitalize()}"
