"""The workspace on disk: its places, its lock, the data it points at and the folders of its run reports."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reefline.errors import WorkspaceError
from reefline.system.files import write_whole


@dataclass(frozen=True)
class Workspace:
    """The places below a workspace's root, which is an absolute path."""

    root: Path

    @property
    def metadata_db(self) -> Path:
        """ML Metadata's SQLite file."""
        return self.root / "metadata.db"

    @property
    def artifacts(self) -> Path:
        """The pipeline root."""
        return self.root / "artifacts"

    @property
    def serving(self) -> Path:
        """Where bundles are pushed to."""
        return self.root / "serving"

    @property
    def reports(self) -> Path:
        """One folder for each run, and `latest`."""
        return self.root / "reports"

    @property
    def source(self) -> Path:
        """The symlink to the data set of the run; the pipeline sees this name only."""
        return self.root / "source"

    @property
    def hash_memory(self) -> Path:
        """The SQLite file that remembers file hashes by path, size and time."""
        return self.root / "file_hashes.db"

    @property
    def demo_data(self) -> Path:
        """Where the demo data set is generated."""
        return self.root / "demo_data"


def open_workspace(path: Path) -> Workspace:
    """Make the workspace where it is not there yet.

    Raises:
        WorkspaceError: `path` is a file, or cannot be written.
    """
    root = Path(os.path.abspath(path))  # noqa: PTH100 (resolve() would follow a symlink that the user chose)
    try:
        (root / "reports").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkspaceError(
            f"{path}: no workspace can be made here ({error.strerror}); name another with --workspace DIR"
        ) from None
    if not os.access(root, os.W_OK | os.X_OK):
        raise WorkspaceError(f"{path}: cannot be written; name a folder you may write with --workspace DIR")
    return Workspace(root)


@contextlib.contextmanager
def hold_lock(workspace: Workspace) -> Iterator[None]:
    """Hold the workspace for one run; the lock goes with the process, however that ends.

    Raises:
        WorkspaceError: another process holds it; the message names its process id.
    """
    with (workspace.root / ".lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise WorkspaceError(
                f"{workspace.root}: in use by another run (process {holder}); "
                "wait until it ends, or name another folder with --workspace DIR"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def point_source_at(workspace: Workspace, data_dir: Path) -> None:
    """Let `<workspace>/source` lead to the data set, so that no cache key depends on where that lies."""
    _replace_symlink(workspace.source, data_dir.resolve())


def place_by_content(workspace: Workspace, file: Path) -> Path:
    """Copy a file to a name made of its hash, so that a path that says the same holds the same.

    TFX's cache sees the path of a schema, not what is in it.
    """
    content = file.read_bytes()
    folder = workspace.root / "schema"
    folder.mkdir(exist_ok=True)
    target = folder / f"{hashlib.sha256(content).hexdigest()[:16]}{file.suffix}"
    if not target.is_file():
        write_whole(target, content)
    return target


def make_run_folder(workspace: Workspace, now: datetime.datetime) -> Path:
    """Make and return reports/<run_id>; the name is the time, made unique.

    Raises:
        WorkspaceError: the folder cannot be made.
    """
    stamp = now.strftime("%Y%m%dT%H%M%S")
    for attempt in range(1, 1000):
        folder = workspace.reports / (stamp if attempt == 1 else f"{stamp}-{attempt}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise WorkspaceError(f"{folder}: cannot be made ({error.strerror}); name another --workspace") from None
        return folder
    raise WorkspaceError(f"{workspace.reports}: holds 1,000 reports of the second {stamp}; remove some")


def point_latest_at(workspace: Workspace, run_folder: Path) -> None:
    """Let reports/latest lead to a run's folder."""
    _replace_symlink(workspace.reports / "latest", Path(run_folder.name))


def _replace_symlink(link: Path, target: Path) -> None:
    beside = link.with_name(f".{link.name}.{os.getpid()}.part")
    beside.unlink(missing_ok=True)
    beside.symlink_to(target)
    beside.replace(link)


def is_out_of_space(error: BaseException) -> bool:
    """Return whether an error, or one that led to it, says that the device is full.

    Python says so by errno; SQLite, TensorFlow and Beam only in words.
    """
    words = ("no space left on device", "database or disk is full", "disk quota exceeded")
    seen: BaseException | None = error
    while seen is not None:
        if getattr(seen, "errno", None) in (28, 122) or any(word in str(seen).lower() for word in words):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
