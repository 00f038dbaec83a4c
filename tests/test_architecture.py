"""The rules of the house, as far as a program can hold them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
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
    ("export", "report", "deployment", "service"),
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


@dataclass(frozen=True)
class Source:
    """A file of the library, parsed once for all rules."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(REPO_DIR).as_posix()

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    @cached_property
    def calls(self) -> list[tuple[str, ast.Call]]:
        """Each call, with the text of what is called."""
        return [(ast.unparse(node.func), node) for node in self.nodes if isinstance(node, ast.Call)]

    @cached_property
    def called(self) -> set[str]:
        return {name for name, _ in self.calls}

    @cached_property
    def imported(self) -> list[str]:
        names = []
        for node in self.nodes:
            if isinstance(node, ast.Import):
                names += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.name}: a relative import hides which layer it reaches into"
                names.append(f"{node.module}")
        return names

    @property
    def packages(self) -> set[str]:
        """The top-level packages that it imports."""
        return {name.partition(".")[0] for name in self.imported}


@cache
def _sources(*folders: str) -> list[Source]:
    paths = [path for folder in folders for path in (REPO_DIR / folder).rglob("*.py")]
    return [_source(path) for path in sorted(paths) if "__pycache__" not in path.parts]


@cache
def _source(path: Path) -> Source:
    return Source(path)


def _library() -> list[Source]:
    return [*_sources(*LAYERS), *(_source(REPO_DIR / name) for name in RUNNERS)]


def _find_breaches(sources: Iterable[Source], find: Callable[[Source], Iterable[object]]) -> dict[str, list[object]]:
    """Return what a rule finds in each file, without the files where it finds nothing."""
    found = {source.name: sorted(find(source), key=str) for source in sources}
    return {name: breaches for name, breaches in found.items() if breaches}


def _room(parts: tuple[str, ...]) -> str:
    """Return the room of a module of the library: the folder or file right below `reefline`."""
    return parts[1]


def _tracked_text_files() -> Iterator[tuple[str, str]]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPO_DIR, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        path = REPO_DIR / name
        if path.is_file() and path.suffix not in (".jpg", ".png"):
            yield name, path.read_text(encoding="utf-8")


def test_imports_go_one_way() -> None:
    forbidden = {
        "reefline": {"components", "pipeline", "local_runner", "kubeflow_runner", "tfx", "apache_beam"},
        "components": {"pipeline", "local_runner", "kubeflow_runner"},
        "pipeline": {"local_runner", "kubeflow_runner"},
    }
    breaches = _find_breaches(
        _library(), lambda source: source.packages & forbidden.get(source.name.partition("/")[0], set())
    )
    assert not breaches


def _imports_from_above(source: Source) -> set[str]:
    own = _room(source.path.relative_to(REPO_DIR).with_suffix("").parts)
    return {
        name
        for name in source.imported
        if name.startswith("reefline.")
        and (room := _room(tuple(name.split(".")))) != own
        and FLOOR_OF[room] >= FLOOR_OF[own]
        and not {room, own} <= GROUND | {"cli", "__main__"}
    }


def test_rooms_stand_on_floors_below() -> None:
    assert not _find_breaches(_sources("reefline"), _imports_from_above)


