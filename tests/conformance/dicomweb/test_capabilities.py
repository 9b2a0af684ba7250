"""What a server says about itself.  PS3.18 8.9"""

from xml.etree import ElementTree

import pytest

from tests.conformance.dicomweb.client import Server

WADL = "application/vnd.sun.wadl+xml"


@pytest.mark.spec("PS3.18 8.9")
def test_options_gives_the_resources_as_wadl(server: Server) -> None:
    answer = server.http.options("/", headers={"Accept": WADL})
    assert answer.status_code == 200 and answer.headers["content-type"].startswith(WADL)
    root = ElementTree.fromstring(answer.content)
    paths = {resource.get("path", "") for resource in root.iter("{http://wadl.dev.java.net/2009/02}resource")}
    assert any("studies" in path for path in paths)


@pytest.mark.spec("RFC 9110 15.5.6")
def test_a_method_that_is_not_offered_is_405(server: Server) -> None:
    answer = server.http.put("/studies")
    assert answer.status_code == 405 and "GET" in answer.headers["allow"]
