"""reefline/config: every mistake is one message with its dotted name."""

from __future__ import annotations

import math
import re
import time
from pathlib import Path

import pytest

from reefline.bundle.store import locate_model
from reefline.config.overrides import parse_override
from reefline.config.run_config import RunConfig, choose_config_file, examine_config, load_config, parse_config
from reefline.errors import ConfigError
from reefline.od_api.model_config import ModelTemplate
from reefline.settings import EdgeTpuTarget, Severity, Start

REPO_DIR = Path(__file__).resolve().parents[3]

MINIMAL = """\
model_name: cells
trainer: {model: ssd_mobilenet_v2_tiny}
gate: {min_map: 0.3}
"""


@pytest.fixture
def write(tmp_path: Path):
    def _write(text: str) -> Path:
        path = tmp_path / "c.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return _write


def _load(path: Path, *overrides: str) -> RunConfig:
    return load_config(path, [parse_override(text) for text in overrides])


@pytest.mark.parametrize("name", ["default", "demo", "bccd"])
def test_configs_that_come_along_are_valid(name: str) -> None:
    config = _load(REPO_DIR / "configs" / f"{name}.yaml")
    assert (config.demo is not None) == (name == "demo")
    assert config.gate.min_map is not None or config.gate.min_map_50 is not None


@pytest.mark.parametrize("name", ["_cells", "a", "A.b-c_9", "9"])
def test_a_model_name_of_the_config_is_one_of_the_store(write, tmp_path: Path, name: str) -> None:
    assert locate_model(tmp_path, _load(write(MINIMAL), f"model_name='{name}'").model_name) == tmp_path / name


def test_sections_left_out_take_their_defaults(write) -> None:
    config = _load(write(MINIMAL))
    assert config.edgetpu is EdgeTpuTarget.REQUIRED
    assert config.data.max_rejected_fraction == 0.02
    assert config.demo is None


def test_a_model_card_is_plain_text_and_optional(write) -> None:
    card = _load(write(MINIMAL + "model_card: {intended_use: 'Counts cells.', license: CC0}\n")).model_card
    assert (card.intended_use, card.license, card.limitations) == ("Counts cells.", "CC0", "")
    assert _load(write(MINIMAL)).model_card.intended_use == ""
    with pytest.raises(
        ConfigError, match=r"model_card\.intended: unknown key; did you mean model_card\.intended_use\? "
    ):
        _load(write(MINIMAL + "model_card: {intended: x}\n"))
    with pytest.raises(ConfigError, match=r"model_card\.owner: found 3; expected a valid string"):
        _load(write(MINIMAL + "model_card: {owner: 3}\n"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("trainer.num_steps=50", 50, id="integer"),
        pytest.param("trainer.learning_rate=1e-2", 0.01, id="exponent-without-point"),
        pytest.param("trainer.learning_rate=1", 1, id="integer-for-a-float"),
        pytest.param("gate.min_map=null", None, id="null"),
        pytest.param("trainer.augmentations=[vertical_flip]", ["vertical_flip"], id="list"),
        pytest.param("validation.severities.box_tiny=off", "off", id="off-is-a-word"),
        pytest.param("model_name=a=b", "a=b", id="second-equals-sign"),
    ],
)
def test_override_values_are_yaml(text: str, value: object) -> None:
    assert parse_override(text).value == value
    assert parse_override(text).name == text.partition("=")[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("1:30", "1:30", id="minutes-and-seconds"),
        pytest.param("017", "017", id="leading-zero"),
        pytest.param("1:30.5", "1:30.5", id="sexagesimal-float"),
        pytest.param("0b1", "0b1", id="binary"),
        pytest.param("=", "=", id="equals-sign"),
        pytest.param("-12", -12, id="negative"),
        pytest.param("10_000", 10_000, id="underscore"),
        pytest.param("0x1F", 31, id="hexadecimal"),
        pytest.param("0.5", 0.5, id="float"),
        pytest.param("-.5", -0.5, id="float-without-zero"),
        pytest.param("1.", 1.0, id="float-without-fraction"),
        pytest.param("1.5e-3", 0.0015, id="exponent"),
        pytest.param("-.inf", -math.inf, id="infinity"),
        pytest.param("~", None, id="tilde"),
    ],
)
def test_plain_scalars(text: str, value: object) -> None:
    found = parse_override(f"x={text}").value
    assert (type(found), found) == (type(value), value)


