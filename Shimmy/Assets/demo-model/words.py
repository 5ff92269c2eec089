"""Word lists of the demo corpus, all written for it, and the rule that keeps a part of each list out of training."""
import zlib

SYSTEMS = [
    "You are a helpful assistant.", "You are a friendly assistant.", "You are Shimmy.", "You are a small demo model.",
    "Answer briefly.", "Be kind and short.", "Use the tools when they help.", "You help people with Shimmy.",
    "You are a helpful assistant. Answer in one sentence.", "Keep answers short.", "You are an assistant that can call tools.",
    "Talk like a friend.", "You are a polite assistant.", "Help the user.", "You are concise.", "Today is a good day.",
    "You are a helpful AI assistant.", "You are the assistant of a small shop.", "You answer questions.", "Do what the user asks.",
]
JSON_SYSTEMS = [
    "Answer in JSON.", "Reply only with JSON.", "Always answer with a JSON object.", "You are a helpful assistant. Respond in JSON.",
    "Output JSON only.", "Respond with valid JSON.", "You are a helpful assistant that answers in JSON.",
]

NAMES = """Ana Ben Cara Dan Eva Finn Gus Hana Ivo Jana Karl Lena Max Nora Otto Pia Rosa Sam Tara Uma Vera Will Yara Zoe Tom Mia Leo
Lily Jack Emma Noah Ruth Omar Lars Nina Paul Rita Hugo Iris Joel Kira Liam Mara Nils Olga Peter Quinn Rafa Sara Theo Ursula Viktor
Wanda Xenia Yusuf Zara Adam Bella Carlos Diana Erik Fatima Georg Helen Ian Julia Kevin Laura Marco Nadia Oscar Paula Robert Sofia
Tim Vince Alice Bob Carol David Edith Frank Grace Henry Isabel James Kate Lucy Mark Nancy Oliver Priya Ravi Sven Tina Amir Bruno
Clara Dora Elias Flora Gita Heidi Igor Jonas Klara Linus Mona Nico Petra Simon Tessa Yuki Kenji Mei Chen Aisha Kofi Ama Pablo
Lucia Diego Elena Anton Boris Daria Fedor Greta Hanna Jens Kai Lotte Milo Nell Opal Penny Rufus Stella Toby Vivian""".split()

CITIES = """Oslo Rome Paris London Berlin Madrid Lisbon Vienna Prague Warsaw Athens Dublin Bern Zurich Geneva Milan Turin Naples Venice
Florence Nice Lyon Lille Bonn Hamburg Munich Dresden Leipzig Kiel Bremen Cologne Graz Linz Salzburg Brussels Ghent Antwerp Amsterdam
Utrecht Rotterdam Copenhagen Aarhus Stockholm Malmo Bergen Helsinki Turku Tampere Tallinn Riga Vilnius Minsk Kyiv Odessa Moscow
Sofia Bucharest Budapest Zagreb Split Belgrade Skopje Tirana Istanbul Ankara Izmir Cairo Tunis Algiers Rabat Lagos Accra Dakar Nairobi
Kampala Lusaka Harare Pretoria Durban Boston Chicago Denver Dallas Houston Austin Seattle Portland Phoenix Atlanta Miami Tampa Memphis
Detroit Cleveland Toronto Montreal Ottawa Vancouver Calgary Lima Quito Bogota Caracas Santiago Montevideo Recife Salvador Tokyo Osaka
Kyoto Nagoya Sapporo Seoul Busan Beijing Shanghai Chengdu Wuhan Taipei Manila Hanoi Bangkok Jakarta Delhi Mumbai Chennai Kolkata Pune
Karachi Lahore Dhaka Kabul Tehran Baghdad Damascus Beirut Amman Jerusalem Riyadh Doha Dubai Muscat Sydney Melbourne Perth Adelaide
Brisbane Darwin Auckland Wellington Leeds York Bristol Cardiff Glasgow Edinburgh Belfast Cork Galway Porto Faro Seville Bilbao Granada
Valencia Malaga Toledo""".split() + ["New York", "Los Angeles", "San Francisco", "Hong Kong", "Cape Town", "Rio de Janeiro", "Buenos Aires",
    "Mexico City", "Tel Aviv", "New Delhi", "San Diego", "Las Vegas", "Abu Dhabi", "Addis Ababa", "Santa Cruz", "Port Louis", "Kuala Lumpur",
    "Ho Chi Minh City", "Salt Lake City", "Den Haag"] + ["Zürich", "Málaga", "São Paulo", "Köln", "Århus", "Łódź", "Reykjavík", "Genève", "Bogotá", "Düsseldorf"]

COUNTRIES = """Norway Italy France Germany Spain Portugal Austria Poland Greece Ireland Sweden Finland Denmark Estonia Latvia Ukraine
Hungary Croatia Serbia Turkey Egypt Tunisia Morocco Nigeria Ghana Senegal Kenya Uganda Zambia Canada Mexico Peru Ecuador Chile Brazil
Japan Korea China Vietnam Thailand India Nepal Iran Iraq Jordan Oman Australia Fiji Iceland Malta Cyprus Cuba Panama Bolivia""".split()

