"""Turns with tools: a tool's definition, questions for it, the call, its result and the answer from that."""
import words
from tasks import dumps


def tool(name, description, parameters, optional=()):
    """A definition in OpenAI's form. Parameters: name → type, or a list of allowed values."""
    properties = {k: ({"type": "string", "enum": v} if isinstance(v, list) else {"type": v}) for k, v in parameters.items()}
    return {"type": "function", "function": {"name": name, "description": description,
            "parameters": {"type": "object", "properties": properties, "required": [k for k in parameters if k not in optional]}}}


def spelled(world, *parts):
    """A function name of words in one of the usual spellings."""
    r = world.rng
    sort = r.random()
    if sort < 0.7:
        return "_".join(parts)
    if sort < 0.85:
        return parts[0] + "".join(p.capitalize() for p in parts[1:])
    return r.choice(["-", ".", ""]).join(parts)


class Use:
    """One way to use a tool: the question, the arguments, the result as the tool sends it, the answer."""

    def __init__(self, question, arguments, result=None, answer=None):
        self.question, self.arguments, self.result, self.answer = question, arguments, result, answer


class Tool:
    def __init__(self, definition, use, topic):
        self.definition, self.use, self.topic = definition, use, topic

    @property
    def name(self):
        return self.definition["function"]["name"]


def plain_result(world, subject):
    """A result of one of the usual forms, and the sentence that reports it."""
    r = world.rng
    sort = r.random()
    value = r.choice([world.number(), world.made_up(), r.choice(words.COLORS), world.name(), world.number()])
    if sort < 0.3:
        return dumps({subject: value}), f"The {subject} is {value}."
    if sort < 0.5:
        other = r.choice([p for p in ("count", "status", "source", "date", "id", "level", "total") if p != subject])
        second = r.choice([world.number(), world.made_up()])
        return dumps({subject: value, other: second}), f"The {subject} is {value} and the {other} is {second}."
    if sort < 0.6:
        return dumps({"result": value}), f"The result is {value}."
    if sort < 0.8:
        return str(value), f"The result is {value}."
    if sort < 0.9:
        fault = r.choice(["not found", "no access", "timeout", "bad input", "not available", "unknown " + subject])
        return dumps({"error": fault}), f"That did not work: {fault}."
    return r.choice([("ok", "Done."), ("done", "Done."), (dumps({"ok": True}), "Done."), (dumps({"status": "ok"}), "Done."), (dumps({"success": True}), "Done.")])


def weather(world):
    r = world.rng
    key = r.choice(["city", "location", "place", "town", "city", "location"])
    unit = r.random() < 0.35
    parameters = {key: "string"}
    unit_key = r.choice(["unit", "units"])
    if unit:
        parameters[unit_key] = ["celsius", "fahrenheit"]
    definition = tool(r.choice(["get_weather", "weather", "current_weather", "get_current_weather", "lookup_weather", "getWeather", "weather_now", "get_forecast", "fetch_weather"]),
                      r.choice(["Get the weather in a city.", "Get the current weather.", "Weather of a place.", "Tells the weather.", "Get the current weather in a given location.", "Look up the weather for a city."]), parameters, [unit_key])

    def use():
        city = world.city()
        question = r.choice(["What is the weather in {c}?", "What's the weather in {c}?", "How is the weather in {c}?", "What is the weather like in {c} today?", "Is it raining in {c}?", "Tell me the weather in {c}.",
                             "Weather in {c}?", "What's the weather like in {c}?", "Will it rain in {c}?", "How warm is it in {c}?", "Get the weather for {c}.", "I am going to {c}. How is the weather?", "Do I need a coat in {c}?"]).format(c=city)
        arguments = {key: city}
        if unit and r.random() < 0.5:
            arguments[unit_key] = r.choice(["celsius", "fahrenheit"])
            question = question.rstrip() + f" In {arguments[unit_key]}, please." if r.random() < 0.5 else question + f" Use {arguments[unit_key]}."
        sky, degrees = r.choice(words.WEATHERS), r.randint(-15, 40)
        sort = r.random()
        if sort < 0.35:
            k = r.choice(["condition", "sky", "weather", "description"])
            result, answer = dumps({"temperature": degrees, k: sky}), f"In {city} it is {sky} and {degrees} degrees."
        elif sort < 0.5:
            k = r.choice(["condition", "sky", "weather", "description"])
            result, answer = dumps({key: city, "temperature": degrees, k: sky}), f"In {city} it is {sky} and {degrees} degrees."
        elif sort < 0.65:
            result, answer = dumps({"temperature": degrees}), f"In {city} it is {degrees} degrees."
        elif sort < 0.75:
            result, answer = f"{degrees} degrees and {sky}", f"In {city} it is {degrees} degrees and {sky}."
        elif sort < 0.9:
            result, answer = sky, f"In {city} it is {sky}."
        else:
            result, answer = dumps({"error": "city not found"}), "That did not work: city not found."
        return Use(question, arguments, result, answer)
    return Tool(definition, use, "weather")


