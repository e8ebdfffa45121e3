"""The modules beside a Python file that it imports."""

from __future__ import annotations

import ast
from pathlib import Path


def imported(file: Path) -> list[Path]:
    """The files of modules and packages in the file's folder that it imports, and those that these import in turn; without itself."""
    found: set[Path] = set()
    left = [file]
    while left:
        for place in _beside(left.pop(), file.parent):
            if place not in found and place != file:
                found.add(place)
                left.append(place)
    return sorted(found)


def _beside(file: Path, folder: Path) -> list[Path]:
    """The files in a folder that one imports itself; packages with all that is in them."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        # The metric's own process tells what is wrong with it.
        return []
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.append(node.module)
    files: list[Path] = []
    for name in dict.fromkeys(name.partition(".")[0] for name in names):
        module, package = folder / f"{name}.py", folder / name
        if (package / "__init__.py").is_file():
            files += [p for p in sorted(package.rglob("*")) if p.is_file() and "__pycache__" not in p.parts]
        elif module.is_file():
            files.append(module)
    return files
