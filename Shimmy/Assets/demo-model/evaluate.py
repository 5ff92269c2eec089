"""Runs the evaluation set through llama.cpp, greedy, and prints what came of it.

    python3 evaluate.py LIBRARIES shimmy-demo.gguf [evaluation.jsonl] [--failures]

LIBRARIES is a folder with llama.cpp v0.4.0's shared libraries.
"""
import collections
import json
import os
import re
import sys
import time
import jinja2
from llamacpp import LlamaCpp

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT = 400
GOALS = {"ends": 0.95, "tool_call": 0.90, "json": 0.95, "sum": 0.80}


def template():
    """The chat template under the rules of Hugging Face's transformers."""
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
    def refuse(message):
        raise jinja2.TemplateError(message)
    environment.globals["raise_exception"] = refuse
    with open(os.path.join(HERE, "chat_template.jinja"), encoding="utf-8") as file:
        return environment.from_string(file.read())


def judge(text, checks):
    """Whether an answer passes its checks, and whether its JSON parsed (None where none was asked for)."""
    thought = re.match(r"<think>\n(.+?)\n</think>\n\n", text, re.S)
    if checks.get("thinks", False) != bool(thought):
        return False, None
    body = text[thought.end():] if thought else text
    if "tool_calls" in checks:
        try:
            found = [json.loads(call) for call in re.findall(r"<tool_call>\n(.*?)\n</tool_call>", body, re.S)]
        except ValueError:
            return False, None
        return found == checks["tool_calls"], None
    if "json" in checks:
        try:
            return json.loads(body) == checks["json"], True
        except ValueError:
            return False, False
    if "equals" in checks:
        return body == checks["equals"], None
    return all(part in body for part in checks["contains"]), None


def main():
    failures = "--failures" in sys.argv
    names = [a for a in sys.argv[1:] if not a.startswith("--")]
    model, render = LlamaCpp(names[0], names[1]), template()
    with open(names[2] if len(names) > 2 else os.path.join(HERE, "evaluation.jsonl"), encoding="utf-8") as file:
        cases = [json.loads(line) for line in file]
    right, total, parsed, asked, ended, tokens, began = collections.Counter(), collections.Counter(), 0, 0, 0, 0, time.time()
    for case in cases:
        prompt = render.render(messages=case["messages"], tools=case["tools"] or None, add_generation_prompt=True, enable_thinking=case["enable_thinking"])
        text, end, n = model.generate(prompt, LIMIT)
        good, json_ok = judge(text, case["checks"])
        tokens, ended = tokens + n, ended + end
        asked, parsed = asked + (json_ok is not None), parsed + bool(json_ok)
        total[case["kind"]] += 1
        right[case["kind"]] += good
        if failures and not (good and end):
            print(case["id"], "| asked:", case["messages"][-1]["content"], "| got:", text, "| wanted:", next(iter(case["checks"].values())), "" if end else "| DID NOT END")
    for kind in total:
        print(f"{kind:14} {right[kind]:4} of {total[kind]:4}  {100 * right[kind] / total[kind]:5.1f} %")
    rates = {"ends": ended / len(cases), "tool_call": right["tool_call"] / total["tool_call"], "json": parsed / asked, "sum": right["sum"] / total["sum"]}
    print(f"{len(cases)} cases, {tokens} tokens, {time.time() - began:.1f} s")
    for name, rate in rates.items():
        print(f"{ {'ends': 'ends by itself', 'tool_call': 'tool calls right', 'json': 'JSON parses', 'sum': 'sums right'}[name]:18} {100 * rate:5.1f} %  goal {100 * GOALS[name]:.0f} %  {'reached' if rate >= GOALS[name] else 'MISSED'}")
    sys.exit(any(rate < GOALS[name] for name, rate in rates.items()))


if __name__ == "__main__":
    main()
