"""Towns by name, as people type them, or by coordinates."""

from __future__ import annotations

import gzip
import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import cached_property
from importlib import resources
from pathlib import Path

import msgspec

from eletrovia.base.errors import Invalid, NotFound
from eletrovia.base.geo import Point
from eletrovia.planning.naming import closest, fold, grams

ATTRIBUTION = "GeoNames (geonames.org), CC BY 4.0"

# GeoNames numbers Brazil's states; people write these.
_STATES_BR = {
    "01": ("AC", "Acre"),
    "02": ("AL", "Alagoas"),
    "03": ("AP", "Amapá"),
    "04": ("AM", "Amazonas"),
    "05": ("BA", "Bahia"),
    "06": ("CE", "Ceará"),
    "07": ("DF", "Distrito Federal"),
    "08": ("ES", "Espírito Santo"),
    "11": ("MS", "Mato Grosso do Sul"),
    "13": ("MA", "Maranhão"),
    "14": ("MT", "Mato Grosso"),
    "15": ("MG", "Minas Gerais"),
    "16": ("PA", "Pará"),
    "17": ("PB", "Paraíba"),
    "18": ("PR", "Paraná"),
    "20": ("PI", "Piauí"),
    "21": ("RJ", "Rio de Janeiro"),
    "22": ("RN", "Rio Grande do Norte"),
    "23": ("RS", "Rio Grande do Sul"),
    "24": ("RO", "Rondônia"),
    "25": ("RR", "Roraima"),
    "26": ("SC", "Santa Catarina"),
    "27": ("SP", "São Paulo"),
    "28": ("SE", "Sergipe"),
    "29": ("GO", "Goiás"),
    "30": ("PE", "Pernambuco"),
    "31": ("TO", "Tocantins"),
}
_STATE_NAMES = {fold(name): state for state, name in _STATES_BR.values()}
_COUNTRIES = {"brasil": "BR", "brazil": "BR"}

_NUMBER = r"[-+]?\d{1,3}(?:\.\d+)?"
_COORDINATES = re.compile(rf"\s*({_NUMBER})\s*[,;\s]\s*({_NUMBER})\s*")


class Town(msgspec.Struct, frozen=True, kw_only=True):
    """A named place. ``state`` and ``country`` are codes (``PB``, ``BR``), empty for bare coordinates."""

    name: str
    state: str
    country: str
    point: Point
    population: int

    @property
    def label(self) -> str:
        """``João Pessoa, PB``: what ``find`` understands again."""
        return f"{self.name}, {self.state}" if self.state else self.name

    @classmethod
    def of(cls, *, name: str, admin1: str, country: str, lat: float, lon: float, population: int) -> Town:
        """A town from GeoNames' fields."""
        state = _STATES_BR.get(admin1, (admin1, ""))[0] if country == "BR" else admin1
        return cls(name=name, state=state, country=country, point=Point(lat, lon), population=population)


class _Packed(msgspec.Struct, kw_only=True):
    """The compact file: columns, because they pack well and decode fast."""

    attribution: str
    country: str
    names: list[str]
    states: list[str]
    lat: list[float]
    lon: list[float]
    populations: list[int]


def write_towns(towns: Sequence[Town], path: Path) -> None:
    """Write the compact file of one country's towns; the same towns give the same octets."""
    towns = sorted(towns, key=lambda town: (fold(town.name), town.state, -town.population))
    packed = _Packed(
        attribution=ATTRIBUTION,
        country=towns[0].country,
        names=[town.name for town in towns],
        states=[town.state for town in towns],
        lat=[town.point.lat for town in towns],
        lon=[town.point.lon for town in towns],
        populations=[town.population for town in towns],
    )
    path.write_bytes(gzip.compress(msgspec.json.encode(packed), mtime=0))


