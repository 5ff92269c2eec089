"""Short stories for children from a small grammar: a hero, a place, a problem, a friend, an end."""
from words import ANIMALS, FOODS, THINGS, COLORS

KINDS = [a for a in ANIMALS if a not in ("monkey", "kitten", "puppy")] + ["robot", "girl", "boy", "dragon", "giant", "wizard", "star", "cloud"]
TRAITS = "little small brave shy kind clever funny gentle sleepy curious happy tiny".split()
HOMES = ["in a quiet forest", "near a big lake", "on a green hill", "in a small village", "by the sea", "under an old tree", "in a tall tower",
         "at the edge of the town", "behind the school", "in a warm cave", "on a farm", "in a blue house"]
OPENERS = ["Once upon a time there was a {trait} {kind} named {name}.", "Once upon a time, a {trait} {kind} named {name} lived {home}.",
           "There was once a {trait} {kind} called {name}.", "{name} was a {trait} {kind} who lived {home}.", "A {trait} {kind} named {name} lived {home}.",
           "One day, a {trait} {kind} named {name} woke up early.", "Long ago, {home}, there lived a {trait} {kind} named {name}.",
           "In the morning, {name} the {kind} looked out of the window."]
WISHES = ["wanted to find {thing}", "had lost {thing}", "wished for {thing}", "was looking for {thing}", "dreamed of {thing}"]
TRIES = ["{name} looked under the bed, but it was not there.", "{name} looked behind the door, but found only dust.", "{name} walked all the way to the river and back.",
         "{name} asked the wind, but the wind only laughed.", "{name} climbed the highest hill and looked around.", "{name} searched the whole day and grew tired."]
MEETS = ["Then {name} met {friend}, {article} {other}.", "On the way, {name} met {friend}, {article} {other}.", "Soon {friend}, {article} {other}, came along."]
OFFERS = ['"Do not be sad," said {friend}. "I will help you."', '"I know what to do," said {friend}.', '"Come with me," said {friend}.', '"Let us look together," said {friend}.',
          '"Two can see more than one," said {friend}.']
FINDS = ["Together they found {thing} under a big stone.", "Together they found {thing} in the tall grass.", "Behind the old mill they found {thing}.",
         "At last they saw {thing} at the top of a tree.", "They looked into a hollow tree, and there was {thing}.", "In the garden they found {thing}."]
JOYS = ["{name} was so happy that {name} danced.", "{name} laughed and thanked {friend}.", "{name} gave {friend} a big hug.", "{name} sang a song for {friend}."]
SHARES = ["Then they ate {food} and watched the stars.", "In the evening they shared {food}.", "They went home and had {food}.", "From that day on they were best friends.",
          "And they played until the sun went down."]
ENDS = ["The end."]


def article(word):
    return ("an " if word[0] in "aeiou" else "a ") + word


def story(world):
    """A story as (first sentence, rest, facts of it)."""
    r = world.rng
    name, friend = world.two_names()
    kind, other = r.sample(KINDS, 2)
    trait, home = r.choice(TRAITS), r.choice(HOMES)
    colored = r.random() < 0.6
    thing = (r.choice(COLORS) + " " if colored else "") + r.choice(THINGS)
    fill = dict(name=name, friend=friend, kind=kind, trait=trait, home=home, other=other, article=article(other).split()[0], food=r.choice(FOODS))
    first = r.choice(OPENERS).format(**fill).replace("a old", "an old")
    the, a = "the " + thing, article(thing)
    lines = [f"{name} " + r.choice(WISHES).format(thing=a) + "."]
    lines.append(r.choice(TRIES).format(**fill))
    lines += [r.choice(MEETS).format(**fill), r.choice(OFFERS).format(**fill), r.choice(FINDS).format(thing=the, **fill),
              r.choice(JOYS).format(**fill), r.choice(SHARES).format(**fill), r.choice(ENDS)]
    return first, " ".join(lines), dict(fill, thing=thing)
