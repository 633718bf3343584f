"""Settings: one frozen struct a section, laid over each other from four layers.

default.toml carried along < a file < ELETROVIA_SECTION_KEY variables < flags. Every value remembers
where it came from.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from eletrovia.base.errors import Invalid, NotFound

PREFIX = "ELETROVIA_"
FILE_NAME = "eletrovia.toml"
DEFAULTS = Path(__file__).with_name("default.toml")
CLIENT_VARIABLES = frozenset(
    PREFIX + name for name in ("CONFIG", "SERVER", "EMAIL", "PASSWORD", "LANG", "DEBUG", "ZONE")
)
"""Variables that the command line reads for itself; they are no settings."""
_ORCHESTRATOR = re.compile(r"ELETROVIA_(SERVICE_(HOST|PORT\w*)|PORT|PORT_\d+_(TCP|UDP)\w*)")
"""Kubernetes and old Docker links set these in every container beside a service named eletrovia."""

Port = Annotated[int, Meta(ge=0, le=65535)]
Seconds = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(ge=0, le=1)]


class OperatorSection(Struct, frozen=True, kw_only=True):
    id: Annotated[str, Meta(pattern=r"^[A-Z]{2}\*[A-Z0-9]{3}$")]
    name: Annotated[str, Meta(min_length=1)]
    public_url: Annotated[str, Meta(pattern=r"^(https?://.+)?$")]


class HttpSection(Struct, frozen=True, kw_only=True):
    host: Annotated[str, Meta(min_length=1)]
    port: Port


class StoreSection(Struct, frozen=True, kw_only=True):
    """``url`` empty: the embedded PostgreSQL."""

    url: str
    pool_size: Annotated[int, Meta(ge=1, le=1000)]


class BusSection(Struct, frozen=True, kw_only=True):
    """``url`` empty: the embedded NATS. ``callout_url`` empty: a NATS of the user's lets in whom it likes."""

    url: str
    callout_url: str
    callout_seed_file: str
    system_url: str
    nats_port: Port
    mqtt_port: Port
    websocket_port: Port
    mqtt_public_host: Annotated[str, Meta(min_length=1)]


class BookingSection(Struct, frozen=True, kw_only=True):
    hold_ttl_s: Annotated[float, Meta(ge=2, le=600)]
    ask_timeout_s: Seconds
    attempts: Annotated[int, Meta(ge=1, le=100)]
    deadline_s: Seconds
    max_ticket_age_s: Seconds
    no_show_grace_s: Annotated[float, Meta(ge=0)]
    cancel_fee_share: Share
    cancel_free_s: Annotated[float, Meta(ge=0)]


class MeteringSection(Struct, frozen=True, kw_only=True):
    """``mqtt_url`` empty: meters come in by the bus. ``master_key_file`` empty: one in the data folder.

    ``tariff_file`` empty: only the tariffs carried along.
    """

    time_zone: Annotated[str, Meta(min_length=1)]
    udp_port: Port
    tcp_port: Port
    mqtt_url: Annotated[str, Meta(pattern=r"^(mqtts?://.+)?$")]
    master_key_file: str
    partition: Literal["day", "month"]
    keep_readings_months: Annotated[int, Meta(ge=0, le=1200)]
    future_s: Annotated[float, Meta(ge=0)]
    tariff_file: str
    pix_key: str
    pix_name: str
    pix_city: str
    contact: str
    regulator: str


class AlertsSection(Struct, frozen=True, kw_only=True):
    """``smtp_url`` empty: no mail. Addresses and hosts are separated by commas."""

    smtp_url: Annotated[str, Meta(pattern=r"^((smtp|smtps|smtp\+plain)://.+)?$")]
    mail_from: str
    staff_email: str
    webhook_hosts: str
    silent_intervals: Annotated[float, Meta(ge=1)]
    bill_confidence: Annotated[float, Meta(ge=0.5, le=0.99)]


class PlanningSection(Struct, frozen=True, kw_only=True):
    """``roads_file`` empty: the graph of Brazil carried along."""

    roads_file: str
    max_leg_km: Annotated[float, Meta(gt=0)]


OpenPort = Annotated[int, Meta(ge=1, le=65535)]


