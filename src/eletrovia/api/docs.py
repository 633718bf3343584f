"""The OpenAPI document and its page, both from this machine alone."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Final

import msgspec
from litestar import MediaType, Request, Response, Router, get
from litestar.exceptions import NotFoundException
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.params import FromPath
from swagger_ui_bundle import swagger_ui_path

# The page needs these three of the bundle and nothing else.
ASSETS: Final = {
    "swagger-ui.css": "text/css; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "favicon-32x32.png": "image/png",
}

# The browser itself is told not to go anywhere else. Swagger UI draws with inline styles and data: images.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Eletrovia API</title>
<link rel="icon" type="image/png" href="/api/docs/favicon-32x32.png">
<link rel="stylesheet" href="/api/docs/swagger-ui.css">
</head>
<body>
<div id="page"></div>
<noscript><a href="/api/openapi.json">openapi.json</a></noscript>
<script src="/api/docs/swagger-ui-bundle.js"></script>
<script src="/api/docs/start.js"></script>
</body>
</html>
"""

_START: Final = """SwaggerUIBundle({
  url: "/api/docs/openapi-3.0.json",
  dom_id: "#page",
  deepLinking: true,
  validatorUrl: null,
  persistAuthorization: false,
  presets: [SwaggerUIBundle.presets.apis],
});
"""

_ASSET_FOLDER: Final = Path(str(swagger_ui_path))


class DocsPage(OpenAPIRenderPlugin):
    """The page at /api/docs. The bundle's Swagger UI reads OpenAPI 3.0 only, so that is what it gets."""

    def __init__(self) -> None:
        super().__init__(path="/docs", media_type=MediaType.HTML)
        self._document_3_0: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return _PAGE.encode()

    def receive_router(self, router: Router) -> None:
        @get("/docs/openapi-3.0.json", include_in_schema=False, media_type="application/json")
        async def document_3_0(request: Request[Any, Any, Any]) -> Response[bytes]:
            if self._document_3_0 is None:
                plain = msgspec.json.decode(self.render_json(request, request.app.openapi_schema.to_schema()))
                self._document_3_0 = msgspec.json.encode(as_openapi_3_0(plain))
            return Response(self._document_3_0, media_type="application/json")

        @get("/docs/{name:str}", include_in_schema=False)
        async def asset(name: FromPath[str]) -> Response[bytes]:
            if name == "start.js":
                return Response(_START.encode(), media_type="text/javascript; charset=utf-8")
            if name not in ASSETS:
                raise NotFoundException
            body = (_ASSET_FOLDER / name).read_bytes()
            return Response(body, media_type=ASSETS[name], headers={"cache-control": "public, max-age=86400"})

        router.register(document_3_0)
        router.register(asset)


class JsonDocument(OpenAPIRenderPlugin):
    """The document itself, OpenAPI 3.1, encoded once."""

    def __init__(self) -> None:
        super().__init__(path="/openapi.json", media_type="application/json")  # type: ignore[arg-type]
        self._encoded: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        if self._encoded is None:
            self._encoded = self.render_json(request, openapi_schema)
        return self._encoded


def policy_headers() -> dict[str, str]:
    """The headers of the docs pages."""
    return {
        "content-security-policy": _POLICY,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
    }


def as_openapi_3_0(document: dict[str, Any]) -> dict[str, Any]:
    """An OpenAPI 3.1 document in the words of 3.0, as far as ours differ: null types, constants, examples."""
    result: dict[str, Any] = _downgraded(copy.deepcopy(document))
    result["openapi"] = "3.0.3"
    return result


def _downgraded(node: Any) -> Any:
    if isinstance(node, list):
        return [_downgraded(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {name: _downgraded(value) for name, value in node.items()}
    for union in ("oneOf", "anyOf"):
        kinds = node.get(union)
        if isinstance(kinds, list) and {"type": "null"} in kinds:
            left = [kind for kind in kinds if kind != {"type": "null"}]
            del node[union]
            node["nullable"] = True
            node["allOf" if len(left) == 1 else union] = left
    types = node.get("type")
    if isinstance(types, list):
        left = [kind for kind in types if kind != "null"]
        if len(left) < len(types):
            node["nullable"] = True
        if len(left) == 1:
            node["type"] = left[0]
        else:
            del node["type"]
            node["oneOf"] = [{"type": kind} for kind in left]
    if "const" in node and not isinstance(node["const"], dict):
        node["enum"] = [node.pop("const")]
    for bound, plain in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(node.get(bound), int | float) and not isinstance(node.get(bound), bool):
            node[plain] = node[bound]
            node[bound] = True
    if isinstance(node.get("examples"), list):
        examples = node.pop("examples")
        if examples:
            node["example"] = examples[0]
    return node
