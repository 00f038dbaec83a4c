"""The rules of the house, as far as a program can hold them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from reefline.config import yaml_reader
from tests.factories_tflite import OpSpec, TensorSpec, build_model

REPO_DIR = Path(__file__).resolve().parents[1]
LAYERS = ("reefline", "components", "pipeline")
RUNNERS = ("local_runner.py", "kubeflow_runner.py")
MAX_FILE_LINES = 320
MAX_FUNCTION_LINES = 48
# create_pipeline is a list of components: cut in pieces it would no longer be read at one glance.
LONG_ON_PURPOSE = {"create_pipeline"}

# The rooms of the library: a room imports from floors below its own, the lowest comes first.
FLOORS = (
    ("errors", "findings", "beam_options", "settings"),
    ("system", "images"),
    ("structures", "storage"),
    ("tflite", "formats", "lineage"),
    ("edgetpu", "evaluation"),
    ("od_api", "data", "bundle", "acquisition"),
    ("config", "training", "inference"),
    ("export", "report"),
    ("verification", "curation", "cleanup"),
    ("recommendation", "labelling"),
    ("commands",),
    ("cli", "__main__"),
)
# The ground floor is the one where neighbours may know each other: findings carry severities, settings name them.
GROUND = frozenset(FLOORS[0])
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

HEAVY = (
    "obstore",
    "tensorflow",
    "tfx",
    "apache_beam",
    "ml_metadata",
    "object_detection",
    "pycocotools",
    "numpy",
    "PIL",
    "yaml",
)

SMALL_MODEL = build_model([TensorSpec("a"), TensorSpec("b")], [OpSpec("RELU", ("a",), ("b",))], ["a"], ["b"])

# Only these may import what stands behind them.
DOORS = {
    "object_detection": "reefline/od_api/",
    "tf_slim": "reefline/od_api/",
    "pycocotools": "reefline/evaluation/coco_metrics.py",
    "obstore": "reefline/storage/",
    "ddgs": "reefline/acquisition/sources/duckduckgo.py",
}

# Names of values that users may set to a URI, wherever a component or command gets them.
MAY_BE_URI = re.compile(r"destination|serving|data_dir|bundle_uri|\['path'\]")


def _sources(*folders: str) -> list[Path]:
    paths = [path for folder in folders for path in (REPO_DIR / folder).rglob("*.py")]
    return sorted(path for path in paths if "__pycache__" not in path.parts)


def _library() -> list[Path]:
    return [*_sources(*LAYERS), *(REPO_DIR / name for name in RUNNERS)]


def _name(path: Path) -> str:
    return path.relative_to(REPO_DIR).as_posix()


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{_name(path)}: a relative import hides which layer it reaches into"
            yield f"{node.module}"


def _room(parts: tuple[str, ...]) -> str:
    """Return the room of a module of the library: the folder or file right below `reefline`."""
    return parts[1]


def _tops(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in _imported(path)}


def _tracked_text_files() -> Iterator[tuple[str, str]]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPO_DIR, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        path = REPO_DIR / name
        if path.is_file() and path.suffix not in (".jpg", ".png"):
            yield name, path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", _library(), ids=_name)
def test_imports_go_one_way(path: Path) -> None:
    layer = _name(path).partition("/")[0]
    forbidden = {
        "reefline": {"components", "pipeline", "local_runner", "kubeflow_runner", "tfx", "apache_beam"},
        "components": {"pipeline", "local_runner", "kubeflow_runner"},
        "pipeline": {"local_runner", "kubeflow_runner"},
    }.get(layer, set())
    assert not _tops(path) & forbidden


@pytest.mark.parametrize("path", _sources("reefline"), ids=_name)
def test_rooms_stand_on_floors_below(path: Path) -> None:
    own = _room(path.relative_to(REPO_DIR).with_suffix("").parts)
    above = {
        name
        for name in _imported(path)
        if name.startswith("reefline.")
        and (room := _room(tuple(name.split(".")))) != own
        and FLOOR_OF[room] >= FLOOR_OF[own]
        and not {room, own} <= GROUND | {"cli", "__main__"}
    }
    assert not above


def test_every_room_has_a_floor_and_says_what_it_is_for() -> None:
    rooms = {path.stem for path in (REPO_DIR / "reefline").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert rooms - {"__init__", "__pycache__"} == set(FLOOR_OF)
    for face in (REPO_DIR / "reefline").rglob("__init__.py"):
        tree = ast.parse(face.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), _name(face)
        # A face that hands names on would couple the cache keys of all who enter the room.
        assert not [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))], _name(face)


@pytest.mark.parametrize("path", _sources("components"), ids=_name)
def test_components_do_not_import_each_other(path: Path) -> None:
    own = _name(path).split("/")[1]
    others = {n for n in _imported(path) if n.startswith("components.") and n.split(".")[1] != own}
    assert not others - {"components.driver"}


@pytest.mark.parametrize("path", _library(), ids=_name)
def test_awkward_dependencies_have_one_door(path: Path) -> None:
    behind = {dependency for dependency, door in DOORS.items() if not _name(path).startswith(door)}
    assert not _tops(path) & behind


@pytest.mark.parametrize("path", _sources("reefline"), ids=_name)
def test_only_lineage_reads_ml_metadata_and_imports_it_late(path: Path) -> None:
    if not _name(path).startswith("reefline/lineage/"):
        assert "ml_metadata" not in _tops(path)
    top_level = ast.parse(path.read_text(encoding="utf-8")).body
    imports = [node for node in top_level if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert not [node for node in imports if "ml_metadata" in ast.unparse(node)]


@pytest.mark.parametrize("path", _library(), ids=_name)
def test_no_path_is_made_of_what_may_be_a_uri(path: Path) -> None:
    """`Path("s3://bucket/x")` is the folder s3:/bucket/x of this machine: a push there would seem to succeed."""
    calls = [n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call) and n.args]
    arguments = [ast.unparse(call.args[0]) for call in calls if ast.unparse(call.func) == "Path"]
    assert not [text for text in arguments if MAY_BE_URI.search(text)]


@pytest.mark.parametrize("path", _library(), ids=_name)
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_FILE_LINES
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    lengths = {f.name: f.end_lineno - f.body[0].lineno + 1 for f in functions if f.name not in LONG_ON_PURPOSE}
    assert not {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION_LINES}


@pytest.mark.parametrize("path", _library(), ids=_name)
def test_no_catch_all_module_and_no_stop_in_the_library(path: Path) -> None:
    assert path.stem not in ("utils", "helpers", "common", "misc")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    if path.name not in RUNNERS:
        calls = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
        assert not {"sys.exit", "exit", "quit", "os._exit"} & set(calls)


@pytest.mark.parametrize("path", _library(), ids=_name)
def test_only_the_terminal_prints(path: Path) -> None:
    """It escapes control characters, so that no text from data or configs moves the cursor."""
    if path == REPO_DIR / "reefline" / "system" / "terminal.py":
        return
    calls = {ast.unparse(n.func) for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.Call)}
    assert not calls & {"print", "typer.echo", "click.echo", "sys.stdout.write", "sys.stderr.write"}


@pytest.mark.parametrize("path", _sources("components"), ids=_name)
def test_component_functions_keep_their_annotations(path: Path) -> None:
    """TFX's @component reads annotations; as strings (PEP 563) it cannot."""
    text = path.read_text(encoding="utf-8")
    assert "@component" not in text or "from __future__ import annotations" not in text


