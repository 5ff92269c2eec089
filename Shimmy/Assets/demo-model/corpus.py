"""Makes the demo corpus: endless conversations from the grammars in tasks.py and tools.py, rendered as chat_template.jinja renders them.

    python3 corpus.py            prints a few samples
"""
import random
import sys
import facts
import words
from stories import story
from tasks import TASKS, World, arithmetic, as_json, count, dumps, fallback, json_task, memory, name_list, repeat, repeat_times, shimmy, talk
from tools import toolbox

START, END = "<|im_start|>", "<|im_end|>"


class Conversation:
    """Messages in OpenAI's form, beside them the tools and whether the model thinks."""

    def __init__(self, tools=(), thinking=False):
        self.messages, self.tools, self.thinking, self.checks = [], list(tools), thinking, None

    def say(self, role, content, **more):
        self.messages.append({"role": role, "content": content, **more})

    def answer(self, content, thought, calls=()):
        more = {"reasoning_content": thought} if self.thinking else {}
        if calls:
            more["tool_calls"] = [{"type": "function", "function": {"name": n, "arguments": a}} for n, a in calls]
        self.say("assistant", content, **more)


def tasks_of(world, kinds):
    task = world.rng.choices([t for t, _ in kinds], [w for _, w in kinds])[0]
    made = task(world)
    return made if isinstance(made, list) else [made]


def chat(world, kinds=TASKS):
    """A conversation without tools."""
    r = world.rng
    conversation = Conversation(thinking=r.random() < 0.15)
    if r.random() < 0.06:
        conversation.say("system", r.choice(words.JSON_SYSTEMS))
        for _ in range(r.choice([1, 1, 2])):
            question, value = json_task(world)
            conversation.say("user", question)
            conversation.answer(dumps(value), "The user wants JSON.")
        return conversation
    if r.random() < 0.35:
        conversation.say("system", r.choice(words.SYSTEMS))
    for _ in range(r.choice([1, 1, 1, 1, 2, 2, 3, 4])):
        for question, answer, thought, checks in tasks_of(world, kinds):
            conversation.say("user", question)
            conversation.answer(answer, thought)
    return conversation


DRILL = [(arithmetic, 14), (count, 2), (repeat_times, 2), (name_list, 1)]


def drill(world):
    """Many short questions in a row whose answers are a matter of numbers: what a small model needs to see most often."""
    r = world.rng
    conversation = Conversation(thinking=r.random() < 0.1)
    for _ in range(r.randint(1, 8)):
        for question, answer, thought, _ in tasks_of(world, DRILL):
            conversation.say("user", question)
            conversation.answer(answer, thought)
    return conversation


# Tools at once: three are what a model of this size learns to tell apart; a few more are seen so that they do not confuse it.
BOXES = [1, 1, 2, 2, 2, 3, 3, 3, 3, 4]


def with_tools(world, count=None):
    """A conversation with tools: most turns call one, some are small talk."""
    r = world.rng
    box = toolbox(world, count or r.choice(BOXES))
    conversation = Conversation([t.definition for t in box], thinking=r.random() < 0.15)
    if r.random() < 0.35:
        conversation.say("system", r.choice(words.SYSTEMS))
    topics = {t.topic for t in box}
    for _ in range(r.choice([1, 2, 2, 3, 3])):
        if r.random() < 0.15:
            kinds = [t for t in TASKS if t[0].__name__ in (["talk", "shimmy", "tell", "repeat"] + ([] if topics & {"add", "subtract"} else ["arithmetic"]))]
            for question, answer, thought, _ in tasks_of(world, kinds):
                conversation.say("user", question)
                conversation.answer(answer, thought)
            continue
        one = r.choice(box)
        uses = [one.use()]
        if r.random() < 0.08:
            second = one.use()
            if second.arguments != uses[0].arguments:
                uses.append(second)
        conversation.say("user", " ".join(u.question for u in uses))
        conversation.answer("", f"I call {one.name}." if len(uses) == 1 else f"I call {one.name} twice.", [(one.name, u.arguments) for u in uses])
        if r.random() < 0.75:
            for u in uses:
                conversation.say("tool", u.result)
            conversation.answer(" ".join(u.answer for u in uses), "I have the result. I tell it.")
        else:
            break
    return conversation


