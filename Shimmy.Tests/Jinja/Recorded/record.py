"""Renders snippets.txt with Python's jinja2 (3.1), set up as transformers sets it up, and writes snippets.json.

Run it by hand after editing snippets.txt: python3 record.py (Debian: python3-jinja2).
"""
import datetime
import json
import pathlib

from jinja2 import nodes
from jinja2.exceptions import TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = datetime.datetime(2026, 1, 5, 14, 7, 9)


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_call"), [], [], body).set_lineno(line)

    def _call(self, caller):
        return caller()


class Refusal(Exception):
    pass


def raise_exception(message):
    raise Refusal(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
environment.filters["tojson"] = tojson
environment.globals["raise_exception"] = raise_exception
environment.globals["strftime_now"] = lambda form: NOW.strftime(form)


def record(name, template, variables):
    case = {"name": name, "template": template, "context": variables}
    try:
        case["expected"] = environment.from_string(template).render(**variables)
    except Refusal as refusal:
        case["error"] = str(refusal)
    except Exception as failure:
        case["error"] = None
        case["python_error"] = f"{type(failure).__name__}: {failure}"
    return case


here = pathlib.Path(__file__).parent
cases = []
for block in ("\n" + (here / "snippets.txt").read_text(encoding="utf-8")).split("\n=== ")[1:]:
    name, _, body = block.partition("\n")
    template, _, variables = body.partition("\n--- ")
    cases.append(record(name, template, json.loads(variables or "{}")))
(here / "snippets.json").write_text(
    json.dumps({"now": NOW.isoformat(), "cases": cases}, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
print(len(cases), "recorded;", sum("expected" not in case for case in cases), "of them failures")
