"""What a person reads in each of the real compiler logs of ../shared/edgetpu/compiler_logs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

LOG_DIR = Path(__file__).resolve().parents[1] / ".." / "shared" / "edgetpu" / "compiler_logs"
needs_logs = pytest.mark.skipif(not LOG_DIR.is_dir(), reason="../shared/edgetpu/compiler_logs is missing")

V16, V15, V14 = "16.0.384591198", "15.0.340273435", "14.1.317412892"
TPU = "Mapped to Edge TPU"
DATA_TYPE = "Operation is working on an unsupported data type"
SUBGRAPH = "More than one subgraph is not supported"
VERSION = "Operation version not supported"
LIMIT = "Operation is otherwise supported, but not mapped due to some unspecified limitation"
UNSUPPORTED = "Operation not supported"


@dataclass(frozen=True)
class Case:
    """A log and what it contains; `counts` are all operators, those on the TPU and those on the CPU."""

    file: str
    outcome: str
    version: str | None
    failure: str | None = None
    counts: tuple[int | None, int | None, int | None] = (None, None, None)
    subgraphs: int | None = None
    off_chip_bytes: int | None = None
    rows: tuple[tuple[str, int, str], ...] = ()

    @property
    def text(self) -> str:
        return (LOG_DIR / self.file).read_text(encoding="utf-8")


def _mapped(**counts: int) -> tuple[tuple[str, int, str], ...]:
    return tuple((op, count, TPU) for op, count in counts.items())


# fmt: off
CASES = (
    Case("01_logfile_v16_yolov8n_192_all_mapped.txt", "compiled", V16, counts=(257, 257, 0), rows=_mapped(
        SOFTMAX=1, ADD=8, PAD=7, RESHAPE=6, RESIZE_NEAREST_NEIGHBOR=2, MUL=59, CONV_2D=64, STRIDED_SLICE=20,
        MAX_POOL_2D=3, CONCATENATION=18, SUB=2, TRANSPOSE=6, LOGISTIC=58, QUANTIZE=3)),
    Case("02_logfile_v16_yolov8s_160_all_mapped.txt", "compiled", V16, counts=(257, 257, 0), rows=_mapped(
        ADD=8, MAX_POOL_2D=3, STRIDED_SLICE=20, QUANTIZE=3, CONV_2D=64, LOGISTIC=58, RESIZE_NEAREST_NEIGHBOR=2,
        CONCATENATION=18, MUL=59, SOFTMAX=1, RESHAPE=6, TRANSPOSE=6, PAD=7, SUB=2)),
    Case("03_logfile_v16_yolov5n_160_all_mapped.txt", "compiled", V16, counts=(262, 262, 0), rows=_mapped(
        RESIZE_NEAREST_NEIGHBOR=2, STRIDED_SLICE=9, CONV_2D=60, QUANTIZE=7, MUL=75, MAX_POOL_2D=3, ADD=10, RESHAPE=6,
        PAD=7, CONCATENATION=17, LOGISTIC=66)),
    Case("04_logfile_v2_ssd_mobilenet_v2_custom_postprocess.txt", "compiled", "2.0.291256449", counts=(99, 98, 1),
         rows=(*_mapped(RESHAPE=13, LOGISTIC=1, ADD=10), ("CUSTOM", 1, DATA_TYPE),
               *_mapped(CONCATENATION=2, CONV_2D=55, DEPTHWISE_CONV_2D=17))),
    Case("05_logfile_v2_ssd_pedestrian.txt", "compiled", "2.0.267685300", counts=(99, 98, 1),
         rows=(("LOGISTIC", 1, TPU), ("CUSTOM", 1, DATA_TYPE),
               *_mapped(ADD=10, CONCATENATION=2, CONV_2D=55, DEPTHWISE_CONV_2D=17, RESHAPE=13))),
    Case("06_logfile_v14_tiny_yolo_version_not_supported.txt", "compiled", V14, counts=(25, 19, 6),
         rows=(("CONCATENATION", 1, SUBGRAPH), ("MAX_POOL_2D", 6, TPU), ("RESIZE_NEAREST_NEIGHBOR", 1, VERSION),
               ("CONV_2D", 11, TPU), ("CONV_2D", 2, SUBGRAPH), ("QUANTIZE", 1, LIMIT), ("QUANTIZE", 1, SUBGRAPH),
               ("QUANTIZE", 2, TPU))),
    Case("07_logfile_v1_coco_ssd_mobilenet_v1.txt", "compiled", "1.0.249710469", counts=(64, 63, 1),
         rows=(("CUSTOM", 1, DATA_TYPE),
               *_mapped(CONCATENATION=2, CONV_2D=34, DEPTHWISE_CONV_2D=13, RESHAPE=13, LOGISTIC=1))),
    Case("08_logfile_v1_mobilenet_v2_all_mapped.txt", "compiled", "1.0.249710469", counts=(65, 65, 0),
         rows=_mapped(AVERAGE_POOL_2D=1, CONV_2D=36, DEPTHWISE_CONV_2D=17, RESHAPE=1, ADD=10)),
    Case("09_stdout_v16_sa_yolov5s_224_partial.txt", "compiled", V16, counts=(294, 289, 5), subgraphs=2,
         off_chip_bytes=1782579,
         rows=(("RESIZE_NEAREST_NEIGHBOR", 2, TPU), ("CONCATENATION", 1, LIMIT), ("CONCATENATION", 17, TPU),
               ("STRIDED_SLICE", 13, TPU), ("TRANSPOSE", 1, LIMIT), ("TRANSPOSE", 2, TPU), ("MAX_POOL_2D", 3, TPU),
               ("LOGISTIC", 62, TPU), ("QUANTIZE", 2, LIMIT), ("QUANTIZE", 24, TPU), ("SUB", 3, TPU), ("PAD", 6, TPU),
               ("RESHAPE", 1, LIMIT), ("RESHAPE", 5, TPU), ("ADD", 10, TPU), ("MUL", 80, TPU), ("CONV_2D", 62, TPU))),
    Case("10_stdout_v16_efficientdet_lite0_partial_no_table.txt", "compiled", V16, counts=(267, 264, 3), subgraphs=1,
         off_chip_bytes=0),
    Case("11_logfile_v16_efficientdet_lite0.txt", "compiled", V16, counts=(267, 264, 3),
         rows=(("ADD", 42, TPU), ("CUSTOM", 1, DATA_TYPE), ("RESHAPE", 10, TPU), ("CONCATENATION", 2, TPU),
               ("RESIZE_NEAREST_NEIGHBOR", 12, TPU), ("DEPTHWISE_CONV_2D", 80, TPU), ("DEQUANTIZE", 2, DATA_TYPE),
               ("CONV_2D", 102, TPU), ("QUANTIZE", 1, TPU), ("LOGISTIC", 1, TPU), ("MAX_POOL_2D", 14, TPU))),
    Case("12_stdout_v15_yolov3_tiny_partial.txt", "compiled", V15, counts=(36, 2, 34), subgraphs=1, off_chip_bytes=0,
         rows=(("MAX_POOL_2D", 6, SUBGRAPH), ("QUANTIZE", 2, LIMIT), ("QUANTIZE", 1, TPU), ("QUANTIZE", 1, SUBGRAPH),
               ("CONV_2D", 1, TPU), ("CONV_2D", 12, SUBGRAPH), ("RESIZE_NEAREST_NEIGHBOR", 1, VERSION),
               ("LEAKY_RELU", 11, UNSUPPORTED), ("CONCATENATION", 1, SUBGRAPH))),
    Case("14_stdout_v14_tf2_ssd_mobilenet_v2_110_of_113.txt", "compiled", V14, counts=(113, 110, 3), subgraphs=1,
         off_chip_bytes=0, rows=(("ADD", 10, TPU),)),
    # Two segments: the first compiled, the search for the second was still failing where the text ends.
    Case("15_stdout_v16_d_k10_n2_efficientdet_lite3.txt", "failed", V16, "large_activations"),
    Case("17_stdout_v16_zero_subgraphs.txt", "compiled_nothing_mapped", V16, counts=(157, 0, 157), subgraphs=0,
         off_chip_bytes=0, rows=(("RESHAPE", 10, DATA_TYPE),)),
    Case("19_stdout_v15_fpnlite320_112_of_162.txt", "compiled", None, counts=(162, 112, 50), subgraphs=1,
         off_chip_bytes=0),
    Case("20_stdout_v15_fpnlite_117_of_165.txt", "compiled", V15, counts=(165, 117, 48), subgraphs=1, off_chip_bytes=0),
    # The line with the operators on the CPU is cut off; the other two numbers give it.
    Case("21_stdout_v15_m11_zero_subgraphs.txt", "compiled_nothing_mapped", V15, counts=(69, 0, 69), subgraphs=0,
         off_chip_bytes=0),
    Case("23_fail_v16_exp_v2_not_found.txt", "failed", V16, "op_version"),
    Case("24_fail_v16_quantize_v3_not_found.txt", "failed", V16, "op_version"),
    Case("26_fail_v2_resize_nn_v3_not_found.txt", "failed", "2.1.302470888", "op_version"),
    Case("27_fail_v15_model_not_quantized.txt", "failed", V15, "not_quantized"),
    Case("29_fail_v16_dynamic_sized_tensors.txt", "failed", V16, "dynamic_shape"),
    Case("30_fail_v16_flex_ops_efficientdet_d0.txt", "failed", V16, "flex_ops"),
    Case("31_fail_v16_unresolved_custom_op.txt", "failed", V16, "custom_op"),
    Case("32_fail_v16_large_activation_tensors.txt", "failed", V16, "large_activations"),
    Case("33_fail_v16_d_search_delegate_efficientdet_lite.txt", "failed", V16, "large_activations"),
    # No reason is given: "completed within timeout period" shows that it was not the timer.
    Case("35_fail_v16_silent_lstm.txt", "failed", V16, "unknown"),
    Case("37_fail_v16_timer_5s.txt", "failed", V16, "unknown"),
    Case("39_fail_v15_internal_compiler_error.txt", "failed", V15, "internal_error"),
    Case("41_fail_v15_version_line_only.txt", "failed", V15, "crash"),
)
# fmt: on
CASE_PARAMETERS = [pytest.param(case, id=case.file.removesuffix(".txt")) for case in CASES]
