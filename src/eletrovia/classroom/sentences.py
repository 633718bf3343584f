"""Why something was not booked, said to the course's clients in their language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_REASONS: Final = {
    "trip.taken": "Os postos do caminho foram reservados por outros clientes; nada foi reservado",
    "trip.operators_unreachable": "Uma das centrais não responde; nada foi reservado",
    "trip.interrupted": "A reserva foi interrompida; nada foi reservado",
    "trip.cancelled": "Esta viagem já foi cancelada",
    "point.off_globe": "O ponto está fora do plano",
    "station.unknown": "Posto {nome} não encontrado",
    "station.taken": "Posto {nome} já está reservado perto de {horario}",
    "station.no_such_booking": "Não há reserva do posto {nome} para {cliente_id} em {horario}",
    "station.past": "O horário {horario} já passou",
    "central.failed": "A central falhou; o pedido pode ser repetido",
    "central.silent": "A central não sabe ainda se a reserva vale; consulte os postos",
}


def why_not(code: str, facts: Mapping[str, Any]) -> str:
    """A whole sentence for an error's or a setback's code."""
    if "mensagem" in facts:
        return str(facts["mensagem"])
    if code == "trip.no_way":
        return _no_way(facts)
    return _REASONS.get(code, f"Não foi possível atender o pedido ({code})").format_map(_Told(facts))


class _Told(dict[str, Any]):
    def __missing__(self, name: str) -> str:
        return "?"


def _no_way(facts: Mapping[str, Any]) -> str:
    if facts.get("reason") == "occupied":
        return "Todos os postos que serviriam estão reservados; nada foi reservado"
    if facts.get("reason") == "battery":
        after = _place(str(facts.get("after", "")), "a origem")
        before = _place(str(facts.get("before", "")), "o destino")
        return f"A bateria não basta entre {after} e {before}: faltam {facts.get('short_km')} unidades"
    return "Não há caminho até o destino"


def _place(name: str, end: str) -> str:
    """A station by its name, without its operator; whatever else is the way's end."""
    return name.partition(" (")[0] if name.startswith("Posto_") else end
