"""reefline/edgetpu/compiler/log.py: the real logs as a person reads them, and texts that are none."""

from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reefline.edgetpu.compiler.failure import describe_failure
from reefline.edgetpu.compiler.log import CompilerLog, FailureKind, LogOutcome
from reefline.edgetpu.compiler.log_parser import parse_log
from tests.compiler_log_cases import CASE_PARAMETERS, CASES, LOG_DIR, Case, needs_logs

SUCCESS = """Started a compilation timeout timer of 180 seconds.

Model compiled successfully in 2270 ms.

On-chip memory used for caching model parameters: 6.00MiB
On-chip memory remaining for caching model parameters: 512.00KiB
Off-chip memory used for streaming uncached model parameters: 1.50KiB
Number of Edge TPU subgraphs: 1
Total number of operations: 84

Operator                       Count      Status

CONV_2D                        84         Mapped to Edge TPU
Compilation child process completed within timeout period.
Compilation succeeded!
"""
FAILURE = """Started a compilation timeout timer of 180 seconds.
Compilation failed: Compilation failed due to large activation tensors in model.
Compilation child process completed within timeout period.
Compilation failed!
"""
VERSION = "Edge TPU Compiler version 16.0.384591198\n"
SEARCH = "Searching for valid delegate with step 10\n"
TRY = "Try to compile segment with 84 ops\n"


@needs_logs
@pytest.mark.parametrize("case", CASE_PARAMETERS)
def test_real_log(case: Case) -> None:
    total, on_tpu, on_cpu = case.counts
    assert parse_log(case.text).to_json() == {
        "outcome": case.outcome,
        "failure": case.failure,
        "compiler_version": case.version,
        "ops_total": total,
        "ops_on_tpu": on_tpu,
        "ops_on_cpu": on_cpu,
        "subgraphs": case.subgraphs,
        "off_chip_bytes": case.off_chip_bytes,
        "operators": [{"op": op, "count": count, "status": status} for op, count, status in case.rows],
    }


@needs_logs
def test_no_real_log_is_left_out() -> None:
    assert {case.file for case in CASES} == {path.name for path in LOG_DIR.glob("*.txt")}


def test_memory_is_in_bytes() -> None:
    log = parse_log(VERSION + SUCCESS)
    assert (log.on_chip_used_bytes, log.on_chip_free_bytes, log.off_chip_bytes) == (6 * 1024**2, 512 * 1024, 1536)


def test_search_that_first_fails_then_succeeds() -> None:
    log = parse_log(VERSION + SEARCH + TRY + FAILURE + TRY + FAILURE + TRY + SUCCESS)
    assert (log.outcome, log.failure) == (LogOutcome.COMPILED, None)
    assert (log.ops_total, log.ops_on_tpu, log.ops_on_cpu, log.subgraphs) == (84, 84, 0, 1)


def test_search_that_is_cut_off_while_it_fails() -> None:
    log = parse_log(VERSION + SEARCH + TRY + FAILURE + TRY)
    assert log.failure is FailureKind.LARGE_ACTIVATIONS


def test_segments_are_summed() -> None:
    log = parse_log(VERSION + SEARCH + TRY + SUCCESS + SEARCH + TRY + FAILURE + TRY + SUCCESS)
    assert log.outcome is LogOutcome.COMPILED
    assert (log.ops_total, log.ops_on_tpu, log.subgraphs, log.off_chip_bytes) == (168, 168, 2, 3072)
    assert [(row.op, row.count) for row in log.operators] == [("CONV_2D", 168)]


def test_segment_that_fails_without_a_search_is_a_failure() -> None:
    assert parse_log(VERSION + FAILURE + SUCCESS).failure is FailureKind.LARGE_ACTIVATIONS


def test_last_run_of_a_text_counts() -> None:
    earlier = "Edge TPU Compiler version 15.0.340273435\n\nInternal compiler error. Aborting!\n"
    log = parse_log(earlier + VERSION + SUCCESS)
    assert (log.outcome, log.compiler_version) == (LogOutcome.COMPILED, "16.0.384591198")


