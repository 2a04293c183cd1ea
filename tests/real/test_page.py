"""The page in a real browser, on a real service, with cameras from a real RTSP server."""

import json
import time
import urllib.request

import pytest

from tests.real.browser import Visit, browser, need_chromium, serious
from tests.real.page_service import TOKEN, Service
from tests.real.servers import RtspCameras, need_gstreamer
from tests.waiting import until

SCENE = "scene:heavy?size=320x180&fps=5"
PICTURE = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let sum = 0;
  for (let i = 0; i < data.length; i += 4) sum = (sum * 31 + data[i] + data[i + 1]) % 2147483647;
  return sum;
}"""
COLUMNS = """([canvas, from, to]) => {
  const left = Math.round(canvas.width * from), right = Math.round(canvas.width * to);
  const part = canvas.getContext("2d").getImageData(left, 0, right - left, canvas.height);
  return Array.from(part.data.filter((_, i) => i % 4 !== 3));
}"""


@pytest.fixture(scope="module")
def rtsp():
    need_gstreamer()
    need_chromium()
    pytest.importorskip("starlette", reason="these tests need: pip install 'streamderain[service]'")
    names = ("north", "south", "east", "west")
    with RtspCameras(**{name: {"fps": 10, "pattern": "ball"} for name in names}) as cameras:
        yield cameras


@pytest.fixture(scope="module")
def service(rtsp, tmp_path_factory):
    cameras = {name: {"source": rtsp.url(name)} for name in rtsp.ports}
    street = {"source": SCENE, "staleness": "5s"}
    folder = tmp_path_factory.mktemp("page")
    with Service(folder, {**cameras, "street": street}, model="video-xs") as running:
        yield running


@pytest.fixture(scope="module")
def opened(service):
    with browser() as chromium:
        yield chromium


def tile(page, name):
    return page.locator(f'.tile[data-camera="{name}"]')


def is_drawn(page, *names):
    for name in names:
        page.wait_for_selector(f'.tile[data-camera="{name}"][data-drawn]', timeout=30_000)


def moves(canvas):
    """Wait until a canvas has shown four different pictures."""
    seen = set()
    until(lambda: seen.add(canvas.evaluate(PICTURE)) or len(seen) > 3, timeout=20)


def street(opened, service, **options):
    """Open the street's own view, and wait for its picture."""
    visit = Visit(opened, f"{service.address}#/camera/street", **options)
    visit.page.wait_for_selector(".stage[data-drawn=yes]", timeout=30_000)
    return visit


def sign_in(visit):
    """Get the session's cookie as the page does, without its dialog."""
    answer = visit.page.request.post(
        visit.page.url.split("#")[0] + "api/v1/session", data={"token": TOKEN}
    )
    assert answer.ok
    visit.page.reload()


def test_four_cameras_of_an_rtsp_server_show_moving_pictures(opened, service, rtsp):
    with Visit(opened, service.address) as visit:
        is_drawn(visit.page, *rtsp.ports)
        for name in rtsp.ports:
            canvas = tile(visit.page, name).locator("canvas")
            moves(canvas)
            assert tile(visit.page, name).locator(".chip").inner_text() == "Live"
            assert "fps" in tile(visit.page, name).locator(".figures").inner_text()
        assert tile(visit.page, "north").locator(".treatment").inner_text() == "As it came: dry"
        assert visit.complaints == []


def test_the_slider_is_moved_by_keys_mouse_and_touch_and_what_is_drawn_changes(opened, service):
    with street(opened, service, has_touch=True) as visit:
        page = visit.page
        service.ask("POST", "cameras/street/steer", {"paused": True})
        try:
            page.get_by_text("Paused", exact=True).first.wait_for()
            slider, canvas = page.get_by_role("slider"), page.locator(".compare canvas")

            def drawn(left, right):
                return page.evaluate(COLUMNS, [canvas.element_handle(), left, right])

            slider.focus()
            page.keyboard.press("Home")
            assert slider.get_attribute("aria-valuetext") == "0 % before, 100 % after"
            after = drawn(0, 1)
            page.keyboard.press("End")
            before = drawn(0, 1)
            changed = sum(abs(a - b) > 8 for a, b in zip(before, after, strict=True)) / len(after)
            assert changed > 0.02  # the rain
            right_before, left_before = drawn(0.5, 1), drawn(0, 0.5)

            box = page.locator(".compare").bounding_box()
            middle = box["y"] + box["height"] / 2
            page.mouse.move(box["x"] + box["width"] - 3, middle)
            page.mouse.down()
            page.mouse.move(box["x"] + box["width"] / 2, middle, steps=4)
            page.mouse.up()
            assert slider.get_attribute("aria-valuenow") == "50"
            assert drawn(0, 0.5) == left_before
            assert drawn(0.5, 1) != right_before

            page.touchscreen.tap(box["x"] + box["width"] / 4, middle)
            assert slider.get_attribute("aria-valuenow") == "25"
            page.keyboard.press("ArrowRight")
            assert slider.get_attribute("aria-valuenow") == "27"
            page.keyboard.press("PageDown")
            assert slider.get_attribute("aria-valuenow") == "17"
        finally:
            service.ask("POST", "cameras/street/steer", {"paused": False})
        assert visit.complaints == []


