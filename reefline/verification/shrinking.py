"""What it saves to shrink large images once, at ingestion, instead of decoding them in every step."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from reefline.findings import Severity
from reefline.formats.tf_example import read_examples
from reefline.images.codec import transcode_to_rgb_jpeg
from reefline.images.sizes import shrunk_size_px
from reefline.settings import TrainerSettings
from reefline.system.terminal import format_duration
from reefline.verification.records import DataFacts, Problem, RunEstimate
from reefline.verification.sample import DataSample

FAR_LARGER_THAN_INPUT = 4
_TIMED_IMAGES = 8
# Below this, the hint is not worth a line.
MIN_SAVED_S = 10.0


@dataclass(frozen=True)
class DecodingTimes:
    """Seconds per image on one core: decoding and resizing it as it is and shrunk, and shrinking it once."""

    full_s: float
    shrunk_s: float
    shrinking_s: float


def choose_max_dimension(median_long_side_px: int, input_px: int) -> int | None:
    """Return the size in pixels to shrink images to once, at ingestion; None for images that are not far larger.

    Every step decodes its images: one of 12 megapixels takes longer to decode than to train on. At four times the
    input, crops of half the area lose nothing that the input shows.
    """
    limit_px = FAR_LARGER_THAN_INPUT * input_px
    return limit_px if median_long_side_px > limit_px else None


def find_shrinking(
    sample: DataSample, settings: TrainerSettings, input_px: int, estimate: RunEstimate, cores: int
) -> tuple[Problem, ...]:
    """Return a warning with the seconds that `data.max_dimension` saves, if images are far larger than the input."""
    long_side_px = int(statistics.median_low([max(size) for size in sample.image_sizes_px]))
    limit_px = choose_max_dimension(long_side_px, input_px)
    if limit_px is None:
        return ()
    saved_s = count_saved_seconds(
        measure_decoding(sample, limit_px, input_px), settings, sample.facts, estimate.evaluations, cores
    )
    if saved_s < MIN_SAVED_S:
        return ()
    message = (
        f"data.max_dimension: images are {long_side_px} px long, the input is {input_px} px; {limit_px} shrinks them "
        f"once at ingestion and saves about {saved_s:,.0f} s ({format_duration(saved_s)}) of decoding"
    )
    return (Problem(Severity.WARNING, message, ("data.max_dimension",)),)


def count_saved_seconds(
    times: DecodingTimes, settings: TrainerSettings, data: DataFacts, evaluations: int, cores: int
) -> float:
    """Return the seconds that shrunk images save a run on `cores` cores, less the time to shrink them once."""
    decoded = settings.num_steps * settings.batch_size + evaluations * data.eval_images
    return decoded * (times.full_s - times.shrunk_s) / cores - data.images * times.shrinking_s


def measure_decoding(sample: DataSample, max_dimension: int, input_px: int) -> DecodingTimes:
    """Decode a few training images as they are, and shrunk to `max_dimension` px."""
    import tensorflow as tf

    pattern = Path(sample.train_records)
    examples = list(islice(read_examples(sorted(pattern.parent.glob(pattern.name))), _TIMED_IMAGES))

    def decode(encoded: bytes) -> None:
        pixels = tf.cast(tf.io.decode_jpeg(encoded, channels=3), tf.float32)
        tf.image.resize(pixels, (input_px, input_px)).numpy()

    full = [example.encoded_jpeg for example in examples]
    shrunk: list[bytes] = []

    def shrink(position: int) -> None:
        size_px = shrunk_size_px((examples[position].width_px, examples[position].height_px), max_dimension)
        shrunk.append(transcode_to_rgb_jpeg(full[position], apply_exif=False, size_px=size_px))

    shrinking_s = _time_each(shrink, range(len(full)))
    decode(full[0])  # the first call loads kernels
    return DecodingTimes(_time_each(decode, full), _time_each(decode, shrunk), shrinking_s)


def _time_each(run: Callable[..., None], arguments: Sequence[object]) -> float:
    """Return the median seconds of a call."""
    seconds = []
    for argument in arguments:
        started_s = time.monotonic()
        run(argument)
        seconds.append(time.monotonic() - started_s)
    return statistics.median(seconds)
