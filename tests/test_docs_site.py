"""The documentation as a site: it builds strictly, says what the code does, and asks nobody."""

import html.parser
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

import pytest
from pydantic import BaseModel, Field

from streamderain.config import CameraConfig, CameraDefaults
from tools.config_reference import SECTIONS, duration, reference, rows, type_of
from tools.config_reference import main as write_reference

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SOURCES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]


def name_of(path):
    return str(path.relative_to(ROOT))


def without_code(text):
    return re.sub(r"^ *(```|~~~).*?^ *\1$", "", text, flags=re.S | re.M)


# The references.


def test_the_configuration_reference_is_up_to_date():
    assert (DOCS / "configuration.md").read_text("utf-8") == reference(), (
        "python -m tools.config_reference makes it anew"
    )


def test_every_key_has_type_default_and_meaning():
    for title, model, _ in SECTIONS:
        told = rows(model)
        own = model.model_fields.keys() - (
            CameraDefaults.model_fields if model is CameraConfig else {}
        )
        assert {key for key, *_ in told} == own, title
        for row in told:
            assert all(row), (title, row)


class Odd(BaseModel):
    whole: Annotated[int, Field(ge=1, le=100_000)] = 3
    least: Annotated[float, Field(ge=0.5)] | None = None
    word: Literal["a", "b"] = "a"
    pairs: dict[str, int] = {}


def test_types_and_ranges_are_told_in_words():
    schemas = Odd.model_json_schema()["properties"]
    assert type_of(Odd, "whole", schemas["whole"]) == "integer, 1 to 100,000"
    assert type_of(Odd, "least", schemas["least"]) == "number, 0.5 or more, or null"
    assert type_of(Odd, "word", schemas["word"]) == "`a`, `b`"
    with pytest.raises(ValueError, match="needs a line in SPECIAL"):
        type_of(Odd, "pairs", schemas["pairs"])


def test_durations_are_told_as_the_file_has_them():
    told = [duration(seconds) for seconds in (0.01, 0.5, 1.0, 2.5, 60.0, 90.0, 600.0)]
    assert told == ["10ms", "500ms", "1s", "2.5s", "1m", "90s", "10m"]


def test_the_reference_can_be_checked_and_written(tmp_path, capsys):
    page = tmp_path / "page.md"
    assert write_reference(["--check", "-o", str(page)]) == 1
    assert "is not what the models say" in capsys.readouterr().err
    assert write_reference(["-o", str(page)]) == 0
    assert write_reference(["--check", "-o", str(page)]) == 0
    assert write_reference(["-o", str(tmp_path / "none" / "page.md")]) == 1
    assert "error:" in capsys.readouterr().err


def test_the_rest_reference_is_up_to_date():
    pytest.importorskip("starlette", reason="REST needs its packages, streamderain[service]")
    from tools.rest_reference import document
    from tools.rest_reference import reference as rest

    made = document()
    anew = "python -m tools.rest_reference makes it anew"
    assert json.loads((DOCS / "openapi.json").read_text("utf-8")) == made, anew
    page = (DOCS / "rest.md").read_text("utf-8")
    assert page == rest(made), anew
    for path, methods in made["paths"].items():
        for method in methods:
            assert f"### {method.upper()} {path}\n" in page


# Links, as a code host takes them.


