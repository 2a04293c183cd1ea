"""The page's files, which anyone may have: nothing in them is secret."""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from streamderain.service.operations import error, head_of
from streamderain.service.security import Access, Guard

__all__ = ["PAGE", "Assets"]

PAGE = Path(__file__).parent / "page"

MEDIA = {
    ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css",
    ".svg": "image/svg+xml", ".json": "application/json", ".woff2": "font/woff2",
    ".ico": "image/x-icon", ".webmanifest": "application/manifest+json",
}  # fmt: skip
"""By suffix: what a machine's own tables say differs."""


class Assets:
    """Answers ``/`` and ``/page/...``.

    A file is found by its name among those that are there, so that no path leads out.

    Args:
        guard: of the service.
        folder: with ``index.html`` and what belongs to it.
    """

    def __init__(self, guard: Guard, folder: Path = PAGE) -> None:
        self._guard, self._folder = guard, folder

    async def serve(self, request: Request) -> Response:
        """Answer."""
        refusal = self._guard.refuse(head_of(request), Access.ENTRY)
        if refusal is not None:
            return error(refusal.status, refusal.error)
        name = request.path_params.get("name", "index.html")
        files = {path.relative_to(self._folder).as_posix(): path for path in self._files()}
        if name not in files:
            return error(404, "there is no such file")
        data = files[name].read_bytes()
        tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        suffix = files[name].suffix.lower()
        media = MEDIA.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        return Response(data, media_type=media, headers=headers)

    def _files(self) -> list[Path]:
        hidden = (".py", ".pyc")
        return [
            path
            for path in self._folder.rglob("*")
            if path.is_file() and not path.is_symlink() and path.suffix not in hidden
        ]
