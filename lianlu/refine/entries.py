"""Documented names: what a corpus explains, by name, in one sentence."""

import ast
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Literal

MIN_SUMMARY_CHARS = 16
MAX_SIGNATURE_CHARS = 80
MAX_NAME_CHARS = 60
SHARED_SUMMARY = 3  # a sentence that more names than this carry says nothing about any of them


@dataclass(frozen=True)
class Entry:
    """A name with its documentation; `summary` is the first sentence of what `text` says."""

    name: str
    text: str
    summary: str
    doc_id: str


@dataclass(frozen=True)
class Limits:
    """Characters that a documentation text and its first sentence may have."""

    text: int
    summary: int


def find_entries(
    document: dict[str, Any], limits: Limits, kind: Literal["python", "headings"]
) -> Iterator[Entry]:
    """Entries of one corpus document `{id, text, meta: {uri, kind, module, title}}`.

    "python": modules, classes, functions and methods of a Python source, by docstring; functions
    of a page that pydoc rendered, which knows what is written in C.
    "headings": the headings of Markdown, reStructuredText and other prose, or the title of a
    document that has none.
    """
    meta = document["meta"]
    named: Iterable[tuple[str, str, str]] = ()
    if kind == "python" and is_python(meta):
        named = python_names(document["text"], meta.get("module") or module_of(meta["uri"]))
    elif kind == "python" and meta.get("kind") == "pydoc":
        named = page_names(document["text"], meta["module"])
    elif kind == "headings" and not is_python(meta) and meta.get("kind") not in ("code", "pydoc"):
        named = headings(document["text"], meta.get("title"))
    for name, signature, paragraph in named:
        sentences = split_sentences(paragraph)
        if sentences and is_telling(sentences[0], limits.summary) and len(name) <= MAX_NAME_CHARS:
            text = fit(signature, sentences, limits.text)
            yield Entry(name, text, sentences[0], document["id"])


def is_python(meta: Mapping[str, Any]) -> bool:
    """Whether a document is Python source, as its metadata tell."""
    return meta.get("kind") == "python" or str(meta.get("uri", "")).endswith((".py", ".pyi"))


def unique_entries(entries: Iterable[Entry]) -> list[Entry]:
    """Entries sorted by name: one a name, none whose sentence many names share.

    A name that two documents explain differently is left out: no answer to it is the right one.
    """
    by_name: dict[str, Entry] = {}
    ambiguous = set()
    for entry in sorted(entries, key=lambda e: (e.name, e.doc_id)):
        first = by_name.setdefault(entry.name, entry)
        if first.doc_id != entry.doc_id and first.summary != entry.summary:
            ambiguous.add(entry.name)
    kept = [entry for name, entry in by_name.items() if name not in ambiguous]
    shared = Counter(entry.summary for entry in kept)
    return [entry for entry in kept if shared[entry.summary] <= SHARED_SUMMARY]


def python_names(source: str, module: str) -> Iterator[tuple[str, str, str]]:
    """`(dotted name, signature, first paragraph)` of everything public that has a docstring.

    Source that does not parse gives nothing: it may be for another Python.
    """
    if _is_hidden(module):
        return
    module = _PUBLIC.get(module, module)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's sources
            tree = ast.parse(source)
        definitions = list(_definitions(tree.body, module))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return  # MemoryError is what the parser raises for nesting beyond its stack
    if paragraph := _first_paragraph(tree):
        yield module, module, paragraph
    seen: set[str] = set()
    for name, signature, paragraph in definitions:
        if name not in seen:
            seen.add(name)
            yield name, signature, paragraph


# What users call a module, where that is not the file it lives in.
_PUBLIC = {"posixpath": "os.path"}


def _definitions(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, str, str]]:
    for node in body:
        if isinstance(node, ast.If | ast.Try):
            handlers = [h.body for h in node.handlers] if isinstance(node, ast.Try) else []
            for block in [node.body, *handlers, node.orelse]:
                yield from _definitions(block, prefix)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{prefix}.{node.name}"
            if node.name.startswith("_"):
                continue
            if paragraph := _first_paragraph(node):
                yield name, _signature(node, name), paragraph
            if isinstance(node, ast.ClassDef):
                yield from _definitions(node.body, name)