def test_the_cameras_own_view_moves_and_tells_of_rain_and_latency(opened, service):
    with street(opened, service) as visit:
        page = visit.page
        moves(page.locator(".compare canvas"))
        page.locator(".under .treatment", has_text="Derained").wait_for(timeout=20_000)
        for title in ("Rain", "Latency"):
            drawing = page.get_by_role("img", name=f"{title}. Two minutes: between")
            drawing.wait_for(timeout=20_000)
            card = page.get_by_role("region", name=title, exact=True)
            card.get_by_text("As a table").click()
            assert card.get_by_role("row").count() > 1
        assert visit.complaints == []


def test_a_camera_added_over_rest_appears_without_a_reload_and_goes_again(opened, service):
    with Visit(opened, service.address) as visit:
        page = visit.page
        is_drawn(page, "north")
        page.evaluate("window.sameDocument = true")
        service.ask("PUT", "cameras/roof", {"source": SCENE, "gate": {"always": True}})
        is_drawn(page, "roof")
        assert page.locator(".tile").count() == 6
        page.locator("#announcer", has_text="roof").wait_for(state="attached")
        service.ask("DELETE", "cameras/roof")
        tile(page, "roof").wait_for(state="detached")
        assert page.evaluate("window.sameDocument")
        assert visit.complaints == []


@pytest.mark.alone
@pytest.mark.parametrize("way", ["cut off", "silent"])
def test_a_camera_that_dies_shows_so_within_two_seconds(opened, service, rtsp, way):
    with RtspCameras(mortal={"fps": 10}) as mortal:
        service.ask("PUT", "cameras/mortal", {"source": mortal.url("mortal"), "stall": "5s"})
        try:
            with Visit(opened, service.address) as visit:
                page = visit.page
                is_drawn(page, "mortal")
                page.wait_for_selector('[data-camera="mortal"][data-sure="yes"]')
                if way == "silent":
                    mortal.freeze()
                else:
                    mortal.kill()
                died = time.monotonic()
                page.wait_for_selector('[data-camera="mortal"][data-sure="no"]')
                assert time.monotonic() - died < 2
                told = page.get_by_label("Cameras that need attention")
                assert "mortal" in told.inner_text()
                assert tile(page, "north").get_attribute("data-sure") == "yes"
        finally:
            service.ask("DELETE", "cameras/mortal")


def test_a_narrow_screen_needs_no_scrolling_to_the_side(opened, service):
    sideways = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    with Visit(opened, service.address, size=(360, 740)) as visit:
        page = visit.page
        sign_in(visit)
        is_drawn(page, "north")
        assert page.evaluate(sideways) == 0
        page.get_by_role("button", name="Add camera").click()
        page.get_by_text("More", exact=True).click()
        assert page.evaluate("document.querySelector('dialog').scrollWidth") <= 360
        page.keyboard.press("Escape")
        tile(page, "north").click()
        page.wait_for_selector(".stage[data-drawn=yes]")
        assert page.evaluate(sideways) == 0
        assert visit.complaints == []


def test_only_pictures_in_view_are_asked_for_as_wide_as_shown_and_each_is_acknowledged(
    opened, service
):
    asked, counts = [], {"pictures": 0, "acks": 0}

    def sent(text):
        message = json.loads(text)
        if "watch" in message:
            asked.append(message["watch"])
        counts["acks"] += "ack" in message

    def listen(socket):
        socket.on("framesent", sent)
        socket.on(
            "framereceived",
            lambda data: counts.update(pictures=counts["pictures"] + isinstance(data, bytes)),
        )

    with Visit(opened, "about:blank", size=(360, 500), reduced_motion="reduce") as visit:
        page = visit.page
        page.on("websocket", listen)
        page.goto(service.address)
        is_drawn(page, "north")
        assert "street" not in asked[-1]
        assert asked[-1]["north"] == {"view": "after", "width": 320, "fps": 1}
        tile(page, "street").scroll_into_view_if_needed()
        is_drawn(page, "street")
        assert "north" not in asked[-1]
        page.get_by_role("button", name="Freeze pictures").click()
        until(lambda: page.wait_for_timeout(50) or asked[-1] == {})
        until(lambda: page.wait_for_timeout(50) or counts["acks"] == counts["pictures"])
        assert counts["pictures"] > 1


