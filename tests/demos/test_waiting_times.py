"""The waiting-times example: its list has the real one's shape exactly, and its steps do what they say."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from demos.conftest import Probe
from starter import EXAMPLES

ROWS = 200_433
COLUMNS = (
    "ID;NAAM_VESTIGING;KVK_VESTIGING_NR;TYPE_WACHTTIJD;CODE_WACHTTIJD;WACHTTIJD;OMS_WACHTTIJD;SPECIALISME;"
    "LOCATIECODE;AGBCODE;STRAAT;POSTCODE;PLAATS;ROAZ_REGIO;NAAM_INSTELLING;TYPE_ZORGINSTELLING;"
    "DATUM_ZORGBEELD;WEEK_DAGEN;JAARMAAND;PEILDATUM;INSUFFICIENT_OBSERVATIONS"
)
# The bytes of 2022-09-09 with seed 7. They are to change only when somebody means it.
DIGEST = "4ff662413deb0f3574b579b65a2a763bae9e75e2c244733170c1637d99e77ce5"


@pytest.fixture(scope="module")
def found(probe: Probe) -> dict[str, Any]:
    return dict(probe("waiting-times", "look_at_waiting_times.py"))


def test_the_list_has_the_real_ones_columns_and_gaps(found: dict[str, Any]) -> None:
    made = found["list"]
    assert made["header"] == COLUMNS
    assert made["shape"] == [ROWS, 21]
    gaps = {name: count for name, count in made["present"].items() if count != ROWS}
    assert gaps == {
        "WACHTTIJD": 188_934,
        "TYPE_ZORGINSTELLING": ROWS - 1,
        "INSUFFICIENT_OBSERVATIONS": 171_510,
    }
    assert made["over_500"] == 155
    assert made["descriptions"] == 120
    assert made["forgetful"] == ["Heartlife Klinieken"]
    assert made["ids"] == ["1", str(ROWS), True]


def test_its_values_are_those_of_the_real_list(found: dict[str, Any]) -> None:
    made = found["list"]
    assert made["types"] == ["Behandeling", "Diagnostiek", "Polikliniekbezoek"]
    assert made["institutions"] == ["Kliniek", "Ziekenhuis"]
    assert {"Noord-NL", "Oost", "Brabant", "SpzNet AMC", "Noordwest"} <= set(made["regions"])
    assert made["least"] >= 1


@pytest.mark.parametrize("which", ["list", "another"])
def test_snapshots_are_the_tuesdays_of_even_weeks_up_to_the_date(found: dict[str, Any], which: str) -> None:
    date = dt.date(2022, 9, 9) if which == "list" else dt.date(2024, 3, 1)
    texts = found["list"]["snapshots"] if which == "list" else found["snapshots_of_another_date"]
    days = [dt.date.fromisoformat(text) for text in texts]
    assert len(days) == 26 and days == sorted(days)
    assert all(day.weekday() == 1 and day.isocalendar().week % 2 == 0 for day in days)
    assert dt.timedelta(0) <= date - days[-1] < dt.timedelta(21)
    assert dt.timedelta(340) < days[-1] - days[0] < dt.timedelta(375)


def test_reports_are_no_later_than_the_snapshots(found: dict[str, Any]) -> None:
    made = found["list"]
    first, last = made["reported"]
    assert last <= made["snapshots"][-1].replace("-", "") <= "20220909"
    assert first > "20210801"
    assert made["months_agree"]


def test_the_bytes_follow_from_date_and_seed(found: dict[str, Any]) -> None:
    digests = found["digests"]
    assert digests["first"] == digests["again"] == DIGEST
    assert len(set(digests.values())) == 3


def test_a_list_of_ones_own_is_read_as_spreadsheets_write_it(found: dict[str, Any]) -> None:
    own = found["own"]
    names = ["WACHTTIJD", "TYPE_WACHTTIJD", "SPECIALISME", "ROAZ_REGIO", "TYPE_ZORGINSTELLING"]
    assert own["columns"] == names
    assert own["rows"] == [[12.5, "Behandeling", "KNO (302)", "Oost", "Kliniek"]]
    assert "TYPE_WACHTTIJD, ROAZ_REGIO, TYPE_ZORGINSTELLING" in own["refused"]


def test_the_split_keeps_apart_and_can_be_repeated(found: dict[str, Any]) -> None:
    learnt = found["learnt"]
    rows, learn, judge = learnt["rows"]
    assert rows == learn + judge == 188_934
    assert judge / rows == pytest.approx(0.2, abs=1e-4)
    assert learnt["overlap"] == 0 and learnt["same_split"] and learnt["missing"] == 0


def test_the_tree_is_as_good_as_its_signal_allows(found: dict[str, Any]) -> None:
    assert 0.28 < found["learnt"]["metrics"]["r2"] < 0.40
    assert found["learnt"]["metrics"]["mae"] < found["learnt"]["metrics"]["rmse"]


def test_each_feature_is_encoded_once(found: dict[str, Any]) -> None:
    assert found["learnt"]["encoded"] == found["learnt"]["values"]


def test_the_requests_beside_it_get_days(found: dict[str, Any]) -> None:
    predicted = found["learnt"]["predicted"]
    assert all(0 < days < 500 for days in predicted.values())
    assert predicted["testdata"] == predicted["request"]


def test_the_documents_body_is_verbatim() -> None:
    body = json.loads((EXAMPLES / "waiting-times/testdata.json").read_text())
    values = {
        "TYPE_WACHTTIJD": "Polikliniekbezoek",
        "SPECIALISME": "Orthopedie (305)",
        "ROAZ_REGIO": "Noordwest",
        "TYPE_ZORGINSTELLING": "Kliniek",
    }
    inputs = [
        {"name": name, "shape": [1], "datatype": "FP32", "data": [value]} for name, value in values.items()
    ]
    assert body == {"parameters": {"content_type": "pd"}, "inputs": inputs}
