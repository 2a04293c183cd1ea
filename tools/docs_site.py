"""A hook of MkDocs: files of the repository that the docs link to become pages of the site.

The pages link to files outside of docs/ by relative paths, which is right on a code host and in an
editor. A site has no such files, so each one that is linked to is shown as a page below source/,
a folder as a list, and the links lead there.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

__all__ = ["links", "on_files", "on_page_markdown", "place_of", "shown"]

ROOT = Path(__file__).parents[1]
DOCS = "docs"
SOURCE = "source"
ALWAYS = ("CHANGELOG.md",)
"""In the navigation whether a page links to it or not."""

LANGUAGES = {
    ".yaml": "yaml", ".yml": "yaml", ".json": "json", ".py": "python", ".js": "javascript",
    ".cpp": "cpp", ".sh": "bash", ".service": "ini", ".toml": "toml",
}  # fmt: skip

_LINK = re.compile(r"(?<=\]\()(?!https?://|mailto:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")
_FENCE = re.compile(r"^(`{3,}|~{3,}).*?^\1`*\s*$", re.S | re.M)


def links(text: str) -> Iterator[re.Match[str]]:
    """Find the relative links of a page's Markdown, those in code blocks left out.

    Each match has the path as group 1 and the anchor, if there is one, as group 2.
    """
    fences = [match.span() for match in _FENCE.finditer(text)]
    for match in _LINK.finditer(text):
        if not any(start <= match.start() < end for start, end in fences):
            yield match


def place_of(page: str) -> str:
    """Return where a page of the site stands in the repository, by its path in the site's sources.

    ``live.md`` is ``docs/live.md``, ``source/CHANGELOG.md`` is ``CHANGELOG.md``, and the page of
    another file has its path and ``.md``.
    """
    if not page.startswith(f"{SOURCE}/"):
        return f"{DOCS}/{page}"
    path = page.removeprefix(f"{SOURCE}/")
    return path if (ROOT / path).is_file() else path.removesuffix(".md").removesuffix("/index")


def shown(path: str) -> str:
    """Return the Markdown that shows a file or a folder of the repository.

    Args:
        path: from the repository's root, with slashes.

    Raises:
        OSError, UnicodeDecodeError: it is no text that can be read.
    """
    file = ROOT / path
    if file.is_dir():
        names = sorted(each.name for each in file.iterdir() if _is_listed(each))
        listed = "\n".join(f"- [{name}]({name})" for name in names)
        return f"# {path}\n\nThe files of the folder `{path}/`.\n\n{listed}\n"
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".md":
        return text
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall(r"`+", text)), 3)
    language = LANGUAGES.get(file.suffix, "text")
    return f"# {file.name}\n\nThe file `{path}`.\n\n{fence}{language}\n{text.rstrip()}\n{fence}\n"


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add a page for each file that is linked to, and for those that these link to."""
    waiting = [
        (file.src_uri, Path(str(file.abs_src_path)).read_text(encoding="utf-8"))
        for file in files.documentation_pages()
    ]
    wanted = list(ALWAYS)
    while waiting or wanted:
        for page, text in waiting:
            here = place_of(page)
            folder = here if (ROOT / here).is_dir() else posixpath.dirname(here)
            wanted += [
                path
                for match in links(text)
                if (path := _outside(posixpath.normpath(posixpath.join(folder, match[1]))))
            ]
        waiting = []
        for path in dict.fromkeys(wanted):
            if files.get_file_from_path(_page_of(path)) is None:
                text = shown(path)
                made = File.generated(config, _page_of(path), content=_unsearched(text))
                files.append(made)
                waiting.append((made.src_uri, text))
        wanted = []
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let the links that lead to files of the repository lead to their pages."""
    uri = page.file.src_uri
    here = place_of(uri)
    folder = here if (ROOT / here).is_dir() else posixpath.dirname(here)
    at = posixpath.dirname(uri) or "."
    for match in reversed(list(links(markdown))):
        path = posixpath.normpath(posixpath.join(folder, match[1]))
        if _outside(path):
            target = _page_of(path)
        elif uri.startswith(f"{SOURCE}/") and path.startswith(f"{DOCS}/"):
            target = path.removeprefix(f"{DOCS}/")
        else:
            continue
        relative = posixpath.relpath(target, at)
        markdown = markdown[: match.start(1)] + relative + markdown[match.end(1) :]
    return markdown


def _outside(path: str) -> str | None:
    """Return a path that is a file or folder of the repository but none of docs/, or None."""
    inside = path == DOCS or path.startswith((f"{DOCS}/", ".."))
    return path if not inside and (ROOT / path).exists() else None


def _page_of(path: str) -> str:
    if (ROOT / path).is_dir():
        return f"{SOURCE}/{path}/index.md"
    return f"{SOURCE}/{path}" if path.endswith(".md") else f"{SOURCE}/{path}.md"


def _is_listed(path: Path) -> bool:
    if path.name.startswith((".", "__")) or not (path.is_file() or path.is_dir()):
        return False
    try:
        path.is_dir() or path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return False
    return os.access(path, os.R_OK)


def _unsearched(text: str) -> str:
    return f"---\nsearch: {{exclude: true}}\n---\n\n{text}"
