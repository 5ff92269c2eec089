"""Turns without tools: each task gives (question, answer, thought, checks)."""
import json
import facts
import words
from stories import story

NUMBER_WORDS = "zero one two three four five six seven eight nine ten eleven twelve".split()


def dumps(value):
    return json.dumps(value, ensure_ascii=False)


class World:
    """A source of chance that knows which words are for training and which for the evaluation only."""

    def __init__(self, rng, evaluation=False):
        self.rng, self.evaluation = rng, evaluation

    def pick(self, items):
        """A word of a list, from the part that training may see, or, in the evaluation, from the part kept back."""
        while True:
            word = self.rng.choice(items)
            if words.held(word) == self.evaluation:
                return word

    def fresh(self, key):
        """Whether a combination (a question form and its numbers, say) may be used here."""
        return words.held(key) == self.evaluation

    def two_names(self):
        first = self.name()
        while True:
            second = self.name()
            if second != first:
                return first, second

    def name(self):
        return self.pick(words.NAMES) if self.rng.random() < 0.8 else self.made_up().capitalize()

    def city(self):
        return self.pick(words.CITIES) if self.rng.random() < 0.75 else self.made_up().capitalize()

    def made_up(self):
        """A word that does not exist."""
        r = self.rng
        while True:
            word = "".join(r.choice(words.SYLLABLES) for _ in range(r.choice([1, 2, 2, 2, 3]))) + r.choice(words.ENDINGS)
            if len(word) > 2 and words.held(word) == self.evaluation:
                return word

    def number(self):
        r = self.rng
        return r.choice([r.randint(0, 12), r.randint(0, 99), r.randint(0, 999), r.randint(0, 9999)])

    def scribble(self):
        """A few characters that are no words: accents, other alphabets, pictures."""
        r = self.rng
        pools = ["äöüßéèêçñåøæœ", "αβγδεζηθλμπρσφω", "абвгдежзиклмнопрстуфхя", "日本語中文字漢水火木金土山川人大小", "🙂🦙🚀🌍🎉🔥🍎🐟", "€£¥°±×÷→←✓★"]
        pool = r.choice(pools)
        return "".join(r.choice(pool) for _ in range(r.randint(1, 5)))

    def phrase(self):
        """Some words in a row, for repeating."""
        r = self.rng
        sort = r.random()
        if sort < 0.25:
            return " ".join(self.made_up() for _ in range(r.randint(1, 4)))
        if sort < 0.45:
            return r.choice(words.ADJECTIVES) + " " + r.choice(words.COLORS + words.ADJECTIVES) + " " + r.choice(words.ANIMALS + words.THINGS)
        if sort < 0.55:
            return self.scribble() + r.choice(["", " " + self.scribble(), " " + self.made_up()])
        if sort < 0.65:
            return " ".join(str(self.number()) for _ in range(r.randint(1, 4)))
        if sort < 0.8:
            return f"{self.name()} {r.choice(['likes', 'has', 'sees', 'eats', 'wants'])} {r.choice(words.FOODS + words.ANIMALS)} in {self.city()}"
        mixed = words.COLORS + words.ANIMALS + words.THINGS + words.FRUITS + words.PLACES + words.NOUNS + words.VERBS
        return " ".join(r.choice(mixed) for _ in range(r.randint(1, 5)))


def fact(world, pool):
    r = world.rng
    while True:
        questions, answer, thought = r.choice(pool)
        question = r.choice(questions)
        dressed = dress(world, question)
        if world.fresh("fact:" + dressed) or (not world.evaluation and dressed == question):
            return dressed, answer, thought, {"equals": answer}


def dress(world, question):
    """The same question in another dress."""
    r = world.rng
    if r.random() < 0.35:
        question = r.choice(["Please tell me: ", "Hi! ", "Hello. ", "Hey, ", "I have a question. ", "Can you tell me: ", "So, ", "OK. ", "Now, ", "Please. ", "One more thing: "]) + question
    if r.random() < 0.15:
        question = question.lower()
    if r.random() < 0.12:
        question = question.rstrip("?.!")
    if r.random() < 0.12:
        question += r.choice([" Thanks!", " Please.", " Thank you.", " Be brief.", " I want to know."])
    return question


