"""The checkpoints of one training run, of which none is ever loaded that is not whole.

TensorFlow writes a checkpoint in several files, and a process may be killed between any two of them. So what counts is
written down apart, after the last file is there (`TrainingState`), and what is not written down is deleted.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from reefline.errors import CheckpointError

if TYPE_CHECKING:
    import tensorflow as tf

_NAME = re.compile(r"ckpt-(\d+)(?:_temp|\.index|\.data-\d+-of-\d+)")


class CheckpointStore:
    """Writes, reads and deletes the checkpoints of one folder, each under its step: ckpt-100.index and its data."""

    def __init__(self, directory: Path, checkpoint: tf.train.Checkpoint, *, is_chief: bool = True) -> None:
        """Keep `checkpoint`'s values in `directory`, which is made; only the chief of several workers leaves files."""
        self._directory = directory
        self._checkpoint = checkpoint
        self._is_chief = is_chief
        # The OD API takes only checkpoints with a save counter for object-based ones; asking for it makes it.
        _ = checkpoint.save_counter
        directory.mkdir(parents=True, exist_ok=True)

    def prefix(self, step: int) -> str:
        """Return what TensorFlow calls the checkpoint's prefix."""
        return str(self._directory / f"ckpt-{step}")

    def save(self, step: int) -> None:
        """Write a checkpoint; one that cannot be written whole leaves nothing behind.

        Raises:
            tf.errors.OpError: TensorFlow cannot write it, as where no space is left.
        """
        if not self._is_chief:
            # The values of several workers are gathered while each of them saves.
            with tempfile.TemporaryDirectory() as scratch:
                self._checkpoint.write(str(Path(scratch) / "ckpt"))
            return
        try:
            self._checkpoint.write(self.prefix(step))
        except BaseException:
            self._delete(step)
            raise

    def restore(self, step: int) -> None:
        """Read a checkpoint back; variables that are made later get their values when they are made.

        Raises:
            CheckpointError: it is gone or damaged.
        """
        import tensorflow as tf

        try:
            # Every value is read once, as those of variables to come would fail in the middle of the first step.
            reader = tf.train.load_checkpoint(self.prefix(step))
            for name in reader.get_variable_to_shape_map():
                reader.get_tensor(name)
            self._checkpoint.read(self.prefix(step))
        except (tf.errors.OpError, ValueError, IndexError) as error:
            raise CheckpointError(
                f"{self.prefix(step)}: the checkpoint to go on from cannot be read ({str(error).splitlines()[0]}); "
                f"delete {self._directory.parent} to train from the start"
            ) from error

    def steps(self) -> tuple[int, ...]:
        """Return the steps of all checkpoints that have an index, oldest first."""
        return tuple(sorted(int(path.stem.split("-")[1]) for path in self._directory.glob("ckpt-*.index")))

    def keep(self, steps: Collection[int]) -> None:
        """Delete every other checkpoint, half-written ones too."""
        if not self._is_chief:
            return
        found = {int(match[1]) for path in self._directory.iterdir() if (match := _NAME.fullmatch(path.name))}
        for step in found - set(steps):
            self._delete(step)

    def copy_to(self, directory: Path, step: int) -> None:
        """Put a copy of one checkpoint into a folder of its own, which appears whole or not at all."""
        import tensorflow as tf

        beside = directory.with_name(f".{directory.name}.part")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        for path in self._files(step):
            shutil.copy2(path, beside)
        tf.compat.v1.train.update_checkpoint_state(str(beside), f"ckpt-{step}")
        shutil.rmtree(directory, ignore_errors=True)
        beside.replace(directory)

    def _files(self, step: int) -> list[Path]:
        return [
            path
            for path in self._directory.iterdir()
            if (match := _NAME.fullmatch(path.name)) and int(match[1]) == step
        ]

    def _delete(self, step: int) -> None:
        for path in self._files(step):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
