"""The course's REST of one central: JSON in and out, open to every page, errors in Portuguese."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import structlog
from litestar import Litestar, MediaType, Request, Response, get, post
from litestar.config.cors import CORSConfig
from litestar.exceptions import HTTPException

from eletrovia.base.errors import EletroviaError
from eletrovia.classroom.sentences import why_not
from eletrovia.classroom.stations import CentralStations
from eletrovia.classroom.wire import NewStation, StationRequest, read

_log = structlog.get_logger(__name__)

_MOST_OCTETS: Final = 100_000
_STATUS: Final = {
    "invalid": 400,
    "denied": 403,
    "not_found": 404,
    "conflict": 409,
    "overloaded": 503,
    "unavailable": 503,
}
_HTTP: Final = {
    404: "Não existe este caminho",
    405: "Este caminho não aceita este método",
    413: "O corpo é grande demais",
}

Asked = Request[Any, Any, Any]


def central_app(stations: CentralStations) -> Litestar:
    """An ASGI application with the course's four routes."""

    @get("/postos")
    async def listing() -> Response[bytes]:
        """Every station of this central."""
        return _json(await stations.listing())

    @post("/reservar", status_code=200)
    async def reserve(request: Asked) -> Response[bytes]:
        """Book one station."""
        wanted = read(await request.body(), StationRequest)
        await stations.reserve(wanted)
        said = f"Posto {wanted.station} reservado para {wanted.moment}"
        return _json({"status": "sucesso", "mensagem": said, "postos": await stations.listing()})

    @post("/cancelar", status_code=200)
    async def cancel(request: Asked) -> Response[bytes]:
        """Call a booking off."""
        wanted = read(await request.body(), StationRequest)
        await stations.cancel(wanted)
        said = f"Reserva do posto {wanted.station} em {wanted.moment} cancelada"
        return _json({"status": "sucesso", "mensagem": said, "postos": await stations.listing()})

    @post("/adicionar_posto", status_code=200)
    async def add(request: Asked) -> Response[bytes]:
        """A new station."""
        made = await stations.add(read(await request.body(), NewStation))
        return _json({"status": "sucesso", "mensagem": f"Posto {made['nome']} adicionado", "posto": made})

    return Litestar(
        route_handlers=[listing, reserve, cancel, add],
        exception_handlers={
            EletroviaError: _on_our_error,
            HTTPException: _on_http_error,
            Exception: _on_surprise,
        },
        cors_config=CORSConfig(allow_origins=["*"]),
        request_max_body_size=_MOST_OCTETS,
        openapi_config=None,
        logging_config=None,
        debug=False,
    )


def _json(told: object, status: int = 200) -> Response[bytes]:
    return Response(msgspec.json.encode(told), status_code=status, media_type=MediaType.JSON)


def _error(said: str, status: int) -> Response[bytes]:
    return _json({"status": "erro", "mensagem": said}, status)


def _on_our_error(request: Asked, error: EletroviaError) -> Response[bytes]:
    return _error(why_not(error.code, error.facts), _STATUS.get(error.kind, 500))


def _on_http_error(request: Asked, error: HTTPException) -> Response[bytes]:
    return _error(_HTTP.get(error.status_code, "Pedido malformado"), error.status_code)


def _on_surprise(request: Asked, error: Exception) -> Response[bytes]:
    _log.error("classroom.request_failed", path=request.url.path, exc_info=error)
    return _error(why_not("central.failed", {}), 500)
