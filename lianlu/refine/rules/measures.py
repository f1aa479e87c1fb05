"""What the rule sets measure of a document, in one pass of a numba kernel over its UTF-8 bytes.

A document is analysed once; a rule set is only thresholds over these columns. Words are separated
by white space; a Chinese or Japanese character is a word. Lengths count characters, not bytes.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from lianlu.refine.buffers import Bytes, Offsets

# The order of the kernel's columns. Shares are of lines, words or characters, in 0..1.
MEASURES = (
    "chars",
    "words",
    "mean_word_length",
    "symbols_per_word",
    "bullet_lines",
    "ellipsis_lines",
    "alphabetic_words",
    "stop_words",
    "duplicate_lines",
    "duplicate_line_chars",
    "duplicate_paragraphs",
    "duplicate_paragraph_chars",
    "top_2_gram",
    "top_3_gram",
    "top_4_gram",
    "duplicate_5_grams",
    "duplicate_6_grams",
    "duplicate_7_grams",
    "duplicate_8_grams",
    "duplicate_9_grams",
    "duplicate_10_grams",
    "punctuated_lines",
    "short_lines",
    "lines_per_word",
    "sentences",
    "curly_brackets",
    "lorem_ipsum",
    "mean_line_length",
    "longest_line",
    "longest_word",
    "letters",
    "digits",
)
(
    CHARS,
    WORDS,
    MEAN_WORD_LENGTH,
    SYMBOLS,
    BULLET_LINES,
    ELLIPSIS_LINES,
    ALPHABETIC_WORDS,
    STOP_WORDS,
    DUPLICATE_LINES,
    DUPLICATE_LINE_CHARS,
    DUPLICATE_PARAGRAPHS,
    DUPLICATE_PARAGRAPH_CHARS,
    TOP_2_GRAM,
    _TOP_3_GRAM,
    _TOP_4_GRAM,
    DUPLICATE_5_GRAMS,
    *_,
    PUNCTUATED_LINES,
    SHORT_LINES,
    LINES_PER_WORD,
    SENTENCES,
    CURLY_BRACKETS,
    LOREM_IPSUM,
    MEAN_LINE_LENGTH,
    LONGEST_LINE,
    LONGEST_WORD,
    LETTERS,
    DIGITS,
) = range(len(MEASURES))
Measured = npt.NDArray[np.float64]
Spans = npt.NDArray[np.int64]

_PRIME = np.uint64(0x100000001B3)
_SEED = np.uint64(0xCBF29CE484222325)
_SHORT = 30  # characters of a short line (FineWeb)
_SPACE = np.zeros(256, np.bool_)
_SPACE[[9, 10, 11, 12, 13, 32]] = True
_LETTER = np.zeros(256, np.bool_)
# Lead bytes stand for letters, but 0xE2 for punctuation and symbols (U+2000 to U+2FFF).
_LETTER[[*range(65, 91), *range(97, 123), *range(0xC3, 0xE2), *range(0xE3, 0xF5)]] = True
_END = np.zeros(256, np.bool_)
_END[[ord(c) for c in '.!?"']] = True


def _ascii(text: str) -> Bytes:
    return np.frombuffer(text.encode(), np.uint8)


def _word_hash(word: str) -> np.uint64:
    value = int(_SEED)
    for byte in word.encode():
        value = ((value ^ byte) * int(_PRIME)) % 2**64
    return np.uint64(value)


_STOP = np.array(
    [_word_hash(word) for word in ("the", "be", "to", "of", "and", "that", "have", "with")]
)
_LOREM = _ascii("lorem ipsum")
_JAVASCRIPT = _ascii("javascript")
_ELLIPSIS = _ascii("\u2026")


def measure(data: Bytes, offsets: Offsets) -> tuple[Measured, Spans]:
    """Columns `[documents, len(MEASURES)]`, and for the repetition measures the bytes of the text
    that weigh most: `[documents, len(MEASURES), 2]`, 0 where there is nothing to show."""
    n = len(offsets) - 1
    columns = np.zeros((n, len(MEASURES)))
    spans = np.zeros((n, len(MEASURES), 2), np.int64)
    _measure(data, offsets, columns, spans)
    return columns, spans


@njit(cache=True, nogil=True)
def _measure(data, offsets, columns, spans):  # type: ignore[no-untyped-def]
    for d in range(len(columns)):
        start, stop = offsets[d], offsets[d + 1]
        row, span = columns[d], spans[d]
        chars = _characters(data, start, stop, row)
        if chars == 0:
            continue
        table = np.zeros(_room(stop - start), np.uint64)
        _lines(data, start, stop, row, span, table)
        hashes, starts, ends, lengths = _words(data, start, stop, row)
        if len(hashes) == 0:
            continue
        row[LINES_PER_WORD] /= len(hashes)
        row[SYMBOLS] /= len(hashes)
        size = _room(len(hashes))
        counts = np.empty(size, np.int32)
        firsts = np.empty(size, np.int64)
        for n in range(2, 11):
            if len(hashes) < n:
                break
            table[:size] = 0
            if n < 5:
                at = TOP_2_GRAM + n - 2
                i, share = _top(hashes, lengths, n, table[:size], counts, firsts)
            else:
                at = DUPLICATE_5_GRAMS + n - 5
                i, share = _repeated(hashes, lengths, n, table[:size])
            row[at] = share / chars
            if i >= 0:
                span[at, 0], span[at, 1] = starts[i] - start, ends[i + n - 1] - start


@njit(cache=True, nogil=True)
def _room(entries):  # type: ignore[no-untyped-def]
    """A power of two that leaves an open-addressing table at most half full."""
    size = 16
    while size < 2 * entries:
        size *= 2
    return size


@njit(cache=True, nogil=True)
def _slot(table, key):  # type: ignore[no-untyped-def]
    """Where `key` is or belongs (the slot is then 0); keys are never 0."""
    at = (key * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(20)
    mask = np.uint64(len(table) - 1)
    at &= mask
    while table[at] != 0 and table[at] != key:
        at = (at + np.uint64(1)) & mask
    return at


@njit(cache=True, nogil=True)
def _new(table, key):  # type: ignore[no-untyped-def]
    """Whether `key` was not yet in the table; it is afterwards."""
    key = max(key, np.uint64(1))
    at = _slot(table, key)
    if table[at] == key:
        return False
    table[at] = key
    return True


@njit(cache=True, nogil=True)
def _characters(data, start, stop, row):  # type: ignore[no-untyped-def]
    chars = letters = digits = 0
    for i in range(start, stop):
        byte = data[i]
        chars += (byte & 0xC0) != 0x80
        letters += _LETTER[byte]
        digits += 48 <= byte <= 57
        row[SYMBOLS] += byte == 35  # '#'
        row[CURLY_BRACKETS] += byte == 123
    row[CHARS] = chars
    if chars:
        row[LETTERS], row[DIGITS] = letters / chars, digits / chars
    row[SYMBOLS] += _occurrences(data, start, stop, _ELLIPSIS)
    i = start
    while i + 2 < stop:
        dots = data[i] == 46 and data[i + 1] == 46 and data[i + 2] == 46
        row[SYMBOLS] += dots
        i += 3 if dots else 1
    row[LOREM_IPSUM] = _occurrences(data, start, stop, _LOREM)
    return chars


@njit(cache=True, nogil=True)
def _occurrences(data, start, stop, pattern):  # type: ignore[no-untyped-def]
    """How often `pattern` (lower case) occurs, ASCII letters compared without case."""
    found = 0
    for i in range(start, stop - len(pattern) + 1):
        j = 0
        while j < len(pattern):
            byte = data[i + j]
            if 65 <= byte <= 90:
                byte += 32
            if byte != pattern[j]:
                break
            j += 1
        found += j == len(pattern)
    return found


@njit(cache=True, nogil=True)
def _words(data, start, stop, row):  # type: ignore[no-untyped-def]
    room = stop - start
    hashes = np.empty(room, np.uint64)
    starts = np.empty(room, np.int64)
    ends = np.empty(room, np.int64)
    lengths = np.zeros(room + 1, np.int64)  # characters of all words before
    n, i, alphabetic, longest = 0, start, 0, 0
    stops = np.zeros(len(_STOP), np.bool_)
    while i < stop:
        if _SPACE[data[i]]:
            i += 1
            continue
        begin, length, letters, h = i, 0, False, _SEED
        while i < stop and not _SPACE[data[i]]:
            single = 0xE3 <= data[i] <= 0xE9
            if single and length:
                break
            for _ in range(3 if single else 1):
                if i < stop:
                    letters |= _LETTER[data[i]]
                    length += (data[i] & 0xC0) != 0x80
                    h = (h ^ np.uint64(data[i])) * _PRIME
                    i += 1
            if single:
                break
        for k in range(len(_STOP)):
            stops[k] |= h == _STOP[k]
        hashes[n], starts[n], ends[n] = h, begin, i
        lengths[n + 1] = lengths[n] + length
        alphabetic += letters
        longest = max(longest, length)
        n += 1
    row[WORDS], row[LONGEST_WORD], row[STOP_WORDS] = n, longest, stops.sum()
    if n:
        row[MEAN_WORD_LENGTH] = lengths[n] / n
        row[ALPHABETIC_WORDS] = alphabetic / n
    return hashes[:n], starts[:n], ends[:n], lengths[: n + 1]


@njit(cache=True, nogil=True)
def _line_counts(data, begin, end, chars, row):  # type: ignore[no-untyped-def]
    """What is counted of one line without its outer white space; divided later."""
    row[SHORT_LINES] += chars <= _SHORT
    row[LONGEST_LINE] = max(row[LONGEST_LINE], chars)
    row[MEAN_LINE_LENGTH] += chars
    bullet = data[begin] == 45 or data[begin] == 42
    if end - begin >= 3:
        head, tail = data[begin : begin + 3], data[end - 3 : end]
        bullet |= head[0] == 0xE2 and head[1] == 0x80 and head[2] == 0xA2
        dots = tail[0] == 46 and tail[1] == 46 and tail[2] == 46
        dots |= tail[0] == 0xE2 and tail[1] == 0x80 and tail[2] == 0xA6
        row[ELLIPSIS_LINES] += dots
        # Full-width stops of Chinese and Japanese end a sentence too.
        stop = tail[0] == 0xE3 and tail[1] == 0x80 and tail[2] == 0x82
        stop |= tail[0] == 0xEF and tail[1] == 0xBC and (tail[2] == 0x81 or tail[2] == 0x9F)
    else:
        dots = stop = False
    row[BULLET_LINES] += bullet
    punctuated = stop or _END[data[end - 1]]
    row[PUNCTUATED_LINES] += punctuated
    # C4 keeps a line that ends like a sentence, has three words and does not ask for JavaScript.
    if punctuated and not dots and not _occurrences(data, begin, end, _JAVASCRIPT):
        spaces = marks = 0
        for i in range(begin, end):
            last = i + 1 == end or _SPACE[data[i + 1]]
            spaces += _SPACE[data[i]] and not _SPACE[data[i - 1]]
            marks += _END[data[i]] and last
        row[SENTENCES] += max(marks, 1) if spaces >= 2 or stop else 0


@njit(cache=True, nogil=True)
def _lines(data, start, stop, row, span, table):  # type: ignore[no-untyped-def]
    """Lines and paragraphs: lines are non-empty, a paragraph ends at an empty line."""
    seen_paragraphs = np.zeros(_room((stop - start) // 2 + 1), np.uint64)
    lines = paragraphs = paragraph_chars = 0
    paragraph, paragraph_start, paragraph_end, i = _SEED, start, start, start
    while i <= stop:
        begin, chars, h = i, 0, _SEED
        while i < stop and data[i] != 10:
            i += 1
        end = i
        i += 1
        while end > begin and _SPACE[data[end - 1]]:
            end -= 1
        while begin < end and _SPACE[data[begin]]:
            begin += 1
        for k in range(begin, end):
            h = (h ^ np.uint64(data[k])) * _PRIME
            chars += (data[k] & 0xC0) != 0x80
        if begin < end:
            if paragraph_chars == 0:
                paragraph_start = begin
            lines += 1
            _line_counts(data, begin, end, chars, row)
            if not _new(table, h):
                row[DUPLICATE_LINES] += 1
                row[DUPLICATE_LINE_CHARS] += chars
                if chars > span[DUPLICATE_LINES, 1] - span[DUPLICATE_LINES, 0]:
                    span[DUPLICATE_LINES, 0] = begin - start
                    span[DUPLICATE_LINES, 1] = end - start
            paragraph = (paragraph ^ h) * _PRIME
            paragraph_chars += chars
            paragraph_end = end
        if paragraph_chars and (begin >= end or i > stop):
            paragraphs += 1
            if not _new(seen_paragraphs, paragraph):
                row[DUPLICATE_PARAGRAPHS] += 1
                row[DUPLICATE_PARAGRAPH_CHARS] += paragraph_chars
                span[DUPLICATE_PARAGRAPHS, 0] = paragraph_start - start
                span[DUPLICATE_PARAGRAPHS, 1] = paragraph_end - start
            paragraph, paragraph_chars = _SEED, 0
    if lines:
        for k in (BULLET_LINES, ELLIPSIS_LINES, PUNCTUATED_LINES, SHORT_LINES, DUPLICATE_LINES):
            row[k] /= lines
        row[MEAN_LINE_LENGTH] /= lines
        row[DUPLICATE_PARAGRAPHS] /= paragraphs
        row[DUPLICATE_LINE_CHARS] /= row[CHARS]
        row[DUPLICATE_PARAGRAPH_CHARS] /= row[CHARS]
    row[LINES_PER_WORD] = lines
    span[DUPLICATE_LINE_CHARS] = span[DUPLICATE_LINES]
    span[DUPLICATE_PARAGRAPH_CHARS] = span[DUPLICATE_PARAGRAPHS]


@njit(cache=True, nogil=True)
def _gram(hashes, i, n):  # type: ignore[no-untyped-def]
    h = _SEED
    for k in range(i, i + n):
        h = (h * _PRIME) ^ hashes[k]
    h ^= h >> np.uint64(29)
    return max(h, np.uint64(1))


@njit(cache=True, nogil=True)
def _top(hashes, lengths, n, table, counts, firsts):  # type: ignore[no-untyped-def]
    """First word of the most frequent n-gram (the earliest of equals) and the characters that its
    occurrences cover; -1 where none repeats."""
    best, most = -1, 1
    for i in range(len(hashes) - n + 1):
        key = _gram(hashes, i, n)
        at = _slot(table, key)
        if table[at] == 0:
            table[at], counts[at], firsts[at] = key, 0, i
        counts[at] += 1
        better = counts[at] > most or (counts[at] == most and firsts[at] < best)
        if counts[at] > 1 and better:
            best, most = firsts[at], counts[at]
    if best < 0:
        return -1, 0
    return best, (lengths[best + n] - lengths[best] + n - 1) * most


@njit(cache=True, nogil=True)
def _repeated(hashes, lengths, n, table):  # type: ignore[no-untyped-def]
    """The first repetition of an n-gram and the characters in all repetitions, each once."""
    first, chars, i = -1, 0, 0
    while i < len(hashes) - n + 1:
        if _new(table, _gram(hashes, i, n)):
            i += 1
            continue
        if first < 0:
            first = i
        chars += lengths[i + n] - lengths[i]
        i += n
    return first, chars