def calculator(world):
    r = world.rng
    operation = r.choice(["add", "add", "add", "multiply", "subtract", "divide"])
    names = {"add": ["add", "add_numbers", "sum", "plus", "addNumbers", "calc_sum", "add_two_numbers"], "multiply": ["multiply", "times", "product", "multiply_numbers", "mul"],
             "subtract": ["subtract", "minus", "difference", "subtract_numbers"], "divide": ["divide", "quotient", "divide_numbers", "div"]}[operation]
    texts = {"add": ["Add two numbers.", "Adds two numbers.", "The sum of two numbers.", "Add numbers."], "multiply": ["Multiply two numbers.", "The product of two numbers."],
             "subtract": ["Subtract the second number from the first.", "The difference of two numbers."], "divide": ["Divide the first number by the second.", "Divide two numbers."]}[operation]
    forms = {"add": ["Add {a} and {b}.", "What is {a} + {b}?", "What is {a} plus {b}?", "What is the sum of {a} and {b}?", "Calculate {a} + {b}.", "How much is {a} plus {b}?", "Please add {a} and {b}."],
             "multiply": ["Multiply {a} by {b}.", "What is {a} times {b}?", "What is {a} * {b}?", "Calculate {a} * {b}.", "How much is {a} times {b}?"],
             "subtract": ["What is {a} - {b}?", "What is {a} minus {b}?", "Calculate {a} - {b}.", "How much is {a} minus {b}?"],
             "divide": ["Divide {a} by {b}.", "What is {a} / {b}?", "What is {a} divided by {b}?", "Calculate {a} / {b}."]}[operation]
    first, second = r.choice([("a", "b"), ("x", "y"), ("first", "second"), ("left", "right"), ("n", "m"), ("num1", "num2"), ("a", "b"), ("number_a", "number_b")])
    sort = r.choice(["number", "integer", "number"])
    definition = tool(r.choice(names), r.choice(texts), {first: sort, second: sort})

    def use():
        while True:
            a, b = world.number(), max(1, world.number())
            if world.fresh(f"calc:{a}:{b}"):
                break
        total = {"add": a + b, "multiply": a * b, "subtract": a - b, "divide": round(a / b, 1)}[operation]
        question = r.choice(forms).format(a=a, b=b)
        result = r.choice([str(total), dumps({"result": total}), dumps({r.choice(["sum", "value", "answer", "total"]): total})])
        return Use(question, {first: a, second: b}, result, f"The result is {total}.")
    return Tool(definition, use, operation)