def test_a_camera_is_added_steered_changed_and_removed_on_the_page(opened, service):
    with Visit(opened, service.address) as visit:
        page = visit.page
        page.get_by_role("button", name="Sign in").click()
        page.get_by_label("Token").fill("not-the-token")
        page.keyboard.press("Enter")
        page.get_by_role("alert").filter(has_text="token").wait_for()
        assert any("401" in complaint for complaint in visit.complaints)
        visit.complaints.clear()
        page.get_by_label("Token").fill(TOKEN)
        page.keyboard.press("Enter")

        page.get_by_role("button", name="Add camera").click()
        page.get_by_label("Name").fill("no spaces")
        page.keyboard.press("Enter")
        page.get_by_role("alert").filter(has_text="A name has").wait_for()
        page.get_by_label("Name").fill("cellar")
        page.get_by_label("Source").fill("scene:light?size=160x90&fps=5")
        page.get_by_role("dialog").get_by_role("button", name="Add camera").click()
        is_drawn(page, "cellar")

        page.keyboard.press("Escape")
        tile(page, "cellar").locator("a").press("Enter")
        assert page.evaluate("document.activeElement.textContent") == "cellar"
        page.get_by_role("radio", name="Off").check(force=True)
        page.locator(".treatment", has_text="As it came: deraining off").wait_for()
        page.get_by_role("button", name="Pause").click()
        page.get_by_role("button", name="Resume").click()
        until(lambda: page.wait_for_timeout(50) or service.state("cellar") == "live")

        page.get_by_role("button", name="Change").click()
        page.get_by_label("Source").fill("scene:light?size=192x108&fps=5")
        page.get_by_role("button", name="Save").click()
        page.get_by_text("192 × 108").wait_for(timeout=20_000)
        config = service.ask("GET", "config")["cameras"]["cellar"]
        assert config["source"] == "scene:light?size=192x108&fps=5"

        page.get_by_role("button", name="Remove").click()
        page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        tile(page, "cellar").wait_for(state="detached")
        is_drawn(page, "north")
        assert visit.complaints == []


def test_snapshots_open_as_pictures(opened, service):
    with street(opened, service) as visit:
        for view, width in (("before", 320), ("after", 320), ("both", 640)):
            link = visit.page.get_by_role("link", name=f"Snapshot {view}")
            with urllib.request.urlopen(link.evaluate("a => a.href"), timeout=20) as answer:
                assert answer.headers["Content-Type"] == "image/jpeg"
            with visit.page.context.expect_page() as still:
                link.click()
            picture = still.value.locator("img")
            assert picture.evaluate("img => img.naturalWidth") == width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(opened, service, scheme):
    with Visit(opened, service.address, color_scheme=scheme) as visit:
        page = visit.page
        is_drawn(page, "north")
        assert serious(page) == []
        page.get_by_role("button", name="Sign in").click()
        assert serious(page) == []
        sign_in(visit)
        is_drawn(page, "north")
        page.get_by_role("button", name="Add camera").click()
        page.get_by_text("More", exact=True).click()
        assert serious(page) == []
        page.goto(f"{service.address}#/camera/street")
        page.wait_for_selector(".stage[data-drawn=yes]")
        page.get_by_role("img", name="Rain. Two minutes").wait_for()
        assert serious(page) == []
        page.get_by_role("button", name="Remove").click()
        assert serious(page) == []
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Change").click()
        page.get_by_role("dialog").wait_for()
        assert serious(page) == []
        assert visit.complaints == []


def test_a_lost_connection_is_shown_and_comes_back_by_itself(opened, service, tmp_path):
    with (
        Service(tmp_path, {"test": {"source": SCENE}}) as own,
        Visit(opened, own.address) as visit,
    ):
        page = visit.page
        is_drawn(page, "test")
        page.evaluate("window.sameDocument = true")
        own.kill()
        page.get_by_role("alert").filter(has_text="Connection to streamderain lost").wait_for()
        assert tile(page, "test").locator(".chip").inner_text() == "Unknown"
        assert serious(page) == []
        own.start()
        page.wait_for_selector('[data-camera="test"][data-sure="yes"]', timeout=20_000)
        page.locator("#banner").wait_for(state="hidden")
        assert page.evaluate("window.sameDocument")


def test_without_a_token_the_page_says_that_nothing_can_be_changed(opened, service, tmp_path):
    with (
        Service(tmp_path, {"test": {"source": SCENE}}, token=None) as own,
        Visit(opened, f"{own.address}#/camera/test") as visit,
    ):
        page = visit.page
        page.get_by_text("Read only").wait_for()
        assert page.get_by_role("button", name="Pause").is_disabled()
        assert page.get_by_role("button", name="Add camera").count() == 0
        assert visit.complaints == []