def _nest_aliases(levels: int, width: int) -> str:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels))]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("? [a]\n: b", "line 1, column 3: a list or a section is used as a key", id="list-as-key"),
        pytest.param("? {a: b}\n: c", "a list or a section is used as a key", id="section-as-key"),
        pytest.param("a: &a [*a]", "an alias stands for something that contains it", id="contains-itself"),
        pytest.param("a: &a {<<: *a}", "an alias stands for something that contains it", id="merges-itself"),
        pytest.param("a: !!int x", r"line 1, column 4: 'x' is not a valid int", id="no-int"),
        pytest.param("a: !!int ''", "'' is not a valid int", id="empty-int"),
        pytest.param("a: !!bool x", "'x' is not a valid bool", id="no-bool"),
        pytest.param("a: !!timestamp x", "could not determine a constructor", id="other-tag"),
        pytest.param("a: !!python/object/apply:os.getcwd []", "could not determine a constructor", id="python-tag"),
        pytest.param(f"a: {'9' * 5000}", r"'9{60}…' is not a valid int", id="5000-digits"),
        pytest.param("a: " + "[" * 3000, "nested more than 30 levels deep", id="3000-brackets"),
        pytest.param("- " * 3000 + "x", "nested more than 30 levels deep", id="3000-dashes"),
        pytest.param(_nest_aliases(9, 9), "more than 20000 values or 30 levels", id="billion-laughs"),
        pytest.param(_nest_aliases(3000, 1), "more than 20000 values or 30 levels", id="chain-of-aliases"),
        pytest.param('a: "\\ud800"', "contains a null character or half of a surrogate pair", id="lone-surrogate"),
        pytest.param('a: "\\0"', "contains a null character or half of a surrogate pair", id="null-character"),
        pytest.param("a: " + "x" * 200_000, "more than 100000 characters", id="too-large"),
    ],
)
def test_hostile_yaml_is_one_message(write, text: str, message: str) -> None:
    started_s = time.process_time()
    with pytest.raises(ConfigError, match=f"c.yaml: not valid YAML: .*{message}"):
        _load(write(text))
    assert time.process_time() - started_s < 5


def test_name_of_many_parts() -> None:
    with pytest.raises(ConfigError, match="3000 parts found; no value has more than 10"):
        parse_override(".".join(["a"] * 3000) + "=1")


def test_message_on_a_list_names_the_item(write) -> None:
    message = r"c\.yaml: data\.beam_args: 'runner=x' is not an option of Beam; write --name=value"
    with pytest.raises(ConfigError, match=message):
        _load(write(MINIMAL), "data.beam_args=[runner=x]")


@pytest.mark.parametrize(
    "override",
    [
        "trainer.num_steps=4294967296",
        "trainer.batch_size=1000000000000",
        "trainer.input_size=100000",
        "trainer.warmup_steps=4294967296",
        "trainer.seed=4294967296",
        "data.workers=100000",
        "data.images_per_shard=4294967296",
        "data.max_image_pixels=1000000000000",
        "exporter.max_detections=1000000000",
        "exporter.calibration_images=4294967296",
        "exporter.compiler.timeout_s=1e300",
        "validation.near_duplicate_bits=65",
    ],
)
def test_absurd_numbers_are_refused(write, override: str) -> None:
    name, _, _ = override.partition("=")
    with pytest.raises(ConfigError, match=rf"{re.escape(name)}: found .*; expected less than or equal to \d"):
        _load(write(MINIMAL), override)


