using Shimmy.Gguf;

namespace Shimmy.Models;

/// <summary>
/// One form for names that look alike: letters with accents are composed (Unicode's NFC). File systems of Apple write them decomposed, and
/// so do archives made there; keyboards write them composed. The framework's own normalization does nothing in a program without ICU.
/// </summary>
internal static class UnicodeComposition
{
    private const char HangulFirst = '\uAC00';
    private const int Vowels = 21;
    private const int Tails = 28;

    // By combining mark: a letter and what it becomes with the mark, in turn. Latin, Greek, Cyrillic, hiragana and katakana.
    private static readonly (char Mark, string Pairs)[] Compositions =
    [
        ('\u0300', "AÀEÈIÌOÒUÙaàeèiìoòuùÜǛüǜNǸnǹЕЀИЍеѐиѝĒḔēḕŌṐōṑWẀwẁÂẦâầĂẰăằÊỀêềÔỒôồƠỜơờƯỪưừYỲyỳἀἂἁἃἈἊἉἋἐἒἑἓἘἚἙἛἠἢἡἣ"),
        ('\u0300', "ἨἪἩἫἰἲἱἳἸἺἹἻὀὂὁὃὈὊὉὋὐὒὑὓὙὛὠὢὡὣὨὪὩὫαὰεὲηὴιὶοὸυὺωὼΑᾺΕῈΗῊ᾿῍ϊῒΙῚ῾῝ϋῢΥῪ¨῭ΟῸΩῺ"),
        ('\u0301', "AÁEÉIÍOÓUÚYÝaáeéiíoóuúyýCĆcćLĹlĺNŃnńRŔrŕSŚsśZŹzźÜǗüǘGǴgǵÅǺåǻÆǼæǽØǾøǿ¨΅ΑΆΕΈΗΉΙΊΟΌΥΎΩΏϊΐαάεέηήιίϋΰ"),
        ('\u0301', "οόυύωώϒϓГЃКЌгѓкќÇḈçḉĒḖēḗÏḮïḯKḰkḱMḾmḿÕṌõṍŌṒōṓPṔpṕŨṸũṹWẂwẃÂẤâấĂẮăắÊẾêếÔỐôốƠỚơớƯỨưứἀἄἁἅἈἌἉἍἐἔἑἕἘἜἙἝ"),
        ('\u0301', "ἠἤἡἥἨἬἩἭἰἴἱἵἸἼἹἽὀὄὁὅὈὌὉὍὐὔὑὕὙὝὠὤὡὥὨὬὩὭ᾿῎῾῞"),
        ('\u0302', "AÂEÊIÎOÔUÛaâeêiîoôuûCĈcĉGĜgĝHĤhĥJĴjĵSŜsŝWŴwŵYŶyŷZẐzẑẠẬạậẸỆẹệỌỘọộ"),
        ('\u0303', "AÃNÑOÕaãnñoõIĨiĩUŨuũVṼvṽÂẪâẫĂẴăẵEẼeẽÊỄêễÔỖôỗƠỠơỡƯỮưữYỸyỹ"),
        ('\u0304', "AĀaāEĒeēIĪiīOŌoōUŪuūÜǕüǖÄǞäǟȦǠȧǡÆǢæǣǪǬǫǭÖȪöȫÕȬõȭȮȰȯȱYȲyȳИӢиӣУӮуӯGḠgḡḶḸḷḹṚṜṛṝαᾱΑᾹιῑΙῙυῡΥῩ"),
        ('\u0306', "AĂaăEĔeĕGĞgğIĬiĭOŎoŏUŬuŭУЎИЙийуўЖӁжӂАӐаӑЕӖеӗȨḜȩḝẠẶạặαᾰΑᾸιῐΙῘυῠΥῨ"),
        ('\u0307', "CĊcċEĖeėGĠgġIİZŻzżAȦaȧOȮoȯBḂbḃDḊdḋFḞfḟHḢhḣMṀmṁNṄnṅPṖpṗRṘrṙSṠsṡŚṤśṥŠṦšṧṢṨṣṩTṪtṫWẆwẇXẊxẋYẎyẏſẛ"),
        ('\u0308', "AÄEËIÏOÖUÜaäeëiïoöuüyÿYŸΙΪΥΫιϊυϋϒϔЕЁІЇеёіїАӒаӓӘӚәӛЖӜжӝЗӞзӟИӤиӥОӦоӧӨӪөӫЭӬэӭУӰуӱЧӴчӵЫӸыӹHḦhḧÕṎõṏŪṺ"),
        ('\u0308', "ūṻWẄwẅXẌxẍtẗ"),
        ('\u0309', "AẢaảÂẨâẩĂẲăẳEẺeẻÊỂêểIỈiỉOỎoỏÔỔôổƠỞơởUỦuủƯỬưửYỶyỷ"),
        ('\u030A', "AÅaåUŮuůwẘyẙ"),
        ('\u030B', "OŐoőUŰuűУӲуӳ"),
        ('\u030C', "CČcčDĎdďEĚeěLĽlľNŇnňRŘrřSŠsšTŤtťZŽzžAǍaǎIǏiǐOǑoǒUǓuǔÜǙüǚGǦgǧKǨkǩƷǮʒǯjǰHȞhȟ"),
        ('\u030F', "AȀaȁEȄeȅIȈiȉOȌoȍRȐrȑUȔuȕѴѶѵѷ"),
        ('\u0311', "AȂaȃEȆeȇIȊiȋOȎoȏRȒrȓUȖuȗ"),
        ('\u0313', "αἀΑἈεἐΕἘηἠΗἨιἰΙἸοὀΟὈυὐωὠΩὨρῤ"),
        ('\u0314', "αἁΑἉεἑΕἙηἡΗἩιἱΙἹοὁΟὉυὑΥὙωὡΩὩρῥΡῬ"),
        ('\u031B', "OƠoơUƯuư"),
        ('\u0323', "BḄbḅDḌdḍHḤhḥKḲkḳLḶlḷMṂmṃNṆnṇRṚrṛSṢsṣTṬtṭVṾvṿWẈwẉZẒzẓAẠaạEẸeẹIỊiịOỌoọƠỢơợUỤuụƯỰưựYỴyỵ"),
        ('\u0324', "UṲuṳ"),
        ('\u0325', "AḀaḁ"),
        ('\u0326', "SȘsșTȚtț"),
        ('\u0327', "CÇcçGĢgģKĶkķLĻlļNŅnņRŖrŗSŞsşTŢtţEȨeȩDḐdḑHḨhḩ"),
        ('\u0328', "AĄaąEĘeęIĮiįUŲuųOǪoǫ"),
        ('\u032D', "DḒdḓEḘeḙLḼlḽNṊnṋTṰtṱUṶuṷ"),
        ('\u032E', "HḪhḫ"),
        ('\u0330', "EḚeḛIḬiḭUṴuṵ"),
        ('\u0331', "BḆbḇDḎdḏKḴkḵLḺlḻNṈnṉRṞrṟTṮtṯZẔzẕhẖ"),
        ('\u0342', "ἀἆἁἇἈἎἉἏἠἦἡἧἨἮἩἯἰἶἱἷἸἾἹἿὐὖὑὗὙὟὠὦὡὧὨὮὩὯαᾶ¨῁ηῆ᾿῏ιῖϊῗ῾῟υῦϋῧωῶ"),
        ('\u0345', "ἀᾀἁᾁἂᾂἃᾃἄᾄἅᾅἆᾆἇᾇἈᾈἉᾉἊᾊἋᾋἌᾌἍᾍἎᾎἏᾏἠᾐἡᾑἢᾒἣᾓἤᾔἥᾕἦᾖἧᾗἨᾘἩᾙἪᾚἫᾛἬᾜἭᾝἮᾞἯᾟὠᾠὡᾡὢᾢὣᾣὤᾤὥᾥὦᾦὧᾧὨᾨὩᾩὪᾪὫᾫὬᾬὭᾭὮᾮὯᾯ"),
        ('\u0345', "ὰᾲαᾳάᾴᾶᾷΑᾼὴῂηῃήῄῆῇΗῌὼῲωῳώῴῶῷΩῼ"),
        ('\u3099', "かがきぎくぐけげこごさざしじすずせぜそぞただちぢつづてでとどはばひびふぶへべほぼうゔゝゞカガキギクグケゲコゴサザシジスズセゼソゾタダチヂツヅテデトドハバヒビフブヘベホボウヴワヷヰヸヱヹヲヺヽヾ"),
        ('\u309A', "はぱひぴふぷへぺほぽハパヒピフプヘペホポ"),
    ];

