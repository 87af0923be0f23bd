"""Pages: templates filled with figures, each page one file that needs nothing beside it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from recsys.extras import require
from recsys.reports.output import EXTRA

if TYPE_CHECKING:
    from collections.abc import Mapping


def render(template: str, values: Mapping[str, Any]) -> str:
    """Fill a template of this package.

    Parameters
    ----------
    template : str
        Name of the file.
    values : mapping
        All that it names; text is escaped.

    Returns
    -------
    str
        HTML.

    Raises
    ------
    MissingExtraError
        If jinja2 is not installed.
    """
    jinja2 = require("jinja2", EXTRA)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("recsys.reports", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page: str = environment.get_template(template).render(values)
    return page


def data_uri(picture: bytes) -> str:
    """Return a PNG as an address that holds the picture itself."""
    return "data:image/png;base64," + base64.b64encode(picture).decode("ascii")
