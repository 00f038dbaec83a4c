"""A random choice among variants of an augmentation, for the OD API's ssd_random_crop family."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def install_random_choice() -> None:
    """Make the OD API choose among variants by `tf.switch_case`; a second call changes nothing.

    Its own `_apply_with_random_selector_tuples` uses TensorFlow 1's switch and merge. Inside tf.data, TensorFlow 2 runs
    the variants' asserts one after the other, so the first variant that was not chosen blocks the chosen one:
    ssd_random_crop_pad fails with "No return value for index 0".
    """
    from object_detection.core import preprocessor

    preprocessor._apply_with_random_selector_tuples = _choose_variant


def _choose_variant(
    x: tuple[Any, ...], func: Callable[..., Any], num_cases: int, preprocess_vars_cache: Any = None, key: str = ""
) -> tuple[Any, ...]:
    """Return `func(x, case)` for a case that is drawn when the graph runs; stands in for the OD API's function."""
    import tensorflow as tf
    from object_detection.core import preprocessor, preprocessor_cache

    draw = functools.partial(tf.random.uniform, [], maxval=num_cases, dtype=tf.int32)
    case = preprocessor._get_or_create_preprocess_rand_vars(
        draw, preprocessor_cache.PreprocessorCache.SELECTOR_TUPLES, preprocess_vars_cache, key
    )
    variants = [functools.partial(lambda number: tuple(func(x, number)), number) for number in range(num_cases)]
    chosen: tuple[Any, ...] = tf.switch_case(case, variants)
    return chosen
