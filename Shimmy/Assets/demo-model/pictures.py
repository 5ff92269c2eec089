"""What shimmy-demo sees: pictures that a script draws, and the questions about them with their answers.

    python3 pictures.py FOLDER 24 [SEED]     draws 24 samples as PNG files and prints what they show

A picture is a plain background with one or two coloured shapes, two to five of the same shape, or one large digit or letter. Shapes are
signed distances, so every size has smooth edges without a library.
"""
import math
import os
import random
import struct
import sys
import zlib
import numpy as np

COLORS = {"red": (220, 40, 40), "green": (40, 160, 60), "blue": (40, 80, 220), "yellow": (240, 215, 30), "orange": (245, 140, 20), "purple": (140, 50, 180), "black": (20, 20, 20)}
GROUNDS = [(255, 255, 255)] * 5 + [(235, 235, 235), (250, 245, 225), (225, 240, 250), (200, 200, 200)]
SHAPES = ["circle", "square", "triangle", "star", "cross", "ring"]
NUMBERS = {2: "Two", 3: "Three", 4: "Four", 5: "Five"}
# Strokes of each sign on a grid 4 wide and 6 high; a stroke is a line through its points.
SIGNS = {
    "0": ["10 30 41 45 36 16 05 01 10"], "1": ["11 20 26", "06 46"], "2": ["01 10 30 41 42 06 46"], "3": ["00 40 22 32 43 45 36 16 05"], "4": ["36 30 04 44"],
    "5": ["40 00 03 32 43 45 36 06"], "6": ["40 20 02 05 16 36 45 44 33 03"], "7": ["00 40 16"], "8": ["10 30 41 42 33 13 02 01 10", "13 04 05 16 36 45 44 33"], "9": ["43 13 02 01 10 30 41 44 26 06"],
    "A": ["06 20 46", "14 34"], "B": ["06 00 30 41 42 33 03", "33 44 45 36 06"], "C": ["41 30 10 01 05 16 36 45"], "D": ["00 30 41 45 36 06 00"], "E": ["40 00 06 46", "03 33"],
    "F": ["40 00 06", "03 33"], "G": ["41 30 10 01 05 16 36 45 43 23"], "H": ["00 06", "40 46", "03 43"], "I": ["20 26", "00 40", "06 46"], "J": ["10 40", "30 35 26 16 05"], "K": ["00 06", "40 03 46"],
    "L": ["00 06 46"], "M": ["06 00 23 40 46"], "N": ["06 00 46 40"], "P": ["06 00 30 41 42 33 03"], "R": ["06 00 30 41 42 33 03", "23 46"], "S": ["41 30 10 01 02 13 33 44 45 36 16 05"],
    "T": ["00 40", "20 26"], "U": ["00 05 16 36 45 40"], "V": ["00 26 40"], "W": ["00 16 23 36 40"], "X": ["00 46", "40 06"], "Y": ["00 23 40", "23 26"], "Z": ["00 40 06 46"],
}
FULL = ["What is in the picture?", "What is in this picture?", "What is in the image?", "What is in this image?", "What do you see?", "What can you see?", "Describe the picture.",
        "Describe this picture.", "Describe the image.", "Describe this image.", "What does the picture show?", "What is this?", "What's in this image?", "What is shown here?"]


def polygon(x, y, points):
    """The signed distance to a polygon, negative inside."""
    best, inside = np.full(x.shape, np.inf), np.zeros(x.shape, dtype=bool)
    for (ax, ay), (bx, by) in zip(points, points[1:] + points[:1]):
        ex, ey = bx - ax, by - ay
        t = np.clip(((x - ax) * ex + (y - ay) * ey) / (ex * ex + ey * ey), 0, 1)
        best = np.minimum(best, np.hypot(x - ax - t * ex, y - ay - t * ey))
        if ay != by:
            inside ^= ((ay > y) != (by > y)) & (x < ax + (y - ay) * ex / ey)
    return np.where(inside, -best, best)


def segments(x, y, lines):
    best = np.full(x.shape, np.inf)
    for points in lines:
        for (ax, ay), (bx, by) in zip(points, points[1:]):
            ex, ey = bx - ax, by - ay
            t = np.clip(((x - ax) * ex + (y - ay) * ey) / (ex * ex + ey * ey), 0, 1)
            best = np.minimum(best, np.hypot(x - ax - t * ex, y - ay - t * ey))
    return best