class Gazetteer:
    """Where towns are. Immutable after it is made, so any thread may ask."""

    def __init__(self, towns: Iterable[Town]) -> None:
        self.towns = tuple(towns)
        self._by_name: dict[str, list[Town]] = {}
        for town in self.towns:
            self._by_name.setdefault(fold(town.name), []).append(town)
        for namesakes in self._by_name.values():
            namesakes.sort(key=lambda town: -town.population)
        self._names = sorted(self._by_name)

    @classmethod
    def load(cls, path: Path | None = None) -> Gazetteer:
        """The carried towns of Brazil, or a file that ``build_towns`` wrote. Raises: NotFound, Invalid."""
        file = path if path is not None else resources.files(__package__) / "data" / "towns_br.json.gz"
        if not file.is_file():
            raise NotFound("gazetteer.file_missing", path=str(file))
        try:
            packed = msgspec.json.decode(gzip.decompress(file.read_bytes()), type=_Packed)
        except (msgspec.MsgspecError, OSError, EOFError) as error:
            raise Invalid("gazetteer.file_unreadable", path=str(file), reason=str(error)) from error
        rows = zip(packed.names, packed.states, packed.lat, packed.lon, packed.populations, strict=True)
        return cls(
            Town(name=name, state=state, country=packed.country, point=Point(lat, lon), population=population)
            for name, state, lat, lon, population in rows
        )

    def find(self, text: str) -> Town:
        """The town that ``text`` names, with or without its state, or the point that it gives.

        Of namesakes the largest is meant, but a state that is given must be the town's.
        Raises: NotFound("place.unknown") with suggestions; Invalid for coordinates off the globe.
        """
        coordinates = _COORDINATES.fullmatch(text)
        if coordinates:
            lat, lon = coordinates.groups()
            point = Point(float(lat), float(lon))
            return Town(name=f"{lat}, {lon}", state="", country="", point=point, population=0)
        words = fold(text).split()
        # The longest name first: "Rio de Janeiro" is a town before it is a "Rio" with something behind.
        for length in range(len(words), 0, -1):
            namesakes = self._by_name.get(" ".join(words[:length]))
            where = _region(words[length:])
            if namesakes is None or where is None:
                continue
            state, country = where
            for town in namesakes:
                if state in ("", town.state) and country in ("", town.country):
                    return town
        raise NotFound("place.unknown", text=text[:80], suggestions=self._guesses(words))

    def suggest(self, prefix: str, limit: int = 8) -> list[Town]:
        """Towns for what was typed so far, largest first: names that begin so, then any word that does."""
        folded = fold(prefix)
        if not folded:
            return []
        found = self._beginning(folded)
        found.sort(key=lambda town: -town.population)
        if len(found) < limit:
            inner = f" {folded}"
            more = [town for name in self._names if inner in name for town in self._by_name[name]]
            known = set(map(id, found))
            more = [town for town in more if id(town) not in known]
            found += sorted(more, key=lambda town: -town.population)
        return found[:limit]

    def nearest(self, point: Point) -> Town:
        """The town closest to ``point``. Raises: NotFound in an empty gazetteer."""
        if not self.towns:
            raise NotFound("place.unknown", text=f"{point.lat},{point.lon}", suggestions=[])
        return min(self._around(point), key=lambda town: town.point.km_to(point))

    def _around(self, point: Point) -> Sequence[Town]:
        # A town within d degrees of latitude is nearer than any outside, so widen until some are in.
        for degrees in (0.2, 1.0, 5.0):
            band = [town for town in self.towns if abs(town.point.lat - point.lat) <= degrees]
            if any(town.point.km_to(point) <= degrees * 111.0 for town in band):
                return band
        return self.towns

    def _beginning(self, folded: str) -> list[Town]:
        found: list[Town] = []
        for at in range(bisect_left(self._names, folded), len(self._names)):
            if not self._names[at].startswith(folded):
                break
            found += self._by_name[self._names[at]]
        return found

    def _guesses(self, words: list[str], limit: int = 5) -> list[str]:
        """What may have been meant, state left aside: the same name, a longer one, one alike."""
        while len(words) > 1 and _region(words[-1:]):
            words = words[:-1]
        folded = " ".join(words)
        if not folded:
            return []
        likely = [*self._by_name.get(folded, ())]
        likely += sorted(self._beginning(folded), key=lambda town: -town.population)[:2]
        for name in closest(folded, self._grams, limit):
            likely += self._by_name[name]
        return list(dict.fromkeys(town.label for town in likely))[:limit]

    @cached_property
    def _grams(self) -> dict[str, frozenset[str]]:
        return {name: grams(name) for name in self._names}


def _region(words: Sequence[str]) -> tuple[str, str] | None:
    """State and country that the words after a name say (empty: not said); None when they say neither."""
    country = ""
    if words and words[-1] in _COUNTRIES:
        country, words = _COUNTRIES[words[-1]], words[:-1]
    if not words:
        return "", country
    said = " ".join(words)
    if said in _STATE_NAMES:
        return _STATE_NAMES[said], country
    if len(words) == 1 and len(said) <= 3:
        return said.upper(), country
    return None
