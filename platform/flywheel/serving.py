"""How versions are served: HOME/serving.yaml, which belongs to who runs the gateway, not to who trains.

Everything has a default, so there need be no such file. What stands under `use_cases` holds for the use cases whose
name matches the pattern (as in shells), the first match; `defaults` for the others. The agent gets its part as JSON.
"""

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)

from flywheel.errors import SpecError, UsageError
from flywheel.faults import sentence_of
from flywheel.yaml_text import parse_yaml, yaml_reason

NAME = "serving.yaml"
LONGEST_DAYS = 36_500
MOST_BODY_BYTES = 16 << 20  # a record of it is at most six times as long, which the shipper reads in one go
LONGEST_DEADLINE = 90.0  # seconds; gateway and agent end connections that wait for longer than three, or a bit more
LEAST_GATEWAY_MB = 128  # of heap; Envoy alone has 10
SAFE_DEFAULT = "default"  # the version under which the declared safe default answers
LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
Positive = Annotated[int, Field(gt=0, strict=True)]  # '2' and true are no numbers
Seconds = Annotated[float, Field(ge=0.001, le=1e9)]  # Envoy counts milliseconds, of which none means for ever
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]  # of a header or a cookie
Percent = Annotated[float, Field(ge=0, le=100)]
EnvManager = Literal["local", "uv", "virtualenv"]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LogServing(_Strict):
    """What is done about the prediction log.

    Attributes:
        full_disk: When no record can be written: `refuse` the request (503), or answer it `unlogged`, with an alarm.
        reserve_mb: Disk space that the spool leaves free; below it the disk counts as full.
        durability: `process`: a record survives the death of the agent; `power`: its lines are synced to disk as well.
        retention_days: That records are kept, in whole UTC days after the one in which they were made; None: for good.
    """

    full_disk: Literal["refuse", "unlogged"] = "refuse"
    reserve_mb: Annotated[int, Field(ge=0, strict=True)] = 256
    durability: Literal["process", "power"] = "process"
    retention_days: Annotated[Positive, Field(le=LONGEST_DAYS)] | None = None


class Sticky(_Strict):
    """What keeps a caller on one side of a split: the value of a header, else a cookie that the gateway sets."""

    header: Name | None = "x-flywheel-unit"
    cookie: Name | None = None
    cookie_seconds: Positive = 30 * 86400


class Fallback(_Strict):
    """What is answered when neither champion nor previous version can: the declared safe default.

    Attributes:
        answer: A probability or number, a class, or every output by name; as the version's contract has them.
    """

    answer: StrictInt | StrictFloat | StrictStr | dict[str, StrictBool | StrictInt | StrictFloat | StrictStr]


class Resources(_Strict):
    """What one process may take of this machine.

    Attributes:
        memory_mb: Of its own, children included; one that takes more is killed and started again. None: no limit.
        cpus: Cores that it may run on, and threads of a worker's model. None: any core, and one thread.
        nice: By how much it steps back behind other processes.
    """

    memory_mb: Annotated[Positive, Field(ge=16)] | None = None
    cpus: Positive | None = None
    nice: Annotated[int, Field(ge=0, le=19, strict=True)] = 0


class ResourcesServing(_Strict):
    """What each agent and each MLflow worker of a version may take."""

    agent: Resources = Resources()
    worker: Resources = Resources()


class UseCaseServing(_Strict):
    """How the versions of a use case are served.

    Attributes:
        backend: `mlflow`, `onnx`, or `auto`: the faster one, as measured at deploy, if both answer alike.
        env_manager: Where MLflow's workers find their libraries: `local`, in this installation; `uv` or `virtualenv`,
            in an environment made from the version's lock.
        resources: Of each of a version's processes.
        workers: `mlflow models serve` workers behind one agent.
        replicas: Agents of a version.
        unknown_fields: Fields that the contract does not name: `refuse` (422) or `ignore`.
        deadline_seconds: That a request may take; a client may ask for less.
        body_bytes: Of a request, at most.
        request_rows: Of a request, at most.
        batch_rows: Rows that are scored in one call, at most.
        queue_rows: Rows that may wait; more are refused (429).
        queue_seconds: That a request may wait, as far as is known when it comes; else it is refused (429).
        mirror_percent: Of the champion's requests that the challenger gets as well, its answers thrown away.
        docs: Whether agents show the whole schema, at /openapi.json and /docs.
        fallback: The safe default; None: a request that no version can answer fails.
    """

    backend: Literal["auto", "mlflow", "onnx"] = "auto"
    env_manager: EnvManager = "local"
    workers: Positive = 1
    replicas: Positive = 1
    resources: ResourcesServing = ResourcesServing()
    unknown_fields: Literal["refuse", "ignore"] = "refuse"
    deadline_seconds: Annotated[float, Field(ge=0.001, le=LONGEST_DEADLINE)] = 10.0
    body_bytes: Annotated[Positive, Field(le=MOST_BODY_BYTES)] = 1 << 20
    request_rows: Annotated[Positive, Field(le=32_767)] = 1024  # records number rows in 16 bits
    batch_rows: Positive = 256
    queue_rows: Positive = 2048
    queue_seconds: Seconds = 1.0
    mirror_percent: Percent = 0.0
    docs: bool = True
    fallback: Fallback | None = None
    sticky: Sticky = Sticky()
    log: LogServing = LogServing()


