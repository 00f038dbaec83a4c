"""The quick part of the suite: pure code, so no TensorFlow, no TFX and no processes.

`make test` runs it first; `make test-quick` runs nothing else, with `-p tests.quick`. There, a test that is not as
pure as this list says fails.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS_DIR = Path(__file__).resolve().parent
PARTS = ("unit/",)
# Folders, files and tests of these parts that import what is heavy or start processes.
LEFT_OUT = (
    "unit/bundle/test_remote_store.py",
    "unit/bundle/test_signature.py::test_openssl_makes_keys_and_checks_and_signs_bundles",
    "unit/bundle/test_store.py::test_disk_full_leaves_the_old_version_and_nothing_half_written",
    "unit/bundle/test_store.py::test_killed_at_any_time_current_names_a_whole_bundle",
    "unit/bundle/test_store.py::test_pusher_waits_for_another_and_then_sees_what_it_pushed",
    "unit/commands/test_compile.py",
    "unit/commands/test_download.py::test_a_disk_without_space_is_an_error_with_a_way_to_resume",
    "unit/commands/test_download.py::test_a_signal_stops_at_once_and_the_same_command_resumes",
    "unit/commands/test_report.py::test_a_server_ends_cleanly",
    "unit/curation/test_duplicates.py::test_any_number_of_workers_finds_the_same",
    "unit/curation/test_parallel.py",
    "unit/curation/test_prepare.py",
    "unit/data/test_accepted_means_trainable.py",
    "unit/data/test_local_engine.py",
    "unit/data/test_span_drift.py",
    "unit/delivery/",
    "unit/edgetpu/compiler/test_adapter.py",
    "unit/edgetpu/test_analysis.py::test_older_bundles_have_the_same_placement",
    "unit/edgetpu/test_compile_or_predict.py",
    "unit/edgetpu/compiler/test_identity.py",
    "unit/evaluation/test_coco_metrics.py",
    "unit/formats/test_tf_example.py",
    "unit/formats/test_undecodable.py",
    "unit/images/test_jpeg_damage.py",
    "unit/inference/detect/test_runtime.py",
    "unit/inference/test_detector.py",
    "unit/labelling/test_autolabel.py::test_the_list_of_classes_begins_with_those_of_the_data_set",
    "unit/labelling/test_label_names.py",
    "unit/labelling/test_opening.py",
    "unit/od_api/",
    "unit/pipeline/kubeflow/",
    "unit/pipeline/local/test_light_imports.py",
    "unit/pipeline/local/test_run_report.py::test_an_index_that_fails_leaves_the_page",
    "unit/pipeline/local/test_workspace.py::test_a_second_holder_learns_the_process_of_the_first",
    "unit/pipeline/local/test_workspace.py::test_what_killed_runs_left_is_removed",
    "unit/recommendation/test_candidates.py",
    "unit/report/sections/test_data.py::test_anchors_come_from_the_pipeline_config",
    "unit/report/sections/test_data.py::test_importing_the_sections_imports_nothing_heavy",
    "unit/report/sections/test_data.py::test_the_section_compares_boxes_with_anchors",
    "unit/report/test_index_page.py::test_an_index_of_runs_imports_nothing_heavy",
    "unit/report/test_live.py",
    "unit/report/test_page.py::test_a_page_of_cached_sections_needs_no_heavy_import",
    "unit/service/test_serve.py",
    "unit/system/test_checkout.py",
    "unit/system/test_child_process.py",
    "unit/system/test_http_download.py::test_a_killed_process_loses_nothing_that_arrived",
    "unit/system/test_lock_file.py::test_a_lock_is_held_once_and_ends_with_its_process",
    "unit/test_local_runner.py",
    "unit/tflite/test_output_order.py",
    "unit/verification/test_first_fact.py",
)
# Fixtures that start a process once for all tests.
SERVERS = frozenset({"s3_server", "browser"})
# What a library asks once of a program such as ldconfig costs less; starting Python costs more.
CHILDREN_MAY_TAKE_S = 0.1
HEAVY = frozenset({"tensorflow", "tfx", "apache_beam", "object_detection", "kfp", "tensorflow_data_validation"})


def is_quick(nodeid: str) -> bool:
    """Return whether a test, a file or a folder is in the quick part, by its id from the repository's root."""
    name = nodeid.removeprefix("tests/")
    return name.startswith(PARTS) and not name.startswith(LEFT_OUT)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out files unread, as reading them may import what is heavy; None lets pytest decide about the rest."""
    inside = collection_path.suffix == ".py" and collection_path.is_relative_to(TESTS_DIR)
    return True if inside and not is_quick(collection_path.relative_to(TESTS_DIR).as_posix()) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out single tests of the list, and those that need a server."""
    quick = [item for item in items if is_quick(item.nodeid) and not SERVERS & set(getattr(item, "fixturenames", ()))]
    config.hook.pytest_deselected(items=[item for item in items if item not in quick])
    items[:] = quick
    if imported := HEAVY & sys.modules.keys():
        raise pytest.UsageError(f"a file of the quick tests imports {', '.join(imported)}; add it to {__name__}")


@pytest.fixture(autouse=True)
def pure() -> Iterator[None]:
    """Fail a test that imports what is heavy or starts a process."""
    loaded, children_s = HEAVY & sys.modules.keys(), _measure_children_s()
    yield
    imported = (HEAVY & sys.modules.keys()) - loaded
    assert not imported, f"not quick: add the test to {__name__}"
    assert _measure_children_s() - children_s < CHILDREN_MAY_TAKE_S, f"starts a process: add the test to {__name__}"


def _measure_children_s() -> float:
    """Return the seconds of CPU of all processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
