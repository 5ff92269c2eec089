"""Checks that what training assumed holds for the exported file: llama.cpp makes the same tokens and logits, and the chat
template renders what corpus.py renders.

    python3 check.py LIBRARIES RUN shimmy-demo.gguf
"""
import ctypes
import os
import random
import sys
import numpy as np
import torch
from corpus import Conversation, chat, render, sample, with_tools
from evaluate import template
from llamacpp import LlamaCpp
from model import Model, Shape
from tasks import World
from tokenizer import Tokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
tokenizer = Tokenizer.load(os.path.join(HERE, "vocabulary.json"))
llama = LlamaCpp(sys.argv[1], sys.argv[3])
world = World(random.Random(99))

texts = ["".join(part for part, _ in sample(world)) for _ in range(1500)] + [world.scribble() for _ in range(300)]
alphabet = [chr(c) for c in range(32, 127)] + ["\n", " ", " ", "é", "日", "🦙", "▁", "<think>", "<|im_end|>", "\t", "the", " the", "name", '": "']
texts += ["".join(world.rng.choice(alphabet) for _ in range(world.rng.randint(1, 60))) for _ in range(1500)]
for text in texts:
    mine, theirs = tokenizer.encode(text), llama.tokenize(text)
    assert mine == theirs, (text, mine, theirs)
print(len(texts), "texts have the same tokens")

page = template()
for make in [chat, with_tools] * 300:
    conversation = make(world)
    parts = render(conversation)
    mine = "".join(part for part, _ in parts)
    theirs = page.render(messages=conversation.messages, tools=conversation.tools or None, add_generation_prompt=False)
    assert mine == theirs, (mine, theirs)
    # What the last answer is generated from.
    last = max(i for i, (_, own) in enumerate(parts) if own)
    asked = page.render(messages=conversation.messages[:-1], tools=conversation.tools or None, add_generation_prompt=True, enable_thinking=conversation.thinking)
    assert asked == "".join(part for part, _ in parts[:last]), asked
print("600 conversations render the same")

model = Model(Shape(len(tokenizer.pieces)))
model.load_state_dict(torch.load(os.path.join(sys.argv[2], "checkpoint.pt"), map_location="cpu")["model"])
worst = 0.0
for text in texts[:40]:
    ids = tokenizer.encode(text)
    with torch.no_grad():
        mine = model(torch.tensor([ids]))[-1].numpy()
    llama.l.llama_memory_clear(llama.memory, ctypes.c_bool(True))
    array = (ctypes.c_int32 * len(ids))(*ids)
    assert llama.l.llama_decode(llama.context, llama.l.llama_batch_get_one(array, len(ids))) == 0
    llama.l.llama_get_logits_ith.restype = ctypes.POINTER(ctypes.c_float)
    theirs = np.ctypeslib.as_array(llama.l.llama_get_logits_ith(llama.context, -1), (len(tokenizer.pieces),))
    worst = max(worst, float(np.abs(mine - theirs).max()))
print(f"logits differ by at most {worst:.3f} (8-bit weights)")
assert worst < 1