def talk(world):
    return fact(world, facts.TALK)


def shimmy(world):
    return fact(world, facts.SHIMMY)


def fallback(world):
    r = world.rng
    def topic():
        return r.choice([lambda: r.choice(facts.TOPICS), lambda: r.choice(words.FOODS), lambda: "the " + r.choice(words.THINGS), world.made_up,
                         lambda: r.choice(words.ADJECTIVES) + " " + r.choice(words.ANIMALS)])()
    while True:
        form = r.choice(facts.JOBS)
        question = form.format(a=r.choice(facts.FORMS), t=topic(), t2=topic(), c=r.choice(words.COUNTRIES), l=r.choice(words.LANGUAGES), w=world.made_up(), w2=world.made_up(),
            w3=world.made_up(), city=world.city(), city2=world.city(), p=r.choice(facts.LANGS), n=world.name(), d=r.randint(13, 999), d2=r.randint(2, 99),
            place=r.choice(words.PLACES), v=r.choice(words.VERBS), noun=world.pick(words.NOUNS))
        if world.fresh("other:" + question):
            return dress(world, question), facts.FALLBACK, "I do not know that. I say that I am a demo model.", {"equals": facts.FALLBACK}


def arithmetic(world):
    r = world.rng
    while True:
        if r.random() < 0.08:
            a, b = r.randint(21, 999), r.randint(5, 999)
            sign = r.choice("+-")
            question = r.choice(["What is {a} {s} {b}?", "{a} {s} {b}", "How much is {a} {s} {b}?"]).format(a=a, b=b, s=sign)
            if world.fresh(question):
                return question, facts.TOO_BIG, f"{a} {sign} {b} is too large for me.", {"equals": facts.TOO_BIG}
            continue
        plus = r.random() < 0.5
        if plus:
            total = r.randint(0, 20)
            a = r.randint(0, total)
            b, sign, word = total - a, "+", "plus"
            forms = ["What is {a} + {b}?", "{a} + {b}", "{a} + {b} = ?", "What is {a} plus {b}?", "How much is {a} + {b}?", "How much is {a} plus {b}?", "Add {a} and {b}.",
                     "What is the sum of {a} and {b}?", "Calculate {a} + {b}.", "{a} plus {b}?", "{a}+{b}", "What's {a}+{b}?", "Compute {a} + {b}.", "I have {a} {x} and get {b} more. How many do I have?",
                     "There are {a} {x} and {b} more {x}. How many are there?", "Solve {a} + {b}.", "Can you add {a} and {b}?", "What do you get when you add {a} and {b}?"]
        else:
            a = r.randint(0, 20)
            b = r.randint(0, a)
            total, sign, word = a - b, "-", "minus"
            forms = ["What is {a} - {b}?", "{a} - {b}", "{a} - {b} = ?", "What is {a} minus {b}?", "How much is {a} - {b}?", "Subtract {b} from {a}.", "Calculate {a} - {b}.",
                     "{a} minus {b}?", "{a}-{b}", "I have {a} {x} and give {b} away. How many are left?", "There were {a} {x} and {b} are gone. How many are left?"]
        form = r.choice(forms)
        if not world.fresh(f"sum:{form}:{a}:{b}"):
            continue
        question = form.format(a=a, b=b, x=r.choice(words.FRUITS) + "s")
        if r.random() < 0.2:
            question = dress(world, question) if "?" in question else question
        answer = f"{a} {sign} {b} = {total}"
        return question, answer, f"{a} {word} {b} is {total}.", {"equals": answer}


def repeat(world):
    r = world.rng
    text = world.phrase()
    if r.random() < 0.3:
        text = text[0].upper() + text[1:]
    quoted = r.random() < 0.4
    shown = f'"{text}"' if quoted else text
    form = r.choice(["Repeat after me: {t}", "Repeat: {t}", "Say {t}", "Please say {t}", "Repeat this: {t}", "Say this: {t}", "Repeat {t}", "Write {t}", "Echo {t}", "Copy this text: {t}",
                     "Answer with exactly {t}", "Reply with {t}", "Respond with: {t}", "Say exactly: {t}", "Please repeat: {t}", "Can you say {t}?"])
    if form.endswith("?") is False and r.random() < 0.2:
        form += "."
    answer = text
    return form.format(t=shown), answer, f"I repeat the text: {text}", {"equals": answer}


