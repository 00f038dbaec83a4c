"""Bad configs, workspaces, starts, bundles, models, logs and command lines: one line a case."""
# ruff: noqa: E501  one line a case

from __future__ import annotations

import contextlib
import gzip
import io
import json
import sqlite3
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from reefline.bundle.store import push_bundle, resolve_baseline
from reefline.training.checkpoint_files import find_prefix, unpack
from reefline.training.start_files import StartCache, locate_path
from tests.bad_input.builders import Edit, fifo, link, make_folder, picture, put
from tests.bad_input.judging import Act, Answer, Case, answer_of, command, config, kubeflow, process, run
from tests.factories import make_data_set, make_jpeg
from tests.factories_detect import push_small_bundle
from tests.factories_evaluation import make_facts, write_candidate
from tests.factories_kubeflow import IMAGE
from tests.factories_summary import make_blessed, write_run
from tests.factories_tflite import EDGE_TPU, OpSpec, TensorSpec, build_model, build_package

MINIMAL = "model_name: cells\ntrainer: {model: ssd_mobilenet_v2_tiny}\ngate: {min_map: 0.3}\n"
CONFIG = put("c.yaml", MINIMAL)
SHA256 = "5d31" * 16
CLEAR_SCREEN = "\x1b[2J"
# Stops a run after its workspace was opened.
STOP = ("--config", "c.yaml", "--data", "nowhere")
STOPPED = r"nowhere: no such folder; --data expects a folder"
SMALL_MODEL = build_model([TensorSpec("a"), TensorSpec("b")], [OpSpec("RELU", ("a",), ("b",))], ["a"], ["b"])
COMPILED = build_model(
    [TensorSpec("a"), TensorSpec("b")],
    [OpSpec(EDGE_TPU, ("a",), ("b",), custom_options=build_package([(2, 0)]))],
    ["a"],
    ["b"],
)
NO_PACKAGE = build_model(
    [TensorSpec("a"), TensorSpec("b")], [OpSpec(EDGE_TPU, ("a",), ("b",), custom_options=b"no package")], ["a"], ["b"]
)
BUNDLE = Path("serving") / "detector" / "1"
GOOD_LOG = "Edge TPU Compiler version 16.0.384591198\nModel compiled successfully in 12 ms.\n"


def database(*statements: str) -> Edit:
    """Write ws/metadata.db as an intact SQLite file that another program might have written."""

    def edit(folder: Path) -> None:
        (folder / "ws").mkdir()
        with contextlib.closing(sqlite3.connect(folder / "ws" / "metadata.db")) as connection:
            connection.executescript(";".join(statements))

    return edit


def several(*edits: Edit) -> Edit:
    def edit(folder: Path) -> None:
        for each in edits:
            each(folder)

    return edit


def tar(*members: tuple[str, bytes], kind: bytes = tarfile.REGTYPE, target: str = "", **headers: str) -> bytes:
    """Return a gzipped archive of members of one kind with pax headers."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as file:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size, member.type, member.linkname, member.pax_headers = len(content), kind, target, headers
            file.addfile(member, io.BytesIO(content))
    return gzip.compress(stream.getvalue())


def path(source: str, sha256: str | None = None, before: Edit | None = None) -> Act:
    """Locate trainer.start where it is a path."""

    def act(folder: Path) -> Answer:
        if before is not None:
            before(folder)
        return answer_of(lambda: locate_path(source, sha256))

    return act


def url(source: str, sha256: str | None = None) -> Act:
    """Fetch trainer.start where it is a URL; nothing listens there."""
    return lambda folder: answer_of(
        lambda: StartCache(folder / "cache", folder / "memory.json", ()).fetch(source, sha256)
    )


def archive(content: bytes) -> Act:
    """Unpack an archive and find its checkpoint."""

    def act(folder: Path) -> Answer:
        (folder / "a.tar.gz").write_bytes(content)
        return answer_of(lambda: find_prefix(unpack(folder / "a.tar.gz", folder / "cache"), "a.tar.gz"))

    return act


def serving(*edits: Edit, act: Callable[[], object]) -> Act:
    """Push a bundle of nothing much, edit the folder, and do something with what serves."""

    def answer(folder: Path) -> Answer:
        push_bundle(write_candidate(folder / "candidate"), make_facts(), folder / "serving")
        for edit in edits:
            edit(folder)
        return answer_of(act)

    return answer


def verified(*edits: Edit) -> Act:
    """Verify the one bundle with the command."""

    def push_and_edit(folder: Path) -> None:
        push_bundle(write_candidate(folder / "candidate"), make_facts(), folder / "serving")
        for edit in edits:
            edit(folder)

    return command("verify-bundle", str(BUNDLE), before=push_and_edit)


def manifest(**changes: Any) -> Edit:
    """Change keys of the bundle's manifest."""

    def edit(folder: Path) -> None:
        file = folder / BUNDLE / "manifest.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))

    return edit


def detect(*arguments: str, before: Edit | None = None) -> Act:
    """Run `detect` with a real bundle of two anchors."""

    def prepare(folder: Path) -> None:
        push_small_bundle(folder)
        put("good.png", picture())(folder)
        if before is not None:
            before(folder)

    return command("detect", "--bundle", str(BUNDLE), *arguments, before=prepare)


