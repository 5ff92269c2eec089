"""Trains shimmy-demo on endless text from corpus.py.

    python3 train.py RUN --steps 3000 --decay 1200 [--seed 1] [--threads 1]

RUN is a folder for the checkpoint; a run that was stopped (SIGTERM saves first) goes on from it. The learning rate warms up, stays, and falls to zero
over the last `--decay` steps. While the file named by --pause exists, training waits.
"""
import argparse
import os
import random
import signal
import time
import torch
from torch.nn import functional as F
from corpus import sample
from model import Model, Shape
from tasks import World
from tokenizer import Tokenizer

HERE = os.path.dirname(os.path.abspath(__file__))


class Muon:
    """Momentum whose step is made orthogonal (Newton-Schulz), for the matrices inside the blocks."""

    def __init__(self, parameters, momentum=0.95, rounds=5):
        self.parameters, self.momentum, self.rounds = list(parameters), momentum, rounds
        self.buffers = [torch.zeros_like(p) for p in self.parameters]

    @torch.no_grad()
    def step(self, rate):
        for p, m in zip(self.parameters, self.buffers):
            m.mul_(self.momentum).add_(p.grad)
            g = p.grad.add(m, alpha=self.momentum)
            wide = g.shape[0] <= g.shape[1]
            x = (g if wide else g.t()) / (g.norm() + 1e-7)
            for _ in range(self.rounds):
                a = x @ x.t()
                x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
            p.add_(x if wide else x.t(), alpha=-rate * max(1, p.shape[0] / p.shape[1]) ** 0.5)


class Feed:
    """Batches of samples of like length, at most `tokens` each, so that little is padding."""

    def __init__(self, tokenizer, seed, tokens, longest, early=False):
        self.tokenizer, self.world, self.tokens, self.longest, self.early = tokenizer, World(random.Random(seed)), tokens, longest, early

    def encoded(self):
        while True:
            ids, wanted = [], []
            for text, own in sample(self.world, self.early):
                part = self.tokenizer.encode(text)
                ids += part
                wanted += [own] * len(part)
            if len(ids) <= self.longest:
                return ids, wanted

    def batches(self):
        while True:
            pool = sorted((self.encoded() for _ in range(400)), key=lambda s: len(s[0]))
            groups, group = [], []
            for one in reversed(pool):
                if group and len(group[0][0]) * (len(group) + 1) > self.tokens:
                    groups.append(group)
                    group = []
                group.append(one)
            self.world.rng.shuffle(groups)                       # the last, shorter group waits for no one: it is dropped
            yield from groups


def to_tensors(group):
    """Inputs, the flat positions that predict a token of the model's own, and those tokens."""
    width = max(len(ids) for ids, _ in group) - 1
    tokens = torch.zeros(len(group), width, dtype=torch.long)
    where, targets = [], []
    for row, (ids, own) in enumerate(group):
        tokens[row, :len(ids) - 1] = torch.tensor(ids[:-1])
        for i in range(len(ids) - 1):
            if own[i + 1]:
                where.append(row * width + i)
                targets.append(ids[i + 1])
    return tokens, torch.tensor(where), torch.tensor(targets)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--decay", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=4096, help="tokens of one batch")
    parser.add_argument("--batches", type=int, default=2, help="batches of one step")
    parser.add_argument("--longest", type=int, default=512, help="tokens of the longest sample")
    parser.add_argument("--early", type=int, default=0, help="so many steps at the start are mostly about copying, on samples of half the length")
    parser.add_argument("--rate", type=float, default=0.02, help="Muon's learning rate")
    parser.add_argument("--adam", type=float, default=0.004, help="learning rate of embeddings and norms")
    parser.add_argument("--pause", default="")
    o = parser.parse_args()
    os.makedirs(o.run, exist_ok=True)
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)
    tokenizer = Tokenizer.load(os.path.join(HERE, "vocabulary.json"))
    model = Model(Shape(len(tokenizer.pieces)))
    matrices = [p for n, p in model.named_parameters() if p.dim() == 2 and "embedding" not in n]
    others = [p for n, p in model.named_parameters() if p.dim() != 2 or "embedding" in n]
    muon, adam = Muon(matrices), torch.optim.Adam(others, lr=o.adam, betas=(0.9, 0.95), eps=1e-10)
    print(sum(p.numel() for p in model.parameters()), "parameters", flush=True)
    path, step, seconds, seen = os.path.join(o.run, "checkpoint.pt"), 0, 0.0, 0
    if os.path.exists(path):
        state = torch.load(path)
        model.load_state_dict(state["model"])
        adam.load_state_dict(state["adam"])
        muon.buffers, step, seconds, seen = state["muon"], state["step"], state["seconds"], state["seen"]
        print("goes on from step", step, flush=True)

    def save():
        torch.save({"model": model.state_dict(), "adam": adam.state_dict(), "muon": muon.buffers, "step": step, "seconds": seconds, "seen": seen}, path + ".new")
        os.replace(path + ".new", path)

    def feed_from(step):
        early = step < o.early
        return Feed(tokenizer, f"{o.seed}:{step}", o.tokens, o.longest // 2 if early else o.longest, early).batches()

    feed = feed_from(step)
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    began = saved = time.time()
    loss_sum = loss_count = 0
    while step < o.steps and not stop:
        while o.pause and os.path.exists(o.pause) and not stop:
            time.sleep(5)
            began = time.time()
        scale = min(1, (step + 1) / 50, (o.steps - step) / o.decay)
        parts = [to_tensors(next(feed)) for _ in range(o.batches)]
        total = sum(len(targets) for _, _, targets in parts)
        for tokens, where, targets in parts:
            loss = F.cross_entropy(model(tokens, where), targets, reduction="sum") / total
            loss.backward()
            loss_sum += loss.item()
            seen += tokens.numel()
        loss_count += 1
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        muon.step(o.rate * scale)
        for group in adam.param_groups:
            group["lr"] = o.adam * scale
        adam.step()
        for p in model.parameters():
            p.grad = None
        step += 1
        if step == o.early:
            feed = feed_from(step)
        seconds, began = seconds + time.time() - began, time.time()
        if step % 25 == 0:
            print(f"step {step} loss {loss_sum / loss_count:.4f} tokens {seen} seconds {seconds:.0f} tokens/s {seen / seconds:.0f}", flush=True)
            loss_sum = loss_count = 0
        if time.time() - saved > 120 or step == o.steps or stop:
            save()
            saved = time.time()


if __name__ == "__main__":
    main()
