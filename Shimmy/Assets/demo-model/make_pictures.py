"""Writes pictures with questions and answers for the evaluation, as JSON lines: sizes and seeds that training does not use.

    python3 make_pictures.py FILE [SEED] [COUNT]
"""
import base64
import json
import random
import sys
import pictures

PLAN = {"one": 60, "two": 24, "many": 18, "sign": 18}
SIDES = [72, 96, 120, 144]


def held_out(seed, count=120):
    """Pixels, facts and a question of so many pictures."""
    r = random.Random(f"held out {seed}")
    for kind, share in PLAN.items():
        for i in range(share * count // sum(PLAN.values())):
            width = r.choice(SIDES)
            pixels, facts = pictures.sample(r, width, width if i % 3 else int(width * r.uniform(0.6, 1)), kind)
            yield pixels, facts, r.choice(pictures.FULL)


if __name__ == "__main__":
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        for pixels, facts, question in held_out(sys.argv[2] if len(sys.argv) > 2 else "1", int(sys.argv[3]) if len(sys.argv) > 3 else 120):
            one = {"kind": facts["kind"], "question": question, "answer": facts["text"], "color": facts["color"], "shape": facts.get("shape"),
                   "png": base64.b64encode(pictures.png(pixels)).decode()}
            file.write(json.dumps(one) + "\n")