def distance(shape, x, y, r):
    """The signed distance to a shape of radius r around the origin."""
    if shape == "circle":
        return np.hypot(x, y) - r
    if shape == "ring":
        return np.abs(np.hypot(x, y) - r * 0.78) - r * 0.22
    if shape == "square":
        return np.maximum(np.abs(x), np.abs(y)) - r * 0.86
    if shape == "cross":
        a, b = np.abs(x), np.abs(y)
        return np.minimum(np.maximum(a - r * 0.3, b - r * 0.95), np.maximum(b - r * 0.3, a - r * 0.95))
    corners = {"triangle": 3, "star": 10}[shape]
    radius = lambda i: r * (0.45 if shape == "star" and i % 2 else 1.05)
    lift = r * 0.2 if shape == "triangle" else 0
    return polygon(x, y, [(radius(i) * math.sin(2 * math.pi * i / corners), lift - radius(i) * math.cos(2 * math.pi * i / corners)) for i in range(corners)])


class Canvas:
    """An RGB picture of floats from 0 to 255; coordinates go from 0 to width and height."""

    def __init__(self, width, height, ground, columns=None, rows=None):
        """Columns and rows say how many pixels are computed, evenly over the size: as many as it has where nothing is said."""
        columns, rows = columns or width, rows or height
        self.pixels = np.empty((rows, columns, 3), dtype=np.float32)
        self.pixels[:] = ground
        self.x, self.y = (np.linspace(0.5, n - 0.5, m, dtype=np.float32) for n, m in ((width, columns), (height, rows)))

    def cover(self, cx, cy, reach, distance_at, color):
        """Lays the colour where the distance is negative; only pixels nearer to (cx, cy) than `reach` are looked at."""
        left, right = np.searchsorted(self.x, (cx - reach, cx + reach))
        top, bottom = np.searchsorted(self.y, (cy - reach, cy + reach))
        x, y = np.meshgrid(self.x[left:right] - np.float32(cx), self.y[top:bottom] - np.float32(cy))
        if x.size:
            share = np.clip(0.5 - distance_at(x, y), 0, 1)[..., None]
            part = self.pixels[top:bottom, left:right]
            part += (np.array(color, dtype=np.float32) - part) * share

    def shape(self, name, cx, cy, r, color, turn=0.0):
        c, s = math.cos(turn), math.sin(turn)
        self.cover(cx, cy, r * 1.4 + 1, lambda x, y: distance(name, c * x + s * y, c * y - s * x, r), color)

    def sign(self, sign, cx, cy, unit, thick, color):
        lines = [[((int(p[0]) - 2) * unit, (int(p[1]) - 3) * unit) for p in stroke.split()] for stroke in SIGNS[sign]]
        self.cover(cx, cy, unit * 3 + thick + 1, lambda x, y: segments(x, y, lines) - thick, color)


def near(r, color):
    return tuple(min(255, max(0, c + r.randint(-18, 18))) for c in color)


def sample(r, width, height, kind=None, side=None):
    """A picture of that size and what it shows: pixels (height, width, 3), facts. With a side, the pixels are those that `shrink` leaves of it,
    computed without the others."""
    ground = r.choice(GROUNDS)
    canvas = Canvas(width, height, ground, *(fitted(width, height, side) if side else ()))
    m = min(width, height)
    kind = kind or r.choices(["one", "two", "many", "sign"], [40, 30, 15, 15])[0]
    color = r.choice(list(COLORS))
    turn = lambda: r.uniform(-0.12, 0.12)
    if kind == "one":
        shape, size = r.choice(SHAPES), r.choice(["small", "", "large"])
        radius = m * {"small": r.uniform(0.12, 0.16), "": r.uniform(0.19, 0.26), "large": r.uniform(0.36, 0.44)}[size]
        canvas.shape(shape, r.uniform(radius, width - radius), r.uniform(radius, height - radius), radius, near(r, COLORS[color]), turn())
        article = "A " + (size + " " if size else "")
        # `orange` alone begins with a vowel; after a size it does not matter.
        text = ("An " if article == "A " and color == "orange" else article) + f"{color} {shape}."
        facts = {"color": color, "shape": shape, "size": size, "count": 1}
    elif kind == "two":
        first, second = r.sample([(c, s) for c in COLORS for s in SHAPES], 2)
        upright = width < height * 0.8 or (height * 0.8 <= width <= height * 1.25 and r.random() < 0.3)
        for i, (c, s) in enumerate((first, second)):
            w, h = (width, height / 2) if upright else (width / 2, height)
            radius = min(w, h) * r.uniform(0.26, 0.44)
            x, y = r.uniform(radius, w - radius), r.uniform(radius, h - radius)
            canvas.shape(s, x + (0 if upright else i * w), y + (i * h if upright else 0), radius, near(r, COLORS[c]), turn())
        a = lambda c: "an" if c == "orange" else "a"
        text = f"{a(first[0]).capitalize()} {first[0]} {first[1]} and {a(second[0])} {second[0]} {second[1]}."
        facts = {"count": 2, "color": first[0], "shape": first[1], "second": second}
    elif kind == "many":
        shape, count = r.choice(SHAPES), r.randint(2, 5)
        cells = r.sample([(i, j) for i in range(3) for j in range(3)], count)
        radius = m * r.uniform(0.1, 0.15)
        for i, j in cells:
            canvas.shape(shape, (i + 0.5 + r.uniform(-0.04, 0.04)) * width / 3, (j + 0.5 + r.uniform(-0.04, 0.04)) * height / 3, radius, near(r, COLORS[color]), turn())
        text = f"{NUMBERS[count]} {color} {shape}{'es' if shape == 'cross' else 's'}."
        facts = {"color": color, "shape": shape, "count": count}
    else:
        sign = r.choice(list(SIGNS))
        unit = m * r.uniform(0.105, 0.135)
        canvas.sign(sign, width / 2 + r.uniform(-0.1, 0.1) * m, height / 2 + r.uniform(-0.04, 0.04) * m, unit, unit * r.uniform(0.3, 0.45), near(r, COLORS[color]))
        what = "digit" if sign.isdigit() else "letter"
        text = f"{'An' if color == 'orange' else 'A'} {color} {what} {sign}."
        facts = {"color": color, "sign": sign, "count": 1}
    return padded(canvas.pixels, side) if side else canvas.pixels, {"kind": kind, "text": text, **facts}


