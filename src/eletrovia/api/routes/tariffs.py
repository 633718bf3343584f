"""/api/v1/home-tariffs: what homes may be billed by."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Annotated

from litestar import Router, get
from litestar.params import FromPath, QueryParameter

from eletrovia.api.documented import problems
from eletrovia.base.errors import Invalid
from eletrovia.metering.tariff import TariffBook
from eletrovia.metering.tariffday import USUAL_KWH, HomeTariffs, TariffDay, home_tariffs_of, tariff_day


def home_tariffs(book: Callable[[], TariffBook], today: Callable[[], date]) -> Router:
    """The tariff book, for anybody."""

    @get("/", summary="Tariffs for homes", tags=["tariffs"])
    async def all_tariffs() -> HomeTariffs:
        """Every tariff a home may be billed by."""
        return home_tariffs_of(book())

    @get("/{tariff_id:str}", responses=problems(404, 422), summary="A tariff on one day", tags=["tariffs"])
    async def one(
        tariff_id: FromPath[str],
        on: Annotated[date | None, QueryParameter(description="The day; today when left out.")] = None,
        use_kwh: Annotated[
            Decimal | None, QueryParameter(description="Usage in a period, where taxes go by it.")
        ] = None,
    ) -> TariffDay:
        """The day's windows, each price before and with taxes, the flag, and where all of it is from."""
        if use_kwh is not None and not (use_kwh.is_finite() and 0 <= use_kwh < 10**9):
            raise Invalid("tariff.use_impossible", use_kwh=str(use_kwh))
        return tariff_day(book(), tariff_id, on or today(), use_kwh=USUAL_KWH if use_kwh is None else use_kwh)

    return Router("/home-tariffs", route_handlers=[all_tariffs, one])
