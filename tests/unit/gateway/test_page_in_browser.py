"""The operator's page in a real browser: it shows the figures of the cache, and says so when it cannot."""

from __future__ import annotations

import asyncio
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait
from starlette.applications import Starlette
from starlette.routing import Mount

import raycache
from raycache.core.futures import Done
from raycache.core.messages import Failed
from raycache.edge.gateway.app import Application, application
from raycache.edge.gateway.limits import Limits

PATIENCE_S = 20.0
FLAGS = [
    "--headless=new",
    "--no-sandbox",  # CI runs as root
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",  # whatever is in shared memory belongs to caches
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SCHEMES = ["light", "dark"]
PHONE, DESK = (360, 740), (1280, 900)
SCRIPT = "<script>window.harm = 1</script>"

#: The least contrast between any text that is shown and what is behind it; relative luminance as WCAG 2 has it.
CONTRAST = """
const light = colour => colour.map(c => c / 255).map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
  .reduce((sum, c, place) => sum + c * [.2126, .7152, .0722][place], 0);
const numbers = text => text.match(/[\\d.]+/g).map(Number);
const behind = element => {
  const colour = numbers(getComputedStyle(element).backgroundColor);
  return colour.length > 3 && colour[3] === 0 ? behind(element.parentElement) : colour.slice(0, 3);
};
let worst = [99, "nothing"];
for (const element of document.querySelectorAll("body *:not(script)")) {
  const own = [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
  if (!own || !element.checkVisibility()) continue;
  const [one, other] = [numbers(getComputedStyle(element).color).slice(0, 3), behind(element)].map(light);
  const contrast = (Math.max(one, other) + .05) / (Math.min(one, other) + .05);
  if (contrast < worst[0]) worst = [contrast, element.textContent];
}
return worst;
"""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """One for all tests; they are strangers to each other, as each has a gateway at a port of its own."""
    missing = [program for program in ("chromium", "chromedriver") if shutil.which(program) is None]
    assert not missing, f"no {', '.join(missing)} here; scripts/hosts-packages installs them"
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()


class Gateway:
    """A server of the page on a port of loopback, which may be stopped and started again."""

    def __init__(self, cache: raycache.Cache, limits: Limits) -> None:
        self._cache, self._limits, self.port = cache, limits, 0
        self.asked, self.silent = 0, False
        self.start()

    def start(self) -> None:
        app = application(self._cache, limits=self._limits)
        self._socket = socket.create_server(("127.0.0.1", self.port))
        self.port = self._socket.getsockname()[1]
        config = uvicorn.Config(
            Starlette(routes=[Mount("/behind", self._held(app)), Mount("/", self._held(app))]),
            lifespan="off",
            log_level="critical",
            ws="none",
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]})
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(PATIENCE_S)
        self._socket.close()

        assert not self._thread.is_alive()

    def _held(self, app: Application) -> Any:
        """Requests are counted, and wait while the gateway is silent."""

        async def hold(scope: Any, receive: Any, send: Any) -> None:
            self.asked += scope["path"].endswith("/v1/page")
            while self.silent:
                await asyncio.sleep(0.01)
            await app(scope, receive, send)

        return hold


class Page:
    """The page in the browser."""

    def __init__(self, chromium: webdriver.Chrome, gateway: Gateway) -> None:
        self.chromium, self.gateway = chromium, gateway

    def open(self, size: tuple[int, int] = DESK, scheme: str = "light", path: str = "/") -> Page:
        """With figures, unless a token is needed."""
        width, height = size
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
        self.chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        colours = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        self.chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", colours)
        self.chromium.get(f"http://127.0.0.1:{self.gateway.port}{path}")
        self.until(lambda: self.text("#live") != "Asking the gateway")
        return self

    def until(self, condition: Callable[[], Any]) -> None:
        WebDriverWait(self.chromium, PATIENCE_S, poll_frequency=0.02).until(lambda _: condition())

    def text(self, selector: str) -> str:
        return self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.chromium.execute_script(script, *arguments)

    def rows(self, table: str) -> list[list[str]]:
        """The cells of the rows of a table, as they are read."""
        script = "return [...document.getElementById(arguments[0]).tBodies[0].rows].map("
        return self.run(script + "row => [...row.cells].map(cell => cell.innerText.trim()))", table)

    def totals(self) -> dict[str, str]:
        """The large figures."""
        script = "return [...document.querySelectorAll('#totals dt')].map(term => [term.innerText, "
        return dict(self.run(script + "term.nextElementSibling.innerText])"))

    def errors(self) -> list[str]:
        """What the browser complained of since the last time."""
        return [each["message"] for each in self.chromium.get_log("browser")]