class ClassroomSection(Struct, frozen=True, kw_only=True):
    """The ports of the course's protocols. Clients know them beforehand, so the system chooses none."""

    central1_http: OpenPort
    central1_mqtt: OpenPort
    central1_websocket: OpenPort
    central1_api: OpenPort
    central2_http: OpenPort
    central2_mqtt: OpenPort
    central2_websocket: OpenPort
    central2_api: OpenPort
    central3_http: OpenPort
    central3_mqtt: OpenPort
    central3_websocket: OpenPort
    central3_api: OpenPort
    shared_mqtt: Port
    meter_udp: OpenPort
    meter_http: OpenPort
    meter_tcp: OpenPort


class LogSection(Struct, frozen=True, kw_only=True):
    format: Literal["console", "json"]
    level: Literal["debug", "info", "warning", "error"]


class DataSection(Struct, frozen=True, kw_only=True):
    dir: Annotated[str, Meta(min_length=1)]

    @property
    def path(self) -> Path:
        """The folder, absolute."""
        return Path(self.dir).expanduser().absolute()


class Config(Struct, frozen=True, kw_only=True):
    """All settings of one server. Made by ``load``; change a copy with ``with_values``."""

    operator: OperatorSection
    http: HttpSection
    store: StoreSection
    bus: BusSection
    booking: BookingSection
    metering: MeteringSection
    alerts: AlertsSection
    planning: PlanningSection
    classroom: ClassroomSection
    log: LogSection
    data: DataSection

    @property
    def public_url(self) -> str:
        """How others reach this server, without a slash at the end."""
        host = f"[{self.http.host}]" if ":" in self.http.host else self.http.host
        return (self.operator.public_url or f"http://{host}:{self.http.port}").rstrip("/")


SECTIONS: dict[str, type[Struct]] = get_type_hints(Config)
TYPES: dict[str, Any] = {
    f"{section}.{name}": hint
    for section, struct in SECTIONS.items()
    for name, hint in get_type_hints(struct, include_extras=True).items()
    if name in struct.__struct_fields__
}
"""Every key, ``section.key``, with its type, in the order of the sections."""


class Origin(Struct, frozen=True):
    """Where a value came from: ``layer`` is default, file, env or flag; ``where`` names the place."""

    layer: str
    where: str


class Layered(Struct, frozen=True):
    """The settings that hold, and where each came from."""

    config: Config
    origins: dict[str, Origin]
    file: Path | None
    """The user's file, where there is one."""


def load(
    *,
    environ: Mapping[str, str],
    flags: Mapping[str, str] | None = None,
    flag_names: Mapping[str, str] | None = None,
    file: Path | None = None,
    folder: Path | None = None,
) -> Layered:
    """The settings from all four layers.

    ``flags`` are by ``section.key``; ``file`` is the one asked for, else ``eletrovia.toml`` is looked for in
    the data folder, then in ``folder`` (the current one when left out).
    ``flag_names`` tells which flag set a key, where it was not ``--set``.
    Raises: Invalid for an unknown key, a wrong value, or malformed TOML; NotFound for a missing file.
    """
    flags = flags or {}
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}

    def lay(layer: str, items: Iterator[tuple[str, Any, str]], *, text: bool) -> None:
        for key, value, where in items:
            values[key] = _converted(key, value, where, text=text)
            origins[key] = Origin(layer, where)

    lay("default", _of_file(DEFAULTS), text=False)
    variables = dict(_of_environ(environ))
    data = flags.get("data.dir") or variables.get("data.dir", (values["data.dir"], ""))[0]
    chosen = _chosen_file(file, Path(data).expanduser(), folder or Path())
    if chosen is not None:
        lay("file", _of_file(chosen), text=False)
    lay("env", ((key, value, name) for key, (value, name) in variables.items()), text=True)
    lay("flag", _of_flags(flags, flag_names or {}), text=True)
    return Layered(_built(values), origins, chosen)


def defaults() -> Config:
    """The settings as the package carries them."""
    return _built(
        {key: _converted(key, value, where, text=False) for key, value, where in _of_file(DEFAULTS)}
    )


def with_values(config: Config, values: Mapping[str, Any]) -> Config:
    """A copy with other values by ``section.key``. Raises: Invalid as ``load``."""
    flat = {
        key: getattr(getattr(config, section), name) for key in TYPES for section, name in [key.split(".")]
    }
    for key, value in values.items():
        _known(key, "here")
        flat[key] = _converted(key, value, "here", text=isinstance(value, str))
    return _built(flat)


def variable(key: str) -> str:
    """The environment variable of ``section.key``: ``ELETROVIA_HTTP_PORT``."""
    return PREFIX + key.replace(".", "_").upper()