def test_every_room_has_a_floor_and_says_what_it_is_for() -> None:
    rooms = {path.stem for path in (REPO_DIR / "reefline").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert rooms - {"__init__", "__pycache__"} == set(FLOOR_OF)
    for face in _sources("reefline"):
        if face.path.name == "__init__.py":
            assert ast.get_docstring(face.tree), face.name
            # A face that hands names on would couple the cache keys of all who enter the room.
            assert not face.imported, face.name


def _imports_of_other_components(source: Source) -> set[str]:
    own = source.name.split("/")[1]
    others = {n for n in source.imported if n.startswith("components.") and n.split(".")[1] != own}
    return others - {"components.driver"}


def test_components_do_not_import_each_other() -> None:
    assert not _find_breaches(_sources("components"), _imports_of_other_components)


def _goes_around_a_door(source: Source) -> set[str]:
    return source.packages & {dependency for dependency, door in DOORS.items() if not source.name.startswith(door)}


def test_awkward_dependencies_have_one_door() -> None:
    assert not _find_breaches(_library(), _goes_around_a_door)


def _imports_ml_metadata(source: Source) -> list[str]:
    early = [ast.unparse(node) for node in source.tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    elsewhere = [] if source.name.startswith("reefline/lineage/") else source.imported
    return [text for text in early if "ml_metadata" in text] + [
        name for name in elsewhere if name.partition(".")[0] == "ml_metadata"
    ]


def test_only_lineage_reads_ml_metadata_and_imports_it_late() -> None:
    assert not _find_breaches(_sources("reefline"), _imports_ml_metadata)


def _makes_paths_of_uris(source: Source) -> list[str]:
    arguments = [ast.unparse(call.args[0]) for name, call in source.calls if name == "Path" and call.args]
    return [text for text in arguments if MAY_BE_URI.search(text)]


def test_no_path_is_made_of_what_may_be_a_uri() -> None:
    """`Path("s3://bucket/x")` is the folder s3:/bucket/x of this machine: a push there would seem to succeed."""
    assert not _find_breaches(_library(), _makes_paths_of_uris)


def test_files_are_short() -> None:
    lengths = {source.name: len(source.text.splitlines()) for source in _library()}
    assert not {name: lines for name, lines in lengths.items() if lines > MAX_FILE_LINES}


def _long_functions(source: Source) -> list[str]:
    functions = [n for n in source.nodes if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    lengths = {f.name: f.end_lineno - f.body[0].lineno + 1 for f in functions if f.name not in LONG_ON_PURPOSE}
    return [f"{name}: {lines} lines" for name, lines in lengths.items() if lines > MAX_FUNCTION_LINES]


def test_functions_are_short() -> None:
    assert not _find_breaches(_library(), _long_functions)


def test_no_module_catches_all() -> None:
    assert not [source.name for source in _library() if source.path.stem in ("utils", "helpers", "common", "misc")]


def _asserts_or_stops(source: Source) -> list[str]:
    asserts = [f"assert in line {node.lineno}" for node in source.nodes if isinstance(node, ast.Assert)]
    stops = set() if source.name in RUNNERS else {"sys.exit", "exit", "quit", "os._exit"} & source.called
    return [*asserts, *stops]


def test_no_assert_and_no_stop_in_the_library() -> None:
    assert not _find_breaches(_library(), _asserts_or_stops)


def test_only_the_terminal_prints() -> None:
    """It escapes control characters, so that no text from data or configs moves the cursor."""
    printing = {"print", "typer.echo", "click.echo", "sys.stdout.write", "sys.stderr.write"}
    others = [source for source in _library() if source.name != "reefline/system/terminal.py"]
    assert not _find_breaches(others, lambda source: source.called & printing)


def test_component_functions_keep_their_annotations() -> None:
    """TFX's @component reads annotations; as strings (PEP 563) it cannot."""
    with_components = [source for source in _sources("components") if "@component" in source.text]
    postponed = "from __future__ import annotations"
    assert with_components
    assert not [source.name for source in with_components if postponed in source.text]


def _undocumented(source: Source) -> list[str]:
    definitions = [n for n in source.tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
    return [node.name for node in definitions if not node.name.startswith("_") and not ast.get_docstring(node)]


def test_public_functions_say_what_they_do() -> None:
    assert not _find_breaches(_library(), _undocumented)


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
        pytest.param(["-m", "reefline", "deploy", "--help"], id="deploy"),
        pytest.param(["-m", "reefline", "serve", "--help"], id="serve"),
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


def test_the_first_line_of_a_run_comes_before_heavy_imports(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-X",
        "importtime",
        "local_runner.py",
        "--workspace",
        str(tmp_path / "ws"),
        "--set",
        "a=1",
    ]
    run = subprocess.run(command, cwd=REPO_DIR, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    before, first_line, _ = run.stdout.partition("\nrun: ")
    assert run.returncode == 2 and first_line
    imported = {line.rpartition("|")[2].strip() for line in before.splitlines()}
    assert not {name.partition(".")[0] for name in imported} & set(HEAVY)
    assert "pipeline.local.run" not in imported


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


def _calls_something_unsafe(source: Source) -> list[str]:
    unsafe = [*(source.called & UNSAFE_CALLS)]
    unsafe += [name for name in source.called if name.rpartition(".")[2] in ("extractall", "unpack_archive")]
    words = [word for _, call in source.calls for word in call.keywords]
    unsafe += ["shell" for word in words if word.arg == "shell"]
    return unsafe + [
        "allow_pickle" for word in words if word.arg == "allow_pickle" and ast.unparse(word.value) != "False"
    ]


def test_no_unsafe_calls() -> None:
    """docs/security.md promises that no input runs code: no shell, no foreign pickle, no extractall."""
    assert not _find_breaches(_library(), _calls_something_unsafe)


def test_pickle_and_its_like_are_imported_nowhere() -> None:
    assert not _find_breaches(_library(), lambda source: source.packages & UNSAFE_MODULES)


def test_yaml_is_only_read_by_safe_loaders() -> None:
    calls = [call for source in _library() for name, call in source.calls if name in ("yaml.load", "yaml.load_all")]
    assert calls
    for call in calls:
        named = [word.value for word in call.keywords if word.arg == "Loader"]
        [loader] = [ast.unparse(node) for node in (*call.args[1:], *named)]
        assert issubclass(getattr(yaml_reader, loader), (yaml.SafeLoader, yaml.CSafeLoader))


def _names_temporary_files(source: Source) -> list[str]:
    named = [*(source.called & {"tempfile.gettempdir", "os.tempnam", "os.tmpnam"})]
    texts = [node.value for node in source.nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return named + [text for text in texts if text.startswith(("/tmp/", "/var/tmp/")) or text in ("/tmp", "/var/tmp")]


def test_temporary_files_are_for_their_owner_alone() -> None:
    """`tempfile` makes files of mode 0600 and folders of mode 0700, with names that nobody can guess."""
    others = [source for source in _library() if not source.name.startswith(MAY_NAME_TEMPORARY_FILES)]
    assert not _find_breaches(others, _names_temporary_files)


# Rooms that write into workspace and serving; their files go through `write_whole`, which follows no link.
WRITERS = ("reefline/bundle/", "reefline/report/", "reefline/cleanup/", "reefline/config/", "pipeline/local/")
# Into folders that they have just made.
MAY_WRITE = {"reefline/bundle/remote_bundle.py": {"write_bytes"}, "pipeline/local/stop.py": {"write_text"}}


def _writes_directly(source: Source) -> list[str]:
    written = {name.rpartition(".")[2] for name in source.called} & {"write_text", "write_bytes"}
    opened = [call for name, call in source.calls if name.rpartition(".")[2] == "open"]
    modes = [
        ast.unparse(argument).strip("'")
        for call in opened
        for argument in (*call.args, *(w.value for w in call.keywords if w.arg == "mode"))
    ]
    return [
        *(written - MAY_WRITE.get(source.name, set())),
        *(mode for mode in modes if re.fullmatch("[rwaxbt+]+", mode) and set(mode) & set("wax+")),
    ]


def test_workspace_and_serving_are_written_without_following_links() -> None:
    writers = [source for source in _library() if source.name.startswith(WRITERS)]
    assert writers
    assert not _find_breaches(writers, _writes_directly)
