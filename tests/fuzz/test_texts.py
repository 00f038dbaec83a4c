"""Mutated annotations, lists, label maps, configs, logs, manifests and CURRENT: an answer, or a UserError."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reefline.bundle.local_home import LocalHome
from reefline.bundle.manifest import Manifest, parse_manifest
from reefline.bundle.store import push_bundle
from reefline.commands.parse_log import _describe
from reefline.config.overrides import parse_override
from reefline.config.run_config import CONFIG_DIR, load_config
from reefline.config.yaml_writer import format_yaml
from reefline.data.inspection import ImageLimits, inspect_candidate
from reefline.data.layouts import list_data_files
from reefline.data.matching import Candidate, discover
from reefline.data.shards import load_example
from reefline.edgetpu.compiler.log_parser import parse_log
from reefline.errors import UserError
from reefline.formats.tf_example import decode_example, encode_example
from reefline.formats.voc import parse_voc_annotation
from reefline.od_api.label_map_file import read_label_map, write_label_map
from reefline.structures.boxes import BoxXyxyPx
from tests.compiler_log_cases import LOG_DIR
from tests.factories import HEIGHT_PX, WIDTH_PX, add_image, make_jpeg, make_object, make_xml
from tests.factories_evaluation import make_facts, write_candidate
from tests.fuzz.harness import fuzzed, mutated, within_limits

LIMITS = ImageLimits(10**8)
OBJECTS = [make_object(), make_object("dog", (0.5, 1, 64, 48), difficult=True)]
XML_SEEDS = (
    make_xml(OBJECTS, filename="a.jpg"),
    make_xml(OBJECTS, filename="a.jpg").decode().replace("utf-8", "utf-16").encode("utf-16"),
    make_xml([make_object("猫")]).decode().replace("utf-8", "shift_jis").encode("shift_jis"),
    b"<annotation/>",
)
XML_TOKENS = (
    *(b"nan", b"inf", b"1e999", b"-1", b"1_0", b"0x10", b"\xef\xbb\xbf", b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&b;"),
    *(b"&#0;", b"&#xD800;", b"&#27;", b"<object>", b"</object>", b"<bndbox>", b"<![CDATA[", b"]]>", b"<!--", b"-->"),
    *(b"<size><width>2</width><height>1</height></size>", b"../", b"\0", b"9" * 400, b"encoding='utf-7'", b"<a>" * 50),
)
LIST_SEEDS = (b"a\nb\n", b"a 1\nb -1\nc  0\n", b"\xef\xbb\xbfa.jpg\r\nc.jpg\r\n", b"b\nb\n", b"")
LIST_TOKENS = (
    b"\n",
    b"\r",
    b"a",
    b"b c",
    b"../a",
    b"/a",
    b"\0",
    b"\xff",
    b"  1",
    b".jpg",
    "\u2028".encode(),
    b"a" * 5000,
)
LIST_NAMES = (
    "Main/train",
    "Main/val",
    "Main/test",
    "Main/trainval",
    "train",
    "Main/cat_train",
    "Main/odd",
    "MAIN/Eval",
)
LABEL_MAP_SEEDS = (
    b'item { id: 1 name: "cat" }\nitem { id: 2 name: "dog" }\n',
    "item {\n  name: 'кот'\n  id: 1\n  display_name: 'x'\n}\n".encode(),
    b"item: <id: 1, name: 'a' 'b'>",
    b"",
)
LABEL_MAP_TOKENS = (
    b"item {",
    b"}",
    b"id: 0",
    b"id: -1",
    b"id: 1e3",
    b"id: 0x7fffffff",
    b"name: ''",
    b"'\\n'",
    b"'\\377'",
)
LABEL_MAP_TOKENS += (
    b"'\\0'",
    b"#",
    b"keypoints {",
    b"[a.b/c.d] {",
    b"\xff",
    b";",
    b"name: '\\u202e'",
    b"id: 99999999999",
    b"{" * 200,
)
CONFIG_SEEDS = tuple(path.read_bytes() for path in sorted(CONFIG_DIR.glob("*.yaml")))
CONFIG_TOKENS = (
    b"\n",
    b": ",
    b"- ",
    b"[",
    b"]",
    b"{",
    b"}",
    b"&a ",
    b"*a",
    b"<<: *a",
    b"!!int x",
    b"!!python/name:os",
    b"? ",
)
CONFIG_TOKENS += (
    b"null",
    b"~",
    b".nan",
    b".inf",
    b"1e400",
    b"0x" + b"f" * 400,
    b"1:30",
    b"017",
    b"---\n",
    b"...",
    b"%YAML 9",
    b"|\n",
)
CONFIG_TOKENS += (
    b"'",
    b'"\\ud800"',
    b"\t",
    b"\xff",
    b"\0",
    b"  trainer: {start: {source: ../x}}\n",
    b"model: ../../etc\n",
    b"true",
)
LOG_SEEDS = tuple(path.read_bytes() for path in sorted(LOG_DIR.glob("*.txt"))) or (b"Model not quantized\n",)
LOG_TOKENS = (
    b"Edge TPU Compiler version 16.0\n",
    b"Model compiled successfully in 1 ms.\n",
    b"Compilation failed!\n",
    b"\n",
    b"9" * 30,
)
LOG_TOKENS += (
    b"Number of Edge TPU subgraphs: 0\n",
    b"Operator  Count  Status\n",
    b"ADD 9 Mapped to Edge TPU\n",
    b"\x1b[2J",
    b"\xff",
)
LOG_TOKENS += (
    b"Off-chip memory used for streaming uncached model parameters: 1e5MiB\n",
    b"Trying to compile segment",
    b"\r",
    b" ",
    b"0B",
)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the image that mutated annotations belong to."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "a.jpg").write_bytes(make_jpeg())
    return folder


@fuzzed
@given(content=mutated(XML_SEEDS, XML_TOKENS))
def test_annotations(image: Path, content: bytes) -> None:
    with within_limits():
        try:
            annotation = parse_voc_annotation(content)
        except UserError:
            return
        inspection = inspect_candidate(image, Candidate("a.jpg", "a.xml", "train", annotation), LIMITS, None)
    assert inspection.record is not None
    labels = {item.label for item in inspection.record.objects}
    example = load_example(image, inspection.record, {label: number for number, label in enumerate(sorted(labels), 1)})
    read = decode_example(encode_example(example))
    assert [item.class_name for item in read.objects] == [item.class_name for item in example.objects]
    assert all(_is_inside(item.box_xyxy_px) and item.class_name for item in read.objects)


def _is_inside(box: BoxXyxyPx) -> bool:
    return 0 <= box.x_min <= box.x_max <= WIDTH_PX and 0 <= box.y_min <= box.y_max <= HEIGHT_PX


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of images that lists may name."""
    folder = tmp_path_factory.mktemp("listed")
    for stem in ("a", "b", "c", "b c"):
        add_image(folder, stem)
    add_image(folder / "inner", "a")
    return folder


