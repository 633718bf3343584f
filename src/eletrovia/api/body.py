"""Request bodies, read strictly: from the octets into a struct, or an error that names the field."""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec
from litestar.dto import AbstractDTO, DTOConfig, DTOFieldDefinition
from litestar.typing import FieldDefinition

from eletrovia.base.errors import Invalid

if TYPE_CHECKING:
    from litestar._openapi.schema_generation import SchemaCreator
    from litestar.openapi.spec import Reference, Schema

_AT: Final = re.compile(r" - at `\$\.?(.*)`$")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*?)`")
_MISSING: Final = re.compile(r"Object missing required field `(.*?)`")


def misread(error: msgspec.ValidationError) -> Invalid:
    """What a decoder found wrong, with the field named as it is written in the body."""
    said = str(error)
    match = _AT.search(said)
    at = match.group(1) if match else ""
    problem = said[: match.start()] if match else said
    for found, code in (
        (_UNKNOWN.match(problem), "body.unknown_field"),
        (_MISSING.match(problem), "body.missing_field"),
    ):
        if found is not None:
            name = found.group(1)
            return Invalid(code, field=f"{at}.{name}" if at else name)
    return Invalid("body.wrong_type", field=at or "$", problem=problem)


def decode_strictly(decoder: msgspec.json.Decoder[Any], body: bytes | msgspec.Raw) -> Any:
    """Raises: Invalid ``body.malformed`` (no JSON), or one that names the field."""
    if b"\\u0000" in bytes(body):
        raise Invalid("body.nul_character")  # PostgreSQL's text has no such letter
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise misread(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("body.malformed", problem=str(error)) from None


class StrictBody(AbstractDTO[Any]):
    """Litestar's own way reads JSON into Python values first and is lenient about types; not this one."""

    config: ClassVar[DTOConfig] = DTOConfig()
    _decoders: ClassVar[dict[str, msgspec.json.Decoder[Any]]] = {}

    def decode_bytes(self, value: bytes) -> Any:
        handler_id = self.asgi_connection.route_handler.handler_id
        return decode_strictly(self._decoders[handler_id], value)

    @classmethod
    def create_for_field_definition(
        cls, field_definition: FieldDefinition, handler_id: str, backend_cls: Any = None
    ) -> None:
        cls._decoders[handler_id] = msgspec.json.Decoder(field_definition.annotation)

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: SchemaCreator
    ) -> Reference | Schema:
        return schema_creator.for_field_definition(field_definition)

    @classmethod
    def generate_field_definitions(cls, model_type: type[Any]) -> Generator[DTOFieldDefinition, None, None]:
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        return False
