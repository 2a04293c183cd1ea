"""A real browser for the tests: Debian's Chromium, installed where that may be."""

import contextlib
import functools
import os
import shutil

import pytest

from tests.real.servers import install

PACKAGE = "chromium"


@functools.cache
def chromium():
    """Return where Chromium is, installed once if it may be; None where it can't be had."""
    if not shutil.which(PACKAGE):
        install(PACKAGE)
    return shutil.which(PACKAGE)


def need_chromium():
    """Skip the test where no browser can be had."""
    pytest.importorskip("playwright", reason="these tests need: pip install 'streamderain[test]'")
    if chromium() is None:
        pytest.skip(f"these tests need Debian's package {PACKAGE}")


@contextlib.contextmanager
def browser():
    """Give a browser, headless."""
    from playwright.sync_api import sync_playwright

    # What the machine's owner set for a browser with a window is not for this one.
    environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    with sync_playwright() as driver:
        opened = driver.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox"], env=environment
        )
        try:
            yield opened
        finally:
            opened.close()


class Visit:
    """A page that is looked at; what the browser complains of is kept.

    Args:
        opened: the browser.
        address: of the page.
        size: of the window.
        options: of the browser's context, such as ``color_scheme``.
    """

    def __init__(self, opened, address, size=(1280, 900), **options):
        self._context = opened.new_context(
            viewport={"width": size[0], "height": size[1]}, **options
        )
        self.complaints = []
        self.page = self._context.new_page()
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._hear)
        self.page.goto(address)

    def _hear(self, message):
        # "verbose" is advice for developers; a violation of the security policy is an error. That
        # canvases are read often is the tests' doing.
        if message.type in ("error", "warning") and "getImageData" not in message.text:
            self.complaints.append(f"{message.type}: {message.text}")

    def close(self):
        self._context.close()

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        self.close()


def serious(page):
    """Return what axe-core finds serious or critical in a page, by rule and place."""
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright",
        reason="these tests need: pip install 'streamderain[test]'",
    )
    found = axe.Axe().run(page).response["violations"]
    return [
        (rule["id"], [node["target"] for node in rule["nodes"]])
        for rule in found
        if rule["impact"] in ("serious", "critical")
    ]
