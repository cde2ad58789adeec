"""The package's wings import in one direction only."""
import ast
from pathlib import Path

import cleric_training

PACKAGE = Path(cleric_training.__file__).parent
WINGS = ("loops", "network", "integer", "files", "train", "measure")  # each may import those before it
README = PACKAGE.parent / "README.md"


def imports(path: Path) -> set[str]:
    """Dotted names inside the package that a module imports, as 'network.model'; '' is the package itself."""
    here = path.relative_to(PACKAGE).parent.parts
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[2] for alias in node.names if alias.name.split(".")[0] == "cleric_training"}
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = [*here[:len(here) - node.level + 1], *(node.module.split(".") if node.module else [])]
            found |= {".".join([*base, alias.name]) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "cleric_training":
            base = node.module.split(".")[1:]
            found |= {".".join([*base, alias.name]) for alias in node.names}
    return found


def test_a_wing_imports_itself_and_those_before_it():
    assert sorted(WINGS) == sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
    seen = set()
    for number, wing in enumerate(WINGS):
        for path in sorted((PACKAGE / wing).rglob("*.py")):
            for name in imports(path):
                seen.add((wing, name.split(".")[0]))
                assert name.split(".")[0] in WINGS[:number + 1], f"{path.name} of {wing} imports {name}"
    assert ("files", "integer") in seen and ("network", "loops") in seen  # the imports are seen at all


def test_the_readme_names_every_module_in_the_row_of_its_wing():
    rows = dict(line.strip("| ").split(" | ", 1) for line in README.read_text().split("## Files")[1].splitlines()
                if line.startswith("| "))
    assert list(rows)[1:] == [*(f"`{wing}`" for wing in WINGS), "commands"]
    for wing in WINGS:
        for path in (PACKAGE / wing).glob("*.py"):
            assert path.stem.startswith("__") or f"`{path.stem}`" in rows[f"`{wing}`"], path
    for path in PACKAGE.glob("*.py"):
        assert path.stem.startswith("__") or f"`{path.stem}`" in rows["commands"], path