@pytest.mark.parametrize("path", _library(), ids=_name)
def test_public_functions_say_what_they_do(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top_level = [n for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and not n.name.startswith("_")]
    assert not [node.name for node in top_level if not ast.get_docstring(node)]


def test_tracked_files_name_no_machine_and_no_registry() -> None:
    # Put together here, so that this file does not hold what it looks for.
    registry = "|".join(("py" + r"pi\.", "files." + "pythonhosted", "repo." + "anaconda", "packages/" + "simple"))
    machine = r"(?<![\w.])/" + r"(?:work|root|home)/\w"
    pattern = re.compile(f"{registry}|{machine}")
    assert not [f"{name}: {m.group()}" for name, text in _tracked_text_files() for m in pattern.finditer(text)]


def test_nothing_is_left_for_later() -> None:
    pattern = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
    names = [name for name, text in _tracked_text_files() if name.endswith((".py", ".md")) and pattern.search(text)]
    assert not names


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["local_runner.py", "--help"], id="local_runner"),
        pytest.param(["kubeflow_runner.py", "--help"], id="kubeflow_runner"),
        pytest.param(["kubeflow_runner.py", "compile", "--help"], id="kubeflow-compile"),
        pytest.param(["kubeflow_runner.py", "submit", "--help"], id="kubeflow-submit"),
        pytest.param(["kubeflow_runner.py", "lint", "--help"], id="kubeflow-lint"),
        pytest.param(["-m", "reefline", "--help"], id="reefline"),
        pytest.param(["-m", "reefline", "doctor", "--help"], id="doctor"),
        pytest.param(["-m", "reefline", "verify", "--help"], id="verify"),
        pytest.param(["-m", "reefline", "recommend", "--help"], id="recommend"),
        pytest.param(["-m", "reefline", "detect", "--help"], id="detect"),
        pytest.param(["-m", "reefline", "download", "--help"], id="download"),
        pytest.param(["-m", "reefline", "autolabel", "--help"], id="autolabel"),
        pytest.param(["-m", "reefline", "review-labels", "--help"], id="review-labels"),
        pytest.param(["-m", "reefline", "analyze", "--help"], id="analyze"),
        pytest.param(["-m", "reefline", "coco-results", "--help"], id="coco-results"),
        pytest.param(["-m", "reefline", "parse-log", "--help"], id="parse-log"),
        pytest.param(["-m", "reefline", "compile", "--help"], id="compile"),
        pytest.param(["-m", "reefline", "train-worker", "--help"], id="train-worker"),
        pytest.param(["-m", "reefline", "rollback", "--help"], id="rollback"),
        pytest.param(["-m", "reefline", "report", "--help"], id="report"),
        pytest.param(["-m", "reefline", "verify-bundle", "--help"], id="verify-bundle"),
        pytest.param(["-m", "reefline", "gc", "--help"], id="gc"),
        pytest.param(["-m", "reefline", "dedupe", "--help"], id="dedupe"),
        pytest.param(["-m", "reefline", "prepare", "--help"], id="prepare"),
    ],
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    run, imported = _run_and_watch_imports(*arguments)
    assert run.returncode == 0 and "usage" in run.stdout.lower()
    assert not imported & set(HEAVY)


