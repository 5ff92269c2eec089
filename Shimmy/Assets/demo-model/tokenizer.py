"""The demo model's SentencePiece-like vocabulary: training and encoding exactly as llama.cpp's `llama` tokenizer does it.

    python3 tokenizer.py OUT     trains on the corpus and writes the vocabulary as JSON

llama.cpp joins, again and again, the two neighbours whose joined text has the highest score in the vocabulary; what no piece
covers becomes bytes. A space is U+2581. Pieces never reach over a space, a digit or a change from letters to signs, so pieces of
the text between two special marks can be found for each such run alone. Words that are copied from a question into JSON have
the same tokens after a space and after a quote: only glue words have a piece with the space before them, made by the last merges.
"""
import collections
import json
import re
import sys

SPACE = "\u2581"
UNKNOWN, NORMAL, CONTROL, USER, BYTE = 2, 1, 3, 4, 6     # llama.cpp's token types
MARKS = [("<unk>", UNKNOWN), ("<|endoftext|>", CONTROL), ("<|im_start|>", CONTROL), ("<|im_end|>", CONTROL), ("<think>", USER), ("</think>", USER),
         ("<tool_call>", USER), ("</tool_call>", USER), ("<tool_response>", USER), ("</tool_response>", USER)]
END_OF_TEXT, TURN_START, TURN_END = 1, 2, 3
LETTERS = "A-Za-z"
CHUNK = re.compile(rf"{SPACE}?[{LETTERS}]+|[0-9]|\n+|{SPACE}?[^{LETTERS}0-9\n{SPACE}]+|{SPACE}")
MARK = re.compile("(" + "|".join(re.escape(text) for text, _ in MARKS[1:]) + ")")


class Tokenizer:
    def __init__(self, pieces):
        """pieces: (text, score, type) by token number."""
        self.pieces = [tuple(p) for p in pieces]
        self.ids = {text: i for i, (text, _, _) in enumerate(self.pieces)}
        self.bytes = {int(text[3:5], 16): i for i, (text, _, kind) in enumerate(self.pieces) if kind == BYTE}
        self.cache = {}

    @staticmethod
    def load(path):
        with open(path, encoding="utf-8") as file:
            return Tokenizer(json.load(file))

    def encode(self, text):
        out = []
        for part in MARK.split(text):
            if MARK.fullmatch(part):
                out.append(self.ids[part])
            elif part:
                for chunk in CHUNK.findall(part.replace(" ", SPACE)):
                    found = self.cache.get(chunk)
                    if found is None:
                        found = self.cache[chunk] = self.merge(chunk)
                    out += found
        return out

    def merge(self, text):
        """Joins the best pair, the leftmost of equals, until no pair is in the vocabulary."""
        symbols = list(text)
        while True:
            best, where = None, -1
            for i in range(len(symbols) - 1):
                token = self.ids.get(symbols[i] + symbols[i + 1])
                if token is not None and (best is None or self.pieces[token][1] > best):
                    best, where = self.pieces[token][1], i
            if best is None:
                break
            symbols[where:where + 2] = [symbols[where] + symbols[where + 1]]
        out = []
        for symbol in symbols:
            if symbol in self.ids:
                out.append(self.ids[symbol])
            else:
                out += [self.bytes[b] for b in symbol.encode()]
        return out

    def decode(self, ids):
        """The text of tokens, marks included."""
        data = b""
        for i in ids:
            text, _, kind = self.pieces[i]
            data += bytes([int(text[3:5], 16)]) if kind == BYTE else text.replace(SPACE, " ").encode()
        return data.decode(errors="replace")


def train(texts, merges, glued, apart):
    """Byte-pair merges inside the runs of texts, then pieces "space + word" for the most frequent words that are not in `apart`."""
    chunks = collections.Counter()
    for text in texts:
        for part in MARK.split(text):
            if not MARK.fullmatch(part):
                chunks.update(CHUNK.findall(part.replace(" ", SPACE)))
    # Letters merge without their space, signs with it: `▁"` and `▁{"` are what JSON is made of.
    runs, spaced = collections.Counter(), collections.Counter()
    for chunk, n in chunks.items():
        if chunk[0] == SPACE and len(chunk) > 1 and chunk[1].isalpha() and chunk[1].isascii():
            runs[chunk[1:]] += n
            spaced[chunk[1:]] += n
        else:
            runs[chunk] += n
    split = {run: list(run) for run in runs if run.isascii() or SPACE in run and run.replace(SPACE, "").isascii()}
    made = []
    while len(made) < merges:
        pairs = collections.Counter()
        for run, symbols in split.items():
            for a, b in zip(symbols, symbols[1:]):
                pairs[a + b if len(a + b) <= 16 else ""] += runs[run]
        pairs.pop("", None)
        if not pairs:
            break
        joined, n = max(pairs.items(), key=lambda p: (p[1], p[0]))
        made.append(joined)
        for run, symbols in split.items():
            if joined in run:
                i = 0
                while i < len(symbols) - 1:
                    if symbols[i] + symbols[i + 1] == joined:
                        symbols[i:i + 2] = [joined]
                    i += 1
    whole = [(n, word) for word, n in spaced.items() if word not in apart and n >= 100 and (word in made or len(word) == 1)]
    for _, word in sorted(whole, reverse=True)[:glued]:
        made.append(SPACE + word)
    characters = [SPACE, "\n"] + [chr(c) for c in range(33, 127)]
    pieces = [(text, 0.0, kind) for text, kind in MARKS] + [(f"<0x{b:02X}>", 0.0, BYTE) for b in range(256)]
    pieces += [(c, -100000.0, NORMAL) for c in characters]
    return pieces + [(text, -float(rank), NORMAL) for rank, text in enumerate(made, 1)]


if __name__ == "__main__":
    import random
    from corpus import World, sample
    import facts
    import words
    world = World(random.Random(11))
    texts = ["".join(t for t, _ in sample(world)) for _ in range(9000)]
    known = [answer for _, answer, thought in facts.TALK + facts.SHIMMY] + [q for qs, _, _ in facts.TALK + facts.SHIMMY for q in qs] + sorted(words.copyable())
    made_up = {s + e for s in words.SYLLABLES for e in words.ENDINGS} - {"do", "so", "me", "no", "go", "be", "we", "to", "the", "not", "met"} | set("bcdefghijklmnopqrstuvwxyz")
    vocabulary = train(texts + known * 15 + [a for _, a, _ in facts.TALK + facts.SHIMMY] * 40, merges=820, glued=280, apart=words.copyable() | made_up)
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump(vocabulary, file, ensure_ascii=False, indent=0)
    tokenizer = Tokenizer(vocabulary)
    ids = [tokenizer.encode(t) for t in texts[:2000]]
    assert all(tokenizer.decode(i) == t for i, t in zip(ids, texts))
    lengths = sorted(map(len, ids))
    print(len(vocabulary), "tokens;", sum(map(len, texts[:2000])) / sum(lengths), "characters a token; lengths", lengths[1000], lengths[1800], lengths[-1])
