"""The same ten orders as several countries export them: read right or refused, never read wrong."""

from __future__ import annotations

import csv
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import openpyxl
import pandas as pd
import pytest

import hercle_nb as hercle
from hercle_nb.amounts import MSAT_PER_SAT, format_sat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Style(NamedTuple):
    """How a country writes: between fields, between thousands, before decimals."""

    separator: str
    thousands: str
    decimal: str


STYLES = {
    "German": Style(";", ".", ","),
    "American": Style(",", ",", "."),
    "Swiss": Style(";", "\u2019", "."),
    "Swiss, typed": Style(";", "'", "."),
    "French": Style(";", "\u202f", ","),
}
SATS = [25_000, 1_000, 150_000, 1_250, 999, 1_250_000, 42, 12_500, 2_000_000, 100]
ROUND = [25_000, 1_000, 150_000, 2_000_000, 1_000_000, 3_000, 40_000, 5_000, 60_000, 700_000]
HOURS = [24, 1, 720, 48, 24, 168, 2, 24, 72, 36]


def grouped(sat: int, style: Style) -> str:
    """Satoshis with the thousands apart."""
    return f"{sat:,}".replace(",", style.thousands)


def with_cents(sat: int, style: Style) -> str:
    """Satoshis as a column of money shows them, with two decimals."""
    return f"{grouped(sat, style)}{style.decimal}00"


def whole_float(sat: int, style: Style) -> str:
    """Satoshis as a program writes a float."""
    return f"{sat}{style.decimal}0"


def plain(sat: int, _: Style) -> str:
    """Satoshis as digits alone."""
    return str(sat)


def in_btc(sat: int, style: Style) -> str:
    """The amount in bitcoin, with eight places."""
    return f"{sat // 10**8}{style.decimal}{sat % 10**8:08d}"


def in_short_btc(sat: int, style: Style) -> str:
    """The amount in bitcoin, without zeros at its end."""
    return in_btc(sat, style).rstrip("0")


Way = tuple[str, "Callable[[int, Style], str]"]
WAYS: list[Way] = [
    *(("Amount sat", way) for way in (grouped, with_cents, whole_float, plain)),
    *(("Amount BTC", way) for way in (in_btc, in_short_btc)),
]


def rows(sats: list[int], column: str, write: Callable[[int, Style], str], style: Style) -> list[list[str]]:
    """The orders as texts, the header first."""
    header = ["Bestellung", column, "Memo", "Expiry hours"]
    orders = enumerate(zip(sats, HOURS, strict=True), 1)
    return [
        header,
        *([f"A-{n}", write(sat, style), f"Müller, {n} Stück", str(hours)] for n, (sat, hours) in orders),
    ]


def as_csv(table: list[list[str]], style: Style, folder: Path) -> Path:
    """A file as a spreadsheet saves it as "CSV UTF-8"."""
    path = folder / "orders.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file, delimiter=style.separator).writerows(table)
    return path


def as_csv_read_by_pandas(table: list[list[str]], style: Style, folder: Path) -> pd.DataFrame:
    """The same file, read as texts by pandas."""
    return pd.read_csv(as_csv(table, style, folder), sep=style.separator, dtype=str, keep_default_na=False)


def as_text_in_excel(table: list[list[str]], _: Style, folder: Path) -> pd.DataFrame:
    """A workbook whose cells are all text, read as our own message says."""
    return pd.read_excel(workbook(table, folder), dtype=object, keep_default_na=False)


def as_text_in_excel_as_it_comes(table: list[list[str]], _: Style, folder: Path) -> pd.DataFrame:
    """The same workbook, read without any argument."""
    return pd.read_excel(workbook(table, folder))


def as_dicts(table: list[list[str]], _: Style, __: Path) -> list[dict[str, str]]:
    """Dicts, as a script makes them."""
    return [dict(zip(table[0], row, strict=True)) for row in table[1:]]


