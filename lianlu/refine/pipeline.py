"""refine: read → extract → language → rules → personal data → exact → near → corpus."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lianlu.cores import available_cores
from lianlu.errors import StepFailed
from lianlu.job import Facts, Job
from lianlu.refine.card import make_card
from lianlu.refine.config import RefineConfig, Source
from lianlu.refine.corpus import on_disk, write_card, write_corpus
from lianlu.refine.dedup import exact_duplicates, near_duplicates
from lianlu.refine.examine import DOCUMENT, examine
from lianlu.refine.fates import Fates, policies, scores
from lianlu.refine.ledger import check_balance, write_ledger
from lianlu.refine.pii import KINDS
from lianlu.refine.sources import Piece, list_pieces

_EXAMINED = "examined.parquet"


@on_disk("the corpus")
def refine(config: RefineConfig, sources: Sequence[Source], job: Job, base: Path = Path()) -> Facts:
    """Raw documents to a corpus with its ledger and card in `job.out`; returns the card's numbers.

    Relative paths of the sources start at `base`. The bytes written are a function of the settings
    and the documents: not of workers, the order of work, or what an interrupted attempt left.
    Raises UserError for a source that is missing or empty, StepFailed when counts do not balance,
    no document is left or the disk is full.
    """
    workers = config.workers or available_cores()
    pieces = list_pieces(sources, base)
    for stale in job.out.glob("*.parquet"):
        stale.unlink()

    documents_read = _examine(pieces, config, workers, job)
    documents = pq.read_table(job.out / _EXAMINED).sort_by("id")
    fates = Fates(documents)
    stages = ["read", "extract"]
    for stage, rules in policies(config):
        fates.apply_rules(stage, rules, config)
        stages.append(stage)

    job.progress.begin("duplicates", len(fates.remaining()), "documents")
    same = exact_duplicates(fates.texts())
    fates.apply_clusters("exact", "exact.same_text", same, 1.0)
    stages.append("exact")
    if config.near_duplicates:
        similar = near_duplicates(fates.texts(), config.near_duplicates, workers)
        fates.apply_clusters("near", "near.jaccard", similar, config.near_duplicates)
        stages.append("near")
    job.progress.finish("duplicates")

    ledger = fates.ledger()
    counts = check_balance(ledger, documents_read)
    personal = {kind: int(scores(documents)[f"pii_{kind}"].sum()) for kind in KINDS}
    card = make_card(counts, ledger, documents, personal, stages)
    if not counts["kept"]:
        raise StepFailed(f"no document is left of {counts['input']}: {_reasons(card)}")
    write_corpus(fates.kept(), job.out)
    write_ledger(ledger, job.out)
    write_card(card, job.out)
    (job.out / _EXAMINED).unlink()
    job.progress.say(f"kept {counts['kept']} of {counts['input']} documents; {_reasons(card)}")
    return {name: card[name] for name in ("counts", "bytes_raw", "chars_kept", "duplicates")}


def _examine(pieces: list[Piece], config: RefineConfig, workers: int, job: Job) -> int:
    """Write every document with its measures; returns how many the readers found."""
    job.progress.begin("documents", len(pieces), "pieces")
    seen: set[int] = set()
    before = documents = 0
    with pq.ParquetWriter(job.out / _EXAMINED, pa.schema(list(DOCUMENT))) as writer:
        for table, found, done in examine(pieces, config, workers):
            writer.write_table(table)
            seen.update(table["piece"].to_pylist())
            documents += found
            job.progress.advance("documents", done - before)
            before = done
    job.progress.finish("documents")
    # Every piece yields at least one document, if only a quarantined one.
    if len(seen) != len(pieces):
        raise StepFailed(f"{len(pieces) - len(seen)} of {len(pieces)} pieces were not read")
    return documents


def _reasons(card: dict[str, Any]) -> str:
    """Which stages took most, in words."""
    taken = sorted((stage["out"] - stage["in"], stage["name"]) for stage in card["stages"])
    return ", ".join(f"{name} took {-n}" for n, name in taken[:3] if n)
