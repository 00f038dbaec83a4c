"""A bounded queue of images in front of one thread per interpreter."""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass

from reefline.images.codec import ImageProblemError, decode_upright, read_upright_size_px
from reefline.inference.detect.detect_objects import name_objects
from reefline.inference.detect.records import ImageResult
from reefline.inference.detect.runtime import LoadedModel
from reefline.service.serving_model import ServingModel

# From this many failed images in a row, the model is the reason.
_FAILURES = 3


class QueueFullError(Exception):
    """As many images wait as may wait."""


class TooManyPixelsError(Exception):
    """An image of more pixels than the service decodes."""


@dataclass(frozen=True)
class Answer:
    """What was found in an image, by which version of the model, and the seconds that the image waited before."""

    result: ImageResult
    model: str
    version: int
    waited_s: float


@dataclass(frozen=True)
class _Job:
    image_bytes: bytes
    name: str
    submitted_s: float
    answer: Future[Answer]


class InferencePool:
    """Detects objects in images, in the order of their arrival.

    Each thread has its own interpreter. `swap` replaces the model: images that are under way finish with the old one.
    """

    def __init__(self, serving: ServingModel, *, max_waiting: int, max_pixels: int) -> None:
        """Start one thread for each interpreter of `serving`; at most `max_waiting` images wait."""
        self._serving = serving
        self._swapping = threading.Lock()
        # Of each interpreter.
        self._failures = [0] * len(serving.models)
        self._error = ""
        self._max_waiting, self._max_pixels = max_waiting, max_pixels
        self._jobs: queue.Queue[_Job | None] = queue.Queue()
        # Counted apart from the queue, so that the signals to stop always fit.
        self._places = threading.BoundedSemaphore(max_waiting)
        self._threads = [
            threading.Thread(target=self._work, args=(number,), name=f"interpreter-{number}")
            for number in range(len(serving.models))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def serving(self) -> ServingModel:
        """The model that the next image runs on."""
        return self._serving

    @property
    def waiting(self) -> int:
        """How many images wait."""
        return self._jobs.qsize()

    @property
    def is_full(self) -> bool:
        """Whether as many images wait as may wait."""
        return self.waiting >= self._max_waiting

    @property
    def problem(self) -> str | None:
        """Why an interpreter fails for every image, None where all work."""
        if max(self._failures) < _FAILURES:
            return None
        return f"the model failed for the last {_FAILURES} images ({self._error})"

    def swap(self, serving: ServingModel, *, instead_of: ServingModel | None = None) -> bool:
        """Use another model, with as many interpreters, from the next image on.

        With `instead_of`, only if that is the model now. Returns whether it was swapped.
        """
        with self._swapping:
            if instead_of is not None and instead_of is not self._serving:
                return False
            self._serving = serving
            self._failures = [0] * len(serving.models)
            return True

    def submit(self, image_bytes: bytes, name: str) -> Future[Answer]:
        """Queue an encoded image; `name` is repeated in its result.

        The future raises ImageProblemError or TooManyPixelsError for an image that cannot be used.

        Raises:
            QueueFullError: as many images wait as may wait.
        """
        if not self._places.acquire(blocking=False):
            raise QueueFullError
        job = _Job(image_bytes, name, time.perf_counter(), Future())
        self._jobs.put(job)
        return job.answer

    def close(self) -> None:
        """Finish all queued images, then end the threads."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self, number: int) -> None:
        while (job := self._jobs.get()) is not None:
            self._places.release()
            self._answer(job, number)
            # A thread without work keeps neither an image nor, after a swap, the old model.
            del job

    def _answer(self, job: _Job, number: int) -> None:
        if not job.answer.set_running_or_notify_cancel():
            return
        serving, failures = self._serving, self._failures
        try:
            answer = self._detect(job, serving, serving.models[number])
        except Exception as error:  # whoever sent this image learns of it; the thread serves the next one
            if not isinstance(error, (ImageProblemError, TooManyPixelsError)):
                self._error = str(error) or type(error).__name__
                failures[number] += 1
            job.answer.set_exception(error)
        else:
            failures[number] = 0
            job.answer.set_result(answer)

    def _detect(self, job: _Job, serving: ServingModel, model: LoadedModel) -> Answer:
        import numpy as np

        waited_s = time.perf_counter() - job.submitted_s
        width_px, height_px = read_upright_size_px(job.image_bytes)
        if width_px * height_px > self._max_pixels:
            raise TooManyPixelsError(
                f"{width_px} x {height_px} px found, at most {self._max_pixels} pixels accepted; "
                "shrink the image, or start the server with a higher --max-pixels"
            )
        timed = model.detector.detect_timed(np.asarray(decode_upright(job.image_bytes)))
        objects = name_objects(timed.detections, model.labels, serving.min_scores)
        result = ImageResult(job.name, width_px, height_px, objects, timed.latency_ms, None)
        return Answer(result, serving.name, serving.version, waited_s)
