"""The example as a person meets it: a real browser that trusts the ACME server's root and nothing more."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "dev"))
import lab

DOMAIN = "guestbook.example.com"
PICTURES = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "pictures"
MAKE_ADMIN = "from django.contrib.auth.models import User; User.objects.create_superuser('ann', password='{}')"
# Each style sheet with how many rules it has; one that could not be loaded has none.
STYLES = "return [...document.styleSheets].map(sheet => [sheet.href, sheet.cssRules.length])"
PROTOCOL = "return performance.getEntriesByType('navigation')[0].nextHopProtocol"
FETCH = "const done = arguments[1]; fetch(arguments[0]).then(async it => done([it.status, await it.text()]))"


@pytest.fixture(scope="module")
def browser(address, acme_root, tmp_path_factory) -> Iterator[webdriver.Chrome]:
    try:
        chromium, driver, certutil = lab.have_browser()
    except lab.Missing as reason:
        pytest.skip(str(reason))
    home = tmp_path_factory.mktemp("home")
    store = home / ".pki/nssdb"
    store.mkdir(parents=True)
    subprocess.run([certutil, "-N", "-d", f"sql:{store}", "--empty-password"], check=True)
    trust = [certutil, "-A", "-d", f"sql:{store}", "-t", "C,,", "-n", "acme", "-i", acme_root]
    subprocess.run(trust, check=True)
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    # Root may not have a sandbox in here, containers have little /dev/shm.
    for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "no-proxy-server", "window-size=1200,900"):
        options.add_argument(f"--{argument}")
    options.add_argument(f"--host-resolver-rules=MAP {DOMAIN} {address}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(driver, env=os.environ | {"HOME": str(home)})
    started = webdriver.Chrome(options, service)
    started.set_page_load_timeout(60)
    yield started
    started.quit()


def errors(browser: webdriver.Chrome) -> list[str]:
    """What the browser complains about: files it did not get, scripts that failed."""
    said = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    return [message for message in said if "/favicon.ico " not in message]  # the admin names no icon


def picture(browser: webdriver.Chrome, name: str) -> None:
    PICTURES.mkdir(exist_ok=True)
    browser.save_screenshot(str(PICTURES / name))


def styled(browser: webdriver.Chrome) -> None:
    sheets = browser.execute_script(STYLES)
    assert sheets
    for sheet, rules in sheets:
        assert sheet.startswith(f"https://{DOMAIN}/static/")
        assert rules > 0, sheet


def colour(browser: webdriver.Chrome, selector: str) -> str:
    return browser.find_element(By.CSS_SELECTOR, selector).value_of_css_property("background-color")


def test_a_person_logs_in_uploads_and_reads(host, browser, tmp_path):
    password = os.urandom(9).hex()
    host.check_output("issued-manage shell -c %s", MAKE_ADMIN.format(password))
    upload = tmp_path / "é ü 한글.txt"
    upload.write_text("Grüße aus 서울")

    browser.get(f"https://{DOMAIN}/admin/")
    assert "Log in" in browser.title
    browser.find_element(By.NAME, "username").send_keys("ann")
    browser.find_element(By.NAME, "password").send_keys(password)
    browser.find_element(By.CSS_SELECTOR, "[type=submit]").click()
    WebDriverWait(browser, 30).until(lambda it: it.find_elements(By.ID, "logout-form"))
    styled(browser)
    assert colour(browser, "#header") == "rgba(65, 118, 144, 1)", "the admin's own style is missing"
    session = browser.get_cookie("sessionid")
    assert session["secure"] and session["httpOnly"]

    browser.get(f"https://{DOMAIN}/admin/entries/entry/add/")
    browser.find_element(By.NAME, "name").send_keys("Ann")
    browser.find_element(By.NAME, "message").send_keys("Sent by a browser, over HTTPS.")
    browser.find_element(By.NAME, "attachment").send_keys(str(upload))
    picture(browser, "admin.png")
    browser.find_element(By.NAME, "_save").click()
    WebDriverWait(browser, 30).until(lambda it: it.find_elements(By.CSS_SELECTOR, ".messagelist .success"))

    browser.get(f"https://{DOMAIN}/")
    assert browser.title == "Guestbook"
    assert browser.execute_script("return isSecureContext && location.protocol") == "https:"
    assert browser.execute_script(PROTOCOL) == "h2"
    styled(browser)
    assert "Sent by a browser, over HTTPS." in browser.find_element(By.CSS_SELECTOR, ".entry").text
    link = browser.find_element(By.CSS_SELECTOR, ".entry .attachment")
    assert link.text == "é_ü_한글.txt"
    assert browser.execute_async_script(FETCH, link.get_attribute("href")) == [200, "Grüße aus 서울"]
    picture(browser, "guestbook.png")
    assert errors(browser) == []


def test_plain_http_leads_to_the_page(browser):
    browser.get(f"http://{DOMAIN}/?from=http")
    assert browser.current_url == f"https://{DOMAIN}/?from=http"
