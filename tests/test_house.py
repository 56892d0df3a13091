"""The house rules: who may import whom, where files go, how long they may be, and that what is documented is true."""

from __future__ import annotations

import ast
import doctest
import importlib
import importlib.metadata
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("bellwether", "data", "tune", "serve_apps", "cluster", "pipelines")
SOURCES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
EVERYTHING = [*SOURCES, *sorted((ROOT / "tests").glob("*.py")), *sorted((ROOT / "benchmarks").glob("*.py"))]
LONGEST_FILE, LONGEST_FUNCTION = 400, 60

each_source = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def python(script: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-c", script]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_the_layers_import_downwards_only():
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    linted = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert linted.returncode == 0, linted.stdout + linted.stderr
    assert " 0 broken" in linted.stdout


def test_no_module_hides_a_package():
    assert [path.name for path in ROOT.glob("*.py")] == []
    assert [path for path in EVERYTHING if path.name in {"data.py", "tune.py", "cluster.py"}] == []


def test_every_folder_of_a_package_is_a_package():
    folders = {path.parent for path in SOURCES}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_tests_are_flat_files_and_no_package():
    assert not (ROOT / "tests" / "__init__.py").exists()
    assert [path for path in (ROOT / "tests").rglob("*.py") if path.parent != ROOT / "tests"] == []
    assert [name for name in PACKAGES if (ROOT / "tests" / name).exists()] == []


def test_no_other_distribution_owns_our_names():
    owners = importlib.metadata.packages_distributions()
    assert {name: owners[name] for name in PACKAGES if set(owners.get(name, [])) - {"bellwether"}} == {}


def test_everything_that_is_installed_for_us_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").split())
    versions = {canonicalize_name(name): version for name, version in pinned.items()}
    assert {name for name, _ in wanted(project["build-system"]["requires"])} <= versions.keys()
    pending = wanted(project["project"]["dependencies"] + project["project"]["optional-dependencies"]["dev"])
    seen = set[tuple[str, frozenset[str]]]()
    while pending:
        name, extras = here = pending.pop()
        seen.add(here)
        if name != "bellwether":  # which names its own extras; and a build for one kind of machine is a local version
            installed = importlib.metadata.version(name).partition("+")[0]
            assert versions.get(name) == installed, f"{name} is not pinned to what is installed"
        pending |= needs(name, extras) - seen


def wanted(texts: list[str]) -> set[tuple[str, frozenset[str]]]:
    """Names and extras of requirements."""
    return {(canonicalize_name(r.name), frozenset(r.extras)) for r in map(Requirement, texts)}


def needs(name: str, extras: frozenset[str]) -> set[tuple[str, frozenset[str]]]:
    """What an installed distribution needs on this machine when these extras are asked for."""
    texts = importlib.metadata.requires(name) or []
    markers = {text: Requirement(text).marker for text in texts}
    return wanted([t for t, m in markers.items() if m is None or any(m.evaluate({"extra": e}) for e in extras | {""})])


def test_files_and_functions_are_short():
    files = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in EVERYTHING}
    assert {name: lines for name, lines in files.items() if lines > LONGEST_FILE} == {}
    functions = {
        f"{path.name}:{node.name}": lines
        for path in EVERYTHING
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (lines := code_lines(node)) > LONGEST_FUNCTION
    }
    assert functions == {}


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring."""
    documented = function.body[0] if ast.get_docstring(function) else None
    text = (documented.end_lineno or 0) - documented.lineno + 1 if documented else 0
    return (function.end_lineno or 0) - function.lineno + 1 - text


def public(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """The module, its public functions and classes, and the public methods of those classes."""
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    yield "module", tree
    for node in tree.body:
        if isinstance(node, definitions) and not node.name.startswith("_"):
            yield node.name, node
            for member in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(member, definitions) and not member.name.startswith("_"):
                    yield f"{node.name}.{member.name}", member


@each_source
def test_what_is_public_is_documented(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [name for name, node in public(tree) if not ast.get_docstring(node)] == []


WITH_EXAMPLES = [path for path in SOURCES if ">>> " in path.read_text(encoding="utf-8")]


def test_there_are_examples_to_run():
    assert {path.relative_to(ROOT).parts[0] for path in WITH_EXAMPLES} >= {"bellwether", "data"}


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_examples_in_docstrings_are_true(path):
    results = doctest.testmod(importlib.import_module(module(path)), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert results.attempted > 0
    assert results.failed == 0


def test_help_is_quick_because_nothing_heavy_is_imported_for_it():
    heavy = "{'ray', 'mlflow', 'torch', 'pandas', 'sklearn', 'numba', 'lightgbm', 'xgboost', 'onnx', 'pyarrow'}"
    names = "bellwether, bellwether.config, bellwether.errors, pipelines.cli, pipelines.workspace"
    ran = python(f"import sys, {names}; print(sorted({heavy} & sys.modules.keys()))")
    assert ran.stdout.strip() == "[]", ran.stdout + ran.stderr


def test_the_domain_imports_without_ray():
    names = ", ".join(module(path) for path in SOURCES if path.is_relative_to(ROOT / "bellwether"))
    ran = python(f"import sys, {names}; print(sorted({{'ray'}} & sys.modules.keys()))")
    assert ran.stdout.strip() == "[]", ran.stdout + ran.stderr


def test_importing_everything_starts_nothing_and_says_nothing():
    names = ", ".join(module(path) for path in SOURCES)
    ran = python(f"import {names}\nimport sys, ray\nassert not ray.is_initialized()\nprint('imported')")
    assert (ran.returncode, ran.stdout) == (0, "imported\n"), ran.stdout + ran.stderr
