"""Language identification."""

import pytest

from lianlu.refine.language import identify


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Raw documents become a model that answers questions about them.", "en"),
        ("Aus rohen Dokumenten wird ein Modell, das Fragen beantwortet.", "de"),
        ("原始文档经过整条链路变成一个可以回答问题的模型。", "zh"),
        ("Сырые документы становятся моделью, которая отвечает на вопросы.", "ru"),
    ],
)
def test_languages(text: str, code: str) -> None:
    found, confidence = identify(text)
    assert found == code
    assert 0.3 < confidence <= 1


def test_text_without_letters_has_no_language() -> None:
    assert identify("12 34 !!") == ("und", 0.0)
    assert identify("") == ("und", 0.0)
