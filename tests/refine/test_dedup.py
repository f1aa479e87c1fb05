"""Duplicates, against plain Python Jaccard over all pairs."""

import random
import re

import pyarrow as pa
import pytest

from lianlu.refine.dedup import exact_duplicates, layout, near_duplicates

WORDS = [f"{a}{b}" for a in ("ka", "lo", "mi", "ne", "pu", "ra") for b in "bcdfghjklmnpqrstvwxz"]


def _jaccard(a: str, b: str) -> float:
    def runs(text: str) -> set[tuple[str, ...]]:
        tokens = re.findall(r"\w+", text.lower())
        return {tuple(tokens[i : i + 5]) for i in range(len(tokens) - 4)}

    return len(runs(a) & runs(b)) / len(runs(a) | runs(b))


def _planted(seed: int, pairs: int) -> list[str]:
    """`pairs` random texts, each followed by a copy with some words changed."""
    draw = random.Random(seed)
    texts = []
    for i in range(pairs):
        tokens = [draw.choice(WORDS) for _ in range(150)]
        copy = list(tokens)
        for _ in range(i % 7):
            copy[draw.randrange(150)] = "changed"
        texts += [" ".join(tokens), " ".join(copy)]
    return texts


def test_exact_duplicates_keep_the_first() -> None:
    clusters = exact_duplicates(pa.array(["b", "a", "b", "B", "b", ""]))
    assert clusters.head.tolist() == [0, 1, 0, 3, 0, 5]
    assert clusters.similarity.tolist() == [0, 0, 1, 0, 1, 0]


def test_near_duplicates_are_the_pairs_above_the_threshold() -> None:
    texts = _planted(seed=3, pairs=350)
    similarity = [_jaccard(texts[i], texts[i + 1]) for i in range(0, len(texts), 2)]
    head = near_duplicates(pa.array(texts), 0.8).head
    found = [head[2 * k + 1] == 2 * k for k in range(350)]
    above = [hit for hit, value in zip(found, similarity, strict=True) if value >= 0.8]
    below = [hit for hit, value in zip(found, similarity, strict=True) if value < 0.8]
    assert len(above) > 100
    assert len(below) > 100
    assert sum(above) / len(above) >= 0.99
    assert not any(below)  # every candidate is verified


def test_threads_and_layout_do_not_change_the_clusters() -> None:
    texts = _planted(seed=5, pairs=40) * 2
    one, three = near_duplicates(pa.array(texts), 0.8), near_duplicates(pa.array(texts), 0.8, 3)
    assert one.head.tolist() == three.head.tolist()
    assert one.similarity.tolist() == three.similarity.tolist()
    assert all(one.head[i + 80] == one.head[i] for i in range(80))


def test_a_cluster_has_the_first_document_as_head_and_the_similarity_that_bound() -> None:
    base = " ".join(WORDS[:60])
    clusters = near_duplicates(pa.array(["other text", base + " x", base, base + " y"]), 0.8)
    assert clusters.head.tolist() == [0, 1, 1, 1]
    assert clusters.similarity[2] == pytest.approx(56 / 57)
    assert clusters.similarity[0] == 0


def test_short_and_empty_texts() -> None:
    head = near_duplicates(pa.array(["one two", "One, two!", "three", "", ""]), 0.8).head
    assert head.tolist() == [0, 0, 2, 3, 4]
    assert near_duplicates(pa.array([], pa.string()), 0.8).head.tolist() == []


def test_texts_without_words_are_no_duplicates_of_each_other() -> None:
    clusters = near_duplicates(
        pa.array(["+---+\n|   |", "... !!!", "\u2014\u2026", "* * *", "word"]), 0.5
    )
    assert clusters.head.tolist() == [0, 1, 2, 3, 4]
    assert not clusters.similarity.any()


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.8, 0.9, 1.0])
def test_the_layout_keeps_its_recall(threshold: float) -> None:
    bands, rows = layout(threshold)
    assert bands * rows <= 112
    assert 1 - (1 - threshold**rows) ** bands >= 0.99