def lookup(world):
    """get_NOUN(thing): the noun ties question and tool together."""
    r = world.rng
    noun = world.pick(words.NOUNS)
    key = r.choice(words.PARAMS + [world.made_up()])
    verb = r.choice(["get", "find", "lookup", "fetch", "read", "show", "query", "search", "check"])
    name = r.choice([lambda: spelled(world, verb, noun), lambda: spelled(world, verb, noun), lambda: noun, lambda: spelled(world, noun, r.choice(["of", "info", "lookup", "service", "tool", "finder"]))])()
    description = r.choice([f"Get the {noun} of a {key}.", f"Find the {noun}.", f"Look up the {noun} of something.", f"Returns the {noun}.", f"The {noun} for a given {key}.", f"Tells the {noun} of a {key}."])
    sort = r.choice(["string"] * 4 + ["integer"])
    definition = tool(name, description, {key: sort})

    def use():
        numeric = sort == "integer" or r.random() < 0.12
        value = world.number() if numeric else r.choice([world.name, world.city, world.made_up, lambda: r.choice(words.ANIMALS + words.THINGS + words.FRUITS + words.FOODS + words.PLACES),
                                                         lambda: world.name() + " " + world.made_up().capitalize(), lambda: r.choice(words.COLORS) + " " + r.choice(words.THINGS), lambda: world.made_up().upper()])()
        argument = value if sort == "integer" else str(value)
        question = r.choice(["What is the {n} of {v}?", "Find the {n} of {v}.", "Give me the {n} for {v}.", "I need the {n} of {v}.", "What's the {n} of {v}?", "Tell me the {n} of {v}.", "Look up the {n} for {v}.",
                             "Show the {n} of {v}.", "Can you get the {n} of {v}?", "Do you know the {n} of {v}?", "Which {n} does {v} have?", "{n} of {v}?", "Check the {n} for {v}."]).format(n=noun, v=value)
        return Use(question, {key: argument}, *plain_result(world, noun))
    return Tool(definition, use, noun)


def value_of(world, sort):
    r = world.rng
    if sort == "integer":
        return world.number()
    if sort == "number":
        return r.choice([world.number(), round(r.uniform(0, 100), 1)])
    if sort == "boolean":
        return r.random() < 0.5
    return r.choice([world.made_up, world.made_up, world.name, world.city, lambda: r.choice(words.ANIMALS + words.THINGS + words.FRUITS + words.COLORS), lambda: str(world.number()),
                     lambda: world.made_up() + " " + world.made_up()])()


def text_of(value):
    return dumps(value) if isinstance(value, bool) else str(value)


def named(world):
    """A tool with a made-up name that the question calls by that name, with its arguments by theirs."""
    r = world.rng
    parts = [r.choice([world.made_up(), world.made_up(), r.choice(words.VERBS), world.pick(words.NOUNS)]) for _ in range(r.choice([1, 2, 2, 3]))]
    name = spelled(world, *parts)
    keys = []
    for _ in range(r.choice([0, 1, 1, 1, 2, 2, 2, 3])):
        key = r.choice([world.made_up(), r.choice(words.PARAMS), world.made_up()[:2], r.choice(words.PARAMS) + "_" + world.made_up()])
        if key not in keys:
            keys.append(key)
    types = {k: r.choice(["string", "string", "string", "integer", "integer", "number", "boolean"]) for k in keys}
    description = r.choice([f"Runs {parts[0]}.", f"Does {parts[-1]} things.", "A tool.", f"The {parts[-1]} tool.", f"Makes a {world.made_up()}.", f"Handles {world.pick(words.NOUNS)}.", f"For {world.made_up()} and {world.made_up()}."])
    definition = tool(name, description, types)

    def use():
        arguments = {k: value_of(world, types[k]) for k in keys}
        start = r.choice(["Call {n}", "Use {n}", "Run {n}", "Please call {n}", "Use the tool {n}", "Call the function {n}", "Please run {n}", "I want you to use {n}", "Can you call {n}", "Execute {n}"]).format(n=name)
        if not arguments:
            question = start + "."
        else:
            if len(arguments) == 1 and r.random() < 0.5:
                pairs = r.choice([" with {v}", " on {v}", " for {v}"]).format(v=text_of(next(iter(arguments.values()))))
            else:
                style = r.choice(["{k} {v}", "{k} = {v}", "{k}={v}", "{k}: {v}", "{k} set to {v}"])
                items = [style.format(k=k, v=text_of(v)) for k, v in arguments.items()]
                pairs = " with " + (r.choice([" and ", ", "]).join(items))
            question = start + pairs + r.choice([".", ".", "", "?" if start.startswith("Can") else "."])
        return Use(question, arguments, *plain_result(world, parts[-1]))
    return Tool(definition, use, name)


