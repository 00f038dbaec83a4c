"""A hash of a component's code: its sources and everything they import from this repository."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

REPO_DIR = Path(__file__).resolve().parents[1]
_PACKAGES = ("components", "pipeline", "reefline")

# Libraries that affect a component's result: their versions are part of its code.
_DISTRIBUTIONS = {
    "PIL": ("pillow",),
    "ai_edge_litert": ("ai-edge-litert",),
    "apache_beam": ("apache-beam",),
    "jinja2": ("jinja2",),
    "matplotlib": ("matplotlib",),
    "numpy": ("numpy",),
    "object_detection": ("tf-models-research-object-detection", "tf-models-official"),
    "pycocotools": ("pycocotools",),
    "simplejpeg": ("simplejpeg",),
    "tensorflow": ("tensorflow", "tf-keras"),
    "tfx": ("tfx",),
}


def code_fingerprint(
    module: str, *, files: Sequence[Path] = (), tools: Sequence[str] = (), repo_dir: Path = REPO_DIR
) -> str:
    """Return the sha256 over the sources that `module` reaches by import, including imports inside functions.

    `module` is a dotted name; a package stands for all its modules. `files` are data that belong to the code, such as a
    model's template; `tools` identify the programs that it runs. Sources are read, not imported. The result depends on
    names and contents, not on the repository's path or on times.

    Raises:
        ModuleNotFoundError: `module` is not in the repository.
    """
    if not _locate(module, repo_dir):
        raise ModuleNotFoundError(f"{module}: not a module of this repository")
    sources, libraries = _collect(module, repo_dir)
    digest = hashlib.sha256()
    for name, content in [*sorted(sources.items()), *((path.name, path.read_bytes()) for path in files)]:
        digest.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    digest.update("".join(f"tool\0{tool}\n" for tool in tools).encode())
    for library in sorted(libraries & _DISTRIBUTIONS.keys()):
        for distribution in _DISTRIBUTIONS[library]:
            digest.update(f"{distribution}\0{metadata.version(distribution)}\n".encode())
    return digest.hexdigest()


def _collect(module: str, repo_dir: Path) -> tuple[dict[str, bytes], set[str]]:
    """Return the sources by module name, and the top-level names of all other imports."""
    sources: dict[str, bytes] = {}
    libraries: set[str] = set()
    waiting = [*_with_packages(module), *_submodules(module, repo_dir)]
    while waiting:
        name = waiting.pop()
        path = _locate(name, repo_dir)
        if name in sources or path is None or _is_driver(name):
            continue
        sources[name] = path.read_bytes()
        for imported in _imports(name, sources[name], is_package=path.name == "__init__.py"):
            top, _, _ = imported.partition(".")
            if top in _PACKAGES:
                waiting += _with_packages(imported)
            else:
                libraries.add(top)
    return sources, libraries


def _is_driver(module: str) -> bool:
    """Return whether a module is a driver or their base: they resolve exec properties, which are in the cache key."""
    return module.startswith("components.") and module.endswith(".driver")


def _with_packages(module: str) -> list[str]:
    """Return a, a.b and a.b.c for a.b.c: importing the last one runs them all."""
    parts = module.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]


def _locate(module: str, repo_dir: Path) -> Path | None:
    """Return the file of a module of the repository; None for anything else, such as a function."""
    if module.partition(".")[0] not in _PACKAGES:
        return None
    base = repo_dir.joinpath(*module.split("."))
    candidates = (base / "__init__.py", base.with_suffix(".py"))
    return next((path for path in candidates if path.is_file()), None)


def _submodules(package: str, repo_dir: Path) -> list[str]:
    folder = repo_dir.joinpath(*package.split("."))
    names = (path.relative_to(repo_dir).with_suffix("").parts for path in folder.rglob("*.py"))
    return [".".join(parts) for parts in names if parts[-1] != "__init__"]


def _imports(module: str, source: bytes, *, is_package: bool) -> Iterator[str]:
    """Yield the dotted names that a source imports; for `from a import b` both a and a.b, as b may be a module."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
