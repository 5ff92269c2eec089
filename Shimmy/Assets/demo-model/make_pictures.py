"""Writes pictures with questions and answers for the evaluation, as JSON lines: sizes and seeds that training does not use.

    python3 make_pictures.py FILE [SEED]
"""
import base64
import json
import random
import sys
import pictures

PLAN = [("one", 60), ("two", 24), ("many", 18), ("sign", 18)]
SIDES = [72, 96, 120, 144]


def make(seed):
    r = random.Random(f"held out {seed}")
    for kind, count in PLAN:
        for i in range(count):
            width = r.choice(SIDES)
            pixels, facts = pictures.sample(r, width, width if i % 3 else int(width * r.uniform(0.6, 1)), kind)
            yield {"kind": kind, "question": r.choice(pictures.FULL), "answer": facts["text"], "color": facts.get("color"), "shape": facts.get("shape"),
                   "png": base64.b64encode(pictures.png(pixels)).decode()}


if __name__ == "__main__":
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        for one in make(sys.argv[2] if len(sys.argv) > 2 else "1"):
            file.write(json.dumps(one) + "\n")
