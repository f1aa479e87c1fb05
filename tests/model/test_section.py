import pytest
from pydantic import ValidationError

from lianlu.model.section import ModelConfig, TokenizerConfig


def test_defaults_are_a_model_we_can_build():
    section = ModelConfig()
    assert section.width % section.heads == 0
    assert section.heads % section.kv_heads == 0


@pytest.mark.parametrize("fields", [{"layers": 0}, {"dtype": "float16"}, {"deepth": 3}])
def test_wrong_model_fields_are_refused(fields: dict[str, object]):
    with pytest.raises(ValidationError):
        ModelConfig(**fields)


def test_vocabulary_holds_at_least_the_bytes():
    with pytest.raises(ValidationError):
        TokenizerConfig(vocab_size=256)