def masked(value: Any) -> Any:
    """``value`` with the password inside a URL or connection string hidden."""
    if not isinstance(value, str):
        return value
    value = re.sub(r"(://[^:/?#@\s]*):[^/\s]*@", r"\1:***@", value)
    value = re.sub(r"://[^:/?#@\s]{20,}@", "://***@", value)  # nats://token@host
    return re.sub(r"(?i)\b(password|token|secret)=('[^']*'|[^&\s]*)", r"\1=***", value)


def commented_out() -> str:
    """default.toml with every value commented out: a file to change only what shall differ."""
    return re.sub(r"(?m)^(\w+ = )", r"#\1", DEFAULTS.read_text("utf-8"))


def _built(values: Mapping[str, Any]) -> Config:
    sections: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for key, value in values.items():
        section, _, name = key.partition(".")
        sections[section][name] = value
    return msgspec.convert(sections, Config)


def _converted(key: str, value: Any, where: str, *, text: bool) -> Any:
    """``value`` as the key's type; ``text`` says that it came as a string and must be read."""
    hint = TYPES[key]
    try:
        converted = msgspec.convert(value, hint, strict=not text)
    except msgspec.ValidationError as exc:
        reason = str(exc)
        if get_origin(hint) is Literal:
            reason = "Expected one of " + ", ".join(get_args(hint))
    else:
        if not isinstance(converted, float) or math.isfinite(converted):
            return converted
        reason = "Expected a finite number"
    raise Invalid("config.wrong_value", key=key, where=where, value=masked(value), reason=reason)


def _known(key: str, where: str) -> str:
    if key in TYPES:
        return key
    raise Invalid("config.unknown_key", key=key, where=where, nearest=nearest_key(key))


def nearest_key(key: str) -> str:
    """The known key that looks most like ``key``."""
    close = difflib.get_close_matches(key.lower(), TYPES, n=1, cutoff=0.0)
    return close[0] if close else ""


def _of_environ(environ: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, str]]]:
    keys = {variable(key): key for key in TYPES}
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name in CLIENT_VARIABLES or _ORCHESTRATOR.fullmatch(name):
            continue
        if name not in keys:
            nearest = difflib.get_close_matches(name, [*keys, *CLIENT_VARIABLES], n=1, cutoff=0.0)
            raise Invalid("config.unknown_key", key=name, where="environment", nearest=nearest[0])
        yield keys[name], (environ[name], name)


def _of_flags(flags: Mapping[str, str], names: Mapping[str, str]) -> Iterator[tuple[str, Any, str]]:
    for key, value in flags.items():
        where = names.get(key, f"--set {key}")
        yield _known(key, where), value, where


def _chosen_file(asked: Path | None, data: Path, folder: Path) -> Path | None:
    if asked is not None:
        if not asked.is_file():
            raise NotFound("config.file_missing", file=str(asked))
        return asked
    return next((path for path in (data / FILE_NAME, folder / FILE_NAME) if path.is_file()), None)


def _of_file(path: Path) -> Iterator[tuple[str, Any, str]]:
    """Every key of a TOML file, with ``file:line`` where it stands."""
    try:
        text = path.read_text("utf-8")
        tables = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise Invalid("config.file_malformed", file=str(path), reason=str(exc)) from None
    except OSError as exc:
        raise Invalid("config.file_unreadable", file=str(path), reason=exc.strerror or str(exc)) from None
    lines = _line_numbers(text)
    for section, table in tables.items():
        if not isinstance(table, dict):
            where = f"{path}:{lines.get(section, 1)}"
            raise Invalid("config.unknown_key", key=section, where=where, nearest=nearest_key(section))
        for name, value in table.items():
            key = f"{section}.{name}"
            where = f"{path}:{lines[key]}" if key in lines else str(path)
            yield _known(key, where), value, where
        if section not in SECTIONS:
            where = f"{path}:{lines.get(section, 1)}"
            raise Invalid("config.unknown_key", key=section, where=where, nearest=nearest_key(section))


def _line_numbers(text: str) -> dict[str, int]:
    """The line of every section and key, as people write them; odd spellings are left out."""
    found: dict[str, int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\s*([\w-]+)\s*\]", line):
            section = header.group(1)
            found.setdefault(section, number)
        elif key := re.match(r"\s*([\w-]+(?:\s*\.\s*[\w-]+)?)\s*=", line):
            name = re.sub(r"\s", "", key.group(1))
            found.setdefault(f"{section}.{name}" if section else name, number)
    return found
