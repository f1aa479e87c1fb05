"""The recipe's `sources`, `refine`, `tokens` and `dialogues` sections."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from lianlu.section import Section

RuleSet = Literal["gopher-quality", "gopher-repetition", "c4", "fineweb", "code"]


class PathSource(Section):
    """A file or a folder of documents."""

    # Where documents lie is no part of what they are: the step's key knows their digest.
    run_fields: ClassVar[frozenset[str]] = frozenset({"path", "name", "include"})

    type: Literal["path"] = "path"
    path: Path
    """File or folder, from the recipe: HTML, text, Markdown, RST, source code, JSONL, Parquet."""
    name: str = ""
    """How the source is called in the corpus; the folder's name when empty."""
    include: list[str] = Field(default=["**/*"])
    """Glob patterns below `path` that are read."""


class PythonDocsSource(Section):
    """The documentation and sources of the machine's own Python."""

    type: Literal["python-docs"] = "python-docs"
    parts: list[Literal["pydoc", "sources", "distributions"]] = Field(
        default=["pydoc", "sources", "distributions"]
    )
    """Pages that pydoc renders, the standard library's sources, papers of installed packages."""
    limit_mb: float = Field(default=64, gt=0)
    """Raw megabytes at most, taken in a fixed order mixed over the parts; a pydoc page counts as
    twice the source of its module, because it is rendered only when it is needed."""


Source = Annotated[PathSource | PythonDocsSource, Field(discriminator="type")]


class RefineConfig(Section):
    """Raw documents to a corpus."""

    run_fields: ClassVar[frozenset[str]] = frozenset({"workers"})

    languages: list[str] = Field(default=[])
    """Languages to keep, as ISO 639-1 codes; empty keeps every language."""
    rules: list[RuleSet] = Field(default=["gopher-repetition", "gopher-quality", "code"])
    """Rule sets that a document must pass; each judges its own genres (prose, reference, code)."""
    pii: Literal["mask", "drop", "keep"] = "mask"
    """What happens to e-mail addresses, IP addresses, phone numbers and keys."""
    near_duplicates: float = Field(default=0.8, ge=0, le=1)
    """Jaccard similarity of 5-word shingles from which documents are one; 0 keeps all of them."""
    min_chars: int = Field(default=64, ge=0)
    """Shorter documents are dropped."""
    max_document_mb: float = Field(default=16, gt=0)
    """Larger documents are quarantined unread."""
    workers: int = Field(default=0, ge=0)
    """Worker processes; 0 takes one per core. Never changes the output."""


class TokensConfig(Section):
    """A corpus to token files."""

    holdout: float = Field(default=0.02, gt=0, lt=0.5)
    """Share of documents held out for evaluation, chosen by a hash of their id."""


class DialoguesConfig(Section):
    """Dialogues made from the corpus: questions about documented names."""

    tool: Literal["python_docs"] = "python_docs"
    """The tool that the model learns to call."""
    names: Literal["auto", "python", "headings"] = "auto"
    """What is asked about: documented names of Python sources, or headings of documents.
    auto takes Python's where the corpus holds enough of them."""
    tool_share: float = Field(default=0.75, ge=0, le=1)
    """Share of dialogues in which the model must call the tool; the others carry the text in the
    question."""
    unknown_share: float = Field(default=0.25, ge=0, lt=1)
    """Share of training dialogues about names nobody documented: the tool says so, and so does the
    model. They have no end of names to copy, and teach not to invent an answer."""
    per_name: int = Field(default=2, ge=1)
    """Differently worded dialogues per training name."""
    test_names: int = Field(default=200, ge=1)
    """Names held out for the test: no training dialogue mentions them."""
    valid_names: int = Field(default=100, ge=1)
    """Names held out for validation."""
    max_answer_chars: int = Field(default=120, ge=20)
    """Longest answer; an entry whose first sentence is longer is not asked about."""
    max_text_chars: int = Field(default=200, ge=20)
    """Longest documentation the tool returns: whole sentences, always the first."""
    seed: int = 0
    """Seed of the split and of the wording."""