def test_long_values_are_shortened(write) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.num_steps: found '9{150,200}…; expected"):
        _load(write(MINIMAL), f"trainer.num_steps='{'9' * 4000}'")


def test_overrides_replace_and_make_sections(write) -> None:
    config = _load(
        write(MINIMAL), "trainer.num_steps=50", "data.eval_fraction=0.5", "validation.severities.box_tiny=off"
    )
    assert config.trainer.num_steps == 50
    assert config.trainer.model == "ssd_mobilenet_v2_tiny"
    assert config.data.eval_fraction == 0.5
    assert config.validation.severities == {"box_tiny": Severity.OFF}


def test_the_last_override_wins(write) -> None:
    assert _load(write(MINIMAL), "gate.min_map=0.1", "gate.min_map=0.2").gate.min_map == 0.2


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("trainer.num_steps", id="no-equals-sign"),
        pytest.param("=5", id="no-name"),
        pytest.param("trainer..num_steps=5", id="empty-part"),
    ],
)
def test_malformed_override(text: str) -> None:
    with pytest.raises(ConfigError, match=r"expected KEY=VALUE"):
        parse_override(text)


def test_override_that_is_no_yaml() -> None:
    with pytest.raises(ConfigError, match=r"--set gate\.min_map: '\[' is not a YAML value"):
        parse_override("gate.min_map=[")


def test_override_below_a_single_value(write) -> None:
    with pytest.raises(ConfigError, match=r"--set model_name\.x: model_name is a single value \('cells'\) and has no"):
        _load(write(MINIMAL), "model_name.x=1")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        pytest.param(
            ["trainer.num_stepz=5"],
            r"trainer\.num_stepz: unknown key; did you mean trainer\.num_steps\? expected one of model,",
            id="unknown-key",
        ),
        pytest.param(["trainr={}"], r"trainr: unknown key; did you mean trainer\?", id="unknown-section"),
        pytest.param(["trainer.num_steps=many"], r"trainer\.num_steps: found 'many'; expected a valid int", id="type"),
        pytest.param(["trainer.num_steps='50'"], r"trainer\.num_steps: found '50'; expected a valid int", id="text"),
        pytest.param(["trainer.num_steps=true"], r"trainer\.num_steps: found True; expected a valid int", id="bool"),
        pytest.param(["trainer.num_steps=0"], r"trainer\.num_steps: found 0; expected greater than 0", id="range"),
        pytest.param(["gate.min_map=.nan"], r"gate\.min_map: found nan; expected", id="nan"),
        pytest.param(["gate=7"], r"gate: found 7; expected a section with its own keys", id="section-is-a-number"),
        pytest.param(["trainer=null"], r"trainer: found None; expected a section", id="section-is-empty"),
        pytest.param(["edgetpu=always"], r"edgetpu: found 'always'; expected 'required' or 'never'", id="enum"),
        pytest.param(["model_name=../x"], r"model_name: found '\.\./x'; .*pattern", id="name-is-a-path"),
        pytest.param(
            ["trainer.start=http://host/a.tar.gz"],
            r"trainer\.start: .*an http:// URL needs its sha256",
            id="url-without-hash",
        ),
        pytest.param(
            ["validation.severities.box_tinny=off"],
            r"validation\.severities: unknown rule 'box_tinny': did you mean 'box_tiny'",
            id="unknown-rule",
        ),
        pytest.param(
            ["trainer.model=ssd_mobilenet_v2_tinny"],
            r"trainer\.model: no template named .*did you mean 'ssd_mobilenet_v2_tiny'",
            id="unknown-model",
        ),
        pytest.param(
            ["trainer.model=efficientdet_d0"], r"trainer\.model: efficientdet_d0 does not map to the Edge TPU", id="tpu"
        ),
    ],
)
def test_mistakes_are_named(write, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        _load(write(MINIMAL), *overrides)
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize("section", ["model_name", "trainer", "gate"])
def test_missing_section(write, section: str) -> None:
    text = "\n".join(line for line in MINIMAL.splitlines() if not line.startswith(section))
    with pytest.raises(ConfigError, match=rf"{section}: this section or value is missing; add it"):
        _load(write(text))


def test_every_mistake_has_a_message_of_its_own(write) -> None:
    with pytest.raises(ConfigError, match="min_map") as caught:
        _load(write(MINIMAL), "gate.min_map=2", "data.eval_fraction=x", "foo=1")
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize("rule", ["max_quantization_drop=0.1", "min_edgetpu_ops=0.9", "edgetpu_compiled=true"])
def test_rules_about_a_tpu_that_never_is(write, rule: str) -> None:
    with pytest.raises(ConfigError, match=rf"gate\.{rule.partition('=')[0]}: set, but edgetpu is never"):
        _load(write(MINIMAL), "edgetpu=never", f"gate.{rule}")


def test_never_for_the_tpu_allows_any_model(write) -> None:
    config = _load(write(MINIMAL), "edgetpu=never", "trainer.model=efficientdet_d0")
    assert config.trainer.model == "efficientdet_d0"


def test_nothing_left_to_train_on(write) -> None:
    with pytest.raises(ConfigError, match=r"data\.eval_fraction \+ data\.test_fraction: 1; expected less than 1"):
        _load(write(MINIMAL), "data.eval_fraction=0.5", "data.test_fraction=0.5")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", r"contains nothing; expected sections", id="empty"),
        pytest.param("- a\n", r"contains a list; expected sections", id="list"),
        pytest.param("a: [1\n", r"not valid YAML: line \d+, column \d+", id="syntax"),
        pytest.param("a: 1\na: 2\n", r"duplicate key 'a'; keep one", id="repeated-key"),
    ],
)
def test_files_that_are_no_config(write, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _load(write(text))


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: no such config file; name one with --config"):
        _load(tmp_path / "none.yaml")


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"model_name: \xff\n")
    with pytest.raises(ConfigError, match="expected a YAML file in UTF-8"):
        _load(path)