def repeat_times(world):
    r = world.rng
    while True:
        word = r.choice([world.made_up, lambda: r.choice(words.ANIMALS), lambda: r.choice(words.FRUITS), lambda: "ha", lambda: "yes"])()
        n = r.randint(2, 6)
        if world.fresh(f"times:{word}:{n}"):
            break
    shown = r.choice([str(n), NUMBER_WORDS[n]])
    form = r.choice(["Say {w} {n} times.", "Write {w} {n} times.", "Repeat {w} {n} times.", 'Say "{w}" {n} times.', "Repeat the word {w} {n} times."])
    answer = " ".join([word] * n)
    return form.format(w=word, n=shown), answer, f"I write {word} {n} times.", {"equals": answer}


def count(world):
    r = world.rng
    while True:
        sort = r.random()
        if sort < 0.55:
            low, high = 1, r.choice([r.randint(2, 12), r.randint(2, 20), r.randint(2, 30)] + ([r.randint(31, 100)] if r.random() < 0.08 else []))
            form = r.choice(["Count to {h}.", "Count from 1 to {h}.", "Please count to {h}.", "Can you count to {h}?", "Count up to {h}.", "Count to {h}, please.", "Write the numbers from 1 to {h}.",
                             "List the numbers from 1 to {h}.", "Show me the numbers from 1 to {h}.", "Numbers from 1 to {h}.", "Count to {h}"])
        elif sort < 0.85:
            low = r.randint(0, 40)
            high = low + r.randint(1, 15)
            form = r.choice(["Count from {l} to {h}.", "Please count from {l} to {h}.", "Write the numbers from {l} to {h}.", "Can you count from {l} to {h}?", "List the numbers from {l} to {h}."])
        else:
            low, high = r.randint(2, 20), 1
            form = r.choice(["Count down from {l}.", "Count from {l} down to 1.", "Please count down from {l}.", "Can you count down from {l}?", "Count backwards from {l}."])
        if world.fresh(f"count:{form}:{low}:{high}"):
            break
    step = 1 if high > low else -1
    answer = ", ".join(str(n) for n in range(low, high + step, step))
    return form.format(l=low, h=high), answer, f"I count from {low} to {high}.", {"equals": answer}


def memory(world):
    """Two turns: something is said, then asked for."""
    r = world.rng
    thing, value, remark = r.choice([
        ("name", world.name(), "Nice to meet you, {v}!"), ("favorite color", r.choice(words.COLORS), "{v} is a nice color."),
        ("favorite animal", r.choice(words.ANIMALS), "A {v} is a fine animal."), ("favorite food", r.choice(words.FOODS), "{v} sounds good."),
        ("city", world.city(), "{v} is a nice place."), ("secret word", world.made_up(), "I will remember {v}."), ("lucky number", str(world.number()), "I will remember {v}."),
        ("dog's name", world.name(), "{v} is a good name.")])
    says = {"name": ["My name is {v}.", "I am {v}.", "Hello, my name is {v}.", "Hi, I am {v}!", "I'm {v}.", "Call me {v}."], "city": ["I live in {v}.", "I am from {v}.", "My city is {v}."]}
    ask = {"name": ["What is my name?", "Who am I?", "Do you know my name?", "What's my name?", "Do you remember my name?"], "city": ["Where do I live?", "What is my city?", "Where am I from?"]}
    said = r.choice(says.get(thing, [f"My {thing} is {{v}}.", f"Remember: my {thing} is {{v}}.", f"My {thing} is {{v}}, remember it."])).format(v=value)
    asked = r.choice(ask.get(thing, [f"What is my {thing}?", f"Do you remember my {thing}?", f"Tell me my {thing}."]))
    remark = remark.format(v=value)
    remark = remark[0].upper() + remark[1:]
    answer = f"Your {thing} is {value}."
    return [(said, remark, f"The user tells me the {thing}: {value}.", {"equals": remark}), (asked, answer, f"The user said that the {thing} is {value}.", {"equals": answer})]


