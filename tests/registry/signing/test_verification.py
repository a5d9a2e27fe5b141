"""What a signature is good for: the very files that were signed, by a key that counts, and nothing else."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.desired import Served
from deploy.packages import Packages
from flywheel.digest import folder_digest
from flywheel.errors import IntegrityError, UsageError
from flywheel.settings import Settings
from flywheel.signing import PUBLIC_KEY, bundle_beside, public_keys, trusted_key, verify
from flywheel.stack.signing_keys import PRIVATE_KEY, make_keys
from registry.signing.signer import Signer, configured_signer, sign_folder, signature_event

OTHER = ec.generate_private_key(ec.SECP384R1())


def sign_elsewhere(message: bytes) -> bytes:
    """Stand for a key service."""
    return OTHER.sign(message, ec.ECDSA(hashes.SHA384()))


def sign_badly(message: bytes) -> bytes:
    raise ConnectionError("the key service is down")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a key pair."""
    folder = tmp_path_factory.mktemp("home")
    make_keys(Settings(home=folder))
    return folder


@pytest.fixture(scope="module")
def public_key(home: Path) -> Path:
    return home / PUBLIC_KEY


@pytest.fixture(scope="module")
def signer(home: Path) -> Signer:
    found = configured_signer({"FLYWHEEL_SIGNING_KEY": str(home / PRIVATE_KEY)})
    assert found is not None
    return found


def write(folder: Path, text: str = "weights") -> Path:
    (folder / "data").mkdir(parents=True)
    (folder / "MLmodel").write_text("flavors: {}")
    (folder / "data" / "model.bin").write_text(text)
    (folder / "naïve.txt").write_text("ü")
    return folder


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return write(tmp_path / "model")


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory, signer: Signer) -> tuple[Path, str]:
    folder = write(tmp_path_factory.mktemp("signed") / "model")
    return folder, sign_folder(folder, signer)


def test_what_was_signed_verifies_also_under_another_name(package: Path, signer: Signer, public_key: Path) -> None:
    bundle = sign_folder(package, signer)
    verify(package, bundle, public_key)
    verify(package.rename(package.with_name("elsewhere")), bundle, public_key)


@pytest.mark.parametrize(
    "tamper",
    [
        lambda folder: (folder / "data" / "model.bin").write_text("Weights"),
        lambda folder: (folder / "added.py").write_text("print()"),
        lambda folder: (folder / ".gitignore").write_text("*"),
        lambda folder: (folder / ".git").mkdir() or (folder / ".git" / "hook").write_text("x"),
        lambda folder: (folder / "MLmodel").unlink(),
        lambda folder: (folder / "MLmodel").rename(folder / "mlmodel"),
        lambda folder: (folder / "link").symlink_to(folder / "MLmodel"),
        shutil.rmtree,
    ],
)
def test_anything_changed_added_or_removed_is_refused(
    package: Path, signer: Signer, public_key: Path, tamper: Callable[[Path], object]
) -> None:
    bundle = sign_folder(package, signer)
    tamper(package)
    with pytest.raises(IntegrityError, match="is not what was signed"):
        verify(package, bundle, public_key, "Version 3 of 'churn'")


def test_a_refusal_names_the_files_without_their_digests(package: Path, signer: Signer, public_key: Path) -> None:
    bundle = sign_folder(package, signer)
    (package / "MLmodel").write_text("changed")
    with pytest.raises(IntegrityError, match=r"signed: other bytes in MLmodel\. Find out"):
        verify(package, bundle, public_key)
    (package / "added.py").write_text("print()")
    with pytest.raises(IntegrityError, match=r"added\.py.*; other bytes in MLmodel\. Find out"):
        verify(package, bundle, public_key)


def test_the_signature_of_another_package_is_refused(
    package: Path, tmp_path: Path, signer: Signer, public_key: Path
) -> None:
    other = sign_folder(write(tmp_path / "other", "other weights"), signer)
    with pytest.raises(IntegrityError, match=r"model\.bin"):
        verify(package, other, public_key)


def test_no_signature_and_one_by_another_key_are_refused(package: Path, public_key: Path) -> None:
    with pytest.raises(IntegrityError, match="has no signature"):
        verify(package, None, public_key)
    with pytest.raises(IntegrityError, match=r"a key that .* does not hold"):
        verify(package, sign_folder(package, Signer(OTHER.public_key(), sign_elsewhere)), public_key)


def test_a_signature_that_claims_a_trusted_key_but_was_made_by_another_is_refused(
    package: Path, signer: Signer, public_key: Path
) -> None:
    forged = json.loads(sign_folder(package, Signer(OTHER.public_key(), sign_elsewhere)))
    forged["verificationMaterial"]["publicKey"]["hint"] = signer.fingerprint
    with pytest.raises(IntegrityError, match="is not what was signed"):
        verify(package, json.dumps(forged), public_key)


def test_during_a_rotation_old_and_new_key_count(package: Path, signer: Signer, home: Path, tmp_path: Path) -> None:
    old = sign_folder(package, signer)
    (home / PRIVATE_KEY).rename(tmp_path / "old.pem")
    try:
        make_keys(Settings(home=home))
        assert len(public_keys(home / PUBLIC_KEY)) == 2
        new = configured_signer({"FLYWHEEL_SIGNING_KEY": str(home / PRIVATE_KEY), "FLYWHEEL_VERIFY_KEY": "2"})
        assert (home / PRIVATE_KEY).stat().st_mode & 0o777 == 0o600
    finally:
        (tmp_path / "old.pem").rename(home / PRIVATE_KEY)
    assert new is not None
    verify(package, old, home / PUBLIC_KEY)