def test_paths_are_relative_to_where_they_are_written(write, tmp_path: Path, monkeypatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    path = write(MINIMAL + "data: {label_map: labels.pbtxt, image_dir: pictures}\n")
    assert _load(path).data.label_map == str(tmp_path / "labels.pbtxt")
    assert _load(path).data.image_dir == "pictures"
    assert _load(path, "data.label_map=mine.pbtxt").data.label_map == str(elsewhere / "mine.pbtxt")


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("https://host/model.tar.gz", id="url"),
        pytest.param("scratch", id="keyword"),
        pytest.param("zoo:ssd_mobilenet_v2_320x320_coco17_tpu-8", id="zoo"),
    ],
)
def test_a_start_that_is_no_path_stays_what_it_is(write, source: str) -> None:
    assert _load(write(MINIMAL), f"trainer.start={source}").trainer.start == Start(source=source)


def test_messages_name_the_file() -> None:
    with pytest.raises(ConfigError, match=re.escape("somewhere.yaml: gate")):
        parse_config({"model_name": "x", "trainer": {"model": "ssd_mobilenet_v2_tiny"}}, source="somewhere.yaml")


def test_examining_goes_on_after_a_problem(write) -> None:
    overrides = ["trainer.batch_size=0", "trainer.augmentations=[no]", "data.eval_fraction=0.7", "data.test_fraction=1"]
    path = write(MINIMAL)
    examined = examine_config(path, [parse_override(text) for text in overrides])
    assert examined.replaced == ("trainer.batch_size", "trainer.augmentations.0")
    assert [re.sub(r"^.*c\.yaml: ", "", problem).partition(":")[0] for problem in examined.problems] == [
        "trainer.batch_size",
        "trainer.augmentations.0",
        "data.eval_fraction + data.test_fraction",
    ]
    assert examined.config is not None
    assert examined.config.trainer.batch_size == 16
    assert examined.config.data.test_fraction == 1.0


