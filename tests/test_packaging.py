"""What is shipped: the wheel works where nothing else is, and generated files agree with their source."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
UV = str(Path(sys.executable).parent / "uv")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([UV, "build", "--wheel", "--quiet", "--out-dir", folder, ROOT], check=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_the_packages_and_no_package_named_platform(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist() if ".dist-info" not in name}
    assert tops == {"flywheel", "training", "registry", "deploy", "monitoring"}
    assert not (ROOT / "platform" / "__init__.py").exists()


def test_the_bare_wheel_works_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "env"
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, str(environment)], check=True)
    pins = tmp_path / "pins.txt"
    export = [UV, "export", "--frozen", "--quiet", "--no-emit-project", "--no-hashes", "--all-extras", "-o", str(pins)]
    subprocess.run(export, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    install = [UV, "pip", "install", "--quiet", "--python", str(environment), "--constraint", str(pins), str(wheel)]
    subprocess.run(install, check=True)
    bare = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    command = environment / "bin" / "flywheel"
    shown = subprocess.run([command, "--help"], check=True, capture_output=True, text=True, env=bare, cwd=tmp_path)
    for name in ("up", "check", "deploy", "monitor", "demo"):
        assert f"  {name} " in shown.stdout
    code = "import deploy.verdict, flywheel.usecase; print(deploy.verdict.__file__)"
    found = subprocess.run(
        [environment / "bin" / "python", "-c", code], check=True, capture_output=True, text=True, env=bare, cwd=tmp_path
    )
    assert str(environment) in found.stdout
    example = re.findall(r"```json\n(.*?)```", (ROOT / "docs" / "verdict.md").read_text(), re.DOTALL)[0]
    (tmp_path / "looks.json").write_text(example)
    judged = subprocess.run(
        [command, "verdict", "looks.json"], check=False, capture_output=True, text=True, env=bare, cwd=tmp_path
    )
    assert (judged.returncode, judged.stdout[:9]) == (3, "roll back")
    missing = subprocess.run([command, "up"], check=False, capture_output=True, text=True, env=bare, cwd=tmp_path)
    assert missing.returncode == 1
    assert "Traceback" not in missing.stderr
