"""Towns by the names that people type."""

from __future__ import annotations

from pathlib import Path

import pytest

from eletrovia.base.errors import Invalid, NotFound
from eletrovia.base.geo import Point
from eletrovia.planning.gazetteer import Gazetteer, Town, write_towns

JOAO_PESSOA = ("João Pessoa", "PB")


@pytest.fixture(scope="module")
def gazetteer() -> Gazetteer:
    return Gazetteer.load()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("João Pessoa", JOAO_PESSOA),
        ("joao pessoa", JOAO_PESSOA),
        ("JOÃO  PESSOA", JOAO_PESSOA),
        ("joao pessoa, pb", JOAO_PESSOA),
        ("João Pessoa/PB", JOAO_PESSOA),
        ("João Pessoa - PB", JOAO_PESSOA),
        ("joao pessoa pb", JOAO_PESSOA),
        ("João Pessoa (Paraíba)", JOAO_PESSOA),
        ("João Pessoa, PB, Brasil", JOAO_PESSOA),
        ("Joa\u0303o Pessoa", JOAO_PESSOA),  # a and tilde apart
        ("Feira de Santana", ("Feira de Santana", "BA")),
        ("maceio", ("Maceió", "AL")),
        ("Rio de Janeiro", ("Rio de Janeiro", "RJ")),
        ("rio de janeiro rio de janeiro", ("Rio de Janeiro", "RJ")),
        ("Rio Branco", ("Rio Branco", "AC")),  # the capital, not its small namesake
        ("Rio Branco, MT", ("Rio Branco", "MT")),
        ("Santa Rita, PB", ("Santa Rita", "PB")),
        ("Santa Rita MA", ("Santa Rita", "MA")),
        ("são joão d'aliança", ("São João d'Aliança", "GO")),
    ],
)
def test_gazetteer_understands(gazetteer: Gazetteer, typed: str, meant: tuple[str, str]) -> None:
    town = gazetteer.find(typed)
    assert (town.name, town.state) == meant


def test_gazetteer_understands_its_own_labels(gazetteer: Gazetteer) -> None:
    for town in gazetteer.towns[::7]:
        found = gazetteer.find(town.label)
        assert found.label == town.label
        assert found.population >= town.population


@pytest.mark.parametrize(
    "typed", ["-7.115,-34.863", " -7.115 , -34.863 ", "-7.115 -34.863", "-7.115;-34.863"]
)
def test_gazetteer_takes_coordinates(gazetteer: Gazetteer, typed: str) -> None:
    assert gazetteer.find(typed).point == Point(-7.115, -34.863)
    assert gazetteer.find(gazetteer.find(typed).label).point == Point(-7.115, -34.863)


def test_gazetteer_refuses_coordinates_off_the_globe(gazetteer: Gazetteer) -> None:
    with pytest.raises(Invalid, match=r"point\.off_globe"):
        gazetteer.find("-97.1,-34.8")


@pytest.mark.parametrize(
    ("typed", "suggested"),
    [
        ("Joao Pesoa", "João Pessoa, PB"),
        ("joao pes", "João Pessoa, PB"),
        ("Feira de Santana, SP", "Feira de Santana, BA"),
        ("Aracajú SE Nordeste", None),
        ("Maceio, PB", "Maceió, AL"),
        ("Feria de Santana, BA", "Feira de Santana, BA"),
    ],
)
def test_gazetteer_unknown_names_get_suggestions(
    gazetteer: Gazetteer, typed: str, suggested: str | None
) -> None:
    with pytest.raises(NotFound) as caught:
        gazetteer.find(typed)
    assert caught.value.code == "place.unknown"
    assert caught.value.facts["text"] == typed
    suggestions = caught.value.facts["suggestions"]
    assert len(suggestions) <= 5
    assert suggested is None or suggested in suggestions
    for label in suggestions:
        assert gazetteer.find(label).label == label


@pytest.mark.parametrize("typed", ["", "   ", "?!", "若昂佩索阿", "x" * 100_000, "\x00", "a " * 50_000])
def test_gazetteer_nonsense_is_unknown(gazetteer: Gazetteer, typed: str) -> None:
    with pytest.raises(NotFound) as caught:
        gazetteer.find(typed)
    assert len(caught.value.facts["text"]) <= 80


def test_gazetteer_suggests_while_typing(gazetteer: Gazetteer) -> None:
    assert gazetteer.suggest("jo")[0].label == "João Pessoa, PB"
    assert [town.label for town in gazetteer.suggest("feira de s", 1)] == ["Feira de Santana, BA"]
    assert "Feira de Santana, BA" in [town.label for town in gazetteer.suggest("santana", 100)]
    towns = gazetteer.suggest("são", 30)
    assert towns[0].name == "São Paulo"
    assert len(towns) == len(set(map(id, towns))) == 30
    assert gazetteer.suggest("") == []
    assert gazetteer.suggest("qqqq") == []


def test_gazetteer_nearest_is_the_nearest(gazetteer: Gazetteer) -> None:
    assert gazetteer.nearest(Point(-7.12, -34.87)).name == "João Pessoa"
    for point in (Point(-3.0, -60.0), Point(-12.5, -41.3), Point(-30.0, 10.0), Point(60.0, 170.0)):
        found = gazetteer.nearest(point).point.km_to(point)
        assert found == min(town.point.km_to(point) for town in gazetteer.towns)


def test_gazetteer_brazil_is_whole(gazetteer: Gazetteer) -> None:
    assert len(gazetteer.towns) > 5500
    assert len({town.state for town in gazetteer.towns}) == 27
    capitals = {
        "AL": "Maceió",
        "SE": "Aracaju",
        "PE": "Recife",
        "RN": "Natal",
        "AM": "Manaus",
        "RS": "Porto Alegre",
    }
    capitals |= {"TO": "Palmas", "MS": "Campo Grande", "MT": "Cuiabá", "ES": "Vitória", "RR": "Boa Vista"}
    for state, name in capitals.items():
        largest = max(
            (town for town in gazetteer.towns if town.state == state), key=lambda town: town.population
        )
        assert gazetteer.find(f"{name}, {state}").state == state
        if state != "ES":  # Vitória is smaller than its suburbs
            assert largest.name == name


def test_gazetteer_file_comes_back_as_written(tmp_path: Path) -> None:
    town = Town.of(name="Areia", admin1="17", country="BR", lat=-6.96, lon=-35.69, population=22_000)
    file = tmp_path / "towns.json.gz"
    write_towns([town], file)
    assert Gazetteer.load(file).towns == (town,)
    assert town.label == "Areia, PB"
    file.write_bytes(b"no gzip")
    with pytest.raises(Invalid, match=r"gazetteer\.file_unreadable"):
        Gazetteer.load(file)
    with pytest.raises(NotFound, match=r"gazetteer\.file_missing"):
        Gazetteer.load(tmp_path / "none")
