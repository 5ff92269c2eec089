"""The model: llama's architecture in PyTorch (RMSNorm, rotary positions, grouped-query attention, SwiGLU, tied embeddings)."""
import math
from dataclasses import dataclass
import torch
from torch import nn
from torch.nn import functional as F

PIECE = 64


@dataclass
class Shape:
    vocabulary: int
    width: int = 256
    layers: int = 5
    heads: int = 8
    kv_heads: int = 4
    hidden: int = 512
    context: int = 2048
    rope_base: float = 10000.0
    epsilon: float = 1e-5


class Norm(nn.Module):
    def __init__(self, width, epsilon):
        super().__init__()
        self.weight, self.epsilon = nn.Parameter(torch.ones(width)), epsilon

    def forward(self, x):
        return x * (torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.epsilon)) * self.weight


class Block(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.s, self.size = s, s.width // s.heads
        linear = lambda a, b: nn.Linear(a, b, bias=False)
        self.attention_norm, self.feed_norm = Norm(s.width, s.epsilon), Norm(s.width, s.epsilon)
        self.q, self.k, self.v = linear(s.width, s.width), linear(s.width, s.kv_heads * self.size), linear(s.width, s.kv_heads * self.size)
        self.o = linear(s.width, s.width)
        self.gate, self.up, self.down = linear(s.width, s.hidden), linear(s.width, s.hidden), linear(s.hidden, s.width)

    def forward(self, x, cos, sin, mask):
        b, t, _ = x.shape
        s, n = self.s, self.s.heads // self.s.kv_heads
        h = self.attention_norm(x)
        q = rotate(self.q(h).view(b, t, s.heads, self.size), cos, sin)
        k = rotate(self.k(h).view(b, t, s.kv_heads, self.size), cos, sin)
        v = self.v(h).view(b, t, s.kv_heads, self.size)
        # Heads of one group share keys: they become rows of one matrix, so nothing is copied for them. Queries go in pieces, each against
        # the keys up to its own end: what comes later is masked anyway.
        q = q.view(b, t, s.kv_heads, n, self.size).permute(0, 2, 3, 1, 4).reshape(b * s.kv_heads, n, t, self.size)
        k = k.permute(0, 2, 3, 1).reshape(b * s.kv_heads, self.size, t)
        v = v.permute(0, 2, 1, 3).reshape(b * s.kv_heads, t, self.size)
        pieces = []
        for start in range(0, t, PIECE):
            end = min(t, start + PIECE)
            part = q[:, :, start:end].reshape(b * s.kv_heads, n * (end - start), self.size)
            scores = torch.baddbmm(mask[start:end, :end].repeat(n, 1), part, k[:, :, :end], alpha=1 / math.sqrt(self.size))
            pieces.append(torch.bmm(torch.softmax(scores, -1), v[:, :end]).view(b * s.kv_heads, n, end - start, self.size))
        mixed = torch.cat(pieces, 2)
        mixed = mixed.view(b, s.heads, t, self.size).transpose(1, 2).reshape(b, t, s.width)
        x = x + self.o(mixed)
        h = self.feed_norm(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


def rotate(x, cos, sin):
    """Turns the halves of each head by the angles of their position; the export reorders rows to llama.cpp's neighbouring pairs."""
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class Model(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = Norm(shape.width, shape.epsilon)
        size = shape.width // shape.heads
        angles = torch.outer(torch.arange(shape.context).float(), shape.rope_base ** (-torch.arange(0, size, 2).float() / size))
        self.register_buffer("cos", angles.cos()[:, None], persistent=False)
        self.register_buffer("sin", angles.sin()[:, None], persistent=False)
        nn.init.normal_(self.embedding.weight, std=0.05)
        for name, p in self.named_parameters():
            if p.dim() == 2 and "embedding" not in name:
                nn.init.normal_(p, std=0.5 / math.sqrt(p.shape[1]) * (0.3 if name.endswith(("o.weight", "down.weight")) else 1))

    def forward(self, tokens, wanted=None):
        """Logits of all positions, or of those that `wanted` (flat indexes) names."""
        return self.continued(self.embedding(tokens), wanted)

    def continued(self, x, wanted=None):
        """The same from embeddings on: of tokens, or of what stands in for them."""
        t = x.shape[1]
        mask = torch.full((t, t), float("-inf")).triu(1)
        for block in self.blocks:
            x = block(x, self.cos[:t], self.sin[:t], mask)
        x = x.flatten(0, 1) if wanted is None else x.flatten(0, 1)[wanted]
        return F.linear(self.norm(x), self.embedding.weight)
