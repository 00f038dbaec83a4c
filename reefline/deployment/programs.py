"""The programs that a bundle can be deployed for, and what differs between them."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class LabelReading(enum.Enum):
    """How a program reads a label file.

    By the first line: if that starts with a number and a space, all lines are "index label" (Frigate's `load_labels`,
    and `load_labels` of google-coral/tflite). By each line: one that starts with a number is "index label", where
    colons and spaces separate (pycoral's `read_label_file`).
    """

    BY_FIRST_LINE = enum.auto()
    BY_EACH_LINE = enum.auto()


class Program(str, enum.Enum):
    """A program that runs detectors for the Edge TPU."""

    FRIGATE = "frigate"
    VISERON = "viseron"
    CORAL_EXAMPLE = "coral-example"


@dataclass(frozen=True)
class Contract:
    """What a program expects of a model, beyond one uint8 RGB image in and boxes, classes, scores, count out.

    `title` is the program's name for messages. Detections below `lowest_score`, and all after the first
    `most_detections`, are never read; None means no such limit. `reads_signature`: outputs are found by their names in
    the model's signature, if it has one. `squeezes_outputs`: dimensions of size 1 are dropped, so a model of a single
    detection cannot be read. docs/deploy.md names the sources.
    """

    title: str
    labels: LabelReading
    lowest_score: float = 0.0
    most_detections: int | None = None
    needs_square_input: bool = False
    reads_signature: bool = False
    squeezes_outputs: bool = False


def get_contract(program: Program) -> Contract:
    """Return what a program expects."""
    return {
        Program.FRIGATE: Contract("Frigate", LabelReading.BY_FIRST_LINE, lowest_score=0.4, most_detections=20),
        Program.VISERON: Contract(
            "Viseron", LabelReading.BY_EACH_LINE, lowest_score=0.1, needs_square_input=True, reads_signature=True
        ),
        Program.CORAL_EXAMPLE: Contract("Coral's detect_image.py", LabelReading.BY_FIRST_LINE, squeezes_outputs=True),
    }[program]
