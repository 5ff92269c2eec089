"""Trains the demo model's projector on endless pictures from pictures.py; the language model stays as its file has it.

    python3 train_projector.py RUN --steps 9000 --describe 3000 [--decay 3000] [--seed 1] [--threads 1]

The first steps teach the vision alone: row i is drawn to token i of the description (cheap, no language model runs). The others go through the
language model: the error of its answer's tokens, carried back to the picture. RUN keeps the checkpoint; a stopped run goes on from it.
"""
import argparse
import os
import random
import signal
import time
import torch
from jinja2 import Environment
from torch.nn import functional as F
import pictures
import words
from projector import SIDE, TOKENS, Projector, language_model
from tokenizer import Tokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
MARK = "\x01"
THOUGHT = "The user asks about a picture. I look at it."


def raise_exception(text):
    raise ValueError(text)


class Lessons:
    """Batches of pictures with the tokens around them and those of the answer."""

    def __init__(self, tokenizer, seed):
        self.tokenizer, self.r = tokenizer, random.Random(seed)
        environment = Environment()
        environment.globals["raise_exception"] = raise_exception
        with open(os.path.join(HERE, "chat_template.jinja"), encoding="utf-8") as file:
            self.template = environment.from_string(file.read())

    def picture(self):
        r = self.r
        if r.random() < 0.75:
            pixels, facts = pictures.sample(r, SIDE, SIDE)
        else:
            width, height = pictures.any_size(r)
            pixels, facts = pictures.sample(r, width, height)
            pixels = pictures.shrink(pixels, SIDE)
        return torch.from_numpy(pixels).float(), facts

    def lesson(self):
        """The picture, the tokens before it, those behind it, and the answer's."""
        r = self.r
        pixels, facts = self.picture()
        ask, answer = pictures.question(r, facts)
        messages = [{"role": "system", "content": r.choice(words.SYSTEMS)}] if r.random() < 0.15 else []
        messages.append({"role": "user", "content": MARK + ask if r.random() < 0.5 else ask + MARK})
        thinking = r.random() < 0.15
        before, behind = self.template.render(messages=messages, add_generation_prompt=True, enable_thinking=thinking).split(MARK)
        if thinking:
            answer = f"<think>\n{THOUGHT}\n</think>\n\n{answer}"
        return pixels, self.tokenizer.encode(before), self.tokenizer.encode(behind), self.tokenizer.encode(answer + "<|im_end|>"), facts


def describe_loss(projector, model, lessons, count):
    made = [lessons.picture() for _ in range(count)]
    rows = projector(torch.stack([p for p, _ in made]))
    where, targets = [], []
    for i, (_, facts) in enumerate(made):
        ids = lessons.tokenizer.encode(facts["text"])
        where += [i * TOKENS + 4 + j for j in range(len(ids))]
        targets += ids
    rows, targets = rows.flatten(0, 1)[where], torch.tensor(targets)
    table = model.embedding.weight
    near = F.cross_entropy(F.linear(F.normalize(rows, dim=-1), F.normalize(table, dim=-1)) * 20, targets)
    return near + 0.02 * (rows - table[targets]).pow(2).sum(-1).mean()


def answer_loss(projector, model, lessons, count):
    made = [lessons.lesson() for _ in range(count)]
    rows = projector(torch.stack([m[0] for m in made]))
    width = max(len(b) + TOKENS + len(q) + len(a) for _, b, q, a, _ in made) - 1
    tokens = torch.zeros(count, width, dtype=torch.long)
    starts, where, targets = [], [], []
    for i, (_, before, behind, answer, _) in enumerate(made):
        ids = before + [0] * TOKENS + behind + answer
        tokens[i, :len(ids) - 1] = torch.tensor(ids[:-1])
        starts.append(len(before))
        first = len(before) + TOKENS + len(behind)
        where += [i * width + j - 1 for j in range(first, len(ids))]
        targets += answer
    x = model.embedding(tokens)
    x = torch.stack([torch.cat((x[i, :s], rows[i], x[i, s + TOKENS:])) for i, s in enumerate(starts)])
    return F.cross_entropy(model.continued(x, torch.tensor(where)), torch.tensor(targets))


@torch.no_grad()
def right(projector, model, lessons, count):
    """The share of pictures, by kind, whose full description comes out word for word; and of single shapes with colour and shape right."""
    asked, exact, named = {}, {}, [0, 0]
    end = lessons.tokenizer.ids["<|im_end|>"]
    for _ in range(count):
        pixels, facts = lessons.picture()
        before, behind = lessons.template.render(messages=[{"role": "user", "content": MARK + "What is in the picture?"}], add_generation_prompt=True).split(MARK)
        x = torch.cat((model.embedding(torch.tensor(lessons.tokenizer.encode(before))), projector(pixels[None])[0], model.embedding(torch.tensor(lessons.tokenizer.encode(behind)))))
        out = []
        while len(out) < 30:
            token = int(model.continued(x[None])[-1].argmax())
            if token == end:
                break
            out.append(token)
            x = torch.cat((x, model.embedding(torch.tensor([token]))))
        said, kind = lessons.tokenizer.decode(out), facts["kind"]
        asked[kind] = asked.get(kind, 0) + 1
        exact[kind] = exact.get(kind, 0) + (said == facts["text"])
        if kind == "one":
            named[0] += facts["color"] in said and facts["shape"] in said
            named[1] += 1
    return "  ".join(f"{k} {exact[k]}/{asked[k]}" for k in sorted(asked)) + f"  one shape named {named[0]}/{named[1]}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("--steps", type=int, default=9000)
    parser.add_argument("--describe", type=int, default=3000, help="so many steps at the start teach the vision alone")
    parser.add_argument("--decay", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=0.001)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    o = parser.parse_args()
    os.makedirs(o.run, exist_ok=True)
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)
    tokenizer = Tokenizer.load(os.path.join(HERE, "vocabulary.json"))
    model, projector = language_model(os.path.join(HERE, "..", "shimmy-demo.gguf")), Projector()
    optimizer = torch.optim.AdamW(projector.parameters(), lr=o.rate, betas=(0.9, 0.98), weight_decay=0.02)
    path, step, lowest = os.path.join(o.run, "projector.pt"), 0, 0.02
    if os.path.exists(path):
        state = torch.load(path)
        projector.load_state_dict(state["projector"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
        print("goes on from step", step, flush=True)
    print(sum(p.numel() for p in projector.parameters()), "parameters", flush=True)

    def save():
        torch.save({"projector": projector.state_dict(), "optimizer": optimizer.state_dict(), "step": step}, path + ".new")
        os.replace(path + ".new", path)

    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    lessons, began, total = Lessons(tokenizer, f"{o.seed}:{step}"), time.time(), 0.0
    while step < o.steps and not stop:
        scale = min(1, (step + 1) / 200, max(lowest, (o.steps - step) / o.decay))
        for group in optimizer.param_groups:
            group["lr"] = o.rate * scale
        loss = (describe_loss if step < o.describe else answer_loss)(projector, model, lessons, o.batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(projector.parameters(), 1.0)
        optimizer.step()
        total += loss.item()
        step += 1
        if step % 50 == 0:
            print(f"step {step} loss {total / 50:.4f} seconds {time.time() - began:.0f}", flush=True)
            total = 0.0
        if step % 500 == 0:
            save()
            if step > o.describe:
                print(right(projector, model, Lessons(tokenizer, "check"), 60), flush=True)
    save()


if __name__ == "__main__":
    main()
