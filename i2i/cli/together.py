"""Commands that are for one process, where a launcher has started several."""

from __future__ import annotations

import time

from i2i.errors import EXIT_RECIPE, EndedTogether, RecipeError
from i2i.processes.launch import LET_TELL, launched


def refuse_several(what: str) -> None:
    """Raise RecipeError in the first of several processes, in words that begin with `what`; the others end.

    Each would do the same work again, and write over what the others write.
    """
    launch = launched()
    if launch.size == 1:
        return
    if launch.rank:
        time.sleep(LET_TELL)
        raise EndedTogether(EXIT_RECIPE)
    raise RecipeError(
        f"{what} for one process, and a launcher has started {launch.size}: leave the launcher out. Only "
        "`i2i run` trains in several."
    )
