"""The stages of a recipe in a line: which steps they are, and what each leaves as it is."""

from __future__ import annotations

from i2i.recipe.recipe import Recipe


def stages_told(recipe: Recipe, total_steps: int) -> str:
    """Return "first, to step 50 (generators.main frozen); second, to step 200 (nothing frozen)"."""
    said = []
    for name, stage in recipe.stages.items():
        end = round((1.0 if stage.until is None else stage.until) * total_steps)
        said.append(f"{name}, to step {end:,} ({' and '.join(stage.frozen) or 'nothing'} frozen)")
    return "; ".join(said)
