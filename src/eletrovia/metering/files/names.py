"""What columns are called, in the exports of meters, distributors and studies; the surest names first."""

from __future__ import annotations

import re
import unicodedata
from typing import Final


def tidy(name: str) -> str:
    """A column's name without what people write differently: ``Data/Hora (UTC)`` is ``data_hora_utc``."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


METER: Final = _words("""
    meter meterid meter_id meterno meter_number metersn serial serial_number customer customer_id customerid
    household household_id house_id home home_id lclid nmi mpan mprn uc unidade_consumidora instalacao medidor
    medidor_id id_medidor numero_medidor numero_de_serie device device_id id
""")
TIME: Final = _words("""
    at time datetime date_time timestamp ts reading_datetime reading_time read_at readtime tstp utc
    interval_start interval_end start end from data_hora datahora data_e_hora momento horario_leitura
    data_leitura date_and_time
""")
DATE: Final = _words("date day data dia data_medicao reading_date dt")
CLOCK: Final = _words("hour hora time horario hora_medicao reading_hour")
REGISTER: Final = _words("""
    register reading meter_reading cumulative total_energy index leitura registrador acumulado
    energia_acumulada energy_total import_total
""")
DIFFERENCE: Final = _words("""
    kwh wh energy consumption usage value use used demand general_supply consumo energia valor kwh_hh
    energia_ativa consumo_ativo active_energy import delta interval_energy
""")
