"""What a sweep has found."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import Any, Iterator


@dataclass(frozen=True)
class Record:
    """One job that came back.

    score:   as the function returned it; None if it failed
    metrics: what else the function returned
    seconds: run time on the engine
    error:   "" or what was raised
    """

    trial: int
    params: dict[str, Any]
    rung: int
    budget: float | None
    score: float | None
    metrics: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    engine: int | None = None
    error: str = ""


class Results:
    """All records of a sweep.

    sign: 1 if a higher score is better, -1 if a lower one is
    """

    def __init__(self, records: list[Record], sign: int) -> None:
        self.records, self._sign = records, sign

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.sorted())

    def sorted(self) -> list[Record]:
        """The last record of each trial: most promoted first, then by score;
        failures at the end."""
        last: dict[int, Record] = {}
        for record in self.records:
            seen = last.get(record.trial)
            if seen is None or (record.score is not None
                                and record.rung >= seen.rung):
                last[record.trial] = record
        return sorted(last.values(), key=self._order)

    def _order(self, record: Record) -> tuple:
        if record.score is None:
            return (1, 0, 0, record.trial)
        return (0, -record.rung, -self._sign * record.score, record.trial)

    @property
    def best(self) -> Record | None:
        """The best score among those with the largest budget."""
        first = next(iter(self.sorted()), None)
        return first if first is not None and first.score is not None else None

    def rows(self) -> list[dict[str, Any]]:
        """A flat dict for each trial, best first."""
        rows = []
        for r in self.sorted():
            row = {"trial": r.trial, "score": r.score, **r.params}
            if r.budget is not None:
                row["budget"] = r.budget
            row.update(r.metrics)
            row["seconds"] = r.seconds
            if r.error:
                row["error"] = r.error
            rows.append(row)
        return rows

    def to_pandas(self):
        """rows() as a DataFrame."""
        import pandas

        return pandas.DataFrame(self.rows())

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        rows = self.rows()
        names = list(dict.fromkeys(name for row in rows for name in row))
        return names, [[_text(row.get(name)) for name in names]
                       for row in rows]

    def __str__(self) -> str:
        names, cells = self._cells()
        if not cells:
            return "no results"
        widths = [max(map(len, column)) for column in zip(names, *cells)]
        return "\n".join(
            "  ".join(cell.ljust(width)
                      for cell, width in zip(line, widths)).rstrip()
            for line in [names, *cells])

    def _repr_html_(self) -> str:
        names, cells = self._cells()

        def line(tag: str, items: list[str]) -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(i)}</{tag}>"
                                    for i in items) + "</tr>"

        return ("<table>" + line("th", names)
                + "".join(line("td", row) for row in cells) + "</table>")


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.5g}"
    return str(value).replace("\n", " ")[:60]
