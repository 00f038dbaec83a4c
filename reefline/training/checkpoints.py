"""The checkpoints of one training run; an incomplete one is never loaded.

TensorFlow writes a checkpoint in several files, and a process may be killed between any two of them. So a separate file
(`TrainingState`) names the newest complete checkpoint once its last file is written; later ones are deleted.
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
    """Writes, reads and deletes the checkpoints of one folder, each named after its step, such as ckpt-100.index."""

    def __init__(self, directory: Path, checkpoint: tf.train.Checkpoint, *, is_chief: bool = True) -> None:
        """Keep `checkpoint`'s values in `directory`, which is created; of several workers only the chief writes it."""
        self._directory = directory
        self._checkpoint = checkpoint
        self._is_chief = is_chief
        # The OD API recognizes object-based checkpoints by their save counter; reading the property creates it.
        _ = checkpoint.save_counter
        directory.mkdir(parents=True, exist_ok=True)

    def prefix(self, step: int) -> str:
        """Return what TensorFlow calls the checkpoint's prefix."""
        return str(self._directory / f"ckpt-{step}")

    def save(self, step: int) -> None:
        """Write a checkpoint; one that cannot be written completely leaves nothing behind.

        Raises:
            tf.errors.OpError: TensorFlow cannot write it, for example on a full disk.
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
        """Read a checkpoint back; variables that are created later get their values then.

        Raises:
            CheckpointError: it is missing or damaged.
        """
        import tensorflow as tf

        try:
            # Read every value now: those of variables created later would fail in the middle of the first step.
            reader = tf.train.load_checkpoint(self.prefix(step))
            for name in reader.get_variable_to_shape_map():
                reader.get_tensor(name)
            self._checkpoint.read(self.prefix(step))
        except (tf.errors.OpError, ValueError, IndexError) as error:
            raise CheckpointError(
                f"{self.prefix(step)}: cannot read the checkpoint to resume from ({str(error).splitlines()[0]}); "
                f"delete {self._directory.parent} to start over"
            ) from error

    def steps(self) -> tuple[int, ...]:
        """Return the steps of all checkpoints that have an index, oldest first."""
        return tuple(sorted(int(path.stem.split("-")[1]) for path in self._directory.glob("ckpt-*.index")))

    def keep(self, steps: Collection[int]) -> None:
        """Delete every other checkpoint, incomplete ones too."""
        if not self._is_chief:
            return
        found = {int(match[1]) for path in self._directory.iterdir() if (match := _NAME.fullmatch(path.name))}
        for step in found - set(steps):
            self._delete(step)

    def copy_to(self, directory: Path, step: int) -> None:
        """Copy one checkpoint to its own folder, which appears complete or not at all."""
        import tensorflow as tf

        partial = directory.with_name(f".{directory.name}.part")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for path in self._files(step):
            shutil.copy2(path, partial)
        tf.compat.v1.train.update_checkpoint_state(str(partial), f"ckpt-{step}")
        shutil.rmtree(directory, ignore_errors=True)
        partial.replace(directory)

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
