"""Trains the demo model's projector; the language model stays as its file has it. Three stages, each going on from what RUN holds:

    python3 train_projector.py RUN words  --steps 700            which embeddings make the language model say what; no pictures
    python3 train_projector.py RUN see    --steps 12000 --pool P the vision alone: each row is drawn to the embedding that the first stage found
    python3 train_projector.py RUN answer --steps 1000  --pool P both: the error of the answer's tokens, carried back to the picture
"""
import argparse
import os
import random
import signal
import time
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
import pictures
from lessons import PARTS, Lessons, Pool, parts_of
from projector import TOKENS, Projector, language_model, prepare
from tokenizer import Tokenizer
from train import Muon

FIRST = 4                    # rows before the description's
WEIGHTS = {"size": 0.5, "shape": 2}
HERE = os.path.dirname(os.path.abspath(__file__))


class Words(nn.Module):
    """The embeddings of each part's values: tables (values, rows, width), and rows that say the same for every picture."""

    def __init__(self, lessons, model):
        super().__init__()
        encoded = [[lessons.encode("x" + v)[1:] for v in values] for values in PARTS.values()]
        self.lengths = [max(map(len, values)) for values in encoded]
        self.tables = nn.ParameterList()
        for values, length in zip(encoded, self.lengths):
            table = torch.randn(len(values), length, model.shape.width) * 0.02
            for i, ids in enumerate(values):
                table[i, :len(ids)] = model.embedding.weight[ids]
            self.tables.append(nn.Parameter(table))
        self.rest = nn.Parameter(torch.randn(TOKENS - sum(self.lengths), model.shape.width) * 0.1)

    def forward(self, parts):
        """Embeddings (batch, rows, width) that say those parts."""
        rest = self.rest.expand(len(parts), -1, -1)
        return torch.cat([rest[:, :FIRST]] + [t[parts[:, i]] for i, t in enumerate(self.tables)] + [rest[:, FIRST:]], 1)

    def loss(self, rows, parts):
        """How far the rows are from saying those parts; and which values are nearest."""
        at, total, nearest = FIRST, 0.0, []
        for i, (part, table, length) in enumerate(zip(PARTS, self.tables, self.lengths)):
            own, table = rows[:, at:at + length].flatten(1), table.detach().flatten(1)
            spread = table.var(0).sum()
            far = (own.pow(2).sum(1, keepdim=True) - 2 * own @ table.t() + table.pow(2).sum(1)) / spread
            total = total + WEIGHTS.get(part, 1) * (F.cross_entropy(-4 * far, parts[:, i]) + far.gather(1, parts[:, i:i + 1]).mean())
            nearest.append(far.detach().argmin(1))
            at += length
        rest = torch.cat((rows[:, :FIRST], rows[:, at:]), 1) - self.rest.detach()
        return total + 0.5 * rest.pow(2).mean() / self.rest.detach().var(), torch.stack(nearest, 1)


def answer_loss(rows, model, lessons, facts):
    tokens, starts, where, targets = lessons.batch(facts)
    x = model.embedding(tokens)
    x = torch.stack([torch.cat((x[i, :s], rows[i], x[i, s + TOKENS:])) for i, s in enumerate(starts)])
    return F.cross_entropy(model.continued(x, where), targets)


def blurred(rows, others):
    """Rows as a projector will give them: near what they are to be, with some of what they are not."""
    share = torch.rand(len(rows), rows.shape[1], 1) * 0.3
    return rows + share * (others - rows).detach() + torch.randn_like(rows) * 0.08 * torch.rand(len(rows), 1, 1) * 2


@torch.no_grad()
def says(rows, model, lessons, facts, ask="What is in the picture?"):
    """Whether the language model's greedy answer to each picture would be the description, word for word: every token of it the likeliest."""
    before, behind = lessons.around(ask, True)
    answers = [lessons.encode(f["text"] + "<|im_end|>") for f in facts]
    longest = max(map(len, answers))
    padded = torch.tensor([a + [0] * (longest - len(a)) for a in answers])
    first = len(before) + TOKENS + len(behind)
    spread = lambda ids: model.embedding(torch.tensor(ids)).expand(len(rows), -1, -1)
    x = torch.cat((spread(before), rows, spread(behind), model.embedding(padded[:, :-1])), 1)
    where = (torch.arange(len(rows))[:, None] * x.shape[1] + first - 1 + torch.arange(longest)).flatten()
    likeliest = model.continued(x, where).argmax(-1).view(len(rows), longest)
    return ((likeliest == padded) | (torch.arange(longest) >= torch.tensor([len(a) for a in answers])[:, None])).all(1).tolist()


def held_out(seed, count):
    """Pictures as make_pictures.py draws them, as the projector sees them."""
    from make_pictures import held_out as make
    from projector import SIDE
    made = [(torch.from_numpy(np.rint(pictures.shrink(np.rint(p), SIDE))).float(), f) for p, f, _ in make(seed, count)]
    return torch.stack([p for p, _ in made]), [f for _, f in made]


def score(facts, right, named=None):
    line = []
    for kind in ("one", "two", "many", "sign"):
        own = [i for i, f in enumerate(facts) if f["kind"] == kind]
        line.append(f"{kind} {sum(right[i] for i in own)}/{len(own)}" + (f" named {sum(named[i] for i in own)}" if named and kind == "one" else ""))
    return "  ".join(line)