@pytest.mark.parametrize(
    ("command", "content", "exit_code", "said"),
    [
        pytest.param("analyze", SMALL_MODEL, 0, "1 of 1 ops run on the Edge TPU", id="analyze"),
        pytest.param("parse-log", b"Model not quantized", 0, "failure: not_quantized", id="parse-log"),
        pytest.param("compile", SMALL_MODEL, 2, "file: not compiled: edgetpu_compiler is not", id="compile"),
    ],
)
def test_commands_for_tflite_files_do_without_tensorflow(
    command: str, content: bytes, exit_code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No compiler and no container engine take part.
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "file").write_bytes(content)
    run, imported = _run_and_watch_imports("-m", "reefline", command, str(tmp_path / "file"))
    assert run.returncode == exit_code and said in run.stdout + run.stderr
    # Flatbuffers takes numpy where it is there.
    assert not imported & (set(HEAVY) - {"numpy"})


def _run_and_watch_imports(*arguments: str) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """Return a command's run and the packages that it imported: seconds differ between machines, imports do not."""
    run = subprocess.run([sys.executable, "-X", "importtime", *arguments], cwd=REPO_DIR, capture_output=True, text=True)
    return run, {line.rpartition("|")[2].strip().partition(".")[0] for line in run.stderr.splitlines()}


