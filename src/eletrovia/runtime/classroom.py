"""``eletrovia classroom``: three centrals and the meters started and looked after; their ports in a table."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from typing import Final, Literal

import aiohttp
import structlog
from rich.console import Console
from rich.table import Table

from eletrovia.bus.process import ServerProcess
from eletrovia.classroom.plane import CENTRALS
from eletrovia.runtime.central import central_config, ports_of, reached_at
from eletrovia.runtime.config import TYPES, Config, defaults
from eletrovia.runtime.doors import Door, check_doors, check_unique
from eletrovia.runtime.fleet import Fleet, Member, only_one
from eletrovia.runtime.relay import Relay
from eletrovia.runtime.staff import Staff, staff_login

_log = structlog.get_logger(__name__)

_SETTLE_S = 60.0
_SPOKEN = {
    "http": "REST",
    "mqtt": "MQTT",
    "websocket": "MQTT over WebSocket, path /mqtt",
    "api": "the operator's own API",
}
METERS_FOLDER: Final = "meters"
_METERS: Final = "Meters"

Part = Literal["trips", "meters"]
ALL: Final[tuple[Part, ...]] = ("trips", "meters")


def doors(config: Config, parts: Sequence[Part] = ALL) -> list[Door]:
    """Every port that these parts of the classroom open, in the order of the table."""
    made = _doors_of_trips(config) if "trips" in parts else []
    if "meters" in parts:
        ports = config.classroom
        for key, port, spoken in (
            ("meter_http", ports.meter_http, "REST of the meters over UDP"),
            ("meter_tcp", ports.meter_tcp, "JSON over TCP, and HTTP"),
        ):
            made.append(Door(key=f"classroom.{key}", port=port, who=_METERS, spoken=spoken))
        made.append(
            Door(
                key="classroom.meter_udp",
                port=ports.meter_udp,
                who=_METERS,
                spoken="JSON over UDP",
                transport="udp",
            )
        )
    return made


def _doors_of_trips(config: Config) -> list[Door]:
    made = []
    for number, central in CENTRALS.items():
        for name, port in ports_of(config, number)._asdict().items():
            key = f"classroom.central{number}_{name}"
            made.append(Door(key=key, port=port, who=central.name, spoken=_SPOKEN[name]))
    if config.classroom.shared_mqtt:
        shared = config.classroom.shared_mqtt
        made.append(
            Door(key="classroom.shared_mqtt", port=shared, who=CENTRALS[1].name, spoken="MQTT, a second door")
        )
    return made


def members(config: Config, *, bind: str, parts: Sequence[Part] = ALL) -> list[Member]:
    """The centrals, then the meters, as servers of a fleet, told whatever differs from the defaults."""
    usual, given = defaults(), []
    for key in TYPES:
        section, name = key.split(".")
        value = getattr(getattr(config, section), name)
        if key not in ("data.dir", "log.format") and value != getattr(getattr(usual, section), name):
            given += ["--set", f"{key}={value}"]
    common = ("--bind", bind, "--data", str(config.data.path), "--set", "log.format=json", *given)
    made = []
    for number, central in CENTRALS.items() if "trips" in parts else ():
        made.append(
            Member(
                name=central.name,
                data_dir=central_config(config, number, bind=bind).data.path,
                url=f"http://{reached_at(bind)}:{ports_of(config, number).api}",
                arguments=("classroom", "--central", str(number), *common),
            )
        )
    if "meters" in parts:
        made.append(
            Member(
                name=_METERS,
                data_dir=config.data.path / METERS_FOLDER,
                url=f"http://{reached_at(bind)}:{config.classroom.meter_http}",
                arguments=("classroom", "--meters", *common),
            )
        )
    return made


def table(shown: Sequence[Door], bind: str) -> Table:
    """The ports as people read them."""
    drawn = Table(title=f"Classroom on {bind}")
    drawn.add_column("Port", justify="right")
    drawn.add_column("Who")
    drawn.add_column("What is spoken")
    drawn.add_column("Setting", style="dim")
    for door in shown:
        drawn.add_row(str(door.port), door.who, door.spoken, door.key)
    return drawn


async def serve(
    settings: Config,
    *,
    bind: str,
    parts: Sequence[Part] = ALL,
    ready: Callable[[Fleet], None] = lambda fleet: None,
) -> None:
    """Open the classroom and stay up until SIGINT or SIGTERM; ``ready`` is called once clients may come.

    Raises: Conflict for a port that is taken, or a classroom that runs on the same data already.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    console = Console(highlight=False)
    shown = doors(settings, parts)
    check_unique(shown)
    data = settings.data.path
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with only_one(data / "classroom.lock"):
        left = {number for number in CENTRALS if "trips" in parts and _broker_left(settings, number, bind)}
        check_doors((door for door in shown if not _is_of_broker(door, left)), bind)
        console.print(table(shown, bind))
        fleet = Fleet(members(settings, bind=bind, parts=parts))
        stopping = asyncio.create_task(stop.wait())
        opening = asyncio.create_task(_open(settings, fleet, bind, parts))
        try:
            await asyncio.wait([opening, stopping], return_when=asyncio.FIRST_COMPLETED)
            if opening.done():
                opening.result()
                console.print("Clients may come; Ctrl-C ends the classroom.", style="bold")
                ready(fleet)
                await stopping
        finally:
            stopping.cancel()
            opening.cancel()
            (relay,) = await asyncio.gather(opening, return_exceptions=True)
            if isinstance(relay, Relay):
                await relay.close()
            await fleet.stop()


async def _open(settings: Config, fleet: Fleet, bind: str, parts: Sequence[Part]) -> Relay | None:
    """All up, the centrals partners of each other, and their second door open."""
    await fleet.start()
    if "trips" not in parts:
        return None
    ids = [central.operator_id for central in CENTRALS.values()]
    centrals = fleet.members[: len(ids)]
    urls = dict(zip(ids, (member.url for member in centrals), strict=True))
    folders = (member.data_dir for member in centrals)
    async with aiohttp.ClientSession() as session:
        staff = Staff(urls, session)
        await staff.sign_in({one: staff_login(folder) for one, folder in zip(ids, folders, strict=True)})
        await staff.introduce_all()
        await staff.until_all_are_seen(_SETTLE_S)
    if not settings.classroom.shared_mqtt:
        return None
    to_host = reached_at(bind).strip("[]")
    return await Relay.start(
        bind, settings.classroom.shared_mqtt, to_host=to_host, to_port=settings.classroom.central1_mqtt
    )


def _broker_left(settings: Config, number: int, bind: str) -> bool:
    """Whether a broker of ours outlived its central: it holds its ports, and will be taken over."""
    folder = central_config(settings, number, bind=bind).data.path / "nats"
    return ServerProcess.find(folder / "nats.pid", folder / "nats.conf") is not None


def _is_of_broker(door: Door, centrals: set[int]) -> bool:
    keys = (f"classroom.central{number}_{name}" for number in centrals for name in ("mqtt", "websocket"))
    return door.key in keys