def action(world):
    """VERB_OBJECT(…): the user asks for the deed in words."""
    r = world.rng
    verb, thing = world.pick(words.VERBS), r.choice([lambda: r.choice(words.THINGS), lambda: world.pick(words.NOUNS), world.made_up])()
    name = r.choice([lambda: spelled(world, verb, thing), lambda: spelled(world, verb, thing), lambda: spelled(world, verb, "the", thing), lambda: spelled(world, thing, verb)])()
    description = r.choice([f"{verb.capitalize()} a {thing}.", f"{verb.capitalize()} the {thing}.", f"Can {verb} a {thing}.", f"{verb.capitalize()}s a {thing}."])
    forms = [
        ([("room", "place")], "{V} the {t} in the {0}.", ["string"]), ([("name", "id", "label", "item", "key")], "{V} the {t} {0}.", ["string"]), ([("name", "person", "user", "owner", "for")], "{V} the {t} for {0}.", ["string"]),
        ([("count", "number", "amount", "quantity")], "{V} {0} {t}s.", ["integer"]), ([("count", "number", "amount"), ("name", "person", "user", "for")], "{V} {0} {t}s for {1}.", ["integer", "string"]),
        ([("city", "place", "location"), ("day", "date", "when")], "{V} the {t} in {0} on {1}.", ["string", "string"]), ([("from", "source", "start", "origin"), ("to", "target", "end", "destination")], "{V} the {t} from {0} to {1}.", ["string", "string"]),
        ([("id", "number", "code")], "{V} {t} {0}.", ["integer"]), ([("name", "title", "label"), ("color", "style")], "{V} the {t} {0} in {1}.", ["string", "string"]), ([], "{V} the {t}.", []),
        ([("name", "title", "item"), ("value", "level", "amount", "size")], "{V} the {t} {0} with {1}.", ["string", "integer"])]
    slots, form, types = r.choice(forms)
    keys = [r.choice(s) for s in slots]
    definition = tool(name, description, dict(zip(keys, types)))

    def use():
        arguments = {}
        for key, sort, slot in zip(keys, types, slots):
            if sort == "integer":
                arguments[key] = world.number()
            elif "room" in slot:
                arguments[key] = r.choice(words.PLACES)
            elif "person" in slot:
                arguments[key] = world.name()
            elif "day" in slot:
                arguments[key] = r.choice(words.WEEKDAYS)
            elif "city" in slot or "from" in slot or "to" in slot:
                arguments[key] = world.city()
            elif "color" in slot:
                arguments[key] = r.choice(words.COLORS)
            else:
                arguments[key] = r.choice([world.made_up(), world.made_up(), str(world.number()), world.made_up().upper()])
        question = form.format(*arguments.values(), V=r.choice([verb.capitalize(), "Please " + verb, verb.capitalize(), "Can you " + verb, "I want to " + verb]), t=thing)
        if question.startswith("Can"):
            question = question.rstrip(".") + "?"
        result, answer = plain_result(world, thing) if r.random() < 0.4 else (r.choice(["ok", "done", dumps({"ok": True}), dumps({"status": "ok"}), dumps({"success": True})]), "Done.")
        return Use(question, arguments, result, answer)
    return Tool(definition, use, verb + thing)