@torch.no_grad()
def seen(projector, words, held):
    """The share of held-out pictures whose rows say everything right; of single shapes also with colour and shape right."""
    pixels, facts = held
    parts = torch.tensor([parts_of(f["text"]) for f in facts])
    nearest = torch.cat([words.loss(projector(p), q)[1] for p, q in zip(pixels.split(60), parts.split(60))])
    right = nearest == parts
    return score(facts, right.all(1).tolist(), right[:, 2:4].all(1).tolist())


@torch.no_grad()
def answered(projector, model, lessons, held):
    pixels, facts = held
    right = [r for i in range(0, len(facts), 40) for r in says(projector(pixels[i:i + 40]), model, lessons, facts[i:i + 40])]
    return score(facts, right)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("stage", choices=["words", "see", "answer"])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--decay", type=int, default=0, help="so many steps at the end the rate falls; half of them where nothing is said")
    parser.add_argument("--minutes", type=float, default=0, help="so long, in place of a number of steps")
    parser.add_argument("--fall", type=float, default=0.5, help="for --minutes: the share of the time, at the end, in which the rate falls")
    parser.add_argument("--pool", default="pool")
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--answers", type=int, default=16, help="so many pictures of a batch go through the language model")
    parser.add_argument("--rate", type=float, default=0.02, help="Muon's rate; that of the tables in the first stage")
    parser.add_argument("--adam", type=float, default=0.003)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--check", type=int, default=500)
    parser.add_argument("--plain", action="store_true", help="the vision begins from chance")
    parser.add_argument("--new", action="store_true", help="the vision begins anew")
    o = parser.parse_args()
    os.makedirs(o.run, exist_ok=True)
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)
    random.seed(o.seed)
    r = np.random.default_rng(o.seed)
    lessons = Lessons(Tokenizer.load(os.path.join(HERE, "vocabulary.json")), o.seed)
    model, projector = language_model(os.path.join(HERE, "..", "shimmy-demo.gguf")), Projector()
    words = Words(lessons, model)
    path = os.path.join(o.run, "projector.pt")
    state = torch.load(path) if os.path.exists(path) else {}
    if state:
        words.load_state_dict(state["words"])
    pool = Pool(o.pool)
    if "projector" in state and not o.new:
        projector.load_state_dict(state["projector"])
    elif not o.plain:
        prepare(projector, pool.take(r.integers(len(pool.facts), size=1000), r)[0])
    if o.stage == "words":
        held = None
        optimizer, muon = torch.optim.Adam(words.parameters(), lr=o.rate, betas=(0.9, 0.98)), None
        adam_rate = o.rate
    else:
        held = held_out("check", 240)
        matrices = [p for n, p in projector.named_parameters() if n.startswith("layers.") and p.dim() == 2 or n == "mm0.weight"]
        others = [p for n, p in projector.named_parameters() if not any(p is m for m in matrices) and n != "patches.weight"]
        muon, optimizer = Muon(matrices, rounds=4), torch.optim.Adam(
            [{"params": others, "share": 1.0}, {"params": [projector.patches.weight], "share": 0.1}], lr=o.adam, betas=(0.9, 0.98), eps=1e-10)
        adam_rate = o.adam
    print(sum(p.numel() for p in projector.parameters()), "parameters", len(pool.facts), "pictures", words.lengths, flush=True)

    def save():
        torch.save({"words": words.state_dict(), "projector": projector.state_dict()}, path + ".new")
        os.replace(path + ".new", path)

    def check():
        if o.stage == "see":
            return seen(projector, words, held)
        if o.stage == "answer":
            return seen(projector, words, held) + "  said: " + answered(projector, model, lessons, held)
        facts = [pool.facts[i] for i in r.integers(len(pool.facts), size=60)]
        with torch.no_grad():
            return score(facts, says(words(torch.tensor([parts_of(f["text"]) for f in facts])), model, lessons, facts))

    # Counting is the hardest: those come twice as often.
    deck = np.concatenate((np.arange(len(pool.facts)), [i for i, f in enumerate(pool.facts) if f["kind"] == "many"]))
    stop, total, began, step = [], torch.zeros(3), time.time(), 0
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    decay = o.decay or o.steps // 2
    while not stop:
        left = (1 - (time.time() - began) / o.minutes / 60) / o.fall if o.minutes else (o.steps - step) / decay
        if left <= 0:
            break
        scale = min(1, (step + 1) / 50, left)
        indexes = r.choice(deck, o.batch)
        facts, seeing, answering = [pool.facts[i] for i in indexes], torch.zeros(()), torch.zeros(())
        if o.stage == "words":
            rows = words(pool.parts[indexes])
            answering = answer_loss(blurred(rows, words(pool.parts[r.permutation(indexes)])), model, lessons, facts)
        else:
            pixels, parts = pool.take(indexes, r)
            rows = projector(pixels)
            seeing, _ = words.loss(rows, parts)
            if o.stage == "answer":
                answering = answer_loss(rows[:o.answers], model, lessons, facts[:o.answers])
        loss = seeing + answering
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = adam_rate * scale * group.get("share", 1)
        torch.nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], 1.0)
        optimizer.step()
        if muon:
            muon.step(o.rate * scale)
        for p in list(words.parameters()) + list(projector.parameters()):
            p.grad = None
        total += torch.tensor([1.0, float(seeing), float(answering)])
        step += 1
        if step % 25 == 0:
            print(f"step {step} seeing {total[1] / total[0]:.4f} answering {total[2] / total[0]:.4f} seconds {time.time() - began:.0f}", flush=True)
            total.zero_()
        if step % o.check == 0:
            save()
            print(check(), flush=True)
    save()
    print(check(), flush=True)


if __name__ == "__main__":
    main()