    private static readonly Dictionary<(char Letter, char Mark), char> Composed = Compositions
        .SelectMany(row => row.Pairs.Chunk(2).Select(pair => (Key: (pair[0], row.Mark), Value: pair[1])))
        .ToDictionary(pair => pair.Key, pair => pair.Value);

    /// <summary>The name with its letters composed.</summary>
    public static string Of(string name)
    {
        if (!name.Any(IsPart))
            return name;
        var text = new char[name.Length];
        var length = 0;
        foreach (var c in name)
        {
            if (length > 0 && Compose(text[length - 1], c) is { } composed)
                text[length - 1] = composed;
            else
                text[length++] = c;
        }

        return new string(text, 0, length);
    }

    // Combining marks, those of kana, and the vowels and tails of Hangul.
    private static bool IsPart(char c) => c is >= '\u0300' and <= '\u036F' or '\u3099' or '\u309A' or >= '\u1161' and <= '\u11C2';

    private static char? Compose(char letter, char part) =>
        Composed.TryGetValue((letter, part), out var composed) ? composed
        // Hangul is composed by arithmetic: (lead, vowel), then (syllable without tail, tail).
        : letter is >= '\u1100' and <= '\u1112' && part is >= '\u1161' and <= '\u1175'
            ? (char)(HangulFirst + ((((letter - '\u1100') * Vowels) + part - '\u1161') * Tails))
        : letter is >= HangulFirst and <= '\uD7A3' && (letter - HangulFirst) % Tails == 0 && part is >= '\u11A8' and <= '\u11C2'
            ? (char)(letter + part - '\u11A7')
        : null;
}

