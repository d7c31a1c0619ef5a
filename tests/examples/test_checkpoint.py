"""Checkpoints are read whole or not at all."""

from pathlib import Path

import pytest

from examples.workload import checkpoint


def steps(directory: Path) -> list[str]:
    return sorted(folder.name for folder in directory.iterdir())


def save(directory: Path, step: int, keep: int = 3) -> checkpoint.Checkpoint:
    return checkpoint.save(directory, step, f"payload {step}".encode(), {"loss": 1.5}, keep)


def test_what_is_saved_is_found_again(tmp_path: Path) -> None:
    saved = save(tmp_path / "new/folder", 20)
    assert checkpoint.newest(tmp_path / "new/folder") == saved
    assert checkpoint.newest(saved.folder) == saved
    assert saved.digest == checkpoint.digest_of(b"payload 20")


def test_an_empty_or_absent_directory_holds_none(tmp_path: Path) -> None:
    assert checkpoint.newest(tmp_path) is None
    assert checkpoint.newest(tmp_path / "absent") is None
    assert checkpoint.newest(tmp_path / "step-3") is None


def test_the_newest_is_by_number_and_only_the_last_few_are_kept(tmp_path: Path) -> None:
    for step in (80, 90, 100, 110):
        save(tmp_path, step, keep=2)
    assert steps(tmp_path) == ["step-100", "step-110"]
    found = checkpoint.newest(tmp_path)
    assert found and found.step == 110


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("model.pt", b"payload"),
        ("model.pt", None),
        ("meta.json", b'{"step": 20, "dig'),
        ("meta.json", b"[]"),
        ("meta.json", b"{}"),
        ("meta.json", None),
    ],
)
def test_a_damaged_checkpoint_is_passed_over_and_can_be_written_again(
    tmp_path: Path, file: str, content: bytes | None
) -> None:
    before = save(tmp_path, 10)
    damaged = save(tmp_path, 20).folder / file
    if content is None:
        damaged.unlink()
    else:
        damaged.write_bytes(content)
    assert checkpoint.newest(tmp_path) == before
    again = save(tmp_path, 20)
    assert checkpoint.newest(tmp_path) == again


def test_a_writer_that_was_killed_leaves_nothing_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    before = save(tmp_path, 10)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "rename", killed)
        save(tmp_path, 20)
    assert checkpoint.newest(tmp_path) == before
    save(tmp_path, 20)
    assert steps(tmp_path) == ["step-10", "step-20"]


def test_others_may_read_what_is_written(tmp_path: Path) -> None:
    """A service runs as another user than the run did."""
    folder = save(tmp_path, 10).folder
    assert folder.stat().st_mode & 0o055 == 0o055
    assert all(file.stat().st_mode & 0o044 == 0o044 for file in folder.iterdir())
