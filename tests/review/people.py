"""People at their browsers: each with a session of their own, and what their pages complained of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

OWN = "four quiet herons and an owl"
"""The password that each of them sets."""
PLACE = {"width": 1280, "height": 860}
EDGE = 16
"""Pixels around the picture of a part of a page."""


class People:
    """Several users of one server, in one browser."""

    def __init__(self, browser: Any, address: str, pictures: Path | None) -> None:
        self.browser, self.address, self.pictures = browser, address, pictures
        self.pages: dict[str, Any] = {}
        self.complaints: list[str] = []

    def come(self, name: str, given: str) -> Any:
        """Log in with a one-time password, set another, and stand before the queue."""
        page = self.stranger(name)
        page.goto(f"{self.address}/")
        page.fill("#name", name)
        page.fill("#password", given)
        page.click("button.chief")
        page.wait_for_url("**/password")
        page.fill("#old", given)
        page.fill("#new", OWN)
        page.fill("#again", OWN)
        page.click("button.chief")
        page.wait_for_url("**/cases")
        return page

    def stranger(self, name: str) -> Any:
        """Somebody who is not logged in."""
        page = self.browser.new_context(viewport=PLACE).new_page()
        page.set_default_timeout(120_000)  # a machine may be busy
        page.on("console", lambda said: self.complaints.append(f"{name}: {said.text}"))
        page.on("pageerror", lambda error: self.complaints.append(f"{name}: {error}"))
        page.on("request", self._note)
        self.pages[name] = page
        return page

    def add(self, name: str, role: str) -> str:
        """A user whom the admin adds; returns the one-time password."""
        root = self.pages["admin"]
        root.goto(f"{self.address}/users")
        root.fill("#name", name)
        root.select_option("#role", role)
        root.click("form[action='/users'] button")
        told: str = root.locator(".told code").inner_text()
        return told

    def picture(self, page: Any, name: str, part: str = "", most: int = 1600) -> None:
        """Leave a picture of what is seen, or of a part of the page."""
        if self.pictures is None:
            return
        file = self.pictures / f"review-{name}.png"
        if not part:
            end = page.evaluate("document.querySelector('main').getBoundingClientRect().bottom")
            size = page.viewport_size
            page.screenshot(path=file, clip={"x": 0, "y": 0, **size, "height": min(size["height"], end + 40)})
            return
        box = page.locator(part).first.bounding_box()
        down = page.evaluate("window.scrollY")
        clip = {
            "x": box["x"] - EDGE,
            "y": box["y"] + down - EDGE,
            "width": box["width"] + 2 * EDGE,
            "height": min(box["height"], most) + 2 * EDGE,
        }
        page.screenshot(path=file, clip=clip, full_page=True)

    def _note(self, request: Any) -> None:
        if not request.url.startswith(self.address + "/"):
            self.complaints.append(f"asked {request.url}")