/// <summary>The ways in which other programs write the name of a model.</summary>
internal static class NameSpelling
{
    private static readonly string[] Schemes = ["https://", "http://"];
    private static readonly string[] Hosts = ["hf.co/", "huggingface.co/", "registry.ollama.ai/", "ollama.com/"];
    private const string Library = "library/";
    private const string Latest = ":latest";

    /// <summary>
    /// The names that a name may stand for, the likeliest first: as it is; without the host of a registry, Ollama's <c>library/</c> and
    /// <c>:latest</c>; and each of these without <c>.gguf</c> and the number of a shard.
    /// </summary>
    public static IEnumerable<string> Of(string name)
    {
        name = UnicodeComposition.Of(name.Trim());
        return Hosted(name).SelectMany(WithoutEnding).Distinct(StringComparer.OrdinalIgnoreCase);
    }

    private static IEnumerable<string> Hosted(string name)
    {
        yield return name;
        var rest = Without(Schemes, name);
        yield return rest;
        rest = Without(Hosts, rest);
        yield return rest;
        rest = Without([Library], rest);
        yield return rest;
        if (rest.EndsWith(Latest, StringComparison.OrdinalIgnoreCase))
            yield return rest[..^Latest.Length];
    }

    private static IEnumerable<string> WithoutEnding(string name)
    {
        yield return name;
        if (ModelFileName.IsGguf(name))
            yield return ModelFileName.Parse(name).Stem;
    }

    private static string Without(string[] beginnings, string name)
    {
        var found = Array.Find(beginnings, beginning => name.StartsWith(beginning, StringComparison.OrdinalIgnoreCase));
        return found is null ? name : name[found.Length..];
    }
}
