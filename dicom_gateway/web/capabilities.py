"""What this server offers, as WADL made from its own routes.  PS3.18 8.9"""

import re
from collections.abc import Sequence
from functools import partial
from xml.etree import ElementTree

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from dicom_gateway.web.doors import Doors, ranges
from dicom_gateway.web.errors import NotAcceptable

WADL = "application/vnd.sun.wadl+xml"
NAMESPACE = "http://wadl.dev.java.net/2009/02"
TEMPLATE = re.compile(r"{(\w+)(:\w+)?}")


def capabilities(doors: Doors, routes: Sequence[Route], request: Request) -> Response:
    """The resources and methods below the root, which are no secret.  Raises NotAcceptable."""
    if not any(media.matches(WADL) or media.media_type == "application/xml" for media in ranges(request)):
        raise NotAcceptable(f"Capabilities are served as {WADL}.")
    return Response(document(doors.root, routes), headers={"Content-Type": WADL, "Allow": "OPTIONS"})


def document(root: str, routes: Sequence[Route]) -> bytes:
    """One `resource` a path, one `method` for each way to use it."""
    application = ElementTree.Element("application", {"xmlns": NAMESPACE})
    resources = ElementTree.SubElement(application, "resources", {"base": root})
    nodes: dict[str, ElementTree.Element] = {}
    for route in routes:
        path = TEMPLATE.sub(r"{\1}", route.path).lstrip("/")
        if path not in nodes:
            nodes[path] = resource(resources, path)
        for method in sorted((route.methods or set()) - {"HEAD"}):
            ElementTree.SubElement(nodes[path], "method", {"name": method, "id": identifier(route, method)})
    text: bytes = ElementTree.tostring(application, encoding="UTF-8", xml_declaration=True)
    return text


def resource(parent: ElementTree.Element, path: str) -> ElementTree.Element:
    """A path with the names that stand in it."""
    node = ElementTree.SubElement(parent, "resource", {"path": path})
    for name, _ in TEMPLATE.findall(path):
        ElementTree.SubElement(node, "param", {"name": name, "style": "template", "required": "true"})
    return node


def identifier(route: Route, method: str) -> str:
    """A name for one method of one path."""
    words = [TEMPLATE.sub(r"\1", word) for word in route.path.split("/") if word]
    return "-".join([method.lower(), *words])


def with_capabilities(doors: Doors, routes: list[Route]) -> list[BaseRoute]:
    """The routes, and the one that tells of them."""
    return [*routes, Route("/", partial(capabilities, doors, tuple(routes)), methods=["OPTIONS"])]
