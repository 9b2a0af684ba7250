"""A resource for a person with a browser: narrative, links and the JSON, without a script.  https://hl7.org/fhir/R4/http.html"""

import base64
import hashlib
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import nh3
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from fhir_server import wire

STYLE = (Path(__file__).parent / "templates" / "resource.css").read_text(encoding="utf-8")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
TEMPLATE = Environment(
    loader=PackageLoader("fhir_server.http"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
).get_template("resource.html")
REFERENCE = re.compile(r"(&#34;reference&#34;: &#34;)([A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}(?:/_history/[0-9]+)?)(&#34;)")
MOST_SOURCE = 1_000_000
TAG = re.compile(r"<[^>]*>")


def page(base: str, resource: dict[str, Any]) -> bytes:
    """The page of a resource, a Bundle or an OperationOutcome."""
    resource_type, own = str(resource["resourceType"]), resource.get("id")
    values = {
        "base": base,
        "title": f"{resource_type}/{own}" if own else resource_type,
        "style": Markup(STYLE),  # noqa: S704 - ours
        "trail": _trail(base, resource_type, own),
        "facts": _facts(resource),
        "issues": _issues(resource),
        "narrative": _narrative(resource),
        "entries": [_entry(base, entry) for entry in resource.get("entry", ())],
        "links": _links(base, resource),
        "source": _source(base, resource),
    }
    return TEMPLATE.render(values).encode()


def _trail(base: str, resource_type: str, own: str | None) -> list[tuple[str, str]]:
    if own is None or resource_type == "CapabilityStatement":
        return []
    here = f"{base}/{resource_type}/{own}"
    return [(resource_type, f"{base}/{resource_type}"), (own, here), ("history", f"{here}/_history")]


def _facts(resource: dict[str, Any]) -> list[tuple[str, str]]:
    meta = resource.get("meta") or {}
    found = [("version", meta.get("versionId")), ("changed", meta.get("lastUpdated")), ("total", resource.get("total"))]
    return [(name, str(text)) for name, text in found if text is not None]


def _issues(resource: dict[str, Any]) -> list[tuple[str, str]]:
    if resource["resourceType"] != "OperationOutcome":
        return []
    found = resource.get("issue", ())
    return [(i.get("severity", ""), i.get("diagnostics") or i.get("code", "")) for i in found]


def _narrative(resource: dict[str, Any]) -> Markup | None:
    """The narrative without anything that acts or fetches: it comes from outside."""
    text = resource.get("text")
    div = text.get("div") if isinstance(text, dict) else None
    if not isinstance(div, str):
        return None
    return Markup(nh3.clean(div, tags=nh3.ALLOWED_TAGS - {"img"}))  # noqa: S704 - cleaned


def _entry(base: str, entry: dict[str, Any]) -> dict[str, str]:
    resource = entry.get("resource") or {}
    name = f"{resource.get('resourceType', '')}/{resource.get('id', '')}".strip("/")
    request = entry.get("request") or {}
    version = (resource.get("meta") or {}).get("versionId")
    url = f"{base}/{name}" + (f"/_history/{version}" if request and version else "")
    text = TAG.sub(" ", str((resource.get("text") or {}).get("div", "")))
    return {
        "url": url,
        "name": name or f"{request.get('method', '')} {request.get('url', '')}",
        "changed": str((resource.get("meta") or {}).get("lastUpdated", "")),
        "text": (" ".join(text.split()) or _gist(resource))[:200],
    }


def _gist(resource: dict[str, Any]) -> str:
    """What a resource without a narrative is about, in its own words, as far as it has any."""
    code, names = resource.get("code"), resource.get("name")
    said = [resource.get("description"), resource.get("title"), code.get("text") if isinstance(code, dict) else code]
    if isinstance(names, list) and names and isinstance(names[0], dict):
        said.append(names[0].get("text") or " ".join([*names[0].get("given", []), names[0].get("family", "")]))
    else:
        said.append(names)
    return next((each for each in said if isinstance(each, str) and each), "")


def _links(base: str, resource: dict[str, Any]) -> list[tuple[str, str]]:
    if any(issue.get("code") == "login" for issue in resource.get("issue", ())):
        return [("Sign in", f"{base.removesuffix('/fhir')}/login")]
    return [(link["relation"], link["url"]) for link in resource.get("link", ()) if _is_ours(base, link)]


def _is_ours(base: str, link: Any) -> bool:
    return isinstance(link, dict) and str(link.get("url", "")).startswith(base)


def _source(base: str, resource: dict[str, Any]) -> Markup:
    """The JSON with its references as links."""
    text = wire.dumps_pretty(resource).decode()
    if len(text) > MOST_SOURCE:
        text = text[:MOST_SOURCE] + "\n..."
    address = escape(quote(base, safe=":/"))
    return Markup(REFERENCE.sub(rf'\1<a href="{address}/\2">\2</a>\3', str(escape(text))))  # noqa: S704 - escaped
