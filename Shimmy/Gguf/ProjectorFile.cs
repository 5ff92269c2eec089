namespace Shimmy.Gguf;

/// <summary>
/// The facts of a multimodal projector (mmproj), and the check of its tensors. libmtmd trusts such a file: a tensor that is missing or has
/// another shape than its neighbours ends the process, at the load or at the first picture.
/// </summary>
/// <param name="Kinds">The kinds of its encoders (<c>clip.projector_type</c>), for pictures, sound or both.</param>
/// <param name="CanSee">Whether it has an encoder for pictures. One with an encoder of an unknown kind neither sees nor hears.</param>
/// <param name="CanHear">Whether it has an encoder for sound.</param>
/// <param name="AudioUnsupportedReason">
/// Why its encoder for sound is not used, which <paramref name="CanHear"/> then does not count; null where it is, or there is none.
/// </param>
/// <param name="Width">Embedding length of the models that it fits; 0 where its tensors do not tell.</param>
internal sealed record ProjectorFile(IReadOnlyList<string> Kinds, bool CanSee, bool CanHear, string? AudioUnsupportedReason, int Width)
{
    // Kinds that hear as Whisper does, in chunks of 30 seconds: of these it is known what libmtmd adds, and it is taken away again.
    private static readonly HashSet<string> WhisperEncoders =
        ["ultravox", "qwen2a", "qwen2.5o", "voxtral", "glma", "meralion", "musicflamingo"];

    // The kinds of the libmtmd that Shimmy is bound to (llama.cpp c0c7e147).
    private static readonly HashSet<string> KnownKinds =
    [
        "mlp", "ldp", "ldpv2", "resampler", "adapter", "qwen2vl_merger", "qwen2.5vl_merger", "qwen3vl_merger", "step3vl", "gemma3",
        "gemma3nv", "gemma3na", "gemma4v", "gemma4a", "gemma4uv", "gemma4ua", "phi4", "idefics3",
            "pixtral", "ultravox", "internvl", "llama4", "qwen2a",
        "qwen3a", "glma", "qwen2.5o", "voxtral", "meralion", "musicflamingo", "lfm2", "kimivl", "paddleocr", "lightonocr", "cogvlm",
        "janus_pro", "dots_ocr", "deepseekocr", "deepseekocr2", "lfm2a", "glm4v", "youtuvl", "yasa2", "kimik25", "nemotron_v2_vl",
        "exaone4_5", "hunyuanvl", "minicpmv4_6", "granite_speech", "mimovl", "minimax_m3", "granite4_vision", "mimo_audio", "parakeet",
    ];

    // Tensors that a kind cannot do without although libmtmd loads without some of them.
    private static readonly Dictionary<string, string[]> Needed = new()
    {
        ["mlp"] = ["v.patch_embd.weight", "mm.0.weight", "mm.0.bias"],
        ["gemma3"] = ["v.patch_embd.weight", "v.position_embd.weight", "mm.input_projection.weight", "mm.soft_emb_norm.weight"],
        ["qwen2vl_merger"] = ["v.patch_embd.weight", "v.patch_embd.weight.1", "mm.0.weight", "mm.0.bias", "mm.2.weight", "mm.2.bias"],
        ["qwen2.5vl_merger"] = ["v.patch_embd.weight", "v.patch_embd.weight.1", "mm.0.weight", "mm.0.bias", "mm.2.weight", "mm.2.bias"],
        ["pixtral"] = ["v.patch_embd.weight", "mm.1.weight", "mm.2.weight"],
        ["idefics3"] = ["v.patch_embd.weight", "v.position_embd.weight", "mm.model.fc.weight"],
        ["internvl"] = ["v.patch_embd.weight", "v.position_embd.weight", "mm.model.mlp.1.weight", "mm.model.mlp.3.weight"],
        ["ultravox"] = ["a.conv1d.1.weight", "a.conv1d.2.weight", "a.position_embd.weight", "mm.a.mlp.1.weight", "mm.a.mlp.2.weight"],
    };