@pytest.fixture
def opened(chromium: webdriver.Chrome) -> Iterator[Callable[..., Page]]:
    """Serves caches; at the end nothing is served any more, and the browser has complained of nothing."""
    pages: list[Page] = []

    def serve(cache: raycache.Cache, **limits: Any) -> Page:
        pages.append(Page(chromium, Gateway(cache, Limits(**limits))))
        return pages[-1]

    yield serve
    complaints = [error for page in pages for error in page.errors()]
    chromium.get("about:blank")
    for page in pages:
        page.gateway.stop()

    assert complaints == []


def with_figures(inline: Callable[..., raycache.Cache]) -> raycache.Cache:
    """A cache with groups and keys that are hard to show."""
    cache = inline(shards=3)
    users = cache.group("users", lambda key: "x" * 2000)
    for key in ("alice", "alice", "bob", SCRIPT, SCRIPT, SCRIPT, "\u202egnp.\ud83d\ude00", "k" * 300, "k" * 300):
        users.get(key)
    cache.group(f"{SCRIPT}/{'long' * 40}", lambda key: b"").get_many(range(30))
    cache.group("sessions", None).get("missing", None)
    cache.stats()  # now the shards know of all that
    return cache


def test_the_page_shows_the_figures_of_the_cache_as_they_change(inline, opened, getter):
    cache = inline(shards=2)
    users = cache.group("users", getter)
    for key in ("a", "b", "a", "a"):
        users.get(key)
    page = opened(cache).open()
    page.until(lambda: page.rows("hottest"))

    assert page.text("h1") == f"raycache {cache.name}"
    assert (page.totals()["Hit ratio"], page.totals()["Entries"]) == ("50.0%", "2")
    ((name, hits, _, flying, entries, size, _),) = page.rows("groups")
    assert (name, hits.split("\n"), flying, entries) == ("users", ["50.0% hits", "of 4 gets"], "0", "2")
    assert size == f"{users.stats().bytes} B"
    assert [row[0] for row in page.rows("shards")] == ["inline.0", "inline.1"]
    assert [int(row[2]) for row in page.rows("shards")] == [shard.entries for shard in cache.shards()]
    assert [row[:2] for row in page.rows("hottest")] == [["'a'", "users"]]
    for _ in range(1996):
        users.get("b")
    page.until(lambda: "of 2,000 gets" in page.rows("groups")[0][1])

    assert page.rows("groups")[0][1].startswith("99.9% hits")
    assert page.totals()["Hit ratio"] == "99.9%"
    assert page.rows("hottest")[0][0] == "'b'"


def test_the_page_works_behind_a_prefix(inline, opened):
    assert opened(with_figures(inline)).open(path="/behind/").text("#live") == "Live"


def test_bars_show_which_tier_has_answered(inline, opened):
    cache = inline()
    for name, near in (("near", "1 MiB"), ("pages", 0)):
        group = cache.group(name, lambda key: key, near=near)
        group.get_many("abcdefgh")
        group.get_many("abcdefgh")
    page = opened(cache).open()
    script = "return [...document.querySelectorAll('#groups tbody tr')].map(row => [row.cells[0].innerText, "
    shown = dict(page.run(script + "[...row.querySelectorAll('i')].map(part => [part.className, part.style.width])])"))
    said = page.run("return [...document.querySelectorAll('#groups [role=img]')].map(bar => bar.ariaLabel)")

    assert shown == {"near": [["near", "50%"], ["load", "50%"]], "pages": [["page", "50%"], ["load", "50%"]]}
    assert "near 50.0%, pages 0.0%, shard 0.0%, loaded 50.0%, neither 0.0%" in said


def test_loads_in_flight_are_shown(inline, opened, getter, gate, pool):
    getter.gates["slow"] = gate()
    cache = inline()
    waiting = pool.submit(cache.group("reports", getter).get, "slow")
    getter.gates["slow"].await_arrival()
    page = opened(cache).open()

    assert (page.rows("groups")[0][3], page.totals()["Loads in flight"]) == ("1", "1")

    getter.gates["slow"].open()
    waiting.result()
    page.until(lambda: page.totals()["Loads in flight"] == "0")


