"""What the 2025 course's clients say and hear, octet for octet: requests, replies, moments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec

from eletrovia.base.errors import Invalid
from eletrovia.booking.trip import Itinerary
from eletrovia.planning.plane import plane_xy

REQUEST_TOPIC: Final = "Solicitar/Reserva"
REPLY_TOPIC: Final = "Resposta/Reserva"

_MOMENT: Final = "%Y-%m-%d %H:%M:%S"
_MOST_ID: Final = 100

Body = TypeVar("Body", bound=msgspec.Struct)


class Spot(msgspec.Struct, frozen=True, kw_only=True):
    """A place on the plane."""

    x: float
    y: float


class TripRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A message on ``Solicitar/Reserva``. Units: battery in percent."""

    client_id: str = msgspec.field(name="cliente_id")
    origin: Spot = msgspec.field(name="origem")
    destination: Spot = msgspec.field(name="destino")
    battery_percent: float = msgspec.field(name="bateria_atual")

    def __post_init__(self) -> None:
        _check_client_id(self.client_id)
        if not 0 <= self.battery_percent <= 100:
            raise Invalid("classroom.malformed", mensagem="bateria_atual vai de 0 a 100")


class StationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of ``POST /reservar`` and ``POST /cancelar``."""

    station: str = msgspec.field(name="nome_posto")
    client_id: str = msgspec.field(name="cliente_id")
    moment: str = msgspec.field(name="horario_reserva")

    def __post_init__(self) -> None:
        _check_client_id(self.client_id)
        read_moment(self.moment)

    @property
    def at(self) -> datetime:
        """When the charge is to start, in UTC."""
        return read_moment(self.moment)


class NewStation(Spot, frozen=True, kw_only=True):
    """The body of ``POST /adicionar_posto``."""


_EXPECTED: Final[dict[type[msgspec.Struct], str]] = {
    TripRequest: "cliente_id (texto), origem {x, y}, destino {x, y} e bateria_atual (números)",
    StationRequest: "nome_posto, cliente_id e horario_reserva (AAAA-MM-DD HH:MM:SS)",
    NewStation: "x e y (números)",
}


def read(data: bytes, kind: type[Body]) -> Body:
    """The message in ``data``; numbers may be written as strings, as the course's servers took them.

    Raises: Invalid, with a Portuguese ``mensagem`` among the facts.
    """
    try:
        return msgspec.json.decode(data, type=kind, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Invalid(
            "classroom.malformed", mensagem=f"Pedido malformado; espera-se {_EXPECTED[kind]}"
        ) from None


def client_id_in(data: bytes) -> str:
    """Whose a message is that cannot be read otherwise; empty where not even that can be told."""
    try:
        told = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    found = told.get("cliente_id") if isinstance(told, dict) else None
    return found if isinstance(found, str) else ""


def _check_client_id(client_id: str) -> None:
    if not 0 < len(client_id) <= _MOST_ID or not client_id.isprintable():
        raise Invalid("classroom.malformed", mensagem=f"cliente_id tem de 1 a {_MOST_ID} letras visíveis")


def read_moment(text: str) -> datetime:
    """A moment as the course writes it, by this machine's local clock. Raises: Invalid."""
    try:
        return datetime.strptime(text, _MOMENT).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        told = "horario_reserva tem a forma AAAA-MM-DD HH:MM:SS"
        raise Invalid("classroom.malformed", mensagem=told) from None


def written(moment: datetime) -> str:
    """An aware moment as the course writes it, by this machine's local clock."""
    return moment.astimezone().strftime(_MOMENT)


def success(client_id: str, way: Itinerary, at: datetime) -> bytes:
    """The reply that names every booked station; ``horario_chegada`` is the moment that is booked there."""
    route: list[dict[str, Any]] = []
    for stop in way.stops:
        x, y = plane_xy(stop.coordinates)
        route.append(
            {
                "tipo": "posto",
                "nome": stop.location_name,
                "x": x,
                "y": y,
                "bateria_chegada": _percent(stop.arrival_soc),
                "horario_chegada": written(stop.starts_at),
            }
        )
    x, y = plane_xy(way.destination.point)
    end = {
        "tipo": "destino",
        "x": x,
        "y": y,
        "bateria_restante": _percent(way.arrival_soc),
        "horario_chegada": written(way.arrives_at),
    }
    said = "Todos os postos necessários foram reservados" if way.stops else "Nenhuma parada é necessária"
    return _reply(client_id, "sucesso", said, at, [stop.location_name for stop in way.stops], [*route, end])


def failure(client_id: str, said: str, at: datetime) -> bytes:
    """The reply that says, in Portuguese, why nothing is booked."""
    return _reply(client_id, "erro", said, at, [], None)


def _reply(
    client_id: str, status: str, said: str, at: datetime, stations: Sequence[str], route: list[Any] | None
) -> bytes:
    told: dict[str, Any] = {
        "cliente_id": client_id,
        "postos_reservados": stations,
        "status": status,
        "mensagem": said,
        "timestamp": at.timestamp(),
    }
    return msgspec.json.encode(told if route is None else {**told, "detalhes_rota": route})


def _percent(soc: float) -> float:
    return round(soc * 100, 2)
