"""Sets of ranks as short text, so that status never lists thousands of them."""

from collections.abc import Iterable

TEXT_LIMIT = 1024


def to_text(ranks: Iterable[int]) -> str:
    """{0, 1, 2, 5} -> "0-2,5". At most `TEXT_LIMIT` characters: ranges beyond are left out whole."""
    parts: list[list[int]] = []
    for rank in sorted(set(ranks)):
        if parts and rank == parts[-1][1] + 1:
            parts[-1][1] = rank
        else:
            parts.append([rank, rank])
    text = ",".join(str(low) if low == high else f"{low}-{high}" for low, high in parts)
    return text if len(text) <= TEXT_LIMIT else text[: text.rindex(",", 0, TEXT_LIMIT + 1)]


def from_text(text: str | None) -> frozenset[int]:
    """The inverse of `to_text`; nothing for None or empty text."""
    ranks: set[int] = set()
    for part in (text or "").split(","):
        if part:
            low, _, high = part.partition("-")
            ranks.update(range(int(low), int(high or low) + 1))
    return frozenset(ranks)
