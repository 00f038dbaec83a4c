"""The executor of Pusher: a class, as TFX passes the run's id only to a class."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Optional

from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types.artifact import Artifact

from reefline.bundle.export_record import EXPORT_FILE, ExportRecord
from reefline.bundle.manifest import BundleFacts
from reefline.bundle.signature import load_signer
from reefline.bundle.store import PushRecord, push_bundle
from reefline.data.reports import IngestionReport
from reefline.errors import ReeflineError
from reefline.evaluation.report import EvaluationReport, GateVerdict
from reefline.structures.artifacts import EvaluationFolder, IngestionFolder, ModelFolder

_logger = logging.getLogger(__name__)


class PusherExecutor(BaseExecutor):
    """Pushes a blessed candidate and refuses any other; the artifact's facts hold which."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Push or refuse.

        Raises:
            BundleError: the candidate is incomplete, or another version serves than the gate compared with.
            ConfigError: the signing key is missing, exposed, or no Ed25519 key.
            RecordError: evaluation.json, export.json or the ingestion report is damaged.
            WorkspaceError, StorageError: the destination cannot be written.
            ReeflineError: the blessing is for another model, or contradicts the evaluation.
        """
        inputs = {key: artifacts[0] for key, artifacts in input_dict.items()}
        report = EvaluationReport.read(EvaluationFolder(Path(inputs["evaluation"].uri)).evaluation)
        record = None
        if _is_blessed(inputs["blessing"], inputs["model"], report):
            candidate = ModelFolder(Path(inputs["model"].uri)).bundle
            run_id = (self._context.pipeline_run_id if self._context else None) or ""
            facts = _collect_facts(candidate, inputs, report, exec_properties["model_name"], run_id)
            key = exec_properties.get("signing_key")
            record = push_bundle(candidate, facts, exec_properties["destination"], load_signer(key) if key else None)
            state = "serves" if record.serves else "does not serve"
            _logger.info("version %d %s: %s", record.version, state, record.reason)
        else:
            failed = ", ".join(result.rule for result in report.gate if not result.passed)
            _logger.info("nothing pushed, the gate refused: %s", failed)
        _set_facts(output_dict["pushed_model"][0], record)


def _is_blessed(blessing: Artifact, model: Artifact, report: EvaluationReport) -> bool:
    blessed_uri = blessing.get_string_custom_property("current_model")
    if blessed_uri != model.uri:
        raise ReeflineError(
            f"blessing {blessing.uri}: it is for {blessed_uri}, but the candidate is {model.uri}; nothing was pushed"
        )
    blessed = blessing.get_int_custom_property("blessed") == 1
    if blessed is not (report.verdict is GateVerdict.BLESSED):
        raise ReeflineError(
            f"blessing {blessing.uri}: blessed is {blessed}, but the evaluation's verdict is {report.verdict.value}; "
            "nothing was pushed"
        )
    return blessed


def _collect_facts(
    candidate: Path, inputs: dict[str, Artifact], report: EvaluationReport, model_name: str, run_id: str
) -> BundleFacts:
    exported = ExportRecord.read(candidate / EXPORT_FILE)
    ingested = IngestionReport.read(IngestionFolder(Path(inputs["report"].uri)).report)
    return BundleFacts(
        model=model_name,
        run_id=run_id,
        height_px=exported.height_px,
        width_px=exported.width_px,
        classes=exported.classes,
        evaluation=report,
        edgetpu=exported.edgetpu,
        data_fingerprint=inputs["report"].get_string_custom_property("input_fingerprint"),
        checkpoint=inputs["model"].get_string_custom_property("checkpoint"),
        quantization_aware_steps=exported.quantization_aware_steps,
        licenses=ingested.licenses,
    )


def _set_facts(pushed_model: Artifact, record: Optional[PushRecord]) -> None:
    """Set what the run's summary shows, and PusherDriver compares: `pushed`, `version`, `path` and `sha256`."""
    pushed_model.set_int_custom_property("pushed", int(record is not None))
    pushed_model.set_int_custom_property("version", record.version if record else 0)
    pushed_model.set_string_custom_property("path", str(record.path) if record else "")
    pushed_model.set_string_custom_property("sha256", record.sha256 if record else "")