def workbook(table: list[list[Any]], folder: Path) -> Path:
    """Write a workbook with these cells."""
    book = openpyxl.Workbook()
    for row in table:
        book.active.append(row)
    book.save(folder / "orders.xlsx")
    return folder / "orders.xlsx"


READERS = [as_csv, as_csv_read_by_pandas, as_text_in_excel, as_text_in_excel_as_it_comes, as_dicts]


@pytest.fixture
def hub() -> Iterator[hercle.Hub]:
    """A hub that nothing is sent to."""
    with hercle.connect("simulator") as connected:
        yield connected


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
@pytest.mark.parametrize(("column", "write"), WAYS, ids=lambda value: getattr(value, "__name__", value))
def test_read_right_or_refused(
    hub: hercle.Hub, tmp_path: Path, column: str, write: Callable[[int, Style], str], style: Style
) -> None:
    """Whatever the country, program and reader, a list is read as meant or refused with what to write."""
    for read, sats in product(READERS, [SATS, ROUND]):
        table = rows(sats, column, write, style)
        if write is plain or (style.decimal == "." and write in (whole_float, in_btc, in_short_btc)):
            frame = hub.create_invoices(read(table, style, tmp_path), batch_id="b", dry_run=True)
            assert list(frame["amount_msat"]) == [sat * MSAT_PER_SAT for sat in sats]
            assert list(frame["expiry_hours"]) == HOURS
            continue
        with pytest.raises(hercle.InvalidRequest) as caught:
            hub.create_invoices(read(table, style, tmp_path), batch_id="b", dry_run=True)
        head, *lines = str(caught.value).splitlines()
        assert "cannot be sent, and nothing was; correct what is listed and call again" in head
        told = {int(line.split(":")[0].removeprefix("row ")): line for line in lines}
        for number, sat in enumerate(sats):
            text = write(sat, style)
            if number not in told:  # the row has one reading, and is right
                assert text == str(sat) or (text == f"{sat}.00")
            elif write is grouped:  # both readings where there are two, the one where there is one
                assert str(sat) in told[number]
                assert f"write {sat // 1_000} or {sat}." in told[number] or text not in ("1.000", "25,000")


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
def test_no_order_alone_is_read_wrong(hub: hercle.Hub, style: Style) -> None:
    """An order by itself, where no other gives its style away, is its own amount or none."""
    read = refused = 0
    for (column, write), sat in product(WAYS, [*SATS, *ROUND]):
        try:
            frame = hub.create_invoices([{column: write(sat, style)}], batch_id="b", dry_run=True)
        except hercle.InvalidRequest:
            refused += 1
        else:
            assert format_sat(frame["amount_msat"].iloc[0]) == format_sat(sat * MSAT_PER_SAT)
            read += 1
    assert read > 20
    assert refused > 20


@pytest.mark.parametrize("hours", ["24.000", "1.000", "24,000", "1'000", "24,0", "24.000,00"])
def test_hours_are_read_alike(hub: hercle.Hub, hours: str) -> None:
    """What has two readings as an amount has none as hours."""
    with pytest.raises(hercle.InvalidRequest, match="expiry_hours"):
        hub.create_invoices([{"amount_sat": 5, "expiry_hours": hours}], batch_id="b", dry_run=True)


def test_numbers_of_excel(hub: hercle.Hub, tmp_path: Path) -> None:
    """Cells that Excel holds as numbers have one reading, whatever thousands it shows them with."""
    path = workbook([["Amount sat", "Expiry hours"], *([float(sat), 24] for sat in ROUND)], tmp_path)
    for frame in (pd.read_excel(path), pd.read_excel(path, dtype=object), pd.read_excel(path, dtype=str)):
        planned = hub.create_invoices(frame, batch_id="b", dry_run=True)
        assert list(planned["amount_msat"]) == [sat * MSAT_PER_SAT for sat in ROUND]
        assert list(planned["expiry_hours"]) == [24] * len(ROUND)
