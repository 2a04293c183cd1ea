"""What a batch leaves: JSON lines a video, a summary in Markdown."""

import json

import pytest

from streamderain.batch import TITLE, summary_of
from streamderain.cli import main
from streamderain.report import JobReport
from tests.clips import make_clip


def test_each_source_is_a_line_and_the_batch_a_page(tmp_path):
    make_clip(tmp_path / "a.mp4", frames=10)
    make_clip(tmp_path / "b.mp4", frames=20)
    (tmp_path / "c.mp4").write_text("no video")
    lines, page = tmp_path / "done.jsonl", tmp_path / "done.md"
    words = ["clean", *(str(tmp_path / f"{name}.mp4") for name in "abc"), "--model", "null",
             "--report", str(lines), "--summary", str(page)]  # fmt: skip
    assert main(words) == 1
    found = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [line["frames_out"] for line in found] == [10, 20, 0]
    assert [line["ok"] for line in found] == [True, True, False]
    assert all(line["version"] and line["time"] for line in found)
    text = page.read_text()
    assert text.startswith(TITLE)
    assert "2 of 3 done, 30 frames" in text
    assert "null 30 (100.0 %)" in text
    assert f"- {tmp_path / 'c.mp4'} is not a video that can be read" in text
    assert f"| {tmp_path / 'c.mp4'} |  | 0 |" in text, "there is no result of what failed"

    assert main([*words, "--resume"]) == 1
    again = [json.loads(line) for line in lines.read_text().splitlines()]
    assert again[:3] == found, "it is appended"
    assert [line["skipped"] for line in again[3:]] == [True, True, False]
    assert page.read_text().count("was there") == 2, "it is written anew"


def test_a_file_that_is_no_summary_is_never_replaced(tmp_path, capsys):
    clip = make_clip(tmp_path / "a.mp4", frames=5)
    page = tmp_path / "README.md"
    page.write_text("# Mine\n")
    assert main(["clean", str(clip), "--model", "null", "--summary", str(page)]) == 1
    assert "is no summary of ours" in capsys.readouterr().err
    assert page.read_text() == "# Mine\n"
    assert not (tmp_path / "a.clean.mp4").exists()


@pytest.mark.parametrize("word", ["--report", "--summary"])
def test_a_report_that_cannot_be_written_is_said_before_the_work(tmp_path, capsys, word):
    clip = make_clip(tmp_path / "a.mp4", frames=5)
    path = tmp_path / "none" / "done.md"
    assert main(["clean", str(clip), "--model", "null", word, str(path)]) == 1
    assert "does not exist" in capsys.readouterr().err
    assert not (tmp_path / "a.clean.mp4").exists()


def test_of_jobs_at_the_same_time_the_time_that_passed_is_told():
    reports = [JobReport(input=name, output="x", ok=True, seconds=60.0) for name in "ab"]
    assert "frames in 2:00" in summary_of(reports, "now")
    assert "frames in 1:10" in summary_of(reports, "now", 70.0)


def test_no_name_breaks_the_table():
    reports = [
        JobReport(input="a|b\nc.mp4", output="x.mp4", ok=True, frames_out=7, derained=5,
                  bypassed={"dry": 2}, rain=0.25, seconds=3725.4, segments=4, resumed=3),
        JobReport(input="d.mp4", output="", error="it | is broken"),
    ]  # fmt: skip
    rows = [line for line in summary_of(reports, "now").splitlines() if line.startswith("| ")]
    assert all(row.replace("\\|", "").count("|") == 9 for row in rows)
    assert "1:02:05" in rows[2]
    assert "done, 3 of 4 before" in rows[2]
    assert "failed" in rows[3]