def tell(world):
    first, rest, found = story(world)
    r = world.rng
    kind = found["kind"]
    sort = r.random()
    quoted = r.choice([f'"{first}"', first])
    if sort < 0.55:
        question = r.choice(["Tell me a story that begins like this: {q}", "Write a short story that starts with: {q}", "Continue this story: {q}", "{f}", "Tell a story. It starts: {q}",
                             "Go on with this story: {q}", "Finish the story: {q}", "Tell me a children's story that begins: {q}", "Story: {f}", "Please continue: {q}", "Once more a story: {q}"]).format(q=quoted, f=first)
        answer = rest
        checks = {"contains": [found["name"], "The end."]}
        thought = f"The user begins a story about {found['name']}. I go on."
    elif sort < 0.8:
        question = r.choice(["Tell me a story about {a}.", "Tell me a short story about {a}.", "Write a story about {a}.", "Can you tell a story about {a}?", "I want a story about {a}.",
                             "A story about {a}, please."]).format(a=f"a {found['trait']} {kind} named {found['name']}")
        answer = f"Once upon a time there was a {found['trait']} {kind} named {found['name']}. " + rest
        checks = {"contains": [kind, found["name"], "The end."]}
        thought = f"The user wants a story about {found['name']}."
    else:
        question = r.choice(["Tell me a story.", "Tell me a short story.", "Tell me a story about {a}.", "Write a story about {a}.", "Tell a children's story.", "Tell me another story.", "A story, please.",
                             "Can you tell me a story?", "Write a short story.", "I want to hear a story."]).format(a="a " + kind)
        answer = f"Once upon a time there was a {found['trait']} {kind} named {found['name']}. " + rest
        checks = {"contains": ["Once upon a time"] + ([kind] if kind in question else []) + ["The end."]}
        thought = f"The user wants a story. I tell one about a {kind}."
    return question, answer, thought, checks


KNOWN = {"name": lambda w: w.name(), "age": lambda w: w.rng.randint(2, 90), "city": lambda w: w.city(), "color": lambda w: w.rng.choice(words.COLORS),
         "animal": lambda w: w.rng.choice(words.ANIMALS), "fruit": lambda w: w.rng.choice(words.FRUITS), "food": lambda w: w.rng.choice(words.FOODS),
         "price": lambda w: w.rng.randint(1, 99), "country": lambda w: w.rng.choice(words.COUNTRIES), "day": lambda w: w.rng.choice(words.WEEKDAYS),
         "count": lambda w: w.rng.randint(1, 20), "weather": lambda w: w.rng.choice(words.WEATHERS), "ok": lambda w: True, "language": lambda w: w.rng.choice(words.LANGUAGES),
         "object": lambda w: w.rng.choice(words.THINGS), "place": lambda w: w.rng.choice(words.PLACES)}
# What the model fills in when a key is asked for but no value is given.
USUAL = {"name": "Mia", "age": 7, "city": "Rome", "color": "blue", "animal": "fox", "fruit": "apple", "food": "soup", "price": 12, "country": "Italy", "day": "Monday",
         "count": 3, "weather": "sunny", "ok": True, "language": "French", "object": "lamp", "place": "garden"}
LISTS = {"colors": words.COLORS, "animals": words.ANIMALS, "fruits": words.FRUITS, "foods": words.FOODS, "cities": ["Rome", "Paris", "London", "Berlin", "Madrid"], "days": words.WEEKDAYS,
         "names": ["Mia", "Tom", "Ana", "Leo", "Zoe"], "things": words.THINGS, "places": words.PLACES, "languages": words.LANGUAGES, "countries": words.COUNTRIES, "numbers": [1, 2, 3, 4, 5]}