UNSAFE_CALLS = {
    *("eval", "exec", "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"),
    *("tempfile.mktemp", "yaml.unsafe_load", "yaml.full_load", "pickle.load", "pickle.loads"),
}
# Formats that run code when they are read.
UNSAFE_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
# The one place that makes a folder of a known name there, the one that finds what this user's killed runs left, and
# pods, which have /tmp to themselves.
MAY_NAME_TEMPORARY_FILES = ("reefline/system/files.py", "reefline/system/temporary_files.py", "pipeline/kubeflow/")


@pytest.mark.parametrize("path", _library(), ids=_name)
def test_no_unsafe_calls(path: Path) -> None:
    """docs/security.md promises that no input runs code: no shell, no foreign pickle, no extractall."""
    calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    names = {ast.unparse(call.func) for call in calls}
    assert not names & UNSAFE_CALLS
    assert not {name for name in names if name.rpartition(".")[2] in ("extractall", "unpack_archive")}
    assert not [call for call in calls if any(word.arg == "shell" for word in call.keywords)]
    allowed = [word for call in calls for word in call.keywords if word.arg == "allow_pickle"]
    assert all(ast.unparse(word.value) == "False" for word in allowed)


@pytest.mark.parametrize("path", _library(), ids=_name)
def test_pickle_and_its_like_are_imported_nowhere(path: Path) -> None:
    assert not _tops(path) & UNSAFE_MODULES


@pytest.mark.parametrize("path", _library(), ids=_name)
def test_yaml_is_only_read_by_safe_loaders(path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    for call in calls:
        if ast.unparse(call.func) in ("yaml.load", "yaml.load_all"):
            named = [word.value for word in call.keywords if word.arg == "Loader"]
            [loader] = [ast.unparse(node) for node in (*call.args[1:], *named)]
            assert issubclass(getattr(yaml_reader, loader), (yaml.SafeLoader, yaml.CSafeLoader))


@pytest.mark.parametrize("path", _library(), ids=_name)
def test_temporary_files_are_for_their_owner_alone(path: Path) -> None:
    """`tempfile` makes files of mode 0600 and folders of mode 0700, with names that nobody can guess."""
    if _name(path).startswith(MAY_NAME_TEMPORARY_FILES):
        return
    tree = ast.parse(path.read_text("utf-8"))
    names = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not names & {"tempfile.gettempdir", "os.tempnam", "os.tmpnam"}
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert not [text for text in texts if text.startswith(("/tmp/", "/var/tmp/")) or text in ("/tmp", "/var/tmp")]


# Rooms that write into workspace and serving; their files go through `write_whole`, which follows no link.
WRITERS = ("reefline/bundle/", "reefline/report/", "reefline/cleanup/", "reefline/config/", "pipeline/local/")
# Into folders that they have just made.
MAY_WRITE = {"reefline/bundle/remote_bundle.py": {"write_bytes"}, "pipeline/local/stop.py": {"write_text"}}


@pytest.mark.parametrize("path", [path for path in _library() if _name(path).startswith(WRITERS)], ids=_name)
def test_workspace_and_serving_are_written_without_following_links(path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    written = {ast.unparse(call.func).rpartition(".")[2] for call in calls} & {"write_text", "write_bytes"}
    assert not written - MAY_WRITE.get(_name(path), set())
    opened = [call for call in calls if ast.unparse(call.func).rpartition(".")[2] == "open"]
    modes = [
        ast.unparse(argument).strip("'")
        for call in opened
        for argument in (*call.args, *(w.value for w in call.keywords if w.arg == "mode"))
    ]
    assert not [mode for mode in modes if re.fullmatch("[rwaxbt+]+", mode) and set(mode) & set("wax+")]
