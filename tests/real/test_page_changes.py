"""The page in a real browser, on a real service: cameras that are added, changed and lost."""

import re

import pytest

from tests.real.browser import Visit, browser, need_chromium
from tests.real.page_service import TOKEN, Service
from tests.waiting import until

SCENE = "scene:heavy?size=320x180&fps=5"


@pytest.fixture(scope="module")
def opened():
    need_chromium()
    pytest.importorskip("starlette", reason="these tests need: pip install 'streamderain[service]'")
    with browser() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def service(opened, tmp_path_factory):
    with Service(
        tmp_path_factory.mktemp("changes"),
        {"gate": {"source": SCENE, "staleness": "5s"}},
        model="video-xs",
    ) as running:
        yield running


@pytest.fixture(scope="module")
def boxed(opened, tmp_path_factory):
    """A service for one camera at a time."""
    with Service(tmp_path_factory.mktemp("boxed"), {"first": {"source": SCENE}}) as running:
        running.ask("DELETE", "cameras/first")
        yield running


def signed_in(opened, service, view=""):
    """Open a view with the session's cookie, which the page gets by its dialog."""
    visit = Visit(opened, service.address)
    answer = visit.page.request.post(f"{service.address}api/v1/session", data={"token": TOKEN})
    assert answer.ok
    visit.page.goto(f"{service.address}{view}")
    visit.page.reload()
    return visit


def tile(page, name):
    return page.locator(f'.tile[data-camera="{name}"]')


def test_adding_a_camera_never_takes_the_place_of_another(opened, service):
    with signed_in(opened, service) as visit:
        page = visit.page
        page.get_by_role("button", name="Add camera").click()
        page.get_by_label("Name").fill("gate")
        page.get_by_label("Source").fill("scene:light?size=160x90&fps=5")
        page.get_by_role("dialog").get_by_role("button", name="Add camera").click()
        said = "There is a camera gate already; change it, or choose another name."
        page.get_by_role("alert").filter(has_text=said).wait_for()
        assert service.ask("GET", "config")["cameras"]["gate"]["source"] == SCENE


def test_a_rate_tells_what_comes_and_what_leaves_where_they_differ(opened, service):
    scene = "scene:heavy?size=160x90"
    service.ask("PUT", "cameras/slow", {"source": f"{scene}&fps=10", "max_fps": 1})
    service.ask("PUT", "cameras/calm", {"source": f"{scene}&fps=2"})
    try:
        with Visit(opened, service.address) as visit:
            two_rates = r"^([2-9]|\d\d)(\.\d)? in, (0\.\d|1|1\.\d) out$"
            words = visit.page.get_by_text(re.compile(two_rates))
            words.wait_for(timeout=20_000)
            calm = tile(visit.page, "calm").get_by_text(re.compile(r"^(1\.\d|2|2\.\d) fps$"))
            calm.wait_for(timeout=20_000)
            visit.page.goto(f"{service.address}#/camera/slow")
            words.wait_for(timeout=20_000)
            assert visit.complaints == []
    finally:
        service.ask("DELETE", "cameras/slow")
        service.ask("DELETE", "cameras/calm")


def test_a_change_keeps_user_and_password_unless_the_camera_is_elsewhere(opened, service):
    camera = {"source": "rtsp://127.0.0.1:9/a", "user": "viewer", "password": "p@ss/w:rd?"}
    service.ask("PUT", "cameras/locked", camera)
    try:
        with signed_in(opened, service, "#/camera/locked") as visit:
            page = visit.page

            def change(label, value):
                page.get_by_role("button", name="Change").click()
                page.get_by_text("More", exact=True).click()
                page.get_by_label(label).fill(value)
                page.get_by_role("button", name="Save").click()

            change("Frames a second", "3")
            page.get_by_role("dialog").wait_for(state="detached")
            now = service.ask("GET", "config")["cameras"]["locked"]
            assert (now["max_fps"], now["user"], now["password"]) == (3, "***", "***")
            change("Source", "rtsp://127.0.0.1:99/a")
            page.get_by_role("alert").filter(has_text="enter them anew").wait_for()
            assert service.ask("GET", "config")["cameras"]["locked"]["source"] == camera["source"]
            page.get_by_label("User").fill("other")
            page.get_by_label("Password").fill("new")
            page.get_by_role("button", name="Save").click()
            page.get_by_role("dialog").wait_for(state="detached")
            now = service.ask("GET", "config")["cameras"]["locked"]
            assert now["source"] == "rtsp://127.0.0.1:99/a"
    finally:
        service.ask("DELETE", "cameras/locked")


