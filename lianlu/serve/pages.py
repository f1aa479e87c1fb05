"""Pages of the KV cache: who holds them, which hold a known prefix, which may be reused."""

from collections import OrderedDict
from collections.abc import Sequence

PAGE = 16
ROOT = -1

Key = tuple[int, tuple[int, ...]]


class OutOfPages(Exception):
    """Every page is held; the scheduler admits by worst case, so this is a bug, not load."""


class PagePool:
    """Refcounted pages with exact prefix reuse: a radix tree without tree code.

    A full page is known by (the page before it, its 16 tokens), so equal prefixes share pages and
    no hash can collide. Nobody's pages wait in `free`, least recently used first. A chain is given
    back tail first and whoever holds a page holds all before it, so a page is always evicted before
    the page it continues: no key ever names a parent that has changed (`check` proves it).
    """

    def __init__(self, count: int) -> None:
        self.references = [0] * count
        self.free: OrderedDict[int, None] = OrderedDict.fromkeys(range(count))
        self.known: dict[Key, int] = {}
        self.keys: dict[int, Key] = {}

    def take(self) -> int:
        """A page to write, taken from the least recently used ones.

        Raises:
            OutOfPages: none is free.
        """
        if not self.free:
            raise OutOfPages(f"all {len(self.references)} pages are held")
        page, _ = self.free.popitem(last=False)
        if key := self.keys.pop(page, None):
            del self.known[key]
        self.references[page] = 1
        return page

    def match(self, tokens: Sequence[int]) -> list[int]:
        """The longest chain of known full pages that `tokens` starts with; nothing is held yet."""
        chain: list[int] = []
        parent = ROOT
        for start in range(0, len(tokens) - PAGE + 1, PAGE):
            page = self.known.get((parent, tuple(tokens[start : start + PAGE])))
            if page is None:
                break
            chain.append(page)
            parent = page
        return chain

    def hold(self, page: int) -> None:
        """One holder more."""
        if self.references[page] == 0:
            del self.free[page]
        self.references[page] += 1

    def register(self, parent: int, tokens: Sequence[int], page: int) -> int:
        """Make a full page findable. Returns the page to use from now on.

        Where another request has made the same page already, the caller is moved over to that one
        and its own is given back: chains that began apart grow together.
        """
        key = (parent, tuple(tokens))
        same = self.known.get(key)
        if same is None:
            self.known[key] = page
            self.keys[page] = key
            return page
        self.hold(same)
        self.release([page])
        return same

    def release(self, chain: Sequence[int]) -> None:
        """One holder less for every page of a chain, given from first to last."""
        for page in reversed(chain):
            self.references[page] -= 1
            if self.references[page] == 0:
                self.free[page] = None
                if page not in self.keys:  # holds nothing findable: reuse it first
                    self.free.move_to_end(page, last=False)

    def check(self) -> None:
        """Raise AssertionError unless every invariant holds; for tests."""
        idle = {page for page, n in enumerate(self.references) if n == 0}
        if min(self.references, default=0) < 0 or idle != set(self.free):
            raise AssertionError("a page is free exactly when nobody holds it")
        if {key: page for page, key in self.keys.items()} != self.known:
            raise AssertionError("known pages and their keys disagree")
        order = {page: i for i, page in enumerate(self.free)}
        for (parent, tokens), page in self.known.items():
            if len(tokens) != PAGE or (parent != ROOT and parent not in self.keys):
                raise AssertionError(f"page {page} continues page {parent}, which is not known")
            if parent != ROOT and self.references[page] > self.references[parent]:
                raise AssertionError(f"page {page} has more holders than its parent {parent}")
            if parent in order and order.get(page, len(order)) > order[parent]:
                raise AssertionError(f"page {parent} would be evicted before {page}")
