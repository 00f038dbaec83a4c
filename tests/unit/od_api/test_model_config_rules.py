"""Every problem of a pipeline.config; tests/unit/od_api/test_model_config.py has the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from reefline.errors import ConfigError
from reefline.od_api import compat, model_config
from reefline.od_api.model_config_rules import find_config_problems, find_syntax_problems
from reefline.settings import TrainerSettings
from reefline.structures.label_map import LabelMap
from tests.factories_training import LABELS, write_labels


@pytest.fixture(autouse=True, scope="module")
def od_api() -> None:
    compat.apply()


@pytest.fixture
def config(tmp_path: Path):
    settings = TrainerSettings(model="ssd_mobilenet_v2_tiny", num_steps=100, warmup_steps=10)
    files = model_config.TrainingFiles((), (), write_labels(tmp_path / "label_map.pbtxt"))
    return model_config.build_pipeline_config(model_config.load_template(settings.model), settings, files)


def test_every_unknown_field_is_reported_with_its_line() -> None:
    text = "model {\n ssd {\n nun_classes: 3\n }\n}\ntrain_config {\n batch_size: many\n num_stepz: 3\n}\n"
    problems = find_syntax_problems(text, "mine.config")
    assert len(problems) == 3
    for problem, (line, name) in zip(problems, [(3, "nun_classes"), (7, "many"), (8, "num_stepz")], strict=True):
        assert problem.startswith(f"mine.config: {line}:")
        assert name in problem


def test_a_missing_brace_ends_the_search() -> None:
    assert len(find_syntax_problems("model {\n ssd {\n nun_classes: 3\n", "mine.config")) >= 1
    assert len(find_syntax_problems("modle {\n ssd {\n }\n}\n", "mine.config")) == 1


def test_a_good_text_has_no_problems() -> None:
    assert find_syntax_problems("model { ssd { num_classes: 3 } }", "mine.config") == ()


def test_all_syntax_problems_are_in_the_error() -> None:
    with pytest.raises(ConfigError, match="nun_classes") as caught:
        model_config.parse_pipeline_config("model { ssd { nun_classes: 3 } }\ntrain: 1\n", "mine.config")
    assert len(caught.value.problems) == 2


def cosine(config):
    return config.train_config.optimizer.momentum_optimizer.learning_rate.cosine_decay_learning_rate


def shorten_schedule(config) -> None:
    cosine(config).total_steps = 60


def warm_up_for_ever(config) -> None:
    cosine(config).warmup_steps = 100


def hold_for_ever(config) -> None:
    cosine(config).hold_base_rate_steps = 95


def drop_optimizer(config) -> None:
    config.train_config.ClearField("optimizer")


def drop_eval_reader(config) -> None:
    del config.eval_input_reader[:]


def train_one_epoch(config) -> None:
    config.train_input_reader.num_epochs = 1


@pytest.mark.parametrize(
    ("breakage", "message"),
    [
        pytest.param(shorten_schedule, "falls to 0 in 60 steps, but num_steps is 100", id="rate-dies"),
        pytest.param(warm_up_for_ever, "warmup_steps (100) and hold_base_rate_steps (0)", id="warmup"),
        pytest.param(hold_for_ever, "warmup_steps (10) and hold_base_rate_steps (95)", id="hold"),
        pytest.param(drop_optimizer, "train_config.optimizer is missing", id="no-optimizer"),
        pytest.param(drop_eval_reader, "found 0 eval_input_reader; expected exactly one", id="no-eval-reader"),
        pytest.param(train_one_epoch, "num_epochs is 1; expected 0", id="data-ends"),
    ],
)
def test_what_would_fail_late(config, breakage, message: str) -> None:
    assert find_config_problems(config, LABELS) == ()
    breakage(config)
    (problem,) = find_config_problems(config, LABELS)
    assert message in problem


def test_all_problems_at_once(config) -> None:
    shorten_schedule(config)
    train_one_epoch(config)
    assert len(find_config_problems(config, LabelMap(("one",)))) == 3
