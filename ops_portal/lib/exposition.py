"""Prometheus' text format."""


def escaped(text: str) -> str:
    """A label value as the format wants it."""
    if "\\" not in text and '"' not in text and "\n" not in text:
        return text
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def labelled(name: str, value: float, **labels: str) -> str:
    """One line of a series."""
    inside = ",".join(f'{label}="{escaped(text)}"' for label, text in labels.items())
    return f"{name}{{{inside}}} {value}\n"
