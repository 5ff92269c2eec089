"""Writes the held-out evaluation set: prompts whose words, numbers or combinations training never sees.

    python3 make_evaluation.py evaluation.jsonl [SEED]

One JSON object a line: id, kind, messages, tools, enable_thinking, checks. Checks: equals (the whole text), contains (all of these),
tool_calls (name and arguments of every call, in order), json (the value that the answer must parse to), thinks (a thought before the answer).
"""
import json
import random
import sys
import words
from corpus import Conversation
from tasks import World, arithmetic, as_json, count, fallback, json_task, memory, name_list, repeat, repeat_times, shimmy, talk, tell
from tools import MAKERS, toolbox

PLAN = [(talk, 16), (shimmy, 24), (fallback, 16), (arithmetic, 40), (repeat, 24), (repeat_times, 8), (count, 14), (memory, 8), (tell, 16), (as_json, 40), (name_list, 8)]


def case(conversation, kind, checks):
    return {"kind": kind, "messages": conversation.messages, "tools": conversation.tools, "enable_thinking": conversation.thinking, "checks": checks}


def plain(world, task):
    r = world.rng
    made = task(world)
    made = made if isinstance(made, list) else [made]
    conversation = Conversation(thinking=r.random() < 0.15)
    if r.random() < 0.3:
        conversation.say("system", r.choice(words.SYSTEMS))
    for question, answer, thought, _ in made[:-1]:
        conversation.say("user", question)
        conversation.answer(answer, thought)
    conversation.say("user", made[-1][0])
    checks = dict(made[-1][3])
    if conversation.thinking:
        checks["thinks"] = True
    kind = {"as_json": "json", "tell": "story", "arithmetic": "sum"}.get(task.__name__, task.__name__)
    if kind == "sum" and "small demo model" in made[-1][1]:
        kind = "too_big"
    return case(conversation, kind, checks)


def calls(world, maker, number):
    """A call asked for among one to three tools; every third case asks for the answer from the result instead."""
    r = world.rng
    one = maker(world)
    box = toolbox(world, r.choice([1, 2, 3]) - 1, one)
    box.insert(r.randint(0, len(box)), one)
    conversation = Conversation([t.definition for t in box], thinking=r.random() < 0.15)
    if r.random() < 0.3:
        conversation.say("system", r.choice(words.SYSTEMS))
    use = one.use()
    conversation.say("user", use.question)
    thinks = {"thinks": True} if conversation.thinking else {}
    if number % 3 < 2:
        return case(conversation, "tool_call", {"tool_calls": [{"name": one.name, "arguments": use.arguments}], **thinks})
    conversation.answer("", f"I call {one.name}.", [(one.name, use.arguments)])
    conversation.say("tool", use.result)
    return case(conversation, "tool_result", {"equals": use.answer, **thinks})


def make(seed=2024):
    world = World(random.Random(seed), evaluation=True)
    cases = [plain(world, task) for task, n in PLAN for _ in range(n)]
    for _ in range(4):
        question, value = json_task(world)
        conversation = Conversation()
        conversation.say("system", world.rng.choice(words.JSON_SYSTEMS))
        conversation.say("user", question)
        cases.append(case(conversation, "json", {"json": value}))
    for maker, weight in MAKERS:
        cases += [calls(world, maker, i) for i in range(weight)]
    return [{"id": f"{i:03}-{c['kind']}", **c} for i, c in enumerate(cases, 1)]


if __name__ == "__main__":
    cases = make(int(sys.argv[2]) if len(sys.argv) > 2 else 2024)
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        for one in cases:
            file.write(json.dumps(one, ensure_ascii=False) + "\n")
    print(len(cases), "cases")