def _first_paragraph(node: ast.AST) -> str:
    doc = ast.get_docstring(node) if isinstance(node, _DOCUMENTED) else None
    return " ".join(re.split(r"\n\s*\n", (doc or "").strip())[0].split())


_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, name: str) -> str:
    if isinstance(node, ast.ClassDef):
        return f"class {name}"
    decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
    if decorators & {"property", "functools.cached_property", "cached_property"}:
        return name
    for argument in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]:
        argument.annotation = None
    signature = f"{name}({ast.unparse(node.args)})"
    return signature if len(signature) <= MAX_SIGNATURE_CHARS else f"{name}(...)"


_PAGE_SECTION = re.compile(r"(?:Modules|Classes|Data|Author|Credits|Version|Package Contents)$")
_PAGE_FUNCTION = re.compile(r"([A-Za-z]\w*)(?: = \w+)?(\(.*\))(?: (?:->|from|method of) .*)?$")


def page_names(text: str, module: str) -> Iterator[tuple[str, str, str]]:
    """As `python_names`, of the section "Functions" in the text of a pydoc page.

    pydoc sorts functions by name: a line that looks like one but falls out of order is prose.
    """
    lines = iter(text.splitlines())
    if _is_hidden(module) or "Functions" not in lines:
        return
    functions: list[tuple[str, str, list[str]]] = []
    for line in lines:
        match = _PAGE_FUNCTION.match(line)
        if match and (not functions or match[1] > functions[-1][0]):
            functions.append((match[1], match[2], []))
        elif _PAGE_SECTION.match(line):
            break
        elif functions:
            functions[-1][2].append(line)
    module = _PUBLIC.get(module, module)
    prefix = "" if module == "builtins" else f"{module}."
    for function, arguments, doc in functions:
        # Older C functions repeat their signature above what they do.
        if doc and doc[0].startswith(f"{function}("):
            doc = doc[1:]
        paragraph = " ".join(re.split(r"\n\s*\n", "\n".join(doc).strip())[0].split())
        name = prefix + function
        fits = len(name + arguments) <= MAX_SIGNATURE_CHARS
        yield name, name + (arguments if fits else "(...)"), paragraph


def module_of(uri: str) -> str:
    """The dotted module of a source path: its trailing parts that are identifiers."""
    parts = re.split(r"[/\\]", uri.removesuffix(".py"))
    if parts[-1] == "__init__":
        parts.pop()
    dotted: list[str] = []
    for part in reversed(parts):
        if not part.isidentifier():
            break
        dotted.insert(0, part)
    return ".".join(dotted)


def _is_hidden(module: str) -> bool:
    parts = module.split(".")
    return not module or any(
        part.startswith(("_", "test_")) or part in ("test", "tests", "idle_test") for part in parts
    )


_ATX = re.compile(r"#{1,6}\s(.*)")
_UNDERLINE = re.compile(r"^([=\-~^\"'#*+.`])\1{2,}$")


def headings(text: str, title: str | None = None) -> Iterator[tuple[str, str, str]]:
    """`(heading, heading, first paragraph below it)`, once a heading; terms in bold likewise.

    A document without headings is taken to explain its title.
    """
    lines = text.splitlines()
    found = [(heading, _paragraph(lines, below)) for heading, below in _heading_lines(lines)]
    if not found and title:
        first = int(bool(lines) and lines[0].strip() == title.strip())
        found = [(title, _paragraph(lines, first))]
    seen = set()
    for heading, paragraph in [*found, *_terms(lines)]:
        name = " ".join(re.sub(r"[*_`]{1,2}(\S.*?)[*_`]{1,2}", r"\1", heading).split())
        if name and paragraph and name not in seen:
            seen.add(name)
            yield name, name, paragraph


