"""`reefline report --serve` in a thread of the test."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from reefline.report.server import ReportServer


@contextlib.contextmanager
def serve_reports(workspace: Path) -> Iterator[ReportServer]:
    """Serve a workspace on a free port until the block ends."""
    with ReportServer(workspace, 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
