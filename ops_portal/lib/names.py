"""Names of groups and topics as path segments (interfaces.md 1)."""


def path_name(name: str, pk: int) -> str:
    """The name, or `~<id>` where the name cannot be a path segment: empty, with "/", ".", ".." or a leading "~"."""
    if not name or "/" in name or name in {".", ".."} or name.startswith("~"):
        return f"~{pk}"
    return name


def path_id(segment: str) -> int | None:
    """The id in a `~<id>` segment; None for a name. 0, which no row has, for `~` before anything but an id."""
    if not segment.startswith("~"):
        return None
    digits = segment[1:]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 19 else 0
