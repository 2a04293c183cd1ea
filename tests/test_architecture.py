"""The layout of the package: one direction, no circles, cheap imports."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "streamderain"
STAGES = ("readers", "inference", "writers")


def imports_of(path):
    """Modules of the package that a file imports, at any place in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.startswith("streamderain")}


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in PACKAGE.rglob("*.py")}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_never_imports_its_neighbours(stage):
    others = tuple(f"streamderain.{other}" for other in STAGES if other != stage)
    for name, path in MODULES.items():
        if name.startswith(f"streamderain.{stage}"):
            wrong = {module for module in imports_of(path) if module.startswith(others)}
            assert not wrong, f"{name} imports {wrong}"


def test_no_module_imports_itself_through_others():
    graph = {name: imports_of(path) & MODULES.keys() - {name} for name, path in MODULES.items()}
    done, active = set(), []

    def visit(name):
        assert name not in active, f"circle: {' -> '.join([*active, name])}"
        if name in done:
            return
        active.append(name)
        for other in graph[name]:
            if other != "streamderain":  # the root holds nothing but the version
                visit(other)
        active.pop()
        done.add(name)

    for name in graph:
        visit(name)


def test_no_file_is_longer_than_a_reader_can_hold():
    long = {
        str(path): lines
        for folder in (PACKAGE, PACKAGE.parent / "tools")
        for path in folder.rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 450
    }
    assert not long


def modules_after(statement):
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("heavy", ["torch", "av", "onnxruntime", "cv2", "numpy"])
def test_importing_the_package_loads_nothing_heavy(heavy):
    assert heavy not in modules_after("import streamderain")


@pytest.mark.parametrize("heavy", ["torch", "av", "onnxruntime", "cv2"])
def test_importing_the_command_line_loads_no_codec_and_no_runtime(heavy):
    assert heavy not in modules_after("import streamderain.cli")


@pytest.mark.parametrize("name", sorted(MODULES))
def test_every_public_name_of_a_module_exists(name):
    if name.endswith("__main__"):
        pytest.skip("runs the command line")
    module = importlib.import_module(name)
    missing = [public for public in getattr(module, "__all__", []) if not hasattr(module, public)]
    assert not missing
