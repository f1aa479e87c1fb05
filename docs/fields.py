"""Prints docs/recipe.md: every section and field of a recipe, from the sections themselves."""

from pathlib import Path

from lianlu.evaluate.config import GoalConfig
from lianlu.recipe import Recipe
from lianlu.refine.config import PathSource, PythonDocsSource
from lianlu.section import Section

print("# The recipe, field by field\n")
print("Made by `make docs` from the sections' own docstrings. Fields marked *run* change how the")
print("work is done, never what comes out: they are outside a step's key.\n")
sections: dict[str, Section] = {
    "sources, type path": PathSource(path=Path("docs")),
    "sources, type python-docs": PythonDocsSource(),
    "goal": GoalConfig(at_least=0.8),
}
for name, info in Recipe.model_fields.items():
    if isinstance(info.default, Section):
        sections[name] = info.default
for name, section in sections.items():
    print(f"## {name}\n\n{(type(section).__doc__ or '').strip()}\n")
    print("| field | default | meaning |\n|---|---|---|")
    for field, of in type(section).model_fields.items():
        mark = " *run*" if field in section.run_fields else ""
        default = section.model_dump(mode="json")[field]
        print(f"| `{field}`{mark} | `{default}` | {of.description} |")
    print()
