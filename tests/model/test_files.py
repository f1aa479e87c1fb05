"""What of a base model counts."""

from pathlib import Path

from lianlu.model.files import base_digest, taken_files


def test_the_digest_knows_what_is_taken_alone(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    before = base_digest(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    (tmp_path / "modeling.py").write_text("raise SystemExit")
    (tmp_path / "log.txt").write_text("of another step")
    (tmp_path / "adapter").mkdir()
    assert base_digest(tmp_path) == before
    assert [path.name for path in taken_files(tmp_path)] == ["config.json", "model.safetensors"]
    (tmp_path / "config.json").write_text("{ }")
    assert base_digest(tmp_path) != before
