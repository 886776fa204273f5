"""How a method calls its losses: through their terms, which give them what they ask for."""

from __future__ import annotations

from i2i.testing.outcomes import check, fail, told
from i2i.testing.subjects import Subject
from i2i.testing.tiny_session import ASKING, batch, method_session


@check("losses-given", "method", needs=["logs"])
def losses_given(subject: Subject) -> None:
    """Losses that ask for the source, the batch and the step are given them."""
    session = method_session(subject, losses=ASKING)
    try:
        session.advance([batch(session, 0, 1)])
    except TypeError as error:
        if "keyword-only" not in str(error):
            raise
        fail(
            f"a loss that asks for more than tensors raises {told(error)}: call its term, as term(fake, "
            "real, batch=batch, run=run), or term.generator(...) and term.discriminator(...) of an "
            "adversarial loss"
        )


CHECKS = (losses_given,)