    // The tensor that libmtmd reads the width of a kind from, and its dimension: found by changing them one by one until it said another
    // width. It asks no metadata, which in older files have another model's.
    private static readonly (string Tensor, int Dimension, string[] Kinds)[] Widths =
    [
        ("mm.2.weight", 1,
            ["mlp", "paddleocr", "dots_ocr", "kimivl", "kimik25", "pixtral", "lightonocr", "lfm2", "yasa2", "mimovl", "phi4"]),
        ("mm.2.bias", 0, ["qwen2vl_merger", "qwen2.5vl_merger", "qwen3vl_merger", "qwen2.5o", "youtuvl", "exaone4_5"]),
        ("mm.model.mb_block.1.block.2.1.bias", 0, ["ldp"]),
        ("mm.model.peg.0.bias", 0, ["ldpv2"]),
        ("resampler.proj.weight", 0, ["resampler"]),
        ("adapter.linear.dense_4h_to_h.weight", 1, ["adapter"]),
        ("mm.input_projection.weight", 0, ["gemma3", "gemma3nv"]),
        ("mm.input_projection.weight", 1, ["gemma4v", "gemma4uv"]),
        ("mm.down.weight", 1, ["glm4v", "minicpmv4_6", "cogvlm"]),
        ("mm.model.fc.weight", 1, ["hunyuanvl", "step3vl", "idefics3", "llama4"]),
        ("mm.model.mlp.3.weight", 1, ["internvl", "nemotron_v2_vl"]),
        ("mm.merger.fc2.bias", 0, ["minimax_m3"]),
        ("mm.1.bias", 0, ["janus_pro"]),
        ("mm.a.mlp.2.weight", 1, ["ultravox", "voxtral"]),
        ("mm.a.fc.weight", 1, ["qwen2a"]),
    ];

    // Kinds whose pictures have one size, so that the table of positions must have a row for each patch.
    private static readonly HashSet<string> OneSize = ["mlp", "ldp", "ldpv2", "gemma3", "idefics3", "internvl", "llama4", "adapter"];

    // Kinds whose patches are a plain convolution.
    private static readonly HashSet<string> PlainPatches =
        ["mlp", "ldp", "ldpv2", "gemma3", "idefics3", "internvl", "pixtral", "qwen2vl_merger", "qwen2.5vl_merger"];

    // Of the 30 seconds that encoders as Whisper's hear at once.
    private const int SoundPositions = 1500;

    /// <summary>The facts of a header, unchecked.</summary>
    public static ProjectorFile Of(GgufHeader header)
    {
        var hears = header.Flag("clip.has_audio_encoder") ?? false;
        var sees = header.Flag("clip.has_vision_encoder") ?? !hears;
        string?[] kinds =
        [
            sees ? header.Text("clip.vision.projector_type") ?? header.Text("clip.projector_type") ?? "mlp" : null,
            hears ? header.Text("clip.audio.projector_type") ?? header.Text("clip.projector_type") : null,
        ];
        var places = Widths.Where(place => place.Kinds.Any(kinds.Contains)).ToList();
        // With a normalization behind it, the last matrix of LLaVA's is another one.
        if (kinds[0] == "mlp" && Dimension(header, "mm.3.weight", 0) > 0)
            places = [("mm.3.bias", 0, [])];
        var width = places.Count == 0
            ? header.Integer("clip.vision.projection_dim") ?? header.Integer("clip.audio.projection_dim") ?? 0
            : places.Select(place => Dimension(header, place.Tensor, place.Dimension)).FirstOrDefault(width => width > 0);
        var audioReason = hears ? AudioUnsupportedReasonOf(header, kinds[1]) : null;
        // It is not loaded at all then.
        var isKnown = Array.TrueForAll(kinds, kind => kind is null || KnownKinds.Contains(kind));
        return new ProjectorFile([.. kinds.OfType<string>().Distinct()], sees && isKnown, hears && isKnown && audioReason is null,
            audioReason, (int)Math.Clamp(width, 0, int.MaxValue));
    }

    /// <summary>Why it does not fit a model; null where it does, or where a width is not known.</summary>
    /// <param name="embeddingLength">The model's embedding length; 0 where it is not known.</param>
    public string? WhyUnfit(long embeddingLength) => Width == 0 || embeddingLength <= 0 || Width == embeddingLength
        ? null
        : $"it is for models of the embedding length {Width}, not {embeddingLength}";

    private static string? AudioUnsupportedReasonOf(GgufHeader header, string? kind)
    {
        if (kind is null || !WhisperEncoders.Contains(kind))
        {
            return $"with encoders of the kind {kind} this version of libmtmd is not known to hear what was said; "
                + $"it is with {string.Join(", ", WhisperEncoders)}";
        }
        // Where that does not come out even, libmtmd counts a token less than it computes, and ends the process.
        return header.Integer("clip.audio.projector.stack_factor") is { } joined and > 0 && SoundPositions % joined != 0
            ? $"its encoder joins {joined} of {SoundPositions} positions, which do not come out even, "
                + "and this version of libmtmd fails at that"
            : null;
    }