def headings(path):
    """Return the anchors of a page's headings as code hosts make them."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", without_code(path.read_text("utf-8")), re.M):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        anchor = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        number = sum(1 for other in found if re.fullmatch(rf"{re.escape(anchor)}(-\d+)?", other))
        found.add(f"{anchor}-{number}" if number else anchor)
    return found


@pytest.mark.parametrize("page", SOURCES, ids=name_of)
def test_links_and_anchors_of_a_page_lead_somewhere_in_the_repository(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text("utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / unquote(path)).resolve() if path else page
        assert file.exists(), target
        assert file.is_relative_to(ROOT), target
        if anchor and file.suffix == ".md":
            assert anchor in headings(file), target


# The site.


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs", reason="the site needs its packages, streamderain[docs]")
    pytest.importorskip("material", reason="the site needs its packages, streamderain[docs]")
    folder = tmp_path_factory.mktemp("docs") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not re.search(r"^WARNING", done.stderr, re.M)
    return folder


class Page(html.parser.HTMLParser):
    """What a built page asks for, where it leads, and the anchors that it has."""

    def __init__(self, path):
        super().__init__()
        self.leads, self.asks, self.anchors = [], [], set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors.update(filter(None, (given.get("id"), given.get("name"))))
        if tag == "a" and given.get("href"):
            self.leads.append(given["href"])
        if tag in ("script", "img", "iframe", "source") and given.get("src"):
            self.asks.append(given["src"])
        if tag == "link" and given.get("rel") not in ("prev", "next", "canonical"):
            self.asks.append(given["href"])


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path) for path in sorted(site.rglob("*.html")) if path.name != "404.html"}


def test_every_page_is_in_the_site(site, pages):
    for source in DOCS.rglob("*.md"):
        place = source.relative_to(DOCS).with_suffix(".html")
        built = place.with_name("index.html") if place.name == "README.html" else place
        assert site / built in pages
    for tool in ("CHANGELOG", "configs/cameras.yaml", "compose.yaml", "examples/index"):
        assert site / "source" / f"{tool}.html" in pages


def test_every_link_of_the_site_leads_somewhere_within_it(pages):
    for path, page in pages.items():
        for target in (*page.leads, *page.asks):
            parts = urlsplit(target)
            if parts.scheme or target.startswith(("//", "javascript:")):
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            file = file / "index.html" if file.is_dir() else file
            assert file.exists(), (path.name, target)
            if parts.fragment and file in pages and not parts.fragment.startswith("__"):
                assert unquote(parts.fragment) in pages[file].anchors, (path.name, target)


def test_pages_ask_nothing_of_other_servers(site, pages):
    for path, page in pages.items():
        for target in page.asks:
            assert not urlsplit(target).netloc, (path.name, target)
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import )[\"']?(https?:)?//", sheet.read_text("utf-8"))


def test_links_out_of_the_docs_lead_to_pages_of_the_very_files(site):
    shown = (site / "source" / "configs" / "cameras.yaml.html").read_text("utf-8")
    first = (ROOT / "configs" / "cameras.yaml").read_text("utf-8").splitlines()[1]
    assert first.split("`")[1] in html.unescape(re.sub(r"<[^>]+>", "", shown))
    live = (site / "live.html").read_text("utf-8")
    assert 'href="source/configs/cameras.yaml.html"' in live


def test_links_in_code_are_left_as_they_are_and_fences_are_longer_than_what_they_hold(tmp_path):
    pytest.importorskip("mkdocs", reason="the site needs its packages, streamderain[docs]")
    from tools import docs_site

    text = "[a](x.md#b) ![p](y.png) [c](https://c) [d](#e)\n```\n[f](z.md)\n```\n"
    assert [match.groups() for match in docs_site.links(text)] == [
        ("x.md", "#b"), ("y.png", None),
    ]  # fmt: skip
    assert docs_site.place_of("live.md") == "docs/live.md"
    assert docs_site.place_of("source/CHANGELOG.md") == "CHANGELOG.md"
    assert docs_site.place_of("source/compose.yaml.md") == "compose.yaml"
    assert docs_site.place_of("source/examples/index.md") == "examples"
    assert docs_site.shown("Makefile").startswith("# Makefile\n\nThe file `Makefile`.\n\n```text\n")
    fence = re.search(r"^(`+)python$", docs_site.shown("tests/test_docs_site.py"), re.M)[1]
    assert len(fence) > max(map(len, re.findall("`+", Path(__file__).read_text("utf-8"))))


def test_the_site_works_from_the_file_system_in_a_browser_of_any_width(site):
    from tests.real.browser import browser, need_chromium

    need_chromium()
    asked, said = set(), []
    with browser() as opened:
        for width in (1280, 390):
            page = opened.new_context(viewport={"width": width, "height": 844}).new_page()
            page.on("request", lambda request: asked.add(urlsplit(request.url).scheme))
            page.on("pageerror", lambda error: said.append(str(error)))
            for name in ("index", "configuration", "performance", "rest"):
                page.goto((site / f"{name}.html").as_uri())
                assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        page = opened.new_context().new_page()
        page.on("request", lambda request: asked.add(urlsplit(request.url).scheme))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto((site / "index.html").as_uri())
        page.click(".md-search__input")
        page.keyboard.type("staleness")
        page.wait_for_selector(".md-search-result__item a", timeout=60_000)
        assert "Configuration" in page.inner_text(".md-search-result__list")
    assert not said
    assert asked <= {"file", "data", "about"}