class Tls(_Strict):
    """Certificate and key of the gateway (PEM); with `client_ca` clients must show a certificate signed by it."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


class Jwt(_Strict):
    """JSON Web Tokens of an issuer, checked against its keys (JWKS), which are read again while the gateway runs.

    Attributes:
        issuer: Whom a token must name as its issuer.
        jwks: A file with the keys, replaced by rename; or
        jwks_url: The issuer's own address of them; https, or http on this machine.
        jwks_ca: PEM of who signed that address's certificate; None: whom this machine trusts.
        refresh_seconds: How often the address is asked. Its keys stay while it does not answer.
        audiences: Of which a token must name one; empty: none need be named.
        claim: What names the client.
    """

    issuer: str
    jwks: Path | None = None
    jwks_url: str | None = None
    jwks_ca: Path | None = None
    refresh_seconds: Seconds = 60.0
    audiences: tuple[str, ...] = ()
    claim: str = "sub"

    @model_validator(mode="after")
    def _one_source(self) -> "Jwt":
        if (self.jwks is None) == (self.jwks_url is None):
            raise ValueError("name either 'jwks' (a file) or 'jwks_url'")
        if self.jwks_url is not None:
            parts = urlsplit(self.jwks_url)
            local = parts.scheme == "http" and parts.hostname in LOCAL_HOSTS
            if not parts.hostname or not (parts.scheme == "https" or local):
                raise ValueError("'jwks_url' is neither https://… nor http on this machine: keys could be forged")
        return self


class ClientLimits(_Strict):
    """What one client may ask; None: no limit."""

    requests_per_second: Positive | None = None
    burst: Positive | None = None
    requests_per_day: Positive | None = None


class GatewayServing(_Strict):
    """The door to all use cases.

    Attributes:
        host: Address that it listens on.
        tls: None: plain HTTP, which is for loopback and for a proxy in front.
        auth: `none`; `token`: service tokens of scope `predict`; `jwt`; `any` of the two.
        jwt: Needed for `jwt` and `any`.
        clients: Limits by client's name (patterns as in shells, the first match); others have `limits`.
        limits: Of each client without its own; without auth a client is an address.
        token_trust_seconds: That known service tokens go on being let in while the database that revokes them is down.
        threads: Of Envoy.
        connections: Of clients, at most; more are closed at once. None: 15,000, or as many as open files allow.
        memory_mb: Of Envoy's heap. Near it new requests are refused (503).
        request_seconds: In which a request must have come whole; else it is refused (408).
        access_log_mb: Size at which a new logs/gateway.jsonl is begun; the old one goes once it is in the log.
        forced_arm: Whether a client may name the arm or version that answers it, in a header; None: where auth says
            who the client is.
    """

    host: str = "127.0.0.1"
    tls: Tls | None = None
    auth: Literal["none", "token", "jwt", "any"] = "none"
    jwt: Jwt | None = None
    limits: ClientLimits = ClientLimits()
    clients: dict[str, ClientLimits] = {}
    token_trust_seconds: Seconds = 86_400.0
    threads: Positive = 1
    connections: Positive | None = None
    memory_mb: Annotated[Positive, Field(ge=LEAST_GATEWAY_MB, le=1 << 30)] = 1024
    request_seconds: Seconds = 30.0
    access_log_mb: Positive = 256
    forced_arm: bool | None = None

    @property
    def lets_choose(self) -> bool:
        """Whether a client may name the arm or version that answers it."""
        return self.auth != "none" if self.forced_arm is None else self.forced_arm

    @model_validator(mode="after")
    def _consistent(self) -> "GatewayServing":
        if self.auth in ("jwt", "any") and self.jwt is None:
            raise ValueError(f"auth '{self.auth}' needs a section 'jwt' with issuer and jwks")
        if any(not pattern.strip() for pattern in self.clients):
            raise ValueError("a client's pattern is empty; give a name, or '*' for all")
        if self.clients and self.auth == "none":
            raise ValueError("limits by client's name need auth; without it only 'limits' holds, for each address")
        return self

    def of(self, client: str) -> ClientLimits:
        """Return what a client may ask."""
        return next((held for name, held in self.clients.items() if fnmatchcase(client, name)), self.limits)


def collector_url(otlp: str) -> str:
    """Return the base address of an OTLP/HTTP collector.

    Raises:
        ValueError: It is no http or https URL.
    """
    parts = urlsplit(otlp)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"'{otlp}' is no URL; give http://HOST:4318 of a collector")
    return otlp


class Observability(_Strict):
    """Where the traces of gateway and agents go.

    Attributes:
        otlp: Base address of an OTLP/HTTP collector; without, nothing is traced.
        sample_percent: Of the requests whose caller has not decided (`traceparent`) that are traced.
    """

    otlp: Annotated[str, AfterValidator(collector_url)] | None = None
    sample_percent: Percent = 1.0


class Serving(_Strict):
    """The whole of serving.yaml."""

    defaults: UseCaseServing = UseCaseServing()
    use_cases: dict[str, UseCaseServing] = {}
    gateway: GatewayServing = GatewayServing()
    observability: Observability = Observability()

    def of(self, use_case: str) -> UseCaseServing:
        """Return how a use case is served."""
        return next((held for name, held in self.use_cases.items() if fnmatchcase(use_case, name)), self.defaults)


def load_serving(home: Path) -> Serving:
    """Read HOME/serving.yaml; without one, the defaults.

    Raises:
        SpecError: It is no YAML, or says something that it cannot say; names the first such place.
    """
    path = home / NAME
    try:
        document = parse_yaml(path.read_text())
    except FileNotFoundError:
        return Serving()
    except (OSError, UnicodeDecodeError) as fault:
        raise SpecError(f"{path} cannot be read: {fault}. Correct its mode or remove it.") from fault
    except yaml.YAMLError as fault:
        raise SpecError(f"{path} is no YAML: {yaml_reason(fault)}. Correct it.") from fault
    try:
        return Serving.model_validate({} if document is None else document)
    except ValidationError as fault:
        raise SpecError(f"{path}: {sentence_of(fault)}") from fault


def parse_section(text: str) -> UseCaseServing:
    """Read a use case's section as an agent is given it: JSON.

    Raises:
        UsageError: It says something that a section cannot say.
    """
    try:
        return UseCaseServing.model_validate_json(text)
    except ValidationError as fault:
        raise UsageError(f"--serving: {sentence_of(fault)} Give a section of serving.yaml as JSON.") from fault


def check_files(source: Path, door: GatewayServing) -> None:
    """Check the files that the gateway's section names; relative paths are not guessed at.

    Raises:
        SpecError: One is missing, cannot be read, or holds no keys; names it and the setting.
    """
    named: dict[str, Path | None] = {}
    if door.jwt is not None:
        named |= {f"jwt.{name}": getattr(door.jwt, name) for name in ("jwks", "jwks_ca")}
    if door.tls is not None:
        named |= {f"tls.{name}": getattr(door.tls, name) for name in ("certificate", "key", "client_ca")}
    for name, path in named.items():
        if path is None:
            continue
        if not path.is_absolute():
            raise SpecError(f"{source}: gateway.{name}: '{path}' is not absolute. Give the whole path.")
        try:
            content = path.read_bytes()
        except OSError as fault:
            raise SpecError(
                f"{source}: gateway.{name}: {path} cannot be read: {fault.strerror}. Correct it."
            ) from fault
        if name == "jwt.jwks":
            _check_keys(f"{source}: gateway.{name}: {path}", content)


def _check_keys(where: str, content: bytes) -> None:
    try:
        keys = json.loads(content)["keys"]
    except (ValueError, KeyError, TypeError) as fault:
        raise SpecError(f"{where} is no JSON Web Key Set. Export one from the issuer.") from fault
    if not isinstance(keys, list) or not keys:
        raise SpecError(f"{where} holds no key. Export the issuer's keys.")