def baseline() -> object:
    return resolve_baseline(Path("serving"), "detector", Path("candidate"))


def compiling(
    *arguments: str, image: str = IMAGE, data: str = "s3://bucket/data", serving: str = "s3://bucket/serving"
) -> Act:
    options = ("--config", "c.yaml", "--image", image, "--data", data, "--serving", serving)
    return kubeflow("compile", *options, *arguments, before=CONFIG)


# fmt: off
CONFIG_CASES = (
    Case("config-missing", 2, r"nowhere\.yaml: no such config file; name one with --config FILE", run("--config", "nowhere.yaml")),
    Case("config-folder", 2, r"c\.yaml: cannot read it", run("--config", "c.yaml", before=make_folder("c.yaml"))),
    Case("config-empty", 2, "contains nothing; expected sections", config("")),
    Case("config-list", 2, "contains a list; expected sections", config("- a\n- b\n")),
    Case("config-binary", 2, "cannot read it .*expected a YAML file in UTF-8", config("\udcff\udcfe")),
    Case("config-syntax", 2, r"not valid YAML: line \d+, column \d+", config("a: [1\n")),
    Case("config-tab", 2, "not valid YAML", config("trainer:\n\tmodel: x\n")),
    Case("config-of-two-documents", 2, "not valid YAML", config(MINIMAL + "---\n" + MINIMAL)),
    Case("config-repeated-key", 2, "duplicate key 'gate'; keep one", config(MINIMAL + "gate: {}\n")),
    Case("config-list-as-key", 2, "a list or a section is used as a key", config("? [a]\n: b\n")),
    Case("config-python-tag", 2, "could not determine a constructor", config("a: !!python/object/apply:os.system ['true']\n")),
    Case("config-billion-laughs", 2, "more than 20000 values or 30 levels", config("\n".join(["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9))]))),
    Case("config-nested-deep", 2, "nested more than 30 levels deep", config("a: " + "[" * 3000)),
    Case("config-too-large", 2, "more than 100000 characters", config("a: " + "x" * 200_000)),
    Case("config-5000-digits", 2, "is not a valid int", config(f"a: {'9' * 5000}")),
    Case("config-null-character", 2, "null character", config('a: "\\0"')),
    Case("config-without-gate", 2, "gate: this section or value is missing; add it", config("model_name: cells\ntrainer: {model: ssd_mobilenet_v2_tiny}\n")),
    Case("config-unknown-key", 2, r"trainer\.num_stepz: unknown key; did you mean trainer\.num_steps\?", config(MINIMAL, "trainer.num_stepz=5")),
    Case("config-unknown-section", 2, r"trainr: unknown key; did you mean trainer\?", config(MINIMAL, "trainr.x=5")),
    Case("config-text-for-a-number", 2, r"trainer\.num_steps: found 'many'; expected a valid int", config(MINIMAL, "trainer.num_steps=many")),
    Case("config-minutes-and-seconds", 2, r"trainer\.num_steps: found '1:30'", config(MINIMAL, "trainer.num_steps=1:30")),
    Case("config-leading-zero", 2, r"trainer\.num_steps: found '017'", config(MINIMAL, "trainer.num_steps=017")),
    Case("config-bool-for-a-number", 2, r"trainer\.num_steps: found True", config(MINIMAL, "trainer.num_steps=true")),
    Case("config-negative-steps", 2, r"trainer\.num_steps: found -1", config(MINIMAL, "trainer.num_steps=-1")),
    Case("config-absurd-steps", 2, r"trainer\.num_steps: found 4294967296; expected less than", config(MINIMAL, "trainer.num_steps=4294967296")),
    Case("config-absurd-batch", 2, r"trainer\.batch_size: found 1000000000000; expected less than", config(MINIMAL, "trainer.batch_size=1000000000000")),
    Case("config-nan-threshold", 2, r"gate\.min_map: found nan", config(MINIMAL, "gate.min_map=.nan")),
    Case("config-percent-threshold", 2, r"gate\.min_map: found 40", config(MINIMAL, "gate.min_map=40")),
    Case("config-unknown-template", 2, r"trainer\.model: no template named .*did you mean 'ssd_mobilenet_v2_tiny'", config(MINIMAL, "trainer.model=ssd_mobilenet_v2_tinny")),
    Case("config-template-is-a-path", 2, r"trainer\.model: no template named '\.\./\.\./etc/passwd'; available", config(MINIMAL, "trainer.model=../../etc/passwd")),
    Case("config-name-is-a-path", 2, r"model_name: found '\.\./x'", config(MINIMAL, "model_name=../x")),
    Case("config-name-with-escape", 2, r"--set model_name: 'a\\x1b\[2J' is not a YAML value|special characters are not allowed", config(MINIMAL, f"model_name=a{CLEAR_SCREEN}")),
    Case("config-unknown-rule", 2, r"unknown rule 'box_tinny': did you mean 'box_tiny'", config(MINIMAL, "validation.severities.box_tinny=off")),
    Case("config-splits-of-everything", 2, r"data\.eval_fraction \+ data\.test_fraction: 1; expected less than 1", config(MINIMAL, "data.eval_fraction=0.5", "data.test_fraction=0.5")),
    Case("set-without-value", 2, "--set trainer: expected KEY=VALUE", config(MINIMAL, "trainer")),
    Case("set-of-3000-parts", 2, "3000 parts found; no value has more than 10", config(MINIMAL, ".".join(["a"] * 3000) + "=1")),
    Case("set-below-a-value", 2, "model_name is a single value", config(MINIMAL, "model_name.x=1")),
    Case("set-is-no-yaml", 2, "is not a YAML value", config(MINIMAL, "gate.min_map=[")),
)

WORKSPACE_CASES = (
    Case("workspace-file", 2, "ws: cannot create a workspace here", run(*STOP, before=put("ws"))),
    Case("workspace-good", 2, STOPPED, run(*STOP, before=CONFIG)),
    Case("workspace-name-too-long", 2, r"cannot create a workspace here \(File name too long\)", process("local_runner.py", "--workspace", "w" * 300)),
    Case("metadata-text", 2, r"metadata\.db: damaged \(file is not a database\); delete it and .*artifacts", run(*STOP, before=several(CONFIG, put("ws/metadata.db", b"not SQLite" * 1000)))),
    Case("metadata-empty", 2, STOPPED, run(*STOP, before=several(CONFIG, put("ws/metadata.db")))),
    Case("metadata-folder", 2, r"metadata\.db: damaged", run(*STOP, before=several(CONFIG, make_folder("ws/metadata.db")))),
    Case("metadata-of-another-program", 2, r"metadata\.db: not a database of this ML Metadata", run(*STOP, before=several(CONFIG, database("CREATE TABLE Artifact (id INTEGER)")))),
    Case("metadata-of-a-newer-version", 2, r"metadata\.db: not a database of this ML Metadata \(MLMD database version 999", run(*STOP, before=several(CONFIG, database("CREATE TABLE MLMDEnv (schema_version INTEGER PRIMARY KEY)", "INSERT INTO MLMDEnv VALUES (999)")))),
    Case("lock-folder", 2, r"\.lock: a folder, where a lock's file is expected; delete it", run(*STOP, before=several(CONFIG, make_folder("ws/.lock")))),
    Case("lock-symlink", 2, r"\.lock: a symlink", run(*STOP, before=several(CONFIG, put("precious", b"kept"), make_folder("ws"), link("ws/.lock", "../precious")))),
    Case("lock-fifo", 2, r"\.lock: not a file", run(*STOP, before=several(CONFIG, make_folder("ws"), fifo("ws/.lock")))),
    Case("lock-garbage", 2, STOPPED, run(*STOP, before=several(CONFIG, put("ws/.lock", b"\xff\0nobody")))),
    Case("reports-file", 2, r"ws: cannot create a workspace here", run(*STOP, before=several(CONFIG, put("ws/reports")))),
    Case("source-folder", 2, r"source: a folder, where Reefline keeps a symlink", run("--config", "c.yaml", "--data", "data", before=several(CONFIG, make_folder("ws/source"), lambda folder: make_data_set(folder / "data")))),
    Case("latest-folder", 2, STOPPED, run(*STOP, before=several(CONFIG, make_folder("ws/reports/latest")))),
    Case("data-is-a-file", 2, r"c\.yaml: not a folder; --data expects", run("--config", "c.yaml", "--data", "c.yaml", before=CONFIG)),
    Case("data-is-a-uri", 2, r"s3:/bucket/data: a URI; --data expects a folder on this machine", run("--config", "c.yaml", "--data", "s3://bucket/data", before=CONFIG)),
    Case("data-name-too-long", 2, r"file name too long; --data expects", run("--config", "c.yaml", "--data", "d" * 300, before=CONFIG)),
    Case("no-data", 2, "no data set: pass --data DIR", run("--config", "c.yaml", before=CONFIG)),
    Case("demo-folder-of-somebody-else", 2, "demo_data: holds other files", run(before=put("ws/demo_data/mine.txt", b"mine"))),
    Case("report-without-runs", 2, "ws: no runs here; pass --workspace DIR", command("report", "--workspace", "ws")),
    Case("report-of-an-unknown-run", 2, r"yesterday: no such run in ws/reports", command("report", "yesterday", "--workspace", "ws", before=lambda folder: write_run(folder / "ws" / "reports", make_blessed()))),
    Case("report-of-a-damaged-summary", 2, r"summary\.json: damaged", command("report", "--text", "--workspace", "ws", before=lambda folder: put(f"ws/reports/{write_run(folder / 'ws' / 'reports', make_blessed()).name}/summary.json", b"{")(folder))),
)

START_CASES = (
    Case("start-missing", 2, r"trainer\.start: nowhere does not exist; expected a \.tflite file, a bundle, or a checkpoint", path("nowhere")),
    Case("start-of-no-user", 2, r"trainer\.start: '~nobody-here/x' cannot be used", path("~nobody-here/x")),
    Case("start-null-character", 2, "trainer\\.start: a\0b does not exist", path("a\0b")),
    Case("start-too-long", 2, r"trainer\.start: 'a+' cannot be used \(File name too long\)", path("a" * 5000)),
    Case("start-malformed-file-url", 2, r"trainer\.start: 'file://\[x' cannot be used", path("file://[x")),
    Case("start-unknown-scheme", 2, r"hdfs://host/a: hdfs:// is not supported; use a local path", path("hdfs://host/a")),
    Case("start-pinned-folder", 2, r"is a folder, a bundle or a checkpoint, and sha256 pins a single file", path("m", SHA256, make_folder("m"))),
    Case("start-wrong-hash", 2, rf"has sha256 .*, expected {SHA256}; check the file and the config", path("m", SHA256, put("m", b"x"))),
    Case("start-fifo", 2, r"trainer\.start: m does not exist", path("m", None, fifo("m"))),
    Case("start-host-unreachable", 2, r"trainer\.start: http://127\.0\.0\.1:9/x cannot be downloaded", url("http://127.0.0.1:9/x", SHA256)),
    Case("start-malformed-url", 2, r"trainer\.start: .*is not a valid URL", config(MINIMAL, "trainer.start=https://[::1/x")),
    Case("start-http-without-hash", 2, r"an http:// URL needs its sha256", config(MINIMAL, "trainer.start=http://host/a.tar.gz")),
    Case("start-short-hash", 2, r"trainer\.start\.sha256: found '12'", config(MINIMAL, "trainer.start={source: a.tflite, sha256: '12'}")),
    Case("start-unknown-zoo-model", 2, r"no SSD model named 'ssd_mobilenet_v2_320'; did you", config(MINIMAL, "trainer.start=zoo:ssd_mobilenet_v2_320")),
    Case("archive-empty", 2, r"a\.tar\.gz is not a readable tar archive", archive(b"")),
    Case("archive-of-text", 2, r"a\.tar\.gz is not a readable tar archive", archive(gzip.compress(b"no tar"))),
    Case("archive-cut", 2, r"a\.tar\.gz is not a readable tar archive", archive(tar(("a.index", b"x" * 5000))[:-30])),
    Case("archive-wrong-checksum", 2, r"a\.tar\.gz is not a readable tar archive: CRC check failed", archive(tar(("a.index", b"x"))[:-8] + b"\0\0\0\0" + tar(("a.index", b"x"))[-4:])),
    Case("archive-outside", 2, r"'\.\./evil' is outside the folder to unpack to", archive(tar(("../evil", b"x")))),
    Case("archive-absolute", 2, r"'/tmp/evil' is outside the folder to unpack to", archive(tar(("/tmp/evil", b"x")))),
    Case("archive-link", 2, r"'evil' is a link to '/etc/passwd'", archive(tar(("evil", b""), kind=tarfile.SYMTYPE, target="/etc/passwd"))),
    Case("archive-device", 2, r"'evil' is a device", archive(tar(("evil", b""), kind=tarfile.CHRTYPE))),
    Case("archive-mtime-nan", 0, r"/a$", archive(tar(("a.index", b"x"), mtime="nan"))),
    Case("archive-size-nan", 2, r"a\.tar\.gz is not a readable tar archive", archive(tar(("a.index", b"x"), size="nan"))),
    Case("archive-null-in-a-name", 2, r"a\.tar\.gz is not a readable tar archive", archive(tar(("plain", b"x"), path="a\0b"))),
    Case("archive-without-checkpoint", 2, r"a\.tar\.gz holds no checkpoint", archive(tar(("readme.txt", b"x")))),
    Case("archive-of-two-checkpoints", 2, r"a\.tar\.gz holds several checkpoints; pick one: a, b", archive(tar(("a.index", b"x"), ("b.index", b"x")))),
)

BUNDLE_CASES = (
    Case("bundle-good", 0, "intact: detector version 1, 2 files", verified()),
    Case("bundle-missing", 2, r"nowhere: no such folder; name one version's", command("verify-bundle", "nowhere")),
    Case("bundle-changed-file", 2, r"model_int8\.tflite: sha256 .* found, .* expected; restore the bundle or push again", verified(put(f"{BUNDLE}/model_int8.tflite", b"MODEL"))),
    Case("bundle-cut-file", 2, r"model_int8\.tflite: 2 bytes found, 5 expected", verified(put(f"{BUNDLE}/model_int8.tflite", b"mo"))),
    Case("bundle-file-lost", 2, r"labels\.txt: missing, but the manifest lists it", verified(lambda folder: (folder / BUNDLE / "labels.txt").unlink())),
    Case("bundle-file-not-listed", 2, r"extra\.sh: not in the manifest; delete it or push again", verified(put(f"{BUNDLE}/extra.sh", b"#!/bin/sh"))),
    Case("manifest-empty", 2, r"manifest\.json: damaged", verified(put(f"{BUNDLE}/manifest.json", b""))),
    Case("manifest-list", 2, r"manifest\.json: damaged", verified(put(f"{BUNDLE}/manifest.json", b"[]"))),
    Case("manifest-not-utf-8", 2, r"manifest\.json: damaged", verified(put(f"{BUNDLE}/manifest.json", b'{"model": "\xff"}'))),
    Case("manifest-nested-deep", 2, r"manifest\.json: damaged \(nested too deep\)", verified(put(f"{BUNDLE}/manifest.json", b"[" * 100_000))),
    Case("manifest-huge", 2, r"manifest\.json: more than 16000000 bytes", verified(put(f"{BUNDLE}/manifest.json", b" " * 16_000_001))),
    Case("manifest-folder", 2, r"manifest\.json: not a file", verified(lambda folder: (folder / BUNDLE / "manifest.json").unlink(), make_folder(f"{BUNDLE}/manifest.json"))),
    Case("manifest-fifo", 2, r"manifest\.json: not a file", verified(lambda folder: (folder / BUNDLE / "manifest.json").unlink(), fifo(f"{BUNDLE}/manifest.json"))),
    Case("manifest-newer", 2, r"schema_version 99 found, 1 expected; use the Reefline that wrote it", verified(manifest(schema_version=99))),
    Case("manifest-null-metrics", 2, r"manifest\.json: .*damaged", verified(manifest(metrics={"float": None}))),
    Case("manifest-percent-threshold", 2, r"thresholds: 'cat': 40 found, a number from 0 to 1", verified(manifest(thresholds={"cat": 40}))),
    Case("manifest-version-of-text", 2, r"version: '1' found, a number above 0 expected", verified(manifest(version="1"))),
    Case("manifest-replaces-a-path", 2, r"replaces: '\.\./\.\./evil' found, null or a version below 1 expected", verified(manifest(replaces="../../evil"))),
    Case("manifest-replaces-itself", 2, r"replaces: 1 found, null or a version below 1 expected", verified(manifest(replaces=1))),
    Case("manifest-file-outside", 2, r"files: '\.\./x' is no file of a bundle", verified(manifest(files={"../x": {"sha256": "0" * 64, "bytes": 1}}))),
    Case("manifest-name-of-5000-characters", 2, r"files: 'xxx.{50,60}… is no file of a bundle", verified(manifest(files={"x" * 5000: {"sha256": "0" * 64, "bytes": 1}}))),
    Case("manifest-without-labels", 2, r"does not list labels\.txt", verified(manifest(files={"model_int8.tflite": {"sha256": "0" * 64, "bytes": 1}}))),
    Case("manifest-short-hash", 2, r"size or sha256 damaged", verified(manifest(files={"labels.txt": {"sha256": "0", "bytes": 1}, "model_int8.tflite": {"sha256": "0" * 64, "bytes": 1}}))),
    Case("manifest-with-escape", 2, r"schema_version \\x1b\[2J found", verified(manifest(schema_version=CLEAR_SCREEN))),
    Case("current-words", 2, r"CURRENT: 'latest' found, a version expected", serving(put("serving/detector/CURRENT", b"latest"), act=baseline)),
    Case("current-empty", 2, r"CURRENT: '' found, a version expected", serving(put("serving/detector/CURRENT"), act=baseline)),
    Case("current-path", 2, r"CURRENT: '\.\./evil' found", serving(put("serving/detector/CURRENT", b"../evil"), act=baseline)),
    Case("current-zero", 2, r"CURRENT: '0' found", serving(put("serving/detector/CURRENT", b"0"), act=baseline)),
    Case("current-other-digits", 2, r"CURRENT: '\u0661' found", serving(put("serving/detector/CURRENT", "\u0661"), act=baseline)),
    Case("current-5000-digits", 2, r"CURRENT: '9+' found", serving(put("serving/detector/CURRENT", b"9" * 5000), act=baseline)),
    Case("current-binary", 2, r"CURRENT: .* found, a version expected", serving(put("serving/detector/CURRENT", b"\xff\xfe1"), act=baseline)),
    Case("current-folder", 2, r"CURRENT: not a file; delete it, then choose a version", serving(lambda folder: (folder / "serving/detector/CURRENT").unlink(), make_folder("serving/detector/CURRENT"), act=baseline)),
    Case("current-fifo", 2, r"CURRENT: not a file", serving(lambda folder: (folder / "serving/detector/CURRENT").unlink(), fifo("serving/detector/CURRENT"), act=baseline)),
    Case("current-link-loop", 2, r"CURRENT: not a file", serving(lambda folder: (folder / "serving/detector/CURRENT").unlink(), link("serving/detector/CURRENT", "CURRENT"), act=baseline)),
    Case("current-names-a-missing-bundle", 2, r"CURRENT: names version 7, so nothing can be compared with it; run `reefline rollback --serving \S+ --model detector --to 1`", serving(put("serving/detector/CURRENT", b"7"), act=baseline)),
    Case("rollback-without-serving", 2, r"no model is served here; pass --workspace DIR or --serving URI", command("rollback", "--workspace", "nowhere")),
    Case("rollback-of-the-only-version", 2, r"nothing to roll back to, as version 1 replaced no other", command("rollback", "--workspace", ".", before=lambda folder: push_bundle(write_candidate(folder / "candidate"), make_facts(), folder / "serving"))),
    Case("rollback-to-a-missing-version", 2, r"7: no such folder; .*detector has: 1", command("rollback", "--workspace", ".", "--to", "7", before=lambda folder: push_bundle(write_candidate(folder / "candidate"), make_facts(), folder / "serving"))),
    Case("rollback-to-zero", 2, "Invalid value for '--to'", command("rollback", "--to", "0")),
    Case("rollback-model-is-a-path", 2, r"model name '\.\./evil': expected letters", command("rollback", "--model", "../evil")),
    Case("rollback-unknown-scheme", 2, r"hdfs://x/y: hdfs:// is not supported", command("rollback", "--serving", "hdfs://x/y", "--model", "detector")),
)

DETECT_CASES = (
    Case("detect-without-images", 2, r"nothing to detect in: pass IMAGE\.\.\., or --video FILE", command("detect", "--bundle", "b")),
    Case("detect-no-bundle", 2, r"nowhere: no such folder; name one version's", command("detect", "--bundle", "nowhere", "a.jpg")),
    Case("detect-missing-image", 2, r"gone\.jpg: no such file or folder; name an image", detect("gone.jpg")),
    Case("detect-text", 2, r"a\.jpg: not a readable JPEG", detect("a.jpg", "good.png", before=put("a.jpg", b"text"))),
    Case("detect-empty-image", 2, r"a\.png: the file is empty", detect("a.png", before=put("a.png"))),
    Case("detect-cut-image", 2, r"a\.jpg: the image is truncated", detect("a.jpg", before=put("a.jpg", make_jpeg()[:400]))),
    Case("detect-empty-folder", 2, r"none: no image found in this folder \(subfolders are not searched\)", detect("none", before=make_folder("none"))),
    Case("detect-fifo", 2, r"pipe\.jpg: no such file or folder", detect("pipe.jpg", before=fifo("pipe.jpg"))),
    Case("detect-link-loop", 2, r"loop\.jpg: no such file or folder", detect("loop.jpg", before=link("loop.jpg", "loop.jpg"))),
    Case("detect-name-too-long", 2, r"cannot read it \(File name too long\)", detect("a" * 300)),
    Case("detect-score-of-2", 2, r"--min-score 2\.0: expected a number from 0 to 1", detect("good.png", "--min-score", "2")),
    Case("detect-score-nan", 2, r"--min-score nan: expected a number from 0 to 1", detect("good.png", "--min-score", "nan")),
    Case("detect-unknown-device", 2, r"--device gpu: expected one of auto, cpu, edgetpu", detect("good.png", "--device", "gpu")),
    Case("detect-out-is-a-file", 2, r"--out good\.png: cannot write to it", detect("good.png", "--out", "good.png")),
    Case("detect-out-is-the-folder", 2, r"good\.png would replace the image itself", detect("good.png", "--out", ".")),
    Case("detect-damaged-model", 2, r"model_int8\.tflite: 1 bytes found", detect("good.png", before=put(f"{BUNDLE}/model_int8.tflite", b"x"))),
)

MODEL_CASES = (
    Case("analyze-good", 0, "1 of 1 ops run on the Edge TPU", command("analyze", "m.tflite", before=put("m.tflite", SMALL_MODEL))),
    Case("analyze-missing", 2, r"m\.tflite: cannot be read \(No such file or directory\); pass a TFLite file", command("analyze", "m.tflite")),
    Case("analyze-folder", 2, r"m\.tflite: not a regular file; pass a TFLite file", command("analyze", "m.tflite", before=make_folder("m.tflite"))),
    Case("analyze-empty", 2, r"m\.tflite: .*not a TFLite model", command("analyze", "m.tflite", before=put("m.tflite"))),
    Case("analyze-text", 2, r"m\.tflite: .*not a TFLite model", command("analyze", "m.tflite", before=put("m.tflite", b"hello world, no model"))),
    Case("analyze-onnx", 2, r"m\.tflite: .*not a TFLite model", command("analyze", "m.tflite", before=put("m.tflite", b"\x08\x07\x12\x07pytorch" * 50))),
    Case("analyze-cut", 2, r"m\.tflite: .*damaged", command("analyze", "m.tflite", before=put("m.tflite", SMALL_MODEL[: len(SMALL_MODEL) // 2]))),
    Case("analyze-header-alone", 2, r"m\.tflite: starts like a TFLite model, but is damaged or truncated", command("analyze", "m.tflite", before=put("m.tflite", SMALL_MODEL[:8]))),
    Case("analyze-offsets-gone", 2, r"m\.tflite: starts like a TFLite model, but is damaged or truncated", command("analyze", "m.tflite", before=put("m.tflite", SMALL_MODEL[:8] + b"\xff" * (len(SMALL_MODEL) - 8)))),
    Case("analyze-compiled", 0, "edgetpu", command("analyze", "m_edgetpu.tflite", before=put("m_edgetpu.tflite", COMPILED))),
    Case("analyze-compiled-without-package", 2, r"m_edgetpu\.tflite: damaged Edge TPU package", command("analyze", "m_edgetpu.tflite", before=put("m_edgetpu.tflite", NO_PACKAGE))),
    Case("analyze-device", 2, r"/dev/zero: not a regular file; pass a TFLite file", command("analyze", "/dev/zero")),
    Case("analyze-fifo", 2, r"m\.tflite: not a regular file; pass a TFLite file", command("analyze", "m.tflite", before=fifo("m.tflite"))),
    Case("compile-missing", 2, r"m\.tflite: no such file; name an int8 TFLite model", command("compile", "m.tflite")),
    Case("compile-folder", 2, r"m\.tflite: a folder; name an int8 TFLite model", command("compile", "m.tflite", before=make_folder("m.tflite"))),
    Case("compile-text", 2, r"m\.tflite: .*not a TFLite model", command("compile", "m.tflite", before=put("m.tflite", b"text"))),
    Case("compile-runtime-of-99", 2, "Invalid value for '--min-runtime-version'", command("compile", "m.tflite", "--min-runtime-version", "99")),
)

LOG_CASES = (
    Case("log-missing", 2, r"a\.log: cannot read it", command("parse-log", "a.log")),
    Case("log-folder", 2, r"a\.log: cannot read it", command("parse-log", "a.log", before=make_folder("a.log"))),
    Case("log-device", 2, r"/dev/zero: more than 32000000 bytes; name the compiler's output or \.log", command("parse-log", "/dev/zero")),
    Case("log-empty", 0, "outcome: failed", command("parse-log", "a.log", before=put("a.log"))),
    Case("log-binary", 0, "outcome: failed", command("parse-log", "a.log", before=put("a.log", bytes(range(256)) * 100))),
    Case("log-utf-16", 0, "outcome: compiled", command("parse-log", "a.log", before=put("a.log", GOOD_LOG.encode("utf-16")))),
    Case("log-cut-utf-16", 0, "outcome:", command("parse-log", "a.log", before=put("a.log", GOOD_LOG.encode("utf-16")[:-1]))),
    Case("log-with-escape", 0, r"Mapped to \\x1b\[2J", command("parse-log", "a.log", before=put("a.log", f"{GOOD_LOG}Operator  Count  Status\n\nADD  3  Mapped to {CLEAR_SCREEN}\n"))),
    Case("log-of-huge-numbers", 0, "outcome: compiled", command("parse-log", "a.log", before=put("a.log", GOOD_LOG + f"Total number of operations: {'9' * 5000}\n"))),
    Case("log-of-20000-attempts", 0, "outcome:", command("parse-log", "a.log", before=put("a.log", "Compilation failed!\nTrying to compile segment (attempt 1)\n" * 20_000))),
    Case("log-of-one-long-line", 0, "outcome: failed", command("parse-log", "a.log", before=put("a.log", b"Operator " * 300_000))),
)

OPTION_CASES = (
    Case("unknown-command", 2, "No such command 'trian'", command("trian")),
    Case("unknown-option", 2, "No such option", command("analyze", "--fast", "m.tflite")),
    Case("recommend-no-folder", 2, r"nowhere: no such folder; --data expects", command("recommend", "--data", "nowhere")),
    Case("recommend-without-data", 2, "Missing option '--data'", command("recommend")),
    Case("recommend-zero-minutes", 2, "Invalid value for '--minutes'", command("recommend", "--data", ".", "--minutes", "0")),
    Case("recommend-word-for-minutes", 2, "Invalid value for '--minutes'", command("recommend", "--data", ".", "--minutes", "ten")),
    Case("recommend-unknown-key", 2, r"trainer\.x: unknown key", command("recommend", "--data", ".", "--set", "trainer.x=1")),
    Case("recommend-malformed-set", 2, r"--set oops: expected KEY=VALUE", command("recommend", "--data", ".", "--set", "oops")),
    Case("recommend-out-without-folder", 2, r"--out no/c\.yaml: the folder .* does not exist; create it first", command("recommend", "--data", ".", "--out", "no/c.yaml")),
    Case("verify-no-config", 2, r"nowhere\.yaml: no such config file", command("verify", "--config", "nowhere.yaml")),
    Case("verify-minutes-with-config", 2, r"--minutes 5: --config already fixes the steps", command("verify", "--config", "c.yaml", "--minutes", "5")),
    Case("verify-minutes-without-data", 2, r"--minutes 5: needs --data DIR", command("verify", "--minutes", "5")),
    Case("coco-results-missing", 2, r"nowhere\.npz", command("coco-results", "nowhere.npz")),
    Case("coco-results-text", 2, r"a\.npz: damaged", command("coco-results", "a.npz", before=put("a.npz", b"text"))),
    Case("report-serve-with-text", 2, "--serve shows all runs: leave out --text", command("report", "--serve", "--text")),
    Case("report-port-of-99999", 2, "Invalid value for '--port'", command("report", "--serve", "--port", "99999")),
)

KUBEFLOW_CASES = (
    Case("kubeflow-image-without-digest", 0, r"warning: Pusher: image reefline:latest has no digest", compiling(image="reefline:latest")),
    Case("kubeflow-image-of-nothing", 2, r"--image: empty; name an image with its digest", compiling(image="")),
    Case("kubeflow-unknown-scheme", 2, r"ftp", compiling(data="ftp://host/data")),
    Case("kubeflow-bare-bucket", 2, r"bucket", compiling(serving="s3://bucket")),
    Case("kubeflow-demo-without-section", 2, r"demo", compiling(data="demo:")),
    Case("kubeflow-output-json", 2, r"p\.json: KFP accepts schema 2\.1 as YAML only; end the name in \.yaml", compiling("--output", "p.json")),
    Case("kubeflow-unknown-target", 2, "Invalid value for '--target'", compiling("--target", "slurm")),
    Case("kubeflow-unknown-key", 2, r"trainer\.x: unknown key", compiling("--set", "trainer.x=1")),
    Case("kubeflow-output-is-a-folder", 2, r"c\.yaml/p\.yaml: cannot write the package", compiling("--output", "c.yaml/p.yaml")),
    Case("lint-missing", 2, r"p\.yaml", kubeflow("lint", "p.yaml")),
    Case("lint-empty", 2, r"p\.yaml", kubeflow("lint", "p.yaml", before=put("p.yaml"))),
    Case("lint-text", 2, r"p\.yaml", kubeflow("lint", "p.yaml", before=put("p.yaml", b"just text"))),
    Case("lint-binary", 2, r"p\.yaml", kubeflow("lint", "p.yaml", before=put("p.yaml", bytes(range(256))))),
    Case("lint-syntax", 2, r"p\.yaml", kubeflow("lint", "p.yaml", before=put("p.yaml", b"a: [1"))),
    Case("lint-config", 2, r"pipeline: not a PipelineSpec: .*no field named", kubeflow("lint", "p.yaml", before=put("p.yaml", MINIMAL))),
    Case("lint-of-lists", 2, r"pipeline: not a PipelineSpec(?s:.*)package: not the structure of a pipeline", kubeflow("lint", "p.yaml", before=put("p.yaml", b"root: []\ncomponents: 3\ndeploymentSpec: x\n"))),
    Case("lint-folder", 2, r"p\.yaml", kubeflow("lint", "p.yaml", before=make_folder("p.yaml"))),
    Case("lint-nested-deep", 2, r"p\.yaml: not a YAML file \(nested more than 100 levels deep", kubeflow("lint", "p.yaml", before=put("p.yaml", b"[" * 5000))),
    Case("lint-billion-laughs", 2, r"p\.yaml: not a YAML file \(more than 200000 values", kubeflow("lint", "p.yaml", before=put("p.yaml", "\n".join(["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9))])))),
    Case("submit-missing-package", 2, r"p\.yaml", kubeflow("submit", "p.yaml", "--host", "http://127.0.0.1:9", "--experiment", "x")),
)

PROCESS_CASES = (
    Case("cli-unknown-command", 2, "No such command", process("-m", "reefline", "trian")),
    Case("cli-analyze-text", 2, r"error: m\.tflite: .*not a TFLite model", process("-m", "reefline", "analyze", "m.tflite", before=put("m.tflite", b"text"))),
    Case("cli-analyze-cut", 2, r"error: m\.tflite", process("-m", "reefline", "analyze", "m.tflite", before=put("m.tflite", SMALL_MODEL[:100]))),
    Case("cli-parse-log-binary", 0, "outcome: failed", process("-m", "reefline", "parse-log", "a.log", before=put("a.log", bytes(range(256))))),
    Case("cli-parse-log-name-not-utf-8", 2, r"error: caf\\xe9: cannot read it", process("-m", "reefline", "parse-log", "caf\udce9")),
    Case("cli-compile-missing", 2, r"error: m\.tflite: no such file", process("-m", "reefline", "compile", "m.tflite")),
    Case("cli-detect-no-bundle", 2, r"error: nowhere: no such folder", process("-m", "reefline", "detect", "--bundle", "nowhere", "a.jpg")),
    Case("cli-detect-unknown-scheme", 2, r"error: hdfs://x/y", process("-m", "reefline", "detect", "--bundle", "hdfs://x/y", "a.jpg")),
    Case("cli-rollback-nothing", 2, r"error: nowhere/serving: no model is served here", process("-m", "reefline", "rollback", "--workspace", "nowhere")),
    Case("cli-report-nothing", 2, r"error: nowhere: no runs here", process("-m", "reefline", "report", "--workspace", "nowhere")),
    Case("cli-recommend-no-folder", 2, r"error: nowhere: no such folder", process("-m", "reefline", "recommend", "--data", "nowhere")),
    Case("cli-verify-no-config", 2, r"nowhere\.yaml: no such config file", process("-m", "reefline", "verify", "--config", "nowhere.yaml")),
    Case("cli-verify-bundle-missing", 2, r"error: nowhere: no such folder", process("-m", "reefline", "verify-bundle", "nowhere")),
    Case("cli-run-no-config", 2, r"error: nowhere\.yaml: no such config file", process("local_runner.py", "--config", "nowhere.yaml")),
    Case("cli-run-no-data", 2, r"error: nowhere: no such folder", process("local_runner.py", "--config", "c.yaml", "--data", "nowhere", before=CONFIG)),
    Case("cli-run-metadata-text", 2, r"error: .*metadata\.db: damaged", process("local_runner.py", *STOP, "--workspace", "ws", before=several(CONFIG, put("ws/metadata.db", b"text" * 2000)))),
    Case("cli-run-without-home", 2, r"error: nowhere: no such folder", process("local_runner.py", *STOP, before=CONFIG, HOME="/nonexistent")),
    Case("cli-run-workspace-is-a-file", 2, r"error: c\.yaml: cannot create a workspace here", process("local_runner.py", "--workspace", "c.yaml", before=CONFIG)),
    Case("cli-run-usage", 2, "No such option", process("local_runner.py", "--fast")),
    Case("cli-run-data-with-escape", 2, r"error: a\\x1b\[2J: no such folder", process("local_runner.py", "--config", "c.yaml", "--data", f"a{CLEAR_SCREEN}", before=CONFIG)),
    Case("cli-kubeflow-no-config", 2, r"error: nowhere\.yaml: no such config file", process("kubeflow_runner.py", "compile", "--config", "nowhere.yaml", "--image", "i", "--data", "d", "--serving", "s")),
)
# fmt: on

CASES = (
    *CONFIG_CASES,
    *WORKSPACE_CASES,
    *START_CASES,
    *BUNDLE_CASES,
    *DETECT_CASES,
    *MODEL_CASES,
    *LOG_CASES,
    *OPTION_CASES,
    *KUBEFLOW_CASES,
)
