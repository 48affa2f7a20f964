"""What an import tells its user: what was read, how it was understood, what was left out and why."""

from dataclasses import dataclass, field


@dataclass
class Report:
    """Lines for the user, and the rows left out by reason, in the order in which they were met."""

    lines: list[str] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)

    def tell(self, line: str) -> None:
        """Add a line."""
        self.lines.append(line)

    def drop(self, reason: str, count: int) -> None:
        """Count what is left out; nothing is told about zero."""
        if count:
            self.dropped[reason] = self.dropped.get(reason, 0) + int(count)

    def text(self) -> str:
        """Return the whole report."""
        left_out = [f"left out: {count:,} {reason}" for reason, count in self.dropped.items()]
        return "\n".join([*self.lines, *left_out])
