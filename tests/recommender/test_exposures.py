"""The exposure spool: whole lines, one owner per file, nothing lost and nothing glued together."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from recommender.errors import InputError
from recommender.exposures import CouponShown, Exposure, ExposureLog, read_spool, remove_finished, spool_files

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
EXPOSURE = Exposure(
    recommendation_id="r1",
    occurred_at=NOW,
    scenario="home",
    bundle_id="20260301-0123456789ab",
    strategy="personal",
    subject="member:张三",
    store_id=None,
    channel="app",
    item_id=("milk", "bread"),
    score=(0.5, 0.25),
    source=("repeat", "popularity"),
    reason=("bought_regularly", None),
)


def test_a_line_holds_the_whole_exposure() -> None:
    line = EXPOSURE.line()
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert Exposure.of_line(line) == EXPOSURE
    explored = replace(
        EXPOSURE,
        propensity=(0.1, 1.0),
        experiment="b",
        experiment_group="control",
        experiment_unit=-7,
        flags=("stock_unknown",),
    )
    assert Exposure.of_line(explored.line()) == explored


def test_coupons_are_part_of_a_line() -> None:
    shown = (
        CouponShown("ten", "plan", "milk", None, "c1", None, 0.99),
        CouponShown("five", "held", "bread", "0" * 32, None),
        CouponShown("wine", "left_out", reason="held_out"),
    )
    with_coupons = replace(EXPOSURE, coupons=shown)
    assert Exposure.of_line(with_coupons.line()) == with_coupons


def test_lines_from_before_experiments_and_coupons_are_read() -> None:
    values = orjson.loads(EXPOSURE.line())
    for name in ("experiment_group", "experiment_unit", "flags", "coupons"):
        del values[name]
    assert Exposure.of_line(orjson.dumps(values)) == EXPOSURE


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"{}", EXPOSURE.line()[:-9], b'{"recommendation_id": 1}'])
def test_a_damaged_line_is_told(line: bytes) -> None:
    with pytest.raises(InputError):
        Exposure.of_line(line)


def test_what_is_recorded_can_be_read_in_parts(tmp_path: Path) -> None:
    log = ExposureLog(tmp_path / "spool")
    sent = [replace(EXPOSURE, recommendation_id=f"r{number}") for number in range(5)]
    assert all(log.record(exposure) for exposure in sent)
    (file,) = spool_files(tmp_path / "spool")
    found: list[Exposure] = []
    offset = 0
    while (part := read_spool(file, offset, size=10)).next_offset > offset:
        found += part.exposures
        offset = part.next_offset
    assert found == sent
    assert offset == file.stat().st_size


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    line = EXPOSURE.line()
    file.write_bytes(line + line[:20])
    part = read_spool(file, 0)
    assert part.exposures == (EXPOSURE,)
    assert part.next_offset == len(line)
    file.write_bytes(line + line)
    assert read_spool(file, part.next_offset).exposures == (EXPOSURE,)


def test_a_damaged_line_does_not_stop_the_others(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(EXPOSURE.line() + b"{broken}\n" + EXPOSURE.line())
    part = read_spool(file, 0)
    assert part.exposures == (EXPOSURE, EXPOSURE)
    assert part.damaged == 1
    assert part.next_offset == file.stat().st_size


def test_a_file_is_removed_only_when_its_owner_left_and_all_is_moved(tmp_path: Path) -> None:
    log = ExposureLog(tmp_path)
    log.record(EXPOSURE)
    (file,) = spool_files(tmp_path)
    size = file.stat().st_size
    assert not remove_finished(file, size), "its owner may still write"
    log.close()
    assert not remove_finished(file, 0), "a line would be lost"
    assert remove_finished(file, size)
    assert remove_finished(file, size), "gone is gone"
    assert log.record(EXPOSURE), "the log opens a new file"
    log.close()


def test_a_full_file_is_left_for_a_new_one(tmp_path: Path) -> None:
    log = ExposureLog(tmp_path, file_bytes=2 * len(EXPOSURE.line()))
    for number in range(5):
        log.record(replace(EXPOSURE, occurred_at=NOW + timedelta(seconds=number)))
    counts = [len(read_spool(file, 0).exposures) for file in spool_files(tmp_path)]
    assert counts == [2, 2, 1]
    log.close()


def test_a_failing_disk_is_counted_and_tried_again(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file where the folder should be")
    log = ExposureLog(tmp_path / "spool")
    assert not log.record(EXPOSURE)
    assert log.failed == 1
    os.unlink(tmp_path / "spool")
    assert not log.record(EXPOSURE), "not tried at every request"
    assert log.failed == 2
    assert log.record(replace(EXPOSURE, occurred_at=NOW + timedelta(seconds=1)))
    assert log.failed == 2
    log.close()


def test_a_full_disk_leaves_no_line_glued_to_half_a_line() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full on this system")
    log = ExposureLog(Path("unused"))
    log._handle = os.open(full, os.O_WRONLY)
    assert not log.record(EXPOSURE)
    assert log._handle is None, "the next record starts a new file"


def test_no_folder_means_no_files(tmp_path: Path) -> None:
    assert spool_files(tmp_path / "none") == []