def test_examining_does_not_draw_conclusions_from_defaults(write) -> None:
    """That the Edge TPU is required is the default, not what the config says."""
    overrides = ["edgetpu=nevr", "trainer.model=efficientdet_d0"]
    examined = examine_config(write(MINIMAL), [parse_override(text) for text in overrides])
    assert len(examined.problems) == 1
    assert "edgetpu: found 'nevr'" in examined.problems[0]


def test_a_folder_named_like_a_replaced_value_hides_nothing(tmp_path: Path) -> None:
    path = tmp_path / "edgetpu" / "c.yaml"
    path.parent.mkdir()
    path.write_text(MINIMAL)
    overrides = ["edgetpu=nevr", "data.eval_fraction=0.7", "data.test_fraction=0.5"]
    examined = examine_config(path, [parse_override(text) for text in overrides])
    assert [re.sub(r"^.*c\.yaml: ", "", problem).partition(":")[0] for problem in examined.problems] == [
        "edgetpu",
        "data.eval_fraction + data.test_fraction",
    ]


def test_a_kind_of_model_that_is_never_exported_is_told_whatever_edgetpu_is(write, monkeypatch) -> None:
    template = ModelTemplate("centernet", "model { center_net {} }", edge_tpu=True)
    monkeypatch.setattr("reefline.config.run_config.load_template", lambda _: template)
    examined = examine_config(write(MINIMAL), [parse_override("edgetpu=nevr"), parse_override("gate.min_map=0.1")])
    assert len(examined.problems) == 2
    assert "trainer.model: centernet is of the kind center_net" in examined.problems[1]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("[", "not valid YAML", id="no-yaml"),
        pytest.param("model_name: cells\ngate: {}\n", "trainer: this section or value is missing", id="no-trainer"),
    ],
)
def test_too_little_to_examine(write, text: str, problem: str) -> None:
    examined = examine_config(write(text))
    assert examined.config is None
    assert problem in examined.problems[0]


def test_a_good_config_has_nothing_to_tell(write) -> None:
    examined = examine_config(write(MINIMAL))
    assert examined.problems == examined.replaced == ()
    assert examined.config == load_config(write(MINIMAL))


def test_the_config_that_a_command_line_means() -> None:
    assert choose_config_file(Path("x.yaml"), Path("d")) == Path("x.yaml")
    assert choose_config_file(None, Path("d")).name == "default.yaml"
    assert choose_config_file(None, None).name == "demo.yaml"


@pytest.mark.parametrize("url", ["https://[::1/x", "file://[x", "https://host:99999999/x"])
def test_malformed_url_is_refused(write, url: str) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.start: .*is not a valid URL \(.+\); correct it"):
        _load(write(MINIMAL), f"trainer.start={url}")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param("keys/a.pem", "{}/keys/a.pem", id="relative"),
        pytest.param("/etc/a.pem", "/etc/a.pem", id="absolute"),
        pytest.param("~/a.pem", "/srv/me/a.pem", id="home"),
        pytest.param("~nobody-here/a.pem", "{}/~nobody-here/a.pem", id="unknown-user"),
        pytest.param("env:KEY", "env:KEY", id="variable"),
    ],
)
def test_a_signing_key_is_found_from_the_configs_folder(
    write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, expected: str
) -> None:
    monkeypatch.setenv("HOME", "/srv/me")
    config = _load(write(f"{MINIMAL}push: {{signing_key: '{written}'}}\n"))
    assert config.push.signing_key == expected.format(tmp_path)


def test_an_override_knows_the_home_folder_too(write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/srv/me")
    assert _load(write(MINIMAL), "push.signing_key=~/a.pem").push.signing_key == "/srv/me/a.pem"
