import subprocess
import sys
from pathlib import Path

import deploy.verdict

FOLDER = Path(deploy.verdict.__file__).parent
# A fresh interpreter without site-packages: what is not in the standard library or in the package itself is not there.
IMPORT_ALONE = """
import importlib, pathlib, sys
before = set(sys.modules)
for module in sorted(pathlib.Path(sys.argv[1]).glob("*.py")):
    importlib.import_module(f"deploy.verdict.{module.stem}".removesuffix(".__init__"))
new = {name.split(".")[0] for name in set(sys.modules) - before}
print(*sorted(name for name in set(sys.modules) if name.startswith("deploy") and not name.startswith("deploy.verdict")))
print(*sorted(new - set(sys.stdlib_module_names)))
"""


def test_the_package_stands_by_itself_on_the_standard_library() -> None:
    command = [sys.executable, "-S", "-E", "-c", IMPORT_ALONE, str(FOLDER)]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, cwd=FOLDER.parents[1])
    assert shown.stdout.splitlines() == ["deploy", "deploy"]