def question(r, facts):
    """A question about the picture and its answer; most ask for all of it."""
    kind, chance = facts["kind"], r.random()
    if kind == "one" and chance < 0.06:
        return r.choice(["What color is the shape?", "Which color is the shape?", "What color is it?"]), facts["color"].capitalize() + "."
    if kind == "one" and chance < 0.12:
        return r.choice(["Which shape is it?", "What shape is it?", "Which shape do you see?"]), f"A {facts['shape']}."
    if kind in ("one", "two", "many") and chance > 0.95:
        return r.choice(["How many shapes are there?", "How many shapes do you see?", "Count the shapes."]), {1: "One", **NUMBERS}[facts["count"]] + "."
    if kind == "sign" and chance < 0.15:
        return (f"Which {'digit' if facts['sign'].isdigit() else 'letter'} is it?", facts["sign"] + ".")
    return r.choice(FULL), facts["text"]


def fitted(width, height, side):
    """Columns and rows of a picture in a square of that side."""
    scale = min(side / width, side / height)
    return max(1, min(side, math.ceil(width * scale))), max(1, min(side, math.ceil(height * scale)))


def padded(pixels, side):
    """In the middle of a square, with the mean colour around it."""
    h, w, _ = pixels.shape
    out = np.empty((side, side, 3), dtype=np.float32)
    out[:] = (122, 116, 104)
    top, left = (side - h) // 2, (side - w) // 2
    out[top:top + h, left:left + w] = pixels
    return out


def shrink(pixels, side):
    """As llama.cpp hands a picture to this kind of projector: resized bilinearly, then padded to a square with the mean colour."""
    height, width, _ = pixels.shape
    w, h = fitted(width, height, side)
    if (w, h) == (width, height):
        return padded(pixels, side)
    xs, ys = np.linspace(0, width - 1, w), np.linspace(0, height - 1, h)
    x0, y0 = np.minimum(xs.astype(int), max(width - 2, 0)), np.minimum(ys.astype(int), max(height - 2, 0))
    fx, fy = (xs - x0)[None, :, None], (ys - y0)[:, None, None]
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    return padded((pixels[y0][:, x0] * (1 - fx) + pixels[y0][:, x1] * fx) * (1 - fy) + (pixels[y1][:, x0] * (1 - fx) + pixels[y1][:, x1] * fx) * fy, side)


def png(pixels):
    """The picture as a PNG file's bytes."""
    data = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    height, width, _ = data.shape
    chunk = lambda name, body: struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    rows = b"".join(b"\0" + row.tobytes() for row in data)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def any_size(r):
    """Square as often as not, from 64 to 400 pixels."""
    side = r.choice([64, 96, 96, 128, 160, 200, 256, 320, 400])
    if r.random() < 0.6:
        return side, side
    other = int(side * r.uniform(0.55, 1))
    return (side, other) if r.random() < 0.5 else (other, side)


if __name__ == "__main__":
    r = random.Random(sys.argv[3] if len(sys.argv) > 3 else 1)
    os.makedirs(sys.argv[1], exist_ok=True)
    for i in range(int(sys.argv[2])):
        pixels, facts = sample(r, *any_size(r))
        with open(os.path.join(sys.argv[1], f"{i}.png"), "wb") as file:
            file.write(png(pixels))
        print(i, pixels.shape[1], "x", pixels.shape[0], *question(r, facts), facts)