def test_log_file_with_nothing_mapped() -> None:
    table = (
        "Input: a.tflite\nOutput: a_edgetpu.tflite\n\nOperator   Count   Status\n\nADD   3   Operation not supported\n"
    )
    log = parse_log(VERSION + table)
    assert (log.outcome, log.ops_total, log.ops_on_tpu, log.ops_on_cpu) == (LogOutcome.NOTHING_MAPPED, 3, 0, 3)


def test_counts_that_are_cut_off_are_not_guessed() -> None:
    text = SUCCESS.partition("Operator")[0] + "Model successfully compiled but not all operations are supported by the "
    log = parse_log(VERSION + text + "Edge TPU.\n")
    assert (log.outcome, log.ops_total, log.ops_on_tpu, log.ops_on_cpu) == (LogOutcome.COMPILED, 84, None, None)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        # google-coral/edgetpu, issues 686, 728 and 862.
        pytest.param("Compilation timeout. This is usually caused by large activations.", "timeout", id="timeout"),
        pytest.param("libc++abi: terminating with uncaught exception of type std::out_of_range", "crash", id="abi"),
        pytest.param("ERROR: Op builtin_code out of range: 150. Are you using an old binary?", "op_version", id="code"),
        pytest.param("Segmentation fault (core dumped)", "crash", id="segmentation-fault"),
        pytest.param("ERROR: Encountered unresolved custom op: FlexErf.", "flex_ops", id="flex"),
        pytest.param("Something else.", "unknown", id="unknown"),
    ],
)
def test_failures_without_a_real_log(line: str, kind: str) -> None:
    log = parse_log(f"{VERSION}{line}\nCompilation failed!\n")
    assert log.failure is FailureKind(kind)
    assert log.detail == ("" if kind == "unknown" else line.removeprefix("ERROR: "))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("bash: edgetpu_compiler: command not found", id="other-text"),
        pytest.param(f"Total number of operations: {'9' * 5000}", id="absurd-number"),
    ],
)
def test_unknown_text(text: str) -> None:
    assert parse_log(text) == CompilerLog(LogOutcome.FAILED, FailureKind.UNKNOWN, None)


def test_number_too_long_for_a_count_is_not_read() -> None:
    text = SUCCESS.replace("operations: 84", f"operations: {'9' * 5000}").replace("1.50KiB", f"{'9' * 5000}.0MiB")
    log = parse_log(text)
    assert (log.outcome, log.ops_total, log.off_chip_bytes) == (LogOutcome.COMPILED, None, None)


def check_is_consistent(log: CompilerLog) -> None:
    assert (log.failure is not None) == (log.outcome is LogOutcome.FAILED)
    numbers = (log.ops_total, log.ops_on_tpu, log.ops_on_cpu, log.subgraphs, log.off_chip_bytes)
    assert all(number is None or number >= 0 for number in numbers)
    assert log.to_json()["outcome"] in {"compiled", "compiled_nothing_mapped", "failed"}


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    check_is_consistent(parse_log(text))


WORDS = st.sampled_from([*VERSION.splitlines(), *SUCCESS.splitlines(), *FAILURE.splitlines(), SEARCH, TRY, "²", "٣"])


@given(st.lists(st.one_of(WORDS, st.text(max_size=20))))
def test_any_order_of_lines_is_read(lines: list[str]) -> None:
    check_is_consistent(parse_log("\n".join(lines)))


@needs_logs
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(CASES), st.data())
def test_damaged_real_logs_are_read(case: Case, data: st.DataObject) -> None:
    text = case.text
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    check_is_consistent(parse_log(text[:start] + data.draw(st.text(max_size=30)) + text[end:]))


@pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.value) for kind in FailureKind])
def test_every_failure_is_explained(kind: FailureKind) -> None:
    sentence = describe_failure(CompilerLog(LogOutcome.FAILED, kind, None, detail="its own words"))
    what, separator, remedy = sentence.partition(' ("its own words"); ')
    assert what and separator and remedy


def test_success_has_no_failure_to_describe() -> None:
    with pytest.raises(ValueError, match="outcome is compiled: no failure to describe"):
        describe_failure(CompilerLog(LogOutcome.COMPILED, None, None))


def test_many_attempts_take_linear_time() -> None:
    started_s = time.process_time()
    parse_log("Try to compile segment\n" * 100_000)
    parse_log("Searching for valid delegate\nCompilation failed\n" * 50_000)
    assert time.process_time() - started_s < 5
