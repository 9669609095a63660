"""A browser for the tests of pages."""

import json
import shutil

import pytest

from helpers.pages import THREE, Page

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--window-size=1300,900",
]


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is in the extra `test`")
    binary = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if binary is None or shutil.which("chromedriver") is None:
        pytest.skip("needs Chromium and chromedriver on PATH; install both")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    driver.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": True})
    yield driver
    driver.quit()


@pytest.fixture
def open_page(chromium, tmp_path):
    """Opens documents in the browser; afterwards it must have complained of nothing and fetched nothing."""

    from axolotl_slung.inspection.page import inspection_page

    def opened(documents, buckets=THREE, title="title", notes=None, cuts=None):
        path = tmp_path / "page.html"
        path.write_text(inspection_page(documents, buckets, title, notes or {}, cuts), encoding="utf-8")
        chromium.get_log("performance")
        chromium.get(path.as_uri())
        return Page(chromium)

    yield opened
    assert chromium.get_log("browser") == []
    url = (tmp_path / "page.html").as_uri()
    events = [json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
    sent = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert {request["request"]["url"] for request in sent if request["documentURL"] == url} <= {
        url
    }  # not the browser's own
