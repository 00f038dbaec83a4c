"""Containers with a file system of their own, as user 1000, without network, and with read-only code.

It needs Linux, root, and leave to make namespaces: `why_not` says what is missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.kubeflow.emulation.processes import Call, wait

_USER = 1000
_TOOLS = ("unshare", "mount", "chroot", "setpriv")
_SYSTEM = ("usr", "bin", "sbin", "lib", "lib64", "etc", "proc", "dev")
_UNSHARE = ("unshare", "--mount", "--net", "--ipc", "--uts", "--propagation", "private")
# The new root; for each mount "r" or "w", source and target; "--"; the working folder and the command.
_ENTER = """
set -eu
root=$1; shift
mount --bind "$root" "$root"
while [ "$1" != -- ]; do
  mount --rbind "$2" "$root$3"
  [ "$1" = w ] || mount -o remount,bind,ro "$root$3"
  shift 3
done
shift
exec chroot "$root" setpriv --reuid=1000 --regid=1000 --clear-groups --no-new-privs --inh-caps=-all \\
  sh -c 'cd "$0" && exec "$@"' "$@"
"""


def why_not() -> str:
    """Return why this machine cannot do it, "" if it can."""
    if os.geteuid() != 0:
        return "only root can make a pod's file system"
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        return f"{', '.join(missing)} not found"
    tried = subprocess.run([*_UNSHARE, "true"], capture_output=True, text=True)
    return f"namespaces are not allowed: {tried.stderr.strip()}" if tried.returncode else ""


@dataclass(frozen=True)
class SandboxedProcesses:
    """Runs commands in namespaces; `code` is mounted read-only as `home`, the image's working folder."""

    code: Path
    home: str
    has_own_root: bool = True

    def run(self, call: Call, kill_when: Callable[[], bool] | None = None) -> int:
        """Run a command and return its exit code, negative for a signal."""
        mounts = self._list_mounts(call)
        words = []
        for mode, source, target in mounts:
            (call.pod.root / target.lstrip("/")).mkdir(parents=True, exist_ok=True)
            words += [mode, source, target]
        # As the pod's fsGroup does with volumes.
        for folder in (call.pod.root, *call.volumes.values()):
            _give_to_user(folder)
        env = {
            **call.env,
            "PATH": f"{Path(sys.executable).parent}:/usr/sbin:/usr/bin:/sbin:/bin",
            "PYTHONPATH": self.home,
        }
        command = [*_UNSHARE, "sh", "-c", _ENTER, "sh", str(call.pod.root), *words, "--", self.home, *call.command]
        with call.log.open("wb") as log:
            process = subprocess.Popen(
                command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
            return wait(process.poll, process.pid, kill_when)

    def _list_mounts(self, call: Call) -> list[tuple[str, str, str]]:
        system = [("r" if name not in ("proc", "dev") else "w", f"/{name}", f"/{name}") for name in _SYSTEM]
        # A virtual environment, and the Python that it was made from.
        python = [("r", prefix, prefix) for prefix in dict.fromkeys((sys.base_prefix, sys.prefix)) if _is_extra(prefix)]
        volumes = [("w", str(folder), target) for target, folder in call.volumes.items()]
        return [*system, *python, ("r", str(self.code), self.home), *volumes]


def _is_extra(prefix: str) -> bool:
    return not prefix.startswith("/usr")


def _give_to_user(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, _USER, _USER, follow_symlinks=False)
