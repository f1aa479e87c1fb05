"""When an answer counts as the expected one: the same words, for evaluation and for the agent."""


def same_answer(answer: str, expected: str) -> bool:
    """Case, runs of white space and a final period make no difference."""
    return _normal(answer) == _normal(expected)


def _normal(text: str) -> str:
    return " ".join(text.split()).removesuffix(".").rstrip().casefold()
