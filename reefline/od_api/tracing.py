"""Tracing without AutoGraph, on which the OD API's own scripts spend minutes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def without_autograph() -> Iterator[None]:
    """Trace functions as written.

    Keras converts the `call` of every layer through AutoGraph each time a function is traced, although the OD API
    writes its conditions as `tf.cond` already. With the conversion context disabled a first step takes seconds instead
    of minutes and computes the same values.
    """
    from tensorflow.python.autograph.core import ag_ctx

    with ag_ctx.ControlStatusCtx(status=ag_ctx.Status.DISABLED):
        yield