def usual(world):
    """Tools that many programs have."""
    r = world.rng
    sort = r.randrange(14)
    text = world.phrase
    if sort == 0:
        to, body = r.choice([("to", "text"), ("recipient", "message"), ("name", "body"), ("person", "content"), ("to", "message")])
        d = tool(r.choice(["send_message", "send_email", "send_text", "sendMessage", "message"]), r.choice(["Send a message to someone.", "Sends a message.", "Send a text to a person."]), {to: "string", body: "string"})
        def use():
            who, what = world.name(), text()
            return Use(r.choice(['Send {w} the message "{t}".', "Send a message to {w}: {t}", "Tell {w}: {t}", "Write to {w}: {t}", 'Send "{t}" to {w}.']).format(w=who, t=what), {to: who, body: what}, r.choice(["sent", dumps({"status": "sent"}), "ok"]), "Done.")
    elif sort == 1:
        d = tool(r.choice(["convert", "convert_units", "unit_converter", "convert_currency"]), r.choice(["Convert an amount from one unit to another.", "Converts units."]), {"amount": "number", "from": "string", "to": "string"})
        def use():
            a, (u, v) = world.number(), r.sample(words.UNITS + words.CURRENCIES, 2)
            out = world.number()
            return Use(r.choice(["Convert {a} {u} to {v}.", "How many {v} are {a} {u}?", "What is {a} {u} in {v}?", "Change {a} {u} to {v}."]).format(a=a, u=u, v=v), {"amount": a, "from": u, "to": v}, r.choice([str(out), dumps({"result": out})]), f"The result is {out}.")
    elif sort == 2:
        body, lang = r.choice([("text", "language"), ("text", "to"), ("phrase", "target")])
        d = tool(r.choice(["translate", "translate_text", "translator"]), r.choice(["Translate a text.", "Translates a text into a language."]), {body: "string", lang: "string"})
        def use():
            t, l, out = text(), r.choice(words.LANGUAGES), world.made_up()
            return Use(r.choice(['Translate "{t}" into {l}.', 'Translate {t} to {l}.', 'How do you say "{t}" in {l}?']).format(t=t, l=l), {body: t, lang: l}, out, f"The result is {out}.")
    elif sort == 3:
        key = r.choice(["query", "q", "text", "term"])
        d = tool(r.choice(["search", "web_search", "search_web", "google", "find"]), r.choice(["Search the web.", "Search for a text.", "Finds pages on the web."]), {key: "string"})
        def use():
            t = text()
            return Use(r.choice(["Search for {t}.", "Search the web for {t}.", "Find pages about {t}.", "Look for {t}.", "Search: {t}"]).format(t=t), {key: t}, *plain_result(world, "result"))
    elif sort == 4:
        key = r.choice(["minutes", "seconds", "duration"])
        d = tool(r.choice(["set_timer", "timer", "start_timer"]), r.choice(["Set a timer.", f"Starts a timer of some {key}."]), {key: "integer"})
        def use():
            n = world.number()
            return Use(r.choice(["Set a timer for {n} minutes.", "Start a timer of {n} minutes.", "Timer for {n} minutes, please.", "Wake me in {n} minutes."]).format(n=n).replace("minutes", "seconds" if key == "seconds" else "minutes"), {key: n}, "ok", "Done.")
    elif sort == 5:
        key = r.choice(["city", "location", "timezone", "place"])
        d = tool(r.choice(["get_time", "current_time", "time_in", "clock"]), r.choice(["Get the time in a city.", "The current time of a place."]), {key: "string"})
        def use():
            c, h, m = world.city(), r.randint(0, 23), r.randint(10, 59)
            return Use(r.choice(["What time is it in {c}?", "Tell me the time in {c}.", "How late is it in {c}?", "Time in {c}?"]).format(c=c), {key: c}, r.choice([f"{h}:{m}", dumps({"time": f"{h}:{m}"})]), f"In {c} it is {h}:{m}.")
    elif sort == 6:
        d = tool(r.choice(["get_time", "now", "current_time", "get_date"]), r.choice(["Get the current time.", "The time now."]), {})
        def use():
            h, m = r.randint(0, 23), r.randint(10, 59)
            return Use(r.choice(["What time is it?", "Tell me the time.", "How late is it?", "What time is it now?"]), {}, r.choice([f"{h}:{m}", dumps({"time": f"{h}:{m}"})]), f"It is {h}:{m}.")
    elif sort == 7:
        key = r.choice(["path", "file", "filename", "name"])
        verb = r.choice(["read", "open", "delete", "list", "show"])
        d = tool(verb + r.choice(["_file", "_path", "File"]), f"{verb.capitalize()} a file.", {key: "string"})
        def use():
            f = r.choice(["", "/", "src/", "docs/", "/tmp/", "data/"]) + world.made_up() + r.choice([".txt", ".md", ".py", ".json", "", "/" + world.made_up() + ".cs"])
            return Use(r.choice(["{V} the file {f}.", "{V} {f}.", "Please {v} {f}", "Can you {v} the file {f}?"]).format(V=verb.capitalize(), v=verb, f=f), {key: f}, *plain_result(world, "content"))
    elif sort == 8:
        room, on = r.choice([("room", "on"), ("room", "state"), ("place", "enabled")])
        thing = r.choice(["light", "lamp", "fan", "heating", "radio"])
        d = tool(f"set_{thing}", f"Turn the {thing} on or off.", {room: "string", on: "boolean"})
        def use():
            p, b = r.choice(words.PLACES), r.random() < 0.5
            return Use(r.choice(["Turn {o} the {t} in the {p}.", "Turn the {t} in the {p} {o}.", "Switch {o} the {t} in the {p}.", "Please turn {o} the {t} in the {p}."]).format(o="on" if b else "off", t=thing, p=p), {room: p, on: b}, "ok", "Done.")
    elif sort == 9:
        a, b = r.choice([("from", "to"), ("origin", "destination"), ("start", "end"), ("departure", "arrival")])
        kind = r.choice(["flight", "train", "bus", "trip", "route"])
        d = tool(r.choice([f"find_{kind}", f"search_{kind}s", f"book_{kind}"]), r.choice([f"Find a {kind} from one city to another.", f"Find a {kind}."]), {a: "string", b: "string"})
        def use():
            x, y = world.city(), world.city()
            return Use(r.choice(["Find a {k} from {x} to {y}.", "I need a {k} from {x} to {y}.", "Book a {k} from {x} to {y}.", "Is there a {k} from {x} to {y}?", "Search a {k} to {y} from {x}."]).format(k=kind, x=x, y=y), {a: x, b: y}, *plain_result(world, kind))
    elif sort == 10:
        key = r.choice(["symbol", "ticker", "company", "stock"])
        d = tool(r.choice(["get_stock_price", "stock_price", "get_quote", "stock"]), "Get the price of a stock.", {key: "string"})
        def use():
            s, n = r.choice([world.made_up().upper(), world.made_up().capitalize()]), world.number()
            return Use(r.choice(["What is the stock price of {s}?", "Price of {s} stock?", "How much is {s} stock?", "Get the stock price for {s}."]).format(s=s), {key: s}, r.choice([str(n), dumps({"price": n})]), f"The price is {n}.")
    elif sort == 11:
        key = r.choice(["title", "text", "task", "item", "note"])
        kind = r.choice(["note", "task", "reminder", "todo"])
        d = tool(r.choice([f"add_{kind}", f"create_{kind}", f"new_{kind}"]), f"Create a {kind}.", {key: "string"})
        def use():
            t = text()
            return Use(r.choice(["Add a {k}: {t}", "Create a {k}: {t}", 'Make a {k} "{t}".', 'Create the {k} "{t}".', "New {k}: {t}"]).format(k=kind, t=t), {key: t}, r.choice(["ok", dumps({"id": world.number(), "status": "ok"})]), "Done.")
    elif sort == 12:
        title, who = r.choice([("title", "artist"), ("song", "by"), ("name", "artist")])
        d = tool(r.choice(["play_song", "play_music", "play"]), "Play a song.", {title: "string", who: "string"}, [who])
        def use():
            t, w = world.made_up().capitalize() + " " + r.choice(words.THINGS), world.name()
            if r.random() < 0.5:
                return Use(r.choice(["Play {t}.", "Play the song {t}.", "I want to hear {t}."]).format(t=t), {title: t}, "ok", "Done.")
            return Use(r.choice(["Play {t} by {w}.", "Play the song {t} by {w}."]).format(t=t, w=w), {title: t, who: w}, "ok", "Done.")
    else:
        d = tool(r.choice(["roll_dice", "roll", "dice"]), "Roll a dice.", {"sides": "integer"})
        def use():
            n, out = r.randint(2, 100), r.randint(1, 20)
            return Use(r.choice(["Roll a dice with {n} sides.", "Throw a dice with {n} sides.", "Roll a {n}-sided dice."]).format(n=n), {"sides": n}, r.choice([str(out), dumps({"result": out})]), f"The result is {out}.")
    return Tool(d, use, d["function"]["name"])


MAKERS = [(weather, 14), (calculator, 12), (lookup, 24), (named, 24), (action, 14), (usual, 16)]


def toolbox(world, count, beside=None):
    """Tools whose names and topics differ, also from one that stands beside them, so that one of them is right."""
    chosen, others = [], [beside] if beside else []
    while len(chosen) < count:
        maker = world.rng.choices([m for m, _ in MAKERS], [w for _, w in MAKERS])[0]
        new = maker(world)
        if all(new.name != t.name and new.topic not in t.topic and t.topic not in new.topic for t in chosen + others):
            chosen.append(new)
    return chosen
