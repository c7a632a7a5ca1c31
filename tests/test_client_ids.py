"""ClientIds of parts: the same whatever a table makes of them, and known by what 0.1 made of them."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
import threading
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hercle_nb as hercle
from hercle_nb.client_ids import carrying, part_text, spellings
from hercle_nb.errors import InvalidRequest
from hercle_nb.invoice_request import InvoiceRequest, check_client_id
from hercle_nb.simulator import Simulator
from tests.answers import ask, id_of_0_1

UNSEEN = [0xAD, 0x200B, 0x2060, 0xFEFF, 0x200E, 0x200F, 0x61C, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
NOON = datetime(2026, 11, 30, 12)  # noqa: DTZ001  # what a table holds has no zone


def test_ids_of_parts() -> None:
    """`client_id` gives the same valid id for the same parts, and another for any others."""
    assert hercle.client_id("order", 17) == hercle.client_id("order", 17) == hercle.client_id("order", "17")
    parts = [("order", 17), ("order17",), ("order", 1, 7), (17, "order"), ("order", "17", 0), ("\ud800",)]
    ids = {hercle.client_id(*each) for each in parts}
    assert len(ids) == len(parts)
    assert all(uuid.UUID(check_client_id(each)).version == 5 for each in ids)
    with pytest.raises(InvalidRequest, match="needs something to make the id from"):
        hercle.client_id()


def test_ids_are_those_of_0_1() -> None:
    """Where 0.1 made an id that no table can change, the id is that one still."""
    assert hercle.client_id("order", 17) == "bb8026c9-e89d-593c-9b90-602aac5e3778"
    assert id_of_0_1("order", 17.0) == "245985a9-3b07-5add-96de-68790f6d42a8"
    for parts in (("order", 17), ("é", "a b"), (1.5, True), (date(2026, 11, 30), uuid.UUID(int=7)), ("a",)):
        assert hercle.client_id(*parts) == id_of_0_1(*parts)
        assert spellings(hercle.client_id(*parts)) == (id_of_0_1(*parts),)


@pytest.mark.parametrize(
    "same",
    [
        17.0,
        np.int64(17),
        np.uint8(17),
        np.float64(17),
        np.float32(17),
        np.longdouble(17),
        np.array(17),
        np.str_("17"),
        Decimal(17),
        Decimal("17.00"),
        Decimal("1.7E1"),
        Fraction(17),
        "17.0",
        " 17 ",
        "\ufeff17",
    ],
)
def test_whole_numbers_are_one_part(same: Any) -> None:
    """A whole number is the same part whatever holds it: one missing cell makes integers float."""
    assert hercle.client_id("order", same) == hercle.client_id("order", 17)


@pytest.mark.parametrize(
    "other", ["017", "17.00", "017.0", "17,0", 17.5, "1 7", -17, "+17", 170, "17e0", "25.000"]
)
def test_other_numbers_are_other_parts(other: Any) -> None:
    """What differs as a number or as the text that somebody wrote is another part."""
    assert part_text(other) == str(other) != "17"


def test_loops_over_tables_that_became_float() -> None:
    """A loop over a table gives the same ids once a missing number has made its column float."""
    whole = pd.DataFrame({"order": [1, 2, 3]})
    before = [hercle.client_id("order", row.order) for row in whole.itertuples()]
    floats = pd.DataFrame({"order": [1, 2, 3, None]})
    after = [hercle.client_id("order", row.order) for row in floats.dropna().itertuples()]
    assert after == before
    with pytest.raises(InvalidRequest, match="Part 2 of client_id"):
        [hercle.client_id("order", number) for number in floats["order"]]


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        *[
            (missing, "is missing, and orders without a number would share one id; give each one of its own.")
            for missing in (
                *(None, float("nan"), np.float64("nan"), np.float32("nan"), Decimal("NaN"), Decimal("sNaN")),
                *(
                    pd.NA,
                    pd.NaT,
                    np.datetime64("NaT"),
                    np.timedelta64("NaT"),
                    Decimal("Infinity"),
                    ("a", None),
                ),
            )
        ],
        *[
            (blank, "is blank, and orders without a number would share one id; write one.")
            for blank in ("", " ", "\t\n", "\u00a0", "\u200b", "\ufeff\u202e", np.str_(""), [""])
        ],
    ],
)
def test_missing_parts_are_refused(missing: Any, words: str) -> None:
    """A part that is missing or blank is refused by its place: two orders without a number are not one."""
    with pytest.raises(InvalidRequest) as caught:
        hercle.client_id("order", missing)
    older = id_of_0_1("order", missing)
    assert str(caught.value) == (
        f"Part 2 of client_id() {words} If version 0.1 made an invoice of these parts, "
        f"hub.invoice({older!r}) shows it, and another id makes a second one."
    )


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (2.0**53 + 2, "is the float 9007199254740994.0, and floats of this size are not exact"),
        (np.float64(-1e300), "is the float -1e+300"),
        (float("inf"), "is the float inf"),
        ({"a"}, "is set, whose text may differ in the next kernel; give a text or a number"),
        (frozenset("a"), "is frozenset"),
        (object(), "is object"),
        (len, None),
        (lambda: 0, "is function"),
        (np.array([1, 2]), "is ndarray"),
        (pd.Series([1]), "is Series"),
        (pd.DataFrame({"a": [1]}), "is DataFrame"),
    ],
)
def test_parts_that_may_change_are_refused(part: Any, words: str | None) -> None:
    """A part whose text is not the same in each kernel, or not what was written, is refused."""
    if words is None:
        assert part_text(part) == "<built-in function len>"
        return
    with pytest.raises(InvalidRequest) as caught:
        hercle.client_id(part)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("Mu\u0308ller", "Müller"),
        ("e\u200b\u0301", "é"),
        ("\u212b", "\u00c5"),
        *((f"or{chr(code)}der", "order") for code in UNSEEN),
        (
            "\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            "\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        ),
        ("\U0001f469\u200d\U0001f680", "\U0001f469\u200d\U0001f680"),
        ("  two \t\u00a0\u202f\u3000\r\nwords ", "two words"),
        ("Order", "Order"),
        (PurePosixPath("a/Mu\u0308ller"), "a/Müller"),
        ("None", "None"),
    ],
)
def test_texts_count_as_they_are_seen(text: Any, counts: str) -> None:
    """Texts that look the same are the same part; what tells words apart, case and joiners, stays."""
    assert part_text(text) == counts
    assert hercle.client_id(text) == hercle.client_id(counts)


@given(st.text())
def test_any_text_counts_once(text: str) -> None:
    """What counts of any text counts as itself, and is found under what 0.1 made of the text as written."""
    try:
        counts = part_text(text)
    except InvalidRequest:
        assert not text.strip() or set(map(ord, text.strip())) & set(UNSEEN)
        return
    assert part_text(counts) == counts
    found = hercle.client_id("order", text)
    assert found == hercle.client_id("order", counts)
    assert set(spellings(found)) >= {id_of_0_1("order", text), found}
    assert spellings(found)[-1] == found


@pytest.mark.parametrize(
    "day",
    [
        date(2026, 11, 30),
        datetime(2026, 11, 30),  # noqa: DTZ001
        pd.Timestamp("2026-11-30"),
        np.datetime64("2026-11-30"),
        np.datetime64("2026-11-30T00:00"),
        np.datetime64("2026-11-30", "ns"),
        "2026-11-30",
        "2026-11-30 00:00",
        "2026-11-30 00:00:00",
        "2026-11-30T00:00:00",
        " 2026-11-30  00:00:00.000000 ",
        "2026-11-30T00:00:00.000000000",
    ],
)
def test_midnight_is_a_day(day: Any) -> None:
    """A time at midnight without a zone is its date: tables turn the one into the other, as text too."""
    assert part_text(day) == "2026-11-30"


@pytest.mark.parametrize(
    ("time", "counts"),
    [
        (NOON, "2026-11-30 12:00:00"),
        (pd.Timestamp(NOON), "2026-11-30 12:00:00"),
        (np.datetime64(NOON, "ns"), "2026-11-30 12:00:00"),
        (np.datetime64("2026-11-30T00:00:00.000000001"), "2026-11-30T00:00:00.000000001"),
        (pd.Timestamp("2026-11-30 00:00:00.000000001"), "2026-11-30 00:00:00.000000001"),
        (datetime(2026, 11, 30, tzinfo=UTC), "2026-11-30 00:00:00+00:00"),
        ("2026-11-30 00:00:00+01:00", "2026-11-30 00:00:00+01:00"),
        ("2026-11-30T00:00:00Z", "2026-11-30T00:00:00Z"),
        ("00:00:00", "00:00:00"),
        (np.timedelta64(17, "ns"), "17 nanoseconds"),
        (pd.Period("2026-11"), "2026-11"),
    ],
)
def test_other_times_stay(time: Any, counts: str) -> None:
    """Any other time keeps its hours, and a zone keeps its midnight: it is another time elsewhere."""
    assert part_text(time) == counts


def test_parts_within_parts() -> None:
    """Of a tuple or list, such as the label of an index of several levels, what it holds counts."""
    index = pd.MultiIndex.from_tuples([("rent", 17.0)])
    assert hercle.client_id(index[0]) == hercle.client_id(("rent ", 17)) == hercle.client_id(["rent", "17"])
    assert hercle.client_id(("rent", 17)) != hercle.client_id("rent", 17)


@pytest.mark.parametrize(
    "parts", [("order", 17.0), ("order", "A  1"), (pd.Timestamp("2026-11-30"),), ((1, 2),)]
)
def test_ids_carry_those_of_0_1(parts: tuple[Any, ...]) -> None:
    """Where 0.1 made another id of the same parts, that one is looked up first, in whatever holds the id."""
    found = hercle.client_id(*parts)
    before = id_of_0_1(*parts)
    assert before != found
    in_a_table = pd.DataFrame({"client_id": [found]})["client_id"].iloc[0]
    for one in (found, f"{found}", json.loads(json.dumps(found)), in_a_table, check_client_id(found)):
        assert spellings(one)[0] == before
        assert spellings(one)[-1] == found
        assert type(spellings(one)[-1]) is str
    assert isinstance(found, str)
    assert (repr(found), hash(found), {found: 1}) == (repr(str(found)), hash(str(found)), {str(found): 1})


def test_the_latest_id_of_0_1_comes_first() -> None:
    """Of several ids that 0.1 made for what is one order now, the one of the parts given last comes first."""
    ids = [hercle.client_id("first", part) for part in (5.0, "5 ", 5.0)]
    assert len(set(ids)) == 1
    assert spellings(ids[0]) == (id_of_0_1("first", 5.0), id_of_0_1("first", "5 "), id_of_0_1("first", 5))


def test_copies_carry_too() -> None:
    """Copies and pickles of an id and of a request carry what the id does, and equal it."""
    found = hercle.client_id("order", 18.0)
    for one in (copy.copy(found), copy.deepcopy(found), pickle.loads(pickle.dumps(found))):  # noqa: S301
        assert (one, spellings(one)) == (found, spellings(found))
    request = ask(client_id=found)
    assert request == ask(client_id=str(found)) == pickle.loads(pickle.dumps(request))  # noqa: S301
    assert hash(request) == hash(ask(client_id=str(found)))


@pytest.mark.parametrize("in_a_request", [False, True])
def test_other_processes_are_told(*, in_a_request: bool) -> None:
    """An id that is sent to another process, alone or in a request, is looked up there as it is here."""
    found = hercle.client_id("order", 19.0)
    sent: Any = InvoiceRequest(amount_sat=5, client_id=found) if in_a_request else found
    program = (
        "import pickle, sys\n"
        "from hercle_nb.client_ids import spellings\n"
        "sent = pickle.load(sys.stdin.buffer)\n"
        "print(*spellings(str(getattr(sent, 'client_id', sent))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=pickle.dumps(sent), capture_output=True, check=True, timeout=60
    )
    assert tuple(done.stdout.decode().split()) == spellings(found)


def test_ids_made_by_many_threads() -> None:
    """What many threads make at the same time is all carried."""
    begin = threading.Barrier(8)

    def make(number: int) -> None:
        begin.wait()
        for turn in range(200):
            carrying(f"threads-{turn}", [f"{number}-{turn}"])

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for turn in range(200):
        assert sorted(spellings(f"threads-{turn}")[:-1]) == [f"{number}-{turn}" for number in range(8)]


def test_importing_needs_no_pandas() -> None:
    """Making an id imports neither pandas nor numpy."""
    program = (
        "import sys, hercle_nb; hercle_nb.client_id('order', 17.0); "
        "print({'pandas', 'numpy'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "set()\n"


def test_the_upgrade_makes_no_second_invoice(journal_file: str) -> None:
    """What 0.1 made under its own id is found by the id of now, in calls, batches, look-ups and resolve."""
    now, before = hercle.client_id("tea", 17.0), id_of_0_1("tea", 17.0)
    assert now != before
    with Simulator() as simulator:
        place = {"url": simulator.url, "api_key": simulator.api_key, "journal": journal_file}
        with hercle.connect(**place) as hub:
            made = hub.create_invoice(amount_sat=5, client_id=before)
            row = hub.create_invoice(amount_sat=6, client_id=id_of_0_1("batch", "b", "key", "Cafe\u0301"))
            simulator.faults.noReply = True
            with pytest.raises(hercle.OutcomeUnknown):
                hub.create_invoice(amount_sat=7, client_id=id_of_0_1("lost", 1.0), timeout=0.3)
            simulator.faults.clear()
        for _ in range(2):  # and once more with what the journal knows
            with hercle.connect(**place) as hub:
                assert hub.create_invoice(amount_sat=5, client_id=now).payment_request == made.payment_request
                assert hub.create_invoice(amount_sat=5, client_id=str(now)).client_id == before
                assert hub.invoice(now).client_id == before
                assert hub.resolve(hercle.client_id("lost", 1.0)).outcome == "adopted"
                with pytest.raises(InvalidRequest, match="was used for another invoice"):
                    hub.create_invoice(amount_sat=8, client_id=now)
                for call in (hub.command, lambda *args, client_id: hub.invoke(args[0], client_id, *args[1:])):
                    with pytest.raises(InvalidRequest, match="was used for another invoice"):
                        call("CreateLightningInvoice", 1, None, None, client_id=now)
                table = pd.DataFrame({"Order": ["Cafe\u0301"], "amount_sat": [6]})
                frame = hub.create_invoices(table, batch_id="b", key="Order", progress=False)
                assert frame["client_id"].tolist() == [row.client_id]
                ids = pd.DataFrame({"client_id": [now], "amount_sat": [5]})  # a column keeps texts alone
                assert hub.create_invoices(ids, progress=False)["id"].tolist() == [made.id]
        assert len(simulator._server.state.invoices) == 3


def test_an_id_that_was_stored_finds_it_too(journal_file: str) -> None:
    """Once an id of now has found what 0.1 made, its bare text does so in any later process."""
    now, before = hercle.client_id("tea", 18.0), id_of_0_1("tea", 18.0)
    with Simulator() as simulator:
        place = {"url": simulator.url, "api_key": simulator.api_key, "journal": journal_file}
        with hercle.connect(**place) as hub:
            hub.create_invoice(amount_sat=5, client_id=before)
            assert hub.create_invoice(amount_sat=5, client_id=now).client_id == before
        code = (
            "import hercle_nb as hercle, sys; url, key, journal, now = sys.argv[1:]\n"
            "with hercle.connect(url=url, api_key=key, journal=journal) as hub:\n"
            "    print(hub.create_invoice(amount_sat=5, client_id=now).client_id)"
        )
        arguments = [simulator.url, simulator.api_key, journal_file, str(now)]
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
        assert done.stdout.strip() == before, done.stderr
        assert len(simulator._server.state.invoices) == 1