    /// <summary>
    /// Reads a file and checks it. Throws <see cref="GgufException"/> with what is wrong, <see cref="IOException"/> or
    /// <see cref="UnauthorizedAccessException"/> where it cannot be read.
    /// </summary>
    /// <param name="path">The file.</param>
    /// <param name="embeddingLength">The embedding length of the model that it must fit; 0 where it is not known.</param>
    public static ProjectorFile Check(string path, long embeddingLength = 0)
    {
        var header = GgufReader.ReadFile(path);
        if (header.Architecture != "clip")
            throw new GgufException($"no projector: its architecture is '{header.Architecture}', not 'clip'");
        var file = Of(header);
        if (file.Kinds.FirstOrDefault(kind => !KnownKinds.Contains(kind)) is { } unknown)
            throw new GgufException($"a projector of the unknown kind '{unknown}'");
        if (file.Kinds.Count == 0)
            throw new GgufException("a projector without an encoder");
        var tensors = header.Tensors.ToDictionary(tensor => tensor.Name, StringComparer.Ordinal);
        foreach (var kind in file.Kinds)
        {
            if (Needed.GetValueOrDefault(kind)?.FirstOrDefault(name => !tensors.ContainsKey(name)) is { } missing)
                throw new GgufException($"the tensor {missing} is missing, which projectors of the kind {kind} have");
        }
        if (file.Kinds.Contains("mlp") && !tensors.ContainsKey("mm.2.weight") && !tensors.ContainsKey("mm.3.weight"))
            throw new GgufException("the tensor mm.2.weight is missing, which projectors of the kind mlp have");
        if (file.CanSee)
            CheckEncoder(header, tensors, "vision", "v");
        if (file.CanHear || file.AudioUnsupportedReason is not null)
            CheckEncoder(header, tensors, "audio", "a");
        foreach (var kind in file.Kinds)
            CheckPatches(header, tensors, kind);
        if (file.Kinds.Contains("gemma4v") && tensors.TryGetValue("v.position_embd.weight", out var places))
            Require(places.Dimensions is [_, _, 2], places, "is not a table for columns and one for rows");
        if (file.CanHear)
            CheckAudioEncoder(header, tensors);
        CheckBiases(tensors);
        CheckSteps(tensors, "mm.0", "mm.2");
        CheckSteps(tensors, "mm.1", "mm.2");
        if (file.Kinds.Contains("mlp"))
            CheckSteps(tensors, "mm.0", "mm.3");
        return file.WhyUnfit(embeddingLength) is { } reason ? throw new GgufException(reason) : file;
    }

    private static void CheckEncoder(GgufHeader header, Dictionary<string, GgufTensor> tensors, string name, string prefix)
    {
        var width = header.Integer($"clip.{name}.embedding_length");
        var heads = header.Integer($"clip.{name}.attention.head_count");
        if (width is <= 0 || heads is <= 0)
            throw new GgufException($"clip.{name}.{(width is <= 0 ? "embedding_length" : "attention.head_count")} must be at least 1");
        if (width is not { } length || heads is not { } count)
            return;
        if (length % count != 0 && header.Integer($"clip.{name}.attention.head_dim") is null)
            throw new GgufException($"{count} heads do not divide an embedding of {length}");
        var blocks = header.Integer($"clip.{name}.block_count") ?? 0;
        if (blocks is < 0 or > 1024)
            throw new GgufException($"clip.{name}.block_count must be from 0 to 1024, not {blocks}");
        if (!tensors.ContainsKey($"{prefix}.blk.0.ln1.weight"))
            return;
        for (var i = 0L; i < blocks; i++)
        {
            foreach (var part in (string[])["ln1.weight", "ln1.bias", "ln2.weight", "ln2.bias", "attn_q.weight", "attn_k.weight",
                "attn_v.weight", "attn_qkv.weight", "attn_out.weight", "ffn_up.weight", "ffn_down.weight", "ffn_gate.weight"])
            {
                if (!tensors.TryGetValue($"{prefix}.blk.0.{part}", out var first))
                    continue;
                if (!tensors.TryGetValue($"{prefix}.blk.{i}.{part}", out var tensor))
                    throw new GgufException($"the tensor {prefix}.blk.{i}.{part} is missing, which block 0 has");
                Require(tensor.Dimensions.SequenceEqual(first.Dimensions), tensor, $"has another shape than that of block 0");
                // An MLP's two halves stand in either order in old files.
                Require(part[0] != 'l' || tensor.Dimensions[0] == length, tensor, $"does not have the width {length}");
                Require(!part.StartsWith("attn_", StringComparison.Ordinal) || tensor.Dimensions.Count == 2, tensor, "must have two dimensions");
                Require(part is not ("attn_q.weight" or "attn_k.weight" or "attn_v.weight" or "attn_qkv.weight")
                    || tensor.Dimensions[0] == length, tensor, $"does not read the width {length}");
                Require(part != "attn_out.weight" || tensor.Dimensions[^1] == length, tensor, $"does not write the width {length}");
            }
            if (tensors.TryGetValue($"{prefix}.blk.{i}.ffn_up.weight", out var up)
                && tensors.TryGetValue($"{prefix}.blk.{i}.ffn_down.weight", out var down))
            {
                Require(up.Dimensions.Count == 2 && down.Dimensions.Count == 2 && up.Dimensions[0] == down.Dimensions[1]
                    && up.Dimensions[1] == down.Dimensions[0], down, "does not lead back what ffn_up widens");
            }
        }
    }