def test_names_and_keys_are_text_and_never_markup(inline, opened):
    page = opened(with_figures(inline)).open()
    page.until(lambda: page.rows("hottest"))

    assert page.rows("hottest")[0][0] == repr(SCRIPT)
    assert {row[0] for row in page.rows("groups")} >= {"users", f"{SCRIPT}/{'long' * 40}"}
    assert page.run("return [window.harm ?? null, document.scripts.length]") == [None, 1]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_all_text_can_be_read_without_scrolling_sideways(inline, opened, size, scheme):
    page = opened(with_figures(inline)).open(size, scheme)
    page.until(lambda: page.rows("hottest"))
    contrast, text = page.run(CONTRAST)

    assert contrast >= 4.5, text
    assert page.run("return document.documentElement.scrollWidth") <= size[0]


def test_light_and_dark_are_what_the_reader_prefers(inline, opened):
    page, grounds = opened(with_figures(inline)), []
    for scheme in SCHEMES:
        page.open(DESK, scheme)
        grounds.append(page.run("return getComputedStyle(document.body).backgroundColor"))

    assert grounds == ["rgb(244, 246, 249)", "rgb(14, 18, 23)"]


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_tables_are_tables_to_those_who_hear_them(inline, opened, size):
    """Also on a phone, where their cells lie below each other."""
    page = opened(with_figures(inline)).open(size)
    page.until(lambda: page.rows("hottest"))
    nodes = page.chromium.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = [node["role"]["value"] for node in nodes if not node["ignored"]]
    names = [node["name"]["value"] for node in nodes if node["role"]["value"] == "columnheader"]

    assert roles.count("table") == 3
    assert len([name for name in names if name]) == roles.count("columnheader") == 18
    assert page.run("return document.getElementById('live').ariaLive") == "polite"


def test_the_page_says_when_the_gateway_is_gone(inline, opened):
    page = opened(with_figures(inline)).open()
    page.gateway.stop()
    page.until(lambda: page.text("#live") == "The gateway does not answer")

    assert "cannot be reached" in page.text("#trouble")
    assert page.rows("groups")

    page.gateway.start()
    page.until(lambda: page.text("#live") == "Live")

    assert page.text("#trouble") == ""
    assert all("ERR_CONNECTION_REFUSED" in error for error in page.errors())


def test_the_page_says_how_old_its_figures_are(inline, opened):
    """Also while it still waits for newer ones; and when it no longer does."""
    page = opened(with_figures(inline)).open()
    page.gateway.silent = True
    page.until(lambda: page.text("#age") == "figures are 3 s old")

    assert page.text("#live") == "Live"

    page.gateway.silent = False
    page.until(lambda: page.text("#age") == "every second")
    page.run("AbortSignal.timeout = () => AbortSignal.abort(new DOMException('late', 'TimeoutError'))")
    page.until(lambda: page.text("#trouble") == "There was no answer within 5 s.")


def test_the_page_names_a_shard_that_does_not_answer(inline, opened, monkeypatch):
    cache = with_figures(inline)
    ask, page = cache.network.ask, opened(cache).open()
    with monkeypatch.context() as patched:
        away = lambda id, each: Done(Failed("stopped")) if id == "inline.1" else ask(id, each)  # noqa: E731
        patched.setattr(cache.network, "ask", away)
        page.until(lambda: page.text("#live") == "A shard does not answer")

        assert "inline.1" in page.text("#trouble")
        assert [row[-1] for row in page.rows("shards")] == ["serves", "does not answer", "serves"]

    page.until(lambda: page.text("#live") == "Live")

    assert page.text("#trouble") == ""


def test_the_page_asks_once_for_the_token(inline, opened):
    page = opened(with_figures(inline), token="right").open()

    assert page.text("#live") == "A token is needed"
    assert page.run("return document.getElementById('figures').checkVisibility()") is False
    field = page.chromium.find_element(By.ID, "token")
    field.send_keys("wrong", Keys.ENTER)
    page.until(lambda: page.text("#live") == "The token was refused")
    field.send_keys("right", Keys.ENTER)
    page.until(lambda: page.text("#live") == "Live")
    page.open()

    assert page.text("#live") == "Live"
    assert page.run("return [location.search, document.cookie, localStorage.length]") == ["", "", 0]
    assert all("401" in error for error in page.errors())


def test_a_page_that_nobody_sees_asks_nothing(inline, opened):
    page = opened(with_figures(inline)).open()
    hide = "Object.defineProperty(document, 'hidden', {value: arguments[0], configurable: true});"
    page.run(hide + "document.dispatchEvent(new Event('visibilitychange'))", True)
    page.until(lambda: page.run("return !asking"))
    before = page.gateway.asked
    page.run("for (let times = 0; times < 5; times++) refresh()")
    hidden = page.gateway.asked
    page.run(hide + "document.dispatchEvent(new Event('visibilitychange'))", False)
    page.until(lambda: page.gateway.asked > before)

    assert hidden == before
