"""Verify a run: its config, data and model, a few training steps and an evaluation, with every problem found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reefline.bundle.signature import load_signer
from reefline.config.overrides import parse_override
from reefline.config.run_config import RunConfig, choose_config_file, examine_config
from reefline.config.run_request import RunRequest
from reefline.data.source import check_reach, provide_data
from reefline.export.preflight_verdict import find_preflight_problems
from reefline.od_api.label_map_file import read_label_map, write_label_map
from reefline.settings import EdgeTpuTarget, TrainerSettings
from reefline.structures.artifacts import LabelMapFolder
from reefline.structures.label_map import LabelMap
from reefline.system.cores import count_cores
from reefline.system.memory import read_available_bytes, read_peak_resident_bytes
from reefline.verification.estimate import estimate_run
from reefline.verification.gathering import ProblemGatherer
from reefline.verification.records import MemoryUse, Timings, VerificationReport
from reefline.verification.rules import (
    check_anchors,
    check_counts,
    check_learning_rates,
    check_losses,
    check_memory,
    check_settings,
)
from reefline.verification.sample import DataSample, take_sample
from reefline.verification.text import describe_counts

if TYPE_CHECKING:
    from reefline.od_api import model_config
    from reefline.od_api.probe import ModelProbe
    from reefline.training.starting_point import StartingPoint


def verify(request: RunRequest, work_dir: Path, say: Callable[[str], None]) -> VerificationReport:
    """Find every problem of a run that shows within a minute or two, and estimate how long the run will take.

    `work_dir` is an empty folder for records and a generated data set; `say` prints one line of progress. A problem
    skips only the checks that depend on it.
    """
    config_file = choose_config_file(request.config_file, request.data_dir)
    gatherer = ProblemGatherer()
    config, is_complete = _read_config(config_file, request.overrides, gatherer)
    report = VerificationReport(config=str(config_file), model_name=config.model_name if config else "")
    if config is None:
        if request.data_dir is not None:
            # Without a config, the only check left for the data is whether the folder exists.
            with gatherer.gathering():
                provide_data(request.data_dir, None, work_dir, say)
    else:
        report = _Examination(config, gatherer, report, work_dir, say).run(request.data_dir, build_model=is_complete)
    return replace(report, problems=gatherer.problems)


def _read_config(
    config_file: Path, overrides: Sequence[str], gatherer: ProblemGatherer
) -> tuple[RunConfig | None, bool]:
    """Return the config, or None if too little of it is valid, and whether all of it is valid."""
    parsed = []
    for text in overrides:
        with gatherer.gathering():
            parsed.append(parse_override(text))
    examined = examine_config(config_file, parsed)
    gatherer.add_errors(examined.problems)
    gatherer.distrust(examined.replaced)
    return examined.config, not examined.replaced and len(parsed) == len(overrides)


class _Examination:
    """One verification of a config that could be read, and its report so far."""

    def __init__(
        self,
        config: RunConfig,
        gatherer: ProblemGatherer,
        report: VerificationReport,
        work_dir: Path,
        say: Callable[[str], None],
    ) -> None:
        self._config = config
        self._settings: TrainerSettings = config.trainer
        self._gatherer = gatherer
        self._report = report
        self._work_dir = work_dir
        self._say = say

    def run(self, data_dir: Path | None, *, build_model: bool) -> VerificationReport:
        """Check everything that can be checked, and return the report without its problems.

        Without `build_model`, the model's config is checked, but no model is built.
        """
        self._gatherer.add(check_settings(self._settings))
        if self._config.push.signing_key is not None:
            with self._gatherer.gathering("push.signing_key"):
                load_signer(self._config.push.signing_key)
        sample = self._read_data(data_dir)
        self._say("starting TensorFlow")
        # Not earlier: what is known of the data should not wait for it.
        from reefline.od_api import trial

        import_s = trial.load_libraries()
        start = self._find_start()
        pipeline_config = self._build_config(sample)
        if pipeline_config is not None and build_model:
            memory = self._probe(pipeline_config, sample)
            if memory is not None and sample is not None:
                self._try(pipeline_config, sample, start, import_s, memory)
                self._look_at_image_size(pipeline_config, sample)
            if self._report.model is not None and self._config.edgetpu is not EdgeTpuTarget.NEVER:
                self._preflight(pipeline_config)
        return self._report

    def _read_data(self, data_dir: Path | None) -> DataSample | None:
        folder = self._find_data(data_dir)
        if folder is None:
            return None
        self._say("checking the data")
        with self._gatherer.gathering("data.beam_args"):
            check_reach(self._config.data.beam_options, str(folder))
        # These two decide which files are found at all; without them, what is found says nothing about the data.
        with self._gatherer.gathering("data.image_dir", "data.annotation_dir"):
            sample = take_sample(folder, self._config.data, self._work_dir / "records")
            self._gatherer.add(sample.problems)
            self._gatherer.add(check_counts(self._settings, sample.facts))
            self._report = replace(self._report, data=sample.facts)
            self._say(describe_counts(sample.facts))
            return sample
        return None

    def _find_data(self, data_dir: Path | None) -> Path | None:
        """Return the folder of the data set; a demo data set is generated."""
        # The section `demo` counts only if the command line names no folder.
        keys = ("demo",) if data_dir is None else ()
        with self._gatherer.gathering(*keys):
            return provide_data(data_dir, self._config.demo, self._work_dir / "demo_data", self._say)
        return None

    def _find_start(self) -> StartingPoint | None:
        """Return what training starts from if no model serves; a download is cached, so the run does not repeat it."""
        from reefline.training.start_files import StartCache
        from reefline.training.starting_point import choose_start

        with self._gatherer.gathering_everything("trainer.start", "trainer.start", "trainer.model"):
            return choose_start(self._settings, "", StartCache())
        return None

    def _build_config(self, sample: DataSample | None) -> Any | None:
        """Return the pipeline.config, or None if it has problems; without data it has one class and no files."""
        from reefline.od_api import model_config
        from reefline.od_api.model_config_rules import find_config_problems

        with self._gatherer.gathering():
            template = model_config.load_template(self._settings.model)
            config = model_config.build_pipeline_config(template, self._settings, self._training_files(sample))
            label_map = read_label_map(config.train_input_reader.label_map_path)
            problems = find_config_problems(config, label_map)
            self._gatherer.add_errors(problems)
            if not problems:
                return config
        return None

    def _training_files(self, sample: DataSample | None) -> model_config.TrainingFiles:
        from reefline.od_api import model_config

        if sample is None:
            label_map = LabelMapFolder(self._work_dir).label_map
            write_label_map(label_map, LabelMap(("object",)))
            return model_config.TrainingFiles((), (), label_map)
        boxes = max(1, sample.facts.max_boxes_per_image)
        return model_config.TrainingFiles((sample.train_records,), (sample.eval_records,), sample.label_map, boxes)

    def _probe(self, config: Any, sample: DataSample | None) -> MemoryUse | None:
        """Build and measure the model; return the memory it needs, or None if it cannot be trained."""
        from reefline.od_api import probe as probe_module

        self._say(f"building {self._settings.model}")
        with self._gatherer.gathering_everything("pipeline.config, building the model"):
            self._gatherer.add(check_learning_rates(probe_module.read_learning_rates(config)))
            probe = probe_module.probe_model(config, self._settings.model)
            self._report = replace(self._report, model=probe.facts)
            if sample is not None:
                threshold = probe_module.read_match_threshold(config)
                fit = probe_module.measure_anchor_fit(probe.anchors_yxyx, sample.boxes_yxyx, threshold)
                self._report = replace(self._report, anchors=fit)
                self._gatherer.add(check_anchors(fit, probe_module.describe_anchor_remedy(config)))
            return self._estimate_memory(probe)
        return None

    def _estimate_memory(self, probe: ModelProbe) -> MemoryUse | None:
        from reefline.od_api.trial import read_gpu_limit_bytes

        batch_size, per_image = self._settings.batch_size, probe.activation_bytes_per_image
        gpu_limit = read_gpu_limit_bytes()
        available = read_available_bytes() if gpu_limit is None else gpu_limit
        memory = MemoryUse(probe.estimate_training_bytes(batch_size), available, weights=probe.weights_bytes)
        self._report = replace(self._report, memory=memory)
        problems = check_memory(memory, per_image, batch_size)
        self._gatherer.add(problems)
        return None if problems else memory

    def _try(
        self,
        config: Any,
        sample: DataSample,
        start: StartingPoint | None,
        import_s: float,
        memory: MemoryUse,
    ) -> None:
        """Train a few steps, evaluate a few images, and estimate the run from them."""
        from reefline.od_api.trial import Trial, read_gpu_peak_bytes
        from reefline.training.start_loading import load_start

        self._say("running the first steps")
        with self._gatherer.gathering_everything("the first steps"):
            trial = Trial(config, self._settings.seed)
            if start is not None:
                with self._gatherer.gathering("trainer.start"):
                    load_start(start, trial.step, config)
            trained = trial.train()
            self._report = replace(self._report, first_loss=trained.results[0].total_loss)
            for number, result in enumerate(trained.results, start=1):
                problems = check_losses(number, result.losses, result.source_ids)
                if problems:
                    self._gatherer.add(problems)
                    return
            self._say("evaluating")
            evaluated = trial.evaluate(sample.eval_images)
            timings = Timings(
                start_s=import_s + trained.build_s,
                first_step_s=trained.first_step_s,
                step_s=trained.step_s,
                first_evaluation_s=evaluated.first_s,
                evaluation_image_s=evaluated.image_s,
            )
            self._report = replace(
                self._report,
                timings=timings,
                estimate=estimate_run(self._settings, sample.facts, timings),
                memory=replace(
                    memory,
                    peak_resident=read_peak_resident_bytes(),
                    weights=trained.weights_bytes,
                    optimizer=trained.optimizer_bytes,
                    gpu_peak=read_gpu_peak_bytes(),
                ),
            )

    def _look_at_image_size(self, config: Any, sample: DataSample) -> None:
        from reefline.od_api.export import read_input_size
        from reefline.verification.shrinking import find_shrinking

        estimate = self._report.estimate
        if estimate is not None:
            input_px, cores = read_input_size(config).width_px, count_cores()
            self._gatherer.add(find_shrinking(sample, self._settings, input_px, estimate, cores))

    def _preflight(self, config: Any) -> None:
        """Export the untrained model, and check its placement against the gate."""
        from reefline.export.preflight import examine_untrained
        from reefline.od_api.model_config import list_edge_tpu_templates

        self._say("checking which operators will run on the Edge TPU")
        with self._gatherer.gathering_everything("exporting the model for the Edge TPU"):
            found = examine_untrained(config, self._config.exporter)
            self._report = replace(self._report, edgetpu=found.edgetpu)
            self._gatherer.add_errors(find_preflight_problems(found, self._config.gate, list_edge_tpu_templates()))
