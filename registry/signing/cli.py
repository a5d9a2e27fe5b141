"""Commands around signatures: verify a package's folder, export a bundle, sign what has none."""

from pathlib import Path
from typing import Annotated, Any

import typer

from flywheel.errors import UsageError
from flywheel.settings import load_settings

app = typer.Typer(no_args_is_help=True)
signature = typer.Typer(
    no_args_is_help=True,
    help="The registry's signatures under model packages (OpenSSF model signing).",
    epilog="Example: flywheel signature verify model/ --model flights-delay --version 3 --user ada",
)
app.add_typer(signature, name="signature")

Model = Annotated[str, typer.Argument(help="Registered model.")]
Version = Annotated[str, typer.Argument(help="Version of it.")]
User = Annotated[str | None, typer.Option(help="Whose login; by default the environment's (MLFLOW_TRACKING_*).")]


@signature.command(
    epilog="Example: flywheel signature verify model/ --model flights-delay --version 3 --user ada. "
    "FOLDER is as `mlflow artifacts download` gives it."
)
def verify(
    folder: Annotated[Path, typer.Argument(help="The package's folder.")],
    model: Annotated[str | None, typer.Option(help="Registered model whose signature counts.")] = None,
    version: Annotated[str | None, typer.Option(help="Version of it.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="A bundle's file instead of the registry's.")] = None,
    key: Annotated[Path | None, typer.Option(help="File of public keys; by default the home's signing.pub.")] = None,
    user: User = None,
) -> None:
    """Check that a folder is, file by file, what the registry signed."""
    from flywheel import signing

    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder. Download the version first.")
    trusted = key or signing.trusted_key(load_settings().root)
    if trusted is None:
        raise UsageError("No public key is known here. Name its file with --key, or set FLYWHEEL_VERIFY_KEY.")
    signing.verify(folder, _bundle(model, version, bundle, user), trusted)
    typer.echo(f"{folder} is what was signed.")


@signature.command(epilog="Example: flywheel signature export flights-delay 3 --user ada > model.sig")
def export(model: Model, version: Version, user: User = None) -> None:
    """Print a version's signature: a Sigstore bundle, which `model_signing verify key` reads too."""
    typer.echo(_call("GET", model, version, user)["bundle"])


@signature.command(epilog="Example: flywheel signature add flights-delay 3 --user grace")
def add(model: Model, version: Version, user: User = None) -> None:
    """Have the server sign a version that has no signature: one registered before it had a key."""
    made = _call("POST", model, version, user)
    typer.echo(f"Version {version} of '{model}' is signed: {made['digest']}, key {made['key'][:12]}.")


def _bundle(model: str | None, version: str | None, bundle: Path | None, user: str | None) -> str:
    if bundle is not None:
        try:
            return bundle.read_text()
        except (OSError, UnicodeDecodeError) as fault:
            raise UsageError(f"Bundle {bundle} cannot be read: {fault}. Name another file.") from fault
    if model is None or version is None:
        raise UsageError("Name the signature: --model and --version, or --bundle.")
    return str(_call("GET", model, version, user)["bundle"])


def _call(method: str, model: str, version: str, user: str | None) -> dict[str, Any]:
    from urllib.parse import quote

    from registry.client import connect

    return connect(user).own(method, f"signature/{quote(model, safe='')}/{quote(version, safe='')}")
