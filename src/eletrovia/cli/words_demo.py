"""Words for the screen about the demo: (English, Português)."""

from __future__ import annotations

from typing import Final

DEMO_WORDS: Final[dict[str, tuple[str, str]]] = {
    "demo.starting": (
        "· starting {names}: each with its own PostgreSQL and NATS",
        "· iniciando {names}: cada uma com seu próprio PostgreSQL e NATS",
    ),
    "demo.settling": (
        "· stations, partners and a driver",
        "· estações, parcerias e um motorista",
    ),
    "demo.up": ("· the city is up after {seconds} s", "· a cidade está no ar após {seconds} s"),
    "demo.home": (
        "{home}, your simulated home in {area}, with {months} months behind it",
        "{home}, sua casa simulada em {area}, com {months} meses de história",
    ),
    "demo.now": ("now", "agora"),
    "demo.use": (
        "{watts} W · {today} kWh today · {month} kWh this month",
        "{watts} W · {today} kWh hoje · {month} kWh neste mês",
    ),
    "demo.bill": ("last bill", "última fatura"),
    "demo.bill_told": (
        "{number} for {month}: {kwh} kWh, {amount}, due {due} ({tariff}, an invented tariff)",
        "{number} de {month}: {kwh} kWh, {amount}, vence em {due} ({tariff}, tarifa inventada)",
    ),
    "demo.year": ("its year", "o ano"),
    "demo.paper": ("on paper", "no papel"),
    "demo.alert": ("alert", "alerta"),
    "demo.meters": (
        "· {homes} homes of {area} tell what their meters show, every {minutes} minutes"
        " (127.0.0.1, TCP {tcp}, UDP {udp})",
        "· {homes} casas de {area} dizem o que seus medidores mostram, a cada {minutes} minutos"
        " (127.0.0.1, TCP {tcp}, UDP {udp})",
    ),
    "demo.member": ("  {name} {url}  (API: {url}/api/docs)", "  {name} {url}  (API: {url}/api/docs)"),
    "demo.try": (
        "  try in another terminal: eletrovia invoices, eletrovia usage {home}, eletrovia alerts",
        "  experimente em outro terminal: eletrovia invoices, eletrovia usage {home}, eletrovia alerts",
    ),
    "demo.staying": (
        "· staying up; Ctrl-C ends the city, its data stay in {data}",
        "· no ar; Ctrl-C encerra a cidade, os dados ficam em {data}",
    ),
    "demo.stopping": ("· stopping", "· encerrando"),
}
