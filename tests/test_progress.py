"""Progress of long work, printed as lines where there is no terminal."""

from umemma import progress


def test_lines_come_only_when_they_are_due(capsys, monkeypatch):
    seconds = iter(range(0, 1000, 4))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(seconds))
    assert list(progress.shown(range(9), "shards", 9)) == list(range(9))
    lines = capsys.readouterr().out.splitlines()
    assert 0 < len(lines) < 9
    assert lines[0] == "shards: 3 of 9"


def test_quick_work_is_silent(capsys):
    assert list(progress.shown("abc", "shards", 3)) == ["a", "b", "c"]
    assert capsys.readouterr().out == ""