    private static void CheckPatches(GgufHeader header, Dictionary<string, GgufTensor> tensors, string kind)
    {
        var width = header.Integer("clip.vision.embedding_length");
        var (size, patch) = (header.Integer("clip.vision.image_size"), header.Integer("clip.vision.patch_size"));
        if (width is not { } length || size is not { } side || patch is not { } step)
            return;
        if (!OneSize.Contains(kind) && !PlainPatches.Contains(kind))
            return;
        if (step < 1 || side < step)
            throw new GgufException($"clip.vision.patch_size must be from 1 to the image_size {side}, not {step}");
        if (PlainPatches.Contains(kind) && tensors.TryGetValue("v.patch_embd.weight", out var patches))
        {
            Require(patches.Dimensions is [var columns, var rows, 3, var output] && columns == step && rows == step && output == length,
                patches, $"is not {step} x {step} x 3 x {length}");
        }
        if (OneSize.Contains(kind) && tensors.TryGetValue("v.position_embd.weight", out var positions))
        {
            var rows = (side / step * (side / step)) + (tensors.ContainsKey("v.class_embd") ? 1 : 0);
            Require(positions.Dimensions is [var columns, var count] && columns == length && count >= rows,
                positions, $"does not have {rows} rows of {length}");
        }
    }

    // As Whisper hears: two convolutions over the bands of a spectrum, and a row of positions for each step of 30 seconds.
    private static void CheckAudioEncoder(GgufHeader header, Dictionary<string, GgufTensor> tensors)
    {
        if (header.Integer("clip.audio.embedding_length") is not { } length)
            return;
        var bands = header.Integer("clip.audio.num_mel_bins");
        if (tensors.TryGetValue("a.conv1d.1.weight", out var first))
        {
            Require(first.Dimensions is [3, var read, var written] && read == (bands ?? read) && written == length, first,
                $"is not 3 x {bands} x {length}");
        }
        if (tensors.TryGetValue("a.conv1d.2.weight", out var second))
        {
            Require(second.Dimensions is [3, var read, var written] && read == length && written == length, second,
                $"is not 3 x {length} x {length}");
        }
        if (tensors.TryGetValue("a.position_embd.weight", out var positions))
        {
            Require(positions.Dimensions is [var columns, var rows] && columns == length && rows >= SoundPositions, positions,
                $"does not have {SoundPositions} rows of {length}");
        }
        if (header.Text("clip.projector_type") is "ultravox" or "voxtral"
            && header.Integer("clip.audio.projector.stack_factor") is { } joined and > 0
            && tensors.TryGetValue("mm.a.mlp.1.weight", out var joins))
        {
            Require(joins.Dimensions is [var read, _] && read == joined * length, joins, $"does not read {joined} positions of {length}");
        }
    }

    // What a matrix writes is as long as the bias behind it.
    private static void CheckBiases(Dictionary<string, GgufTensor> tensors)
    {
        foreach (var (name, tensor) in tensors)
        {
            if (tensor.Dimensions.Count == 2 && name.EndsWith(".weight", StringComparison.Ordinal)
                && !name.Contains("conv", StringComparison.Ordinal)
                && tensors.TryGetValue($"{name[..^".weight".Length]}.bias", out var bias) && bias.Dimensions.Count == 1)
            {
                Require(bias.Dimensions[0] == tensor.Dimensions[1], bias, $"is not as long as {name} writes");
            }
        }
    }

    private static void CheckSteps(Dictionary<string, GgufTensor> tensors, string from, string to)
    {
        if (tensors.GetValueOrDefault($"{from}.weight") is { Dimensions: [_, var written] }
            && tensors.GetValueOrDefault($"{to}.weight") is { Dimensions: [var read, _] } next)
        {
            Require(read == written, next, $"does not read what {from}.weight writes");
        }
    }

    private static long Dimension(GgufHeader header, string tensor, int dimension) =>
        header.Tensors.FirstOrDefault(other => other.Name == tensor) is { } found && found.Dimensions.Count > dimension
            ? found.Dimensions[dimension]
            : 0;

    private static void Require(bool holds, GgufTensor tensor, string reason)
    {
        if (!holds)
            throw new GgufException($"the tensor {tensor.Name} ({string.Join(" x ", tensor.Dimensions)}) {reason}");
    }
}