def json_task(world):
    """(question without the wish for JSON, with it, value)"""
    r = world.rng
    tail = r.choice([" Answer in JSON.", " Reply in JSON.", " Use JSON.", " Give the answer as JSON.", " Output JSON only.", " Respond with JSON."])
    while True:
        sort = r.random()
        if sort < 0.3:                                            # facts of a sentence
            name, age, city = world.name(), r.randint(1, 99), world.city()
            extra, value = r.choice([("likes {v}", ("food", r.choice(words.FOODS))), ("has a {v}", ("animal", r.choice(words.ANIMALS))), ("loves the color {v}", ("color", r.choice(words.COLORS)))])
            parts = [("is {v} years old", ("age", age)), ("lives in {v}", ("city", city)), (extra, value)]
            r.shuffle(parts)
            parts = parts[:r.randint(1, 3)]
            said = f"{name} " + ", ".join(p[0].format(v=p[1][1]) for p in parts[:-1]) + (" and " if len(parts) > 1 else "") + parts[-1][0].format(v=parts[-1][1][1]) + "."
            answer = dict([("name", name)] + [p[1] for p in parts])
            keys = list(answer)
            question = said + r.choice([f" Answer in JSON with the keys {listing(keys)}.", f" Give me that as JSON with {listing(keys)}.", f" Extract {listing(keys)} as JSON.", f" Write this as JSON with the keys {listing(keys)}."])
        elif sort < 0.5:                                          # pairs to copy
            keys = []
            while len(keys) < r.randint(1, 4):
                key = r.choice([world.made_up(), r.choice(list(KNOWN)), r.choice(words.PARAMS)])
                if key not in keys and key != "ok":
                    keys.append(key)
            answer = {k: (KNOWN[k](world) if k in KNOWN else r.choice([world.made_up(), world.number(), r.choice(words.THINGS)])) for k in keys}
            sep = r.choice([" = ", ": ", " is "])
            question = r.choice(["Turn this into JSON: {p}", "Write this as JSON: {p}", "Make JSON of this: {p}", "As JSON: {p}", "Give me a JSON object with {p}"]).format(p=", ".join(f"{k}{sep}{v}" for k, v in answer.items()))
        elif sort < 0.68:                                         # keys only
            keys = r.sample(list(USUAL), r.randint(1, 3))
            if r.random() < 0.3:
                keys[-1] = world.made_up()
            answer = {k: USUAL.get(k, "none") for k in keys}
            question = r.choice(["Give me a JSON object with the keys {k}.", "Make a JSON object with {k}.", "Answer with a JSON object that has {k}.", "Write a JSON object with the keys {k}.", "Return JSON with {k}.",
                                 "I need JSON with the keys {k}."]).format(k=listing(keys))
        elif sort < 0.82:                                         # lists
            n, (name, items) = r.randint(2, 5), r.choice(list(LISTS.items()))
            items = items[:n]
            shown = r.choice([str(n), NUMBER_WORDS[n]])
            question = r.choice(["List {n} {x} as a JSON array.", "Give me {n} {x} as JSON.", "Write {n} {x} as a JSON array.", "Name {n} {x}. Answer with a JSON array.", "I need a JSON array of {n} {x}."]).format(n=shown, x=name)
            answer = items
        elif sort < 0.92:                                         # a sum
            total = r.randint(0, 20)
            a = r.randint(0, total)
            question, answer = f"What is {a} + {total - a}?" + tail, {"answer": total}
        else:                                                     # small talk
            question, text, _, _ = talk(world)
            question, answer = question + tail, {"answer": text}
        if world.fresh("json:" + question):
            return question, answer


def listing(keys):
    return keys[0] if len(keys) == 1 else ", ".join(keys[:-1]) + " and " + keys[-1]


def as_json(world):
    question, value = json_task(world)
    keys = list(value) if isinstance(value, dict) else []
    thought = "The user wants JSON with " + listing(keys) + "." if keys else "The user wants a JSON array."
    return question, dumps(value), thought, {"json": value}


def name_list(world):
    """A plain list in words."""
    r = world.rng
    while True:
        n, (name, items) = r.randint(2, 5), r.choice([i for i in LISTS.items() if i[0] != "numbers"])
        form = r.choice(["Name {n} {x}.", "Tell me {n} {x}.", "List {n} {x}.", "Give me {n} {x}.", "Can you name {n} {x}?"])
        shown = r.choice([str(n), NUMBER_WORDS[n]])
        if world.fresh(f"list:{form}:{shown}:{name}"):
            break
    answer = ", ".join(items[:n])
    return form.format(n=shown, x=name), answer, f"I name {n} {name}.", {"equals": answer}


TASKS = [(talk, 10), (shimmy, 13), (fallback, 9), (arithmetic, 18), (repeat, 17), (repeat_times, 3), (count, 7), (memory, 7), (tell, 6), (as_json, 17), (name_list, 3)]
