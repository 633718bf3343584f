"""A road network in the compact form that the package carries: points, arcs, and whose work it is."""

from __future__ import annotations

import io
import zipfile
from importlib import resources
from pathlib import Path
from typing import IO

import msgspec
import numpy as np
import numpy.typing as npt

from eletrovia.base.errors import Invalid, NotFound

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
FORMAT = 1


class About(msgspec.Struct, frozen=True, kw_only=True):
    """Where a network comes from. ``bridges`` counts arcs that the source lacks and the build put in."""

    region: str
    source: str
    attribution: str
    licence: str
    bridges: int = 0
    format: int = FORMAT


class RoadNetwork(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Undirected arcs between numbered points.

    Shape: lat_e6, lon_e6 (nodes,); tail, head, length_m (arcs,), tail < head.
    Units: millionths of a degree; metres along the road.
    """

    about: About
    lat_e6: Ints
    lon_e6: Ints
    tail: Ints
    head: Ints
    length_m: Ints

    def write(self, path: Path) -> None:
        """Write the compact file, whole or not at all; the same network gives the same octets."""
        packed = io.BytesIO()
        np.savez_compressed(
            packed,
            about=np.frombuffer(msgspec.json.encode(self.about), dtype=np.uint8),
            lat_step=np.diff(self.lat_e6, prepend=np.int32(0)),
            lon_step=np.diff(self.lon_e6, prepend=np.int32(0)),
            # Sorted by tail, so steps of the tail are 0 or 1 and heads lie close to it: both pack well.
            tail_step=np.diff(self.tail, prepend=np.int32(0)),
            head_above=self.head - self.tail,
            length_m=self.length_m,
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_name(path.name + ".part")
        half.write_bytes(packed.getvalue())
        half.replace(path)

    @classmethod
    def load(cls, path: Path) -> RoadNetwork:
        """Read a compact file. Raises: NotFound; Invalid when it is none of ours."""
        try:
            with path.open("rb") as file:
                return cls._read(file, str(path))
        except FileNotFoundError:
            raise NotFound("roads.file_missing", path=str(path)) from None

    @classmethod
    def carried(cls, region: str = "br") -> RoadNetwork:
        """The network that the package brings along. Raises: NotFound for any other region."""
        file = resources.files(__package__) / "data" / f"roads_{region.lower()}.npz"
        if not file.is_file():
            raise NotFound("roads.region_not_carried", region=region)
        with file.open("rb") as opened:
            return cls._read(opened, file.name)

    @classmethod
    def _read(cls, file: IO[bytes], name: str) -> RoadNetwork:
        try:
            with np.load(file, allow_pickle=False) as packed:
                about = msgspec.json.decode(packed["about"].tobytes(), type=About)
                tail = np.cumsum(packed["tail_step"], dtype=np.int32)
                network = cls(
                    about=about,
                    lat_e6=np.cumsum(packed["lat_step"], dtype=np.int32),
                    lon_e6=np.cumsum(packed["lon_step"], dtype=np.int32),
                    tail=tail,
                    head=tail + packed["head_above"],
                    length_m=packed["length_m"],
                )
        except (ValueError, KeyError, EOFError, AttributeError, zipfile.BadZipFile) as error:
            raise Invalid("roads.file_unreadable", path=name, reason=str(error)) from error
        if about.format != FORMAT:
            raise Invalid("roads.file_format", path=name, format=about.format, expected=FORMAT)
        nodes = len(network.lat_e6)
        whole = len(network.lon_e6) == nodes and len(network.head) == len(tail) == len(network.length_m)
        if not whole or not nodes or (len(tail) and (tail.min() < 0 or network.head.max() >= nodes)):
            raise Invalid("roads.file_unreadable", path=name, reason="its parts do not fit together")
        return network


def unit_vectors(lat: Floats, lon: Floats) -> Floats:
    """Points on the unit sphere. Shape: (n, 3). Straight lines between near points are near to arcs."""
    up, around = np.radians(lat), np.radians(lon)
    return np.stack([np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)], axis=-1)
