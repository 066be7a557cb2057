"""What a notebook shows: tables, the layers of a model as a nested list, and pictures, as HTML without scripts."""

import base64
from collections.abc import Sequence
from typing import Any

from fnn.backprop import Combinator
from fnn.describe.fitting import Column
from fnn.describe.svg import legal
from fnn.layer import Layer
from fnn.walk import Node

CELL = "padding:2px 10px;vertical-align:top;white-space:pre-line;text-align:"


def html_table(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], *, title: str = "", footer: Sequence[str] = ()
) -> str:
    """A table. Colours are the notebook's own; what does not fit scrolls.

    >>> html_table([Column("loss", right=True)], [["<1"]]).count("&lt;1")
    1
    """

    def line(cells: Sequence[str], tag: str) -> str:
        made = (
            f'<{tag} style="{CELL}{"right" if column.right else "left"}">{legal(cell)}</{tag}>'
            for column, cell in zip(columns, cells, strict=True)
        )
        return f"<tr>{''.join(made)}</tr>"

    head = line([column.heading.replace("\n", " ").strip() for column in columns], "th")
    body = "".join(line(row, "td") for row in rows)
    foot = f"<tfoot>{line(footer, 'th')}</tfoot>" if footer else ""
    caption = f'<caption style="text-align:left;font-weight:bold">{legal(title)}</caption>' if title else ""
    table = f"<table>{caption}<thead>{head}</thead><tbody>{body}</tbody>{foot}</table>"
    return f'<div style="overflow-x:auto">{table}</div>'


def html_text(text: str) -> str:
    """A paragraph, or text with lines of its own as it is printed."""
    return f"<pre>{legal(text)}</pre>" if "\n" in text else f"<p>{legal(text)}</p>"


def html_picture(png: bytes, words: str) -> str:
    """A picture inside the page; ``words`` say what it shows where it cannot be seen."""
    data = base64.b64encode(png).decode()
    return f'<img style="max-width:100%" alt="{legal(words)}" src="data:image/png;base64,{data}"/>'


def html_model(model: Layer) -> str:
    """The layers of a model as a nested list, each with its name; ``draw(model, x)`` shows shapes and wiring."""
    return f"<div>{_item(Node('', model), '')}</div>"


def _item(node: Node, name: str) -> str:
    layer, words = node.layer, f"<b>{legal(name)}</b> " if name else ""
    if not isinstance(layer, Combinator) or not layer.children():
        return f"{words}<code>{legal(repr(layer))}</code>"
    names = layer.children()
    items = (f"<li>{_item(child, own)}</li>" for child, own in zip(node.children(), names, strict=True))
    return f"{words}<code>{legal(_said(layer))}</code><ul>{''.join(items)}</ul>"


def _said(layer: Any) -> str:
    """The class of a combinator, and how often ``Repeat`` runs what is inside."""
    times = layer.child_axes
    return type(layer).__name__ + (f" ×{times[0]}" if times else "")