def _heading_lines(lines: list[str]) -> Iterator[tuple[str, int]]:
    """`(heading, index of the line below it)`; code between fences has no headings."""
    fenced = False
    for i, line in enumerate(lines):
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        elif fenced:
            continue
        elif match := _ATX.match(line):
            yield match[1].strip().rstrip("#").rstrip(), i + 1
        elif _UNDERLINE.match(line.strip()) and i and lines[i - 1].strip():
            above = lines[i - 1].strip()
            if _UNDERLINE.match(above):
                continue
            alone = i == 1 or not lines[i - 2].strip() or _UNDERLINE.match(lines[i - 2].strip())
            if alone and len(line.strip()) >= len(above):
                yield above, i + 1


_TERM = re.compile(r"\s*(?:[-*] +)?\*\*([^*]+?)[.:]?\*\*(?::|(?<=\.\*\*)) +(.+)$")
_NEXT_ITEM = re.compile(r"\s*([-*#|>]|\d+[.)]) ?|\s*```|\s*$")


def _terms(lines: list[str]) -> Iterator[tuple[str, str]]:
    """`(term, what it is)` of paragraphs and items that begin `**Term.** It is …`."""
    for i, line in enumerate(lines):
        if match := _TERM.match(line):
            words = match[2].split()
            following = (lines[k] for k in range(i + 1, len(lines)))
            for below in takewhile(lambda line: not _NEXT_ITEM.match(line), following):
                words += below.split()
            yield match[1], " ".join(words)


def _paragraph(lines: list[str], start: int) -> str:
    """The prose that follows directly; empty when something else does (a list, code, a heading)."""
    i = start
    while i < len(lines) and (not lines[i].strip() or _UNDERLINE.match(lines[i].strip())):
        i += 1
    words: list[str] = []
    # A heading ends it too: else each of many headings in a row would take all that follow.
    while i < len(lines) and lines[i].strip() and not _is_mark(lines[i]):
        words += lines[i].split()
        i += 1
    paragraph = " ".join(words)
    return paragraph if paragraph[:1].isalnum() or paragraph[:1] in "\"'“(" else ""


def _is_mark(line: str) -> bool:
    return bool(_ATX.match(line) or _UNDERLINE.match(line.strip()))


# A full stop after one of these, or after a single letter, ends no sentence.
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|etc|cf|vs|Dr|Mr|Mrs|St|No|Fig|[A-Za-z]))\.$")


def split_sentences(paragraph: str) -> list[str]:
    """Sentences of a paragraph, Latin or CJK, in order; nothing is lost but the space between."""
    sentences: list[str] = []
    start = 0
    for match in re.finditer(r"[.!?][\"')\]]*(?=\s+[\"'(\[`*]*[^\sa-z])|[。！？]", paragraph):
        end = match.end()
        # The last characters will do: a paragraph of nothing but abbreviations is one long piece.
        if _ABBREVIATION.search(paragraph, max(start, end - 8), end):
            continue
        sentences.append(paragraph[start:end].strip())
        start = end
    rest = paragraph[start:].strip()
    return sentences + [rest] if rest else sentences


_BOILERPLATE = re.compile(
    r"(?i)^(see |same as|deprecated|todo|xxx|fixme|copyright|internal|private|undocumented"
    r"|no documentation|override|overridden|this (method|function|class) is)|>>>|http|:$|::|\|| -> "
)


def is_telling(summary: str, longest: int) -> bool:
    """Whether a sentence can stand as the answer to a question about its name."""
    if not MIN_SUMMARY_CHARS <= len(summary) <= longest or _BOILERPLATE.search(summary):
        return False
    is_cjk = bool(re.search(r"[\u3040-\u9fff]", summary))
    return summary[0].isalnum() and (is_cjk or len(summary.split()) >= 3)


def fit(signature: str, sentences: list[str], longest: int) -> str:
    """Signature, then on the next line as many whole sentences as fit; always the first."""
    text = f"{signature}\n{sentences[0]}"
    for sentence in sentences[1:]:
        if len(text) + 1 + len(sentence) > longest:
            break
        text += f" {sentence}"
    return text
