"""What the projector's training learns from: pictures drawn beforehand, what each row of a picture's embeddings is to say, and questions with
their answers around it.

    python3 lessons.py POOL 200000 [SEED]        draws a pool: POOL.u8 and POOL.facts
"""
import json
import os
import pickle
import random
import sys
import numpy as np
import torch
from jinja2 import Environment
import pictures
import words
from projector import SIDE, TOKENS

HERE = os.path.dirname(os.path.abspath(__file__))
MARK = "\x01"
THOUGHT = "The user asks about a picture. I look at it."
TOOLS = ["screenshot", "take_screenshot", "camera", "read_file", "view_image"]
NAMES = list(pictures.COLORS)
PLURALS = [s + ("es" if s == "cross" else "s") for s in pictures.SHAPES]
# The description in parts, each with its values; rows of the embeddings are given to the parts in this order, as many as the longest value has tokens.
PARTS = {
    "lead": ["A", "An"] + list(pictures.NUMBERS.values()), "size": ["", " small", " large"], "color": [" " + c for c in NAMES],
    "shape": [" " + s for s in pictures.SHAPES + PLURALS + ["digit", "letter"]], "tail": [".", " and a", " and an"] + [f" {s}." for s in pictures.SIGNS],
    "second color": [""] + [" " + c for c in NAMES], "second shape": [""] + [f" {s}." for s in pictures.SHAPES],
}


def parts_of(text):
    """The value of each part of a description, as its index."""
    chosen = []
    for values in PARTS.values():
        fitting = [i for i, v in enumerate(values) if text.startswith(v) and (not text[len(v):] or not text[len(v)].isalpha())]
        chosen.append(max(fitting, key=lambda i: len(values[i])))
        text = text[len(values[chosen[-1]]):]
    assert not text, text
    return chosen


def size_of(r):
    """The size of a picture: half of them as they come from a camera or a screen, half near the size that the projector sees."""
    if r.random() < 0.5:
        return pictures.any_size(r)
    width = r.randint(64, 150)
    return (width, width) if r.random() < 0.5 else (width, int(width * r.uniform(0.6, 1)))


def drawn(r):
    width, height = size_of(r)
    kind = r.choices(["one", "two", "many", "sign"], [42, 28, 12, 18])[0]
    if max(width, height) > 170:
        return pictures.sample(r, width, height, kind, SIDE)
    pixels, facts = pictures.sample(r, width, height, kind)
    return pictures.shrink(pixels, SIDE), facts


class Pool:
    """Pictures that were drawn beforehand, with small changes each time: mirrored where that changes no word, brighter, noisier."""

    def __init__(self, path):
        with open(path + ".facts", "rb") as file:
            self.facts = pickle.load(file)
        self.pixels = np.memmap(path + ".u8", np.uint8, "r", shape=(len(self.facts), SIDE, SIDE, 3))
        self.parts = torch.tensor([parts_of(f["text"]) for f in self.facts])
        self.even = np.array([f["kind"] in ("one", "many") for f in self.facts])

    def take(self, indexes, r):
        """Pictures (batch, side, side, 3) and their parts."""
        indexes = np.asarray(indexes)
        pixels = torch.from_numpy(self.pixels[indexes]).float()
        turned = torch.from_numpy(np.nonzero(self.even[indexes] & (r.random(len(indexes)) < 0.5))[0])
        pixels[turned] = pixels[turned].flip(2)
        pixels += torch.randn(len(indexes), 1, 1, 3) * 3
        return pixels.clamp_(0, 255), self.parts[torch.from_numpy(indexes)]


class Lessons:
    def __init__(self, tokenizer, seed):
        self.tokenizer, self.r = tokenizer, random.Random(seed)
        environment = Environment(trim_blocks=True, lstrip_blocks=True)
        environment.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
        with open(os.path.join(HERE, "chat_template.jinja"), encoding="utf-8") as file:
            self.template = environment.from_string(file.read())
        self.known = {}

    def encode(self, text):
        if text not in self.known:
            self.known[text] = self.tokenizer.encode(text)
        return self.known[text]

    def around(self, ask, picture_first, system=None, thinking=False, tool=None):
        """The tokens before the picture and those behind it; with a tool's name the picture is its result."""
        messages, tools = [{"role": "system", "content": system}] if system else [], None
        if tool:
            call = {"function": {"name": tool, "arguments": {}}}
            messages += [{"role": "user", "content": ask}, {"role": "assistant", "content": "", "tool_calls": [call]}, {"role": "tool", "content": MARK}]
            tools = [{"function": {"name": tool, "description": "Takes a picture.", "parameters": {}}}] if self.r.random() < 0.7 else None
        else:
            messages.append({"role": "user", "content": MARK + ask if picture_first else ask + MARK})
        before, behind = self.template.render(messages=messages, tools=tools, add_generation_prompt=True, enable_thinking=thinking).split(MARK)
        return self.encode(before), self.encode(behind)

    def lesson(self, facts, system, thinking, tool):
        """The tokens before the picture, those behind it, and the answer's."""
        r = self.r
        ask, answer = pictures.question(r, facts)
        before, behind = self.around(ask, r.random() < 0.5, system, thinking, tool)
        if thinking:
            answer = f"<think>\n{THOUGHT}\n</think>\n\n{answer}"
        return before, behind, self.encode(answer + "<|im_end|>")

    def batch(self, facts):
        """Tokens with room for the pictures' rows, where each picture begins, the flat positions that predict the answers, and the answers."""
        thinking, system = self.r.random() < 0.05, self.r.choice(words.SYSTEMS) if self.r.random() < 0.15 else None
        tool = self.r.choice(TOOLS) if self.r.random() < 0.07 else None
        made = [self.lesson(f, system, thinking, tool) for f in facts]
        width = max(len(b) + TOKENS + len(q) + len(a) for b, q, a in made) - 1
        tokens, starts, where, targets = torch.zeros(len(made), width, dtype=torch.long), [], [], []
        for i, (before, behind, answer) in enumerate(made):
            ids = before + [0] * TOKENS + behind + answer
            tokens[i, :len(ids) - 1] = torch.tensor(ids[:-1])
            starts.append(len(before))
            first = len(before) + TOKENS + len(behind)
            where += [i * width + j - 1 for j in range(first, len(ids))]
            targets += answer
        return tokens, starts, torch.tensor(where), torch.tensor(targets)


def main():
    path, count, r = sys.argv[1], int(sys.argv[2]), random.Random(sys.argv[3] if len(sys.argv) > 3 else "pool")
    facts = []
    with open(path + ".u8", "wb") as file:
        for _ in range(count):
            pixels, fact = drawn(r)
            file.write(np.clip(np.rint(pixels), 0, 255).astype(np.uint8).tobytes())
            facts.append(fact)
            if len(facts) % 20000 == 0:
                print(len(facts), flush=True)
                with open(path + ".facts.new", "wb") as out:
                    pickle.dump(facts, out)
                os.replace(path + ".facts.new", path + ".facts")
    with open(path + ".facts", "wb") as out:
        pickle.dump(facts, out)


if __name__ == "__main__":
    main()