def test_the_right_half_says_where_it_is_as_it_came(opened, service):
    with Visit(opened, f"{service.address}#/camera/gate") as visit:
        page = visit.page
        page.wait_for_selector(".stage[data-drawn=yes]", timeout=30_000)
        service.ask("POST", "cameras/gate/steer", {"mode": "off"})
        try:
            page.locator(".tag.after", has_text="As it came: deraining off").wait_for()
            page.get_by_role("slider").focus()
            for _ in range(3):
                page.keyboard.press("PageUp")
            tag, split = (page.locator(one).bounding_box() for one in (".tag.after", ".split"))
            assert tag["x"] > split["x"] + split["width"] / 2
        finally:
            service.ask("POST", "cameras/gate/steer", {"mode": "on"})
        page.locator(".tag.after", has_text="After").wait_for()
        service.ask("POST", "cameras/gate/steer", {"mode": "auto"})
        assert visit.complaints == []


def test_the_address_of_a_camera_that_was_removed_leads_to_the_wall(opened, tmp_path):
    with (
        Service(tmp_path, {"only": {"source": SCENE}}) as own,
        signed_in(opened, own, "#/camera/only") as visit,
    ):
        page = visit.page
        page.wait_for_selector(".stage[data-drawn=yes]", timeout=30_000)
        page.get_by_role("button", name="Remove").click()
        page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        page.get_by_role("heading", name="No cameras yet").wait_for()
        assert page.evaluate("location.hash") == "#/"
        own.ask("PUT", "cameras/other", {"source": SCENE})
        tile(page, "other").locator("a").click()
        page.wait_for_selector(".stage[data-drawn=yes]", timeout=30_000)
        own.ask("DELETE", "cameras/other")
        page.get_by_role("status").filter(has_text="other was removed").first.wait_for()
        page.get_by_role("heading", name="No cameras yet").wait_for()
        assert page.evaluate("location.hash") == "#/"
        # What was asked of it as it went is not found, and browsers say so, without its name.
        assert [said for said in visit.complaints if "404 (Not Found)" not in said] == []


BARS = """canvas => {
  const { width, height } = canvas.getBoundingClientRect();
  const outer = canvas.closest(".frame, .stage").getBoundingClientRect();
  const fit = getComputedStyle(canvas).objectFit;
  const shape = canvas.width / canvas.height;
  const drawn = fit === "fill" ? [width, height] : [Math.min(width, height * shape),
    Math.min(height, width / shape)];
  return [outer.width - drawn[0], outer.height - drawn[1], drawn[0] / drawn[1] / shape - 1];
}"""


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ("320x240", (1280, 900)),
        ("320x180", (1920, 1080)),
        ("352x288", (1000, 500)),
        ("320x240", (360, 740)),
    ],
)
def test_pictures_have_no_bars_and_are_not_distorted(opened, boxed, size, shape):
    name = f"c{shape}"
    boxed.ask("PUT", f"cameras/{name}", {"source": f"scene:heavy?size={shape}&fps=5"})
    try:
        with Visit(opened, boxed.address, size=size) as visit:
            page = visit.page
            page.wait_for_selector(f'.tile[data-camera="{name}"][data-drawn]', timeout=30_000)

            def fits(canvas):
                across, down, distorted = page.locator(canvas).evaluate(BARS)
                return abs(across) < 1 and abs(down) < 1 and abs(distorted) < 0.01

            until(lambda: fits(".tile canvas"), timeout=10)
            page.goto(f"{boxed.address}#/camera/{name}")
            page.wait_for_selector(".stage[data-drawn=yes]", timeout=30_000)
            until(lambda: fits(".compare canvas"), timeout=10)
            assert visit.complaints == []
    finally:
        boxed.ask("DELETE", f"cameras/{name}")


def test_who_signed_in_can_sign_out(opened, service):
    with Visit(opened, service.address) as visit:
        page = visit.page
        page.get_by_role("button", name="Sign in").click()
        assert page.get_by_role("button", name="Sign out").count() == 0
        page.get_by_label("Token").fill(TOKEN)
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("button", name="Sign in").wait_for()
        assert page.get_by_role("button", name="Add camera").count() == 0