def test_keys_are_made_once(home: Path) -> None:
    before = (home / PRIVATE_KEY).read_bytes(), (home / PUBLIC_KEY).read_bytes()
    make_keys(Settings(home=home))
    assert ((home / PRIVATE_KEY).read_bytes(), (home / PUBLIC_KEY).read_bytes()) == before


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def paths(document: object, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inside = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [at, *(path for key, value in inside for path in paths(value, (*at, key)))]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_a_damaged_bundle_is_never_anything_but_an_integrity_fault(
    data: st.DataObject, signed: tuple[Path, str], public_key: Path
) -> None:
    folder, bundle = signed
    document = json.loads(bundle)
    path = data.draw(st.sampled_from([path for path in paths(document) if path and path[-1] != "keyid"]))
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    value = data.draw(json_values)
    if inner[path[-1]] == value:
        return
    inner[path[-1]] = value
    try:
        verify(folder, json.dumps(document), public_key)
    except IntegrityError:
        return
    # What is neither signed nor used may say anything.
    assert "tlogEntries" in path or path[:2] == ("dsseEnvelope", "signatures")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=40) | json_values.map(json.dumps) | st.just("[" * 100_000))
def test_text_that_is_no_bundle_is_an_integrity_fault(text: str, signed: tuple[Path, str], public_key: Path) -> None:
    with pytest.raises(IntegrityError):
        verify(signed[0], text, public_key)


def test_a_key_service_signs_as_well(package: Path, tmp_path: Path) -> None:
    public = OTHER.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    key = tmp_path / "service.pub"
    key.write_bytes(public)
    named = {"FLYWHEEL_SIGNER": f"{__name__}:sign_elsewhere", "FLYWHEEL_VERIFY_KEY": str(key)}
    signer = configured_signer(named)
    assert signer is not None
    verify(package, sign_folder(package, signer), key)
    broken = configured_signer({**named, "FLYWHEEL_SIGNER": f"{__name__}:sign_badly"})
    assert broken is not None
    with pytest.raises(IntegrityError, match="the key service is down"):
        sign_folder(package, broken)


def test_a_signer_with_another_key_than_the_public_one_is_found_when_it_signs(package: Path, signer: Signer) -> None:
    with pytest.raises(IntegrityError, match="not by the public key"):
        sign_folder(package, Signer(signer.public, sign_elsewhere))


def test_settings_that_name_no_key_say_so(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("-----BEGIN NOTHING-----")
    for named, said in (
        ({"FLYWHEEL_SIGNING_KEY": str(wrong)}, "no usable key"),
        ({"FLYWHEEL_SIGNING_KEY": str(tmp_path / "missing")}, "no usable key"),
        ({"FLYWHEEL_SIGNING_KEY": str(home / PRIVATE_KEY), "FLYWHEEL_SIGNING_PASSWORD": "x"}, "no usable key"),
        ({"FLYWHEEL_SIGNER": "math:sin"}, "needs FLYWHEEL_VERIFY_KEY"),
        ({"FLYWHEEL_SIGNER": "nothing", "FLYWHEEL_VERIFY_KEY": str(home / PUBLIC_KEY)}, "no module:function"),
        ({"FLYWHEEL_SIGNER": "math:sin", "FLYWHEEL_VERIFY_KEY": str(wrong)}, "no public key"),
    ):
        with pytest.raises(UsageError, match=said):
            configured_signer(named)
    with pytest.raises(UsageError, match="no such file"):
        trusted_key(None, {"FLYWHEEL_VERIFY_KEY": str(tmp_path / "missing")})
    assert trusted_key(tmp_path, {}) is None
    for name in ("FLYWHEEL_SIGNING_KEY", "FLYWHEEL_SIGNER"):
        monkeypatch.delenv(name, raising=False)
    assert signature_event(tmp_path, "sha256:0") is None


def packages(root: Path, bundle: str | None, public_key: Path | None) -> Packages:
    return Packages(root, lambda usecase, version, folder: write(folder), lambda usecase, version: bundle, public_key)


def test_deploy_fetches_and_starts_only_what_is_signed(
    package: Path, tmp_path: Path, signer: Signer, public_key: Path
) -> None:
    served, root = Served("churn", "3", folder_digest(package)), tmp_path / "packages"
    with pytest.raises(IntegrityError, match="Version 3 of 'churn' has no signature"):
        packages(root, None, public_key).fetch(served)
    assert packages(tmp_path / "unsigned", None, None).fetch(served).is_dir()
    place = packages(root, sign_folder(package, signer), public_key).fetch(served)
    # A restart asks nobody: the signature is kept beside the folder.
    assert packages(root, None, public_key).fetch(served) == place
    bundle_beside(place).write_text("{}")
    with pytest.raises(IntegrityError, match="signature that cannot be read"):
        packages(root, None, public_key).fetch(served)
    assert packages(root, sign_folder(package, signer), public_key).fetch(served) == place
