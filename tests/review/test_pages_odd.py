"""What no database holds is refused on both, and not a fault of the program: zero bytes, numbers without end."""

from __future__ import annotations

from pathlib import Path

from stillwatch.response.policy import Policy
from stillwatch.store.database import Store
from stillwatch.store.loading import load
from stillwatch.store.users import Role
from tests.review.results import accounts, campaign, write_result
from tests.review.serving import NOW, Visitor, add_person, served


def test_what_no_database_holds_is_refused(store: Store, tmp_path: Path) -> None:
    found = [campaign("c-1", ["f-1"], accounts("a", 3))]
    load(store, write_result(tmp_path / "result", found), "root", Policy(), NOW)
    add_person(store, "ann", Role.ADMIN)
    with served(store) as address:
        ann = Visitor(address, "ann")
        for path in (
            "/cases/c%00.json",
            "/search.json?words=%00",
            "/account.json?id=%00",
            "/audit.json?subject=%00",
        ):
            shown = ann.get(path)
            assert shown.status_code in {200, 404}, path
            assert "Traceback" not in shown.text
        for number in ("0", str(2**31), str(2**63), "9" * 60):
            assert ann.get(f"/decisions/{number}.json").status_code == 422
            assert ann.get(f"/audit.json?before={number}").status_code == 422
            assert ann.get(f"/cases.json?start={number}").status_code == (200 if number == "0" else 422)
        seen = ann.get("/cases/c-1/preview.json", action="throttle").json()["version"]
        asked = {"version": seen, "action": "throttle"}
        assert ann.post("/cases/c-1/decide.json", reason="one\x00hand", **asked).status_code in {200, 400}
        assert (
            ann.post("/cases/c-1/decide.json", reason="why", **asked | {"version": 2**70}).status_code == 409
        )
        assert ann.post("/users.json", name="b\x00b", role="viewer").status_code == 400
