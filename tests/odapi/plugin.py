"""A pytest plugin for the OD API's own tests: our compat layer first, and what is known to fail by test id.

An expected failure that passes is a failure too: then the list, or a shim, is out of date.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

EXPECTED_FAILURES = Path(__file__).with_name("expected_failures.txt")
PACKAGE = "object_detection/"


# TF1 code that the TF2 path never reaches: slim's classification nets and what was built on them.
TF1_FOLDERS = frozenset({"deployment", "legacy", "nets", "preprocessing", "tpu_exporters"})
TF1_SUFFIX = "_tf1_test.py"
# A script whose absl flags another script defines too: both cannot be imported into one process.
COLLIDING = frozenset({"create_pascal_tf_record_test.py"})


def pytest_configure(config: pytest.Config) -> None:
    """Apply the compat layer before any test module imports the OD API, in the processes that run tests."""
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return
    from reefline.od_api import compat

    compat.apply()


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out TF1's tests and what cannot be imported; None lets pytest decide about the rest."""
    below = PurePosixPath(short_id(collection_path.as_posix()))
    if below.name.endswith(TF1_SUFFIX) or below.name in COLLIDING or TF1_FOLDERS & set(below.parts):
        return True
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is listed; ids start at the package, wherever it is installed."""
    expected = read_expected_failures(EXPECTED_FAILURES.read_text(encoding="utf-8"))
    found = set()
    for item in items:
        name = short_id(item.nodeid)
        item.add_marker(pytest.mark.odapi)
        if name in expected:
            found.add(name)
            item.add_marker(pytest.mark.xfail(reason=expected[name], strict=True))
    collected_modules = {short_id(item.nodeid).partition("::")[0] for item in items}
    gone = sorted(name for name in expected.keys() - found if name.partition("::")[0] in collected_modules)
    if gone:
        raise pytest.UsageError(f"{EXPECTED_FAILURES.name} lists tests that do not exist: {', '.join(gone)}")


def short_id(nodeid: str) -> str:
    """Return a test's id from its package on."""
    return PACKAGE + nodeid.rpartition(PACKAGE)[2]


def read_expected_failures(text: str) -> dict[str, str]:
    """Return reason by test id: a comment line is the reason for the ids below it."""
    reason, expected = "", {}
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("#"):
            reason = line.lstrip("# ")
        else:
            expected[line] = reason
    return expected