@fuzzed
@given(lists=st.dictionaries(st.sampled_from(LIST_NAMES), mutated(LIST_SEEDS, LIST_TOKENS), max_size=4))
def test_lists(listed: Path, lists: dict[str, bytes]) -> None:
    shutil.rmtree(listed / "ImageSets", ignore_errors=True)
    for name, content in lists.items():
        path = listed / "ImageSets" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    with within_limits():
        found = discover(listed, list_data_files(listed))
    assert all(finding.rule and finding.message for finding in found.findings)
    assert len({candidate.image for candidate in found.candidates}) == len(found.candidates) <= 5


@fuzzed
@given(content=mutated(LABEL_MAP_SEEDS, LABEL_MAP_TOKENS))
def test_label_maps(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "labels.pbtxt"
    path.write_bytes(content)
    with within_limits():
        try:
            found = read_label_map(path)
        except UserError:
            return
    assert found.names and all(found.names)
    write_label_map(path, found)
    assert read_label_map(path) == found
    assert "\n".join(found.names).splitlines() == list(found.names)


@fuzzed
@given(content=mutated(CONFIG_SEEDS, CONFIG_TOKENS))
def test_configs(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "config.yaml"
    path.write_bytes(content)
    with within_limits():
        try:
            config = load_config(path)
        except UserError:
            return
    path.write_text(format_yaml(config.model_dump(mode="json")), encoding="utf-8")
    assert load_config(path) == config


OVERRIDES = st.builds(
    lambda name, content: f"{name}={content.decode('utf-8', 'replace')}",
    st.sampled_from(
        ("trainer.num_steps", "gate.min_map", "trainer.start", "model_name", "validation.severities", "data", "x.y")
    ),
    mutated((b"50", b"0.5", b"[a, b]", b"{a: b}", b"published", b"off"), CONFIG_TOKENS),
)


@fuzzed
@given(text=OVERRIDES)
def test_overrides(text: str) -> None:
    with within_limits():
        try:
            load_config(CONFIG_DIR / "default.yaml", [parse_override(text)])
        except UserError:
            return


@fuzzed
@given(content=mutated(LOG_SEEDS, LOG_TOKENS))
def test_compiler_logs(content: bytes) -> None:
    with within_limits():
        parsed = parse_log(content.decode("utf-8", "replace"))
        assert all(isinstance(line, str) for line in _describe(parsed))
    json.dumps(parsed.to_json())
    counts = (parsed.ops_total, parsed.ops_on_tpu, parsed.ops_on_cpu)
    assert all(count is None or count >= 0 for count in counts)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("bundle")
    record = push_bundle(write_candidate(folder / "candidate"), make_facts(), folder / "serving")
    return (Path(record.path) / "manifest.json").read_bytes()


MANIFEST_TOKENS = (
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"NaN",
    b"Infinity",
    b"9" * 5000,
    b'"../x"',
    b"[]",
    b"{}",
    b",",
    b'"',
    b":",
)
MANIFEST_TOKENS += (
    b"[" * 3000,
    b'{"a":' * 500,
    b"\\ud800",
    b"\\u0000",
    b"\xff",
    b'"version": 0,',
    b'"replaces": 1,',
    b'"files": {},',
)


@fuzzed
@given(choices=st.data())
def test_manifests(manifest: bytes, choices: st.DataObject) -> None:
    content = choices.draw(mutated((manifest, manifest, manifest, b"{}"), MANIFEST_TOKENS))
    with within_limits():
        try:
            found = parse_manifest(content, "manifest.json")
        except UserError:
            return
    text = json.dumps(found.to_json())
    assert json.loads(text)["version"] == found.version
    assert Manifest.from_json(found.to_json()).files == found.files


@fuzzed
@given(
    content=mutated(
        (b"1\n", b"12", b"", b"latest"),
        (b"0", b"-", b"\n", b"9" * 400, "\u0661".encode(), b"\xff", b"\0", b" ", b"../"),
    )
)
@example(content=b"9" * 6000)
def test_current(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "CURRENT").write_bytes(content)
    with within_limits():
        try:
            found = LocalHome(folder).read_current()
        except UserError:
            return
    assert found is not None
    assert found.version > 0