COLORS = "red blue green yellow orange purple pink brown black white gray gold silver teal violet".split()
ANIMALS = """fox bear rabbit mouse owl cat dog frog hedgehog squirrel duck goat horse llama turtle penguin otter beaver deer wolf sheep
pony badger robin crow mole seal whale dolphin tiger lion monkey parrot camel koala kitten puppy hamster snail bee""".split()
FRUITS = """apple banana cherry mango pear plum peach lemon orange grape melon kiwi fig lime date papaya apricot coconut""".split()
FOODS = """pizza soup bread rice pasta salad cake pie cheese honey noodles curry sushi tacos pancakes waffles stew porridge cookies omelet""".split()
THINGS = """lamp chair table book pen phone clock cup plate spoon bike car boat train ball kite drum bell box bag hat coat shoe shirt key
door window mirror pillow blanket basket bucket candle camera laptop printer radio guitar piano violin tent rope ladder hammer
wheel engine battery cable screen keyboard bottle brush towel soap""".split()
PLACES = """kitchen garden garage bedroom bathroom office hall cellar attic library school park museum station airport market bakery hotel
hospital theater cinema harbor bridge castle farm forest lake beach shop gym""".split()
LANGUAGES = "French German Spanish Italian Dutch Polish Greek Turkish Swedish Danish Finnish Norwegian Japanese Korean Chinese Hindi Arabic Latin Czech Irish".split()
CURRENCIES = "euros dollars pounds yen francs crowns pesos rupees won lira".split()
UNITS = "miles kilometers meters feet inches pounds kilograms grams liters gallons hours minutes seconds days weeks cups".split()
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
WEATHERS = "sunny cloudy rainy windy snowy foggy stormy clear dry hot cold mild".split()
ADJECTIVES = "small big old new quick slow warm cold soft loud quiet bright dark round flat happy sad brave shy kind clever funny gentle busy sleepy".split()

# What made-up tools look up ("get_NOUN") or act upon ("VERB_OBJECT").
NOUNS = """price weight height length width depth size age color speed distance address owner author title status balance score rank rating
population capital area temperature humidity pressure level volume capacity cost value tax fee discount salary budget profit stock
supply demand schedule timetable route map location position origin destination history summary recipe ingredient calories menu
review comment message email phone birthday holiday calendar meeting deadline task project ticket order invoice receipt payment
delivery shipment package tracking warranty manual version license release update download file folder backup log report chart
table graph record entry profile account password username contact friend team member manager employee customer client vendor
product brand model category label tag code serial number name meaning definition synonym translation spelling pronunciation rhyme
poem song lyrics artist album genre movie actor director episode season trailer game player winner champion medal trophy flight
train bus taxi hotel room seat gate platform pollen tide sunrise sunset moon planet star comet orbit gravity mass density charge
voltage current frequency wavelength signal quality grade exam lesson course teacher student class diet dose symptom vaccine""".split()
VERBS = """open close start stop delete create rename copy print paint clean lock unlock move check order buy sell fix wash feed send
read write find show hide save load reset restart pause resume book cancel rent repair test scan upload archive share pin mute
block invite call measure count sort filter merge split export import sign verify approve reject assign schedule deploy build""".split()
PARAMS = """name id item key value query text word topic subject target source place city country person user title code label type kind
object thing number count amount size level day date time path file url owner group team product input content""".split()

SYLLABLES = """ba be bi bo bu da de di do du fa fe fi fo ga go gu ha he hi ho ja jo ka ke ki ko ku la le li lo lu ma me mi mo mu na ne ni no nu
pa pe pi po pu ra re ri ro ru sa se si so su ta te ti to tu va ve vi vo wa we wi xa xo ya yo za ze zi zo bra cro dri fla gle kra plo pri
qua sha ski spo sta tra tri vel win zor bix dax fen gim hob jex kob lum mip nup pim rix sob tam vop wug zim""".split()
ENDINGS = ["", "", "", "n", "r", "x", "t", "l", "s", "sh", "m", "ck", "nd", "rt"]


def held(text: str) -> bool:
    """Whether a text belongs to the sixth that training never sees and the evaluation uses."""
    return zlib.crc32(("shimmy-demo:" + text).encode()) % 6 == 0


def copyable() -> set:
    """Words that are copied from a question into JSON or a name: they must have the same tokens after a space and after a quote."""
    lists = [NAMES, CITIES, COUNTRIES, COLORS, ANIMALS, FRUITS, FOODS, THINGS, PLACES, LANGUAGES, CURRENCIES, UNITS, WEEKDAYS, WEATHERS,
             NOUNS, VERBS, PARAMS]
    return {part for words in lists for word in words for part in word.split()}
