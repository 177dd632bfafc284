"""The routes of the local STAC API: a small, strict, real one, as a Starlette app.

Belongs here: routes, links, paging, the scene files. Does not belong here: what a search means
(``stac_search``, ``stac_index``) and running the server (``stac_api``).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from neve.demo.stac_index import Index, select_fields
from neve.demo.stac_items import Item
from neve.demo.stac_search import BadRequest, Search, from_url, parse

STAC_VERSION = "1.0.0"
GEOJSON = "application/geo+json"
CONFORMANCE = [
    *(
        f"https://api.stacspec.org/v1.0.0/{name}"
        for name in (
            *("core", "collections", "ogcapi-features", "item-search", "item-search#query"),
            *("item-search#sort", "item-search#fields", "item-search#filter"),
        )
    ),
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/filter",
    *(
        f"http://www.opengis.net/spec/cql2/1.0/conf/{name}"
        for name in ("cql2-text", "cql2-json", "basic-cql2", "basic-spatial-functions")
    ),
]
QUERYABLES = "http://www.opengis.net/def/rel/ogc/1.0/queryables"


class Catalogue:
    """The routes over one index of items."""

    def __init__(self, items: Sequence[Item], files: bool) -> None:
        """``files``: hrefs of assets are relative to the item and served under ``/files``."""
        self.index, self.files = Index(items), files
        self.collections: dict[str, list[Item]] = {}
        for item in items:
            self.collections.setdefault(item["collection"], []).append(item)

    async def landing(self, request: Request) -> Response:
        """The root catalogue."""
        root = str(request.base_url)
        links = [
            _link("self", root),
            _link("root", root),
            _link("data", f"{root}collections"),
            _link("conformance", f"{root}conformance"),
            _link(QUERYABLES, f"{root}queryables", "application/schema+json"),
            *(_link("search", f"{root}search", GEOJSON, method=m) for m in ("GET", "POST")),
            *(_link("child", f"{root}collections/{name}") for name in self.collections),
        ]
        head = {"type": "Catalog", "id": "neve-demo", "title": "neve demo scenes"}
        body = {"description": "Synthetic Sentinel-2 scenes.", "stac_version": STAC_VERSION}
        return JSONResponse(head | body | {"conformsTo": CONFORMANCE, "links": links})

    async def conformance(self, request: Request) -> Response:
        """What the API can do."""
        return JSONResponse({"conformsTo": CONFORMANCE})

    async def queryables(self, request: Request) -> Response:
        """Every property can be asked for."""
        schema = "https://json-schema.org/draft/2019-09/schema"
        names = sorted({name for item in self.index.items for name in item["properties"]})
        properties: dict[str, Any] = {name: {} for name in ("id", "collection", "geometry", *names)}
        head = {"$schema": schema, "$id": str(request.url), "type": "object"}
        return JSONResponse(head | {"properties": properties, "additionalProperties": True})

    async def list_collections(self, request: Request) -> Response:
        """All collections."""
        root = str(request.base_url)
        links = [_link("self", f"{root}collections"), _link("root", root)]
        documents = [self._collection(name, root) for name in self.collections]
        return JSONResponse({"collections": documents, "links": links})

    async def collection(self, request: Request) -> Response:
        """One collection."""
        return JSONResponse(self._collection(self._named(request), str(request.base_url)))

    async def collection_items(self, request: Request) -> Response:
        """The items of one collection, with the parameters of a search."""
        name = self._named(request)
        if "collections" in request.query_params:
            raise BadRequest("A collection's items take no parameter collections.")
        body = from_url(request.query_params) | {"collections": [name]}
        return self._page(request, parse(body), dict(request.query_params))

    async def item(self, request: Request) -> Response:
        """One item."""
        collection, name = self._named(request), request.path_params["item"]
        for item in self.collections[collection]:
            if item["id"] == name:
                return JSONResponse(self._shown(item, str(request.base_url)), media_type=GEOJSON)
        raise HTTPException(404, f"No item {name!r} in collection {collection!r}.")

    async def search(self, request: Request) -> Response:
        """Item search, GET and POST."""
        if request.method == "GET":
            params: dict[str, Any] = dict(request.query_params)
            return self._page(request, parse(from_url(params)), params)
        try:
            body = await request.json()
        except ValueError as error:
            raise BadRequest(f"The body is not JSON: {error}") from error
        if not isinstance(body, dict):
            raise BadRequest("The body must be a JSON object.")
        return self._page(request, parse(body), body)

    def _named(self, request: Request) -> str:
        name = str(request.path_params["collection"])
        if name not in self.collections:
            raise HTTPException(404, f"No collection {name!r}.")
        return name

    def _page(self, request: Request, search: Search, asked: Mapping[str, Any]) -> Response:
        root, here = str(request.base_url), str(request.url.replace(query=""))
        found = self.index.find(search)
        end = search.offset + search.limit
        page = found[search.offset : end]
        links: list[dict[str, Any]] = [
            _link("root", root),
            _link("self", str(request.url), GEOJSON),
        ]
        if end < len(found):
            following = {**asked, "token": str(end)}
            if request.method == "POST":
                links.append(_link("next", here, GEOJSON, method="POST", body=following))
            else:
                target = f"{here}?{urlencode(following)}"
                links.append(_link("next", target, GEOJSON, method="GET"))
        document = {
            "type": "FeatureCollection",
            "features": [select_fields(self._shown(item, root), search) for item in page],
            "links": links,
            "numberMatched": len(found),
            "numberReturned": len(page),
        }
        return JSONResponse(document, media_type=GEOJSON)

    def _shown(self, item: Item, root: str) -> Item:
        collection = f"{root}collections/{item['collection']}"
        links = [
            _link("self", f"{collection}/items/{item['id']}", GEOJSON),
            _link("root", root),
            *(_link(rel, collection) for rel in ("parent", "collection")),
        ]
        kept = [link for link in item["links"] if link["rel"] not in {e["rel"] for e in links}]
        shown = item | {"links": links + kept}
        if self.files:
            place = f"{root}files/{item['id']}/"
            shown["assets"] = {
                name: asset | {"href": urljoin(place, asset["href"])}
                for name, asset in item["assets"].items()
            }
        return shown

    def _collection(self, name: str, root: str) -> dict[str, Any]:
        times = sorted(item["properties"]["datetime"] for item in self.collections[name])
        here = f"{root}collections/{name}"
        return {
            "type": "Collection",
            "id": name,
            "stac_version": STAC_VERSION,
            "description": f"{name}: {len(times)} items held in memory.",
            "license": "other",
            "extent": {
                "spatial": {"bbox": [[-180, -90, 180, 90]]},
                "temporal": {"interval": [[times[0], times[-1]]]},
            },
            "links": [
                _link("self", here),
                _link("root", root),
                _link("parent", root),
                _link("items", f"{here}/items", GEOJSON),
            ],
        }


def _link(rel: str, href: str, media: str = "application/json", **more: Any) -> dict[str, Any]:
    return {"rel": rel, "href": href, "type": media, **more}


async def _refuse(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 400
    message = error.detail if isinstance(error, HTTPException) else str(error)
    return JSONResponse({"code": str(status), "description": message}, status_code=status)


def make_app(
    items: Sequence[Item], files: Path | None = None, middleware: Sequence[Middleware] = ()
) -> Starlette:
    """The API over items; with ``files``, hrefs become URLs of ``<files>/<item id>/…`` served here.

    ``middleware`` (Starlette's) wraps every request: the place to inject faults.
    """
    api = Catalogue(items, files is not None)
    routes: list[Route | Mount] = [
        Route("/", api.landing),
        Route("/conformance", api.conformance),
        Route("/queryables", api.queryables),
        Route("/collections", api.list_collections),
        Route("/collections/{collection}", api.collection),
        Route("/collections/{collection}/queryables", api.queryables),
        Route("/collections/{collection}/items", api.collection_items),
        Route("/collections/{collection}/items/{item}", api.item),
        Route("/search", api.search, methods=["GET", "POST"]),
    ]
    if files is not None:
        routes.append(Mount("/files", StaticFiles(directory=files)))
    handlers = {BadRequest: _refuse, HTTPException: _refuse}
    return Starlette(routes=routes, middleware=list(middleware), exception_handlers=handlers)