def tool_drill(world):
    """Many calls in a row of the same few tools: how often a small model must see that name, argument names and values are copied."""
    r = world.rng
    box = toolbox(world, r.choice(BOXES))
    conversation = Conversation([t.definition for t in box], thinking=r.random() < 0.1)
    for _ in range(r.randint(2, 6)):
        one = r.choice(box)
        use = one.use()
        conversation.say("user", use.question)
        conversation.answer("", f"I call {one.name}.", [(one.name, use.arguments)])
    return conversation


def raw(world):
    """A text without any chat around it."""
    first, rest, _ = story(world)
    return [(first + " ", False), (rest + "<|endoftext|>", True)]


def signature(definition):
    function = definition["function"]
    properties, required = function["parameters"]["properties"], function["parameters"]["required"]
    shown = ", ".join(k + ("" if k in required else "?") + ": " + ("|".join(dumps(v) for v in s["enum"]) if "enum" in s else s["type"]) for k, s in properties.items())
    return f"- {function['name']}({shown})" + (": " + function["description"] if function["description"] else "") + "\n"


def render(conversation):
    """The conversation as (text, whether the model writes it) in the order of chat_template.jinja."""
    messages, parts = conversation.messages, []
    system = messages[0]["content"] if messages[0]["role"] == "system" else ""
    if conversation.tools:
        parts.append((START + "system\n" + (system + "\n\n" if system else "") + "Tools:\n" + "".join(map(signature, conversation.tools)) + END + "\n", False))
    elif system:
        parts.append((START + "system\n" + system + END + "\n", False))
    for i, message in enumerate(messages):
        role = message["role"]
        if role == "user":
            parts.append((START + "user\n" + message["content"] + END + "\n", False))
        elif role == "tool":
            first = messages[i - 1]["role"] != "tool"
            last = i + 1 == len(messages) or messages[i + 1]["role"] != "tool"
            parts.append(((START + "user" if first else "") + "\n<tool_response>\n" + message["content"] + "\n</tool_response>" + (END + "\n" if last else ""), False))
        elif role == "assistant":
            thought = message.get("reasoning_content")
            parts.append((START + "assistant\n" + ("" if thought else "<think>\n\n</think>\n\n"), False))
            body = (f"<think>\n{thought}\n</think>\n\n" if thought else "") + message["content"]
            calls = [f'<tool_call>\n{{"name": {dumps(c["function"]["name"])}, "arguments": {dumps(c["function"]["arguments"])}}}\n</tool_call>' for c in message.get("tool_calls", ())]
            parts.append((body + ("\n" if message["content"] and calls else "") + "\n".join(calls) + END, True))
            parts.append(("\n", False))
    return parts


COPYING = [(repeat, 10), (memory, 4), (as_json, 5), (repeat_times, 1), (arithmetic, 3), (count, 2), (talk, 1), (shimmy, 2), (fallback, 1)]


def sample(world, early=False):
    """One training text; early in training most of them are about copying, which everything else needs."""
    kind = world.rng.random()
    if early:
        return render(chat(world, kinds=COPYING) if kind < 0.5 else with_tools(world, count=world.rng.choice([1, 1, 2])))
    if kind < 0.01:
        return raw(world)
    return render(drill(world) if kind < 0.16 else chat(world) if kind < 0.4 else with_tools(world) if kind < 0.58 else tool_drill(world))


if __name__ == "__main__":
    world = World(random.Random(int(sys.argv[1]) if len(sys.argv) > 1 else 1))
    for _ in range(int(sys.argv[2]) if len(sys.argv) > 2 else 12):
        print("".join(text for text, _ in sample(world)))
        print("-" * 60)
