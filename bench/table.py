"""The figures of a bench document as the Markdown table of docs/performance.md: `python -m bench.table RESULT.json`.

Refuses a document that was measured at a reduced size.
"""

import json
import sys
from pathlib import Path
from typing import Any


def table(document: dict[str, Any]) -> str:
    """One line per goal, and the machine above. Raises ValueError for a reduced document."""
    if document["reduced"]:
        raise ValueError("this document was measured at a reduced size and may not be quoted")
    machine = document["machine"]
    lines = [
        (
            f"{machine['cores']} cores ({machine['cpu']}), {machine['memory_gb']:g} GB, {machine['system']}, Python {machine['python']}, "
            f"{machine['java']}, confluent-kafka {machine['confluent_kafka']}, PostgreSQL {machine['postgresql']}, "
            f"Valkey {machine['valkey']}, {machine['chromium']}."
        ),
        "",
        "| Row | Load before | Figure | Measured | Goal | Met |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in document["rows"].items():
        load = row.get("load_average_before", ["?"])[0]
        if "error" in row:
            lines.append(f"| `{name}` | {load} | not measured | | | no |")
        for what, one in row.get("goals", {}).items():
            bound = "at least" if one.get("at_least") else "at most"
            value = "none" if one["value"] is None else f"{one['value']:g} {one['unit']}"
            cells = (f"`{name}`", load, what.replace("_", " "), value, f"{bound} {one['goal']:g} {one['unit']}")
            lines.append(f"| {' | '.join(map(str, cells))} | {'yes' if one['met'] else 'no'} |")
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        sys.stdout.write(table(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))) + "\n")
    except ValueError as refusal:
        sys.exit(str(refusal))
