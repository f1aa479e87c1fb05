"""What decides the scores is in the step's key."""

from lianlu.evaluate.config import EvaluateConfig


def test_the_batch_is_part_of_the_identity() -> None:
    """Sums in bfloat16 depend on the batch's shape, and a tie is then decided by it."""
    assert EvaluateConfig(batch=4).identity() != EvaluateConfig(batch=16).identity()
