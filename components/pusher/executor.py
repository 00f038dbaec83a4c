"""The executor of Pusher: a class, as only a class is told the run's id."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types.artifact import Artifact

from reefline.bundle.export_record import EXPORT_FILE, ExportRecord
from reefline.bundle.layout import find_shipped_model
from reefline.bundle.manifest import BundleFacts, PushRecord
from reefline.bundle.store import push_bundle
from reefline.errors import ReeflineError
from reefline.evaluation.gate import EvaluationReport, Verdict
from reefline.system.files import hash_file


class PusherExecutor(BaseExecutor):
    """Pushes a blessed candidate, refuses any other; pushed.json and the artifact's facts say which."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Push or refuse.

        Raises:
            BundleError: the candidate is incomplete, or another version serves than the gate saw.
            WorkspaceError: the destination cannot be written.
            ReeflineError: the blessing is another model's, or not what the evaluation says.
        """
        inputs = {key: artifacts[0] for key, artifacts in input_dict.items()}
        candidate = Path(inputs["model"].uri) / "bundle"
        report = EvaluationReport.from_json(_read_json(Path(inputs["evaluation"].uri) / "evaluation.json"))
        if _is_blessed(inputs["blessing"], inputs["model"], report):
            run_id = (self._context.pipeline_run_id if self._context else None) or ""
            facts = _collect_facts(inputs, report, exec_properties["model_name"], run_id)
            record = push_bundle(candidate, facts, Path(exec_properties["destination"]))
        else:
            failed = ", ".join(result.rule for result in report.gate if not result.passed)
            record = PushRecord(pushed=False, version=0, path="", reason=f"the gate refused: {failed}")
        _write_record(record, hash_file(find_shipped_model(candidate)), output_dict["pushed_model"][0])


def _is_blessed(blessing: Artifact, model: Artifact, report: EvaluationReport) -> bool:
    if blessing.get_string_custom_property("current_model") != model.uri:
        raise ReeflineError(
            f"blessing {blessing.uri}: it is for {blessing.get_string_custom_property('current_model')}, "
            f"the candidate is {model.uri}; nothing was pushed"
        )
    blessed = blessing.get_int_custom_property("blessed") == 1
    if blessed is not (report.verdict is Verdict.BLESSED):
        raise ReeflineError(
            f"blessing {blessing.uri}: blessed is {blessed}, the evaluation says {report.verdict.value}; "
            "nothing was pushed"
        )
    return blessed


def _collect_facts(inputs: dict[str, Artifact], report: EvaluationReport, model_name: str, run_id: str) -> BundleFacts:
    exported = ExportRecord.read(Path(inputs["model"].uri) / "bundle" / EXPORT_FILE)
    return BundleFacts(
        model=model_name,
        run_id=run_id,
        height_px=exported.height_px,
        width_px=exported.width_px,
        classes=exported.classes,
        evaluation=report,
        edgetpu=exported.edgetpu,
        data_fingerprint=inputs["examples"].get_string_custom_property("input_fingerprint"),
        checkpoint=inputs["model"].get_string_custom_property("checkpoint"),
        quantization_aware_steps=exported.quantization_aware_steps,
    )


def _write_record(record: PushRecord, sha256: str, pushed_model: Artifact) -> None:
    text = json.dumps(record.to_json(), indent=2, ensure_ascii=False)
    (Path(pushed_model.uri) / "pushed.json").write_text(text + "\n", encoding="utf-8")
    pushed_model.set_int_custom_property("pushed", int(record.pushed))
    pushed_model.set_int_custom_property("version", record.version)
    pushed_model.set_string_custom_property("path", record.path)
    pushed_model.set_string_custom_property("sha256", sha256)


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
