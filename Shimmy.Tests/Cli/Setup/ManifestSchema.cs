using System.Text.RegularExpressions;

namespace Shimmy.Tests.Cli.Setup;

/// <summary>
/// The schemas of the resources in the manifests of <c>init</c>, as far as those need them, and strict: a field that is not written down
/// here is a complaint. From the API references of Kubernetes, Gateway API, its inference extension, KEDA, KServe and GPUStack.
/// </summary>
internal static partial class ManifestSchema
{
    private delegate IEnumerable<string> Rule(object? value, string path);

    // Scalars
    private static readonly Rule Number = (value, path) => value is long or double ? [] : [$"{path} must be a number"];
    private static readonly Rule AnyText = (value, path) => value is string ? [] : [$"{path} must be a text"];
    private static readonly Rule Whole = (value, path) => value is long ? [] : [$"{path} must be a whole number"];
    private static readonly Rule Flag = (value, path) => value is bool ? [] : [$"{path} must be true or false"];
    private static readonly Rule PortNumber = (value, path) =>
        !(value is long number && number is > 0 and <= 65535) ? [$"{path} must be a port"] : [];
    private static readonly Rule Name = Matching(DnsName(), "a DNS name");
    private static readonly Rule PortName = Matching(NameOfPort(), "a port's name");
    private static readonly Rule Quantity = Matching(Amount(), "a quantity");
    private static readonly Rule Port = (value, path) => value is long ? PortNumber(value, path) : PortName(value, path);
    private static readonly Rule Texts = MapOf(AnyText);

    // Parts of pods
    private static readonly Rule Metadata = Obj(("name!", Name), ("labels", Texts), ("annotations", Texts));
    private static readonly Rule Selector = Obj(("matchLabels!", Texts));
    private static readonly Rule Expressions = Obj(("matchExpressions!", ListOf(Obj(("key!", AnyText),
        ("operator!", OneOf("In", "NotIn", "Exists", "DoesNotExist")), ("values", ListOf(AnyText))))));
    private static readonly Rule Action = Obj(
        ("httpGet", Obj(("path!", AnyText), ("port!", Port), ("scheme", OneOf("HTTP", "HTTPS")))),
        ("tcpSocket", Obj(("port!", Port))),
        ("exec", Obj(("command!", ListOf(AnyText)))),
        ("periodSeconds", Whole), ("failureThreshold", Whole), ("timeoutSeconds", Whole));
    private static readonly Rule Container = Obj(
        ("name!", Name), ("image!", AnyText), ("imagePullPolicy", OneOf("IfNotPresent", "Always", "Never")), ("command", ListOf(AnyText)),
        ("args", ListOf(AnyText)),
        ("env", ListOf(Obj(("name!", AnyText), ("value", AnyText), ("valueFrom", Obj(
            ("secretKeyRef", Obj(("name!", Name), ("key!", AnyText), ("optional", Flag)))))))),
        ("ports", ListOf(Obj(("name", PortName), ("containerPort!", PortNumber), ("protocol", OneOf("TCP"))))),
        ("startupProbe", Action), ("readinessProbe", Action), ("livenessProbe", Action), ("lifecycle", Obj(("preStop", Action))),
        ("securityContext", Obj(("allowPrivilegeEscalation", Flag), ("readOnlyRootFilesystem", Flag),
            ("capabilities", Obj(("drop", ListOf(AnyText)))))),
        ("volumeMounts", ListOf(Obj(("name!", Name), ("mountPath!", AnyText)))));
    private static readonly Rule PodSpec = Obj(
        ("terminationGracePeriodSeconds", Whole),
        ("securityContext", Obj(("runAsNonRoot", Flag), ("runAsUser", Whole), ("runAsGroup", Whole), ("fsGroup", Whole),
            ("seccompProfile", Obj(("type!", OneOf("RuntimeDefault")))))),
        ("containers!", ListOf(Container)),
        ("volumes", ListOf(Obj(("name!", Name), ("persistentVolumeClaim", Obj(("claimName!", Name))), ("emptyDir", Obj())))));
    private static readonly Rule Behavior = Obj(("scaleDown", Obj(("stabilizationWindowSeconds", Whole))));
    private static readonly Rule Target = Obj(("apiVersion", AnyText), ("kind", AnyText), ("name!", Name));

    private static readonly Dictionary<string, Rule> Kinds = new()
    {
        ["v1/PersistentVolumeClaim"] = Resource(("spec!", Obj(
            ("accessModes!", ListOf(OneOf("ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany"))),
            ("resources!", Obj(("requests!", Obj(("storage!", Quantity)))))))),
        ["v1/Service"] = Resource(("spec!", Obj(("selector!", Texts),
            ("ports!", ListOf(Obj(("name", PortName), ("port!", PortNumber), ("targetPort", Port))))))),
        ["v1/ConfigMap"] = Resource(("data!", Texts)),
        ["apps/v1/Deployment"] = Resource(("spec!", Obj(
            ("replicas", Whole), ("selector!", Selector),
            ("strategy",
                Obj(("type!", OneOf("RollingUpdate", "Recreate")), ("rollingUpdate", Obj(("maxUnavailable", Whole), ("maxSurge", Whole))))),
            ("template!", Obj(("metadata!", Obj(("labels!", Texts), ("annotations", Texts))), ("spec!", PodSpec)))))),
        ["policy/v1/PodDisruptionBudget"] = Resource(("spec!", Obj(("maxUnavailable", Whole), ("selector!", Selector)))),
        ["autoscaling/v2/HorizontalPodAutoscaler"] = Resource(("spec!", Obj(
            ("scaleTargetRef!", Target), ("minReplicas", Whole), ("maxReplicas!", Whole),
            ("metrics", ListOf(Obj(("type!", OneOf("Pods")), ("pods!", Obj(
                ("metric!", Obj(("name!", AnyText), ("selector", Expressions))),
                ("target!", Obj(("type!", OneOf("AverageValue")), ("averageValue!", Quantity)))))))),
            ("behavior", Behavior)))),
        ["keda.sh/v1alpha1/ScaledObject"] = Resource(("spec!", Obj(
            ("scaleTargetRef!", Target), ("minReplicaCount", Whole), ("maxReplicaCount", Whole), ("cooldownPeriod", Whole),
            ("advanced", Obj(("horizontalPodAutoscalerConfig", Obj(("behavior", Behavior))))),
            ("triggers!", ListOf(Obj(("type!", OneOf("prometheus")), ("metricType", OneOf("AverageValue", "Value")),
                ("metadata!", Obj(("serverAddress!", AnyText), ("query!", AnyText), ("threshold!", AnyText))))))))),
        ["inference.networking.k8s.io/v1/InferencePool"] = Resource(("spec!", Obj(
            ("selector!", Selector), ("targetPorts!", ListOf(Obj(("number!", PortNumber)), most: 8)),
            ("appProtocol", OneOf("http", "kubernetes.io/h2c")),
            ("endpointPickerRef", Obj(("group", AnyText), ("kind", AnyText), ("name!", Name), ("port", Obj(("number!", PortNumber))),
                ("failureMode", OneOf("FailOpen", "FailClose"))))))),
        ["gateway.networking.k8s.io/v1/HTTPRoute"] = Resource(("spec!", Obj(
            ("parentRefs!", ListOf(Obj(("name!", Name)))),
            ("rules!", ListOf(Obj(
                ("matches", ListOf(Obj(("path", Obj(("type!", OneOf("PathPrefix", "Exact")), ("value!", AnyText)))))),
                ("backendRefs!", ListOf(Obj(("group", AnyText), ("kind", AnyText), ("name!", Name)))),
                ("timeouts", Obj(("request", Matching(Duration(), "a duration")))))))))),
        ["llm-d.ai/v1alpha1/EndpointPickerConfig"] = Obj(("apiVersion!", AnyText), ("kind!", AnyText),
            ("plugins!", ListOf(Obj(
                ("type!", OneOf("core-metrics-extractor", "metrics-data-source", "single-profile-handler", "queue-scorer",
                    "kv-cache-utilization-scorer", "prefix-cache-scorer", "max-score-picker")),
                ("parameters", Obj(
                    ("engineConfigs", ListOf(Obj(("name!", AnyText), ("queuedRequestsSpec!", AnyText), ("runningRequestsSpec!", AnyText),
                        ("kvUsageSpec!", AnyText), ("loraSpec", AnyText), ("cacheInfoSpec", AnyText), ("cacheBlockSizeSpec", AnyText),
                        ("cacheNumBlocksSpec", AnyText), ("cacheBlockSizeLabelName", AnyText), ("cacheNumBlocksLabelName", AnyText),
                        ("customMetrics", ListOf(Obj(("attributeKey!", AnyText), ("metricSpec!", AnyText))))))),
                    ("scheme", OneOf("http", "https")), ("path", AnyText), ("port", PortNumber), ("interval", AnyText),
                    ("insecureSkipVerify", Flag)))))),
            ("dataLayer!", Obj(("sources!", ListOf(Obj(("pluginRef!", AnyText), ("extractors!", ListOf(Obj(("pluginRef!", AnyText))))))))),
            ("schedulingProfiles!", ListOf(Obj(("name!", AnyText), ("plugins!", ListOf(Obj(("pluginRef!", AnyText), ("weight", Number)))))))),
        ["serving.kserve.io/v1alpha2/LLMInferenceService"] = Resource(("spec!", Obj(
            ("model!", Obj(("uri!", Matching(ModelUri(), "a model's address")), ("name", AnyText))), ("replicas", Whole),
            ("router", Obj(("route", Obj()), ("gateway", Obj()), ("scheduler", Obj()))), ("template!", PodSpec)))),
    };

    private static readonly Rule GpuStackBackend = Obj(
        ("backend_name!", Matching(CustomName(), "a name that ends in -custom")), ("description", AnyText), ("default_version", AnyText),
        ("health_check_path", AnyText),
        ("version_configs!", MapOf(Obj(("image_name!", AnyText), ("run_command!", AnyText), ("custom_framework", AnyText)))));

    /// <summary>The resources that have a schema: version of the API and kind, as <c>apps/v1/Deployment</c>.</summary>
    public static IEnumerable<string> Known => Kinds.Keys;

    /// <summary>What is wrong with a resource; nothing where it passes.</summary>
    public static IEnumerable<string> ComplaintsOf(object? resource)
    {
        if (resource is not OrderedDictionary<string, object?> map)
            return ["a resource must be a mapping"];
        if (map.ContainsKey("backend_name"))
            return GpuStackBackend(map, "backend");
        var kind = map.GetValueOrDefault("kind") as string ?? "";
        return Kinds.TryGetValue($"{map.GetValueOrDefault("apiVersion")}/{kind}", out var rule)
            ? rule(map, kind)
            : [$"there is no schema of {map.GetValueOrDefault("apiVersion")}/{kind}"];
    }

    private static Rule Resource((string Name, Rule Rule) rest) =>
        Obj(("apiVersion!", AnyText), ("kind!", AnyText), ("metadata!", Metadata), rest);

    // An exclamation mark stands behind what must be there.
    private static Rule Obj(params (string Name, Rule Rule)[] fields) => (value, path) =>
    {
        if (value is not OrderedDictionary<string, object?> map)
            return [$"{path} must be a mapping"];
        var complaints = new List<string>();
        foreach (var (field, rule) in fields)
        {
            var name = field.TrimEnd('!');
            if (map.TryGetValue(name, out var inner))
                complaints.AddRange(rule(inner, $"{path}.{name}"));
            else if (field.EndsWith('!'))
                complaints.Add($"{path}.{name} is missing");
        }
        complaints.AddRange(map.Keys.Where(key => !fields.Any(field => field.Name.TrimEnd('!') == key))
            .Select(key => $"{path}.{key} is not known"));
        return complaints;
    };

    private static Rule ListOf(Rule rule, int most = int.MaxValue) => (value, path) => value is not List<object?> { Count: > 0 } list
        ? [$"{path} must be a list with something in it"]
        : list.Count > most ? [$"{path} has more than {most}"] : list.SelectMany((one, i) => rule(one, $"{path}[{i}]"));

    private static Rule MapOf(Rule rule) => (value, path) => value is OrderedDictionary<string, object?> map
        ? map.SelectMany(pair => rule(pair.Value, $"{path}.{pair.Key}"))
        : [$"{path} must be a mapping"];

    private static Rule OneOf(params string[] words) => (value, path) =>
        value is string text && words.Contains(text) ? [] : [$"{path} must be one of {string.Join(", ", words)}"];

    private static Rule Matching(Regex pattern, string what) => (value, path) =>
        value is string text && pattern.IsMatch(text) ? [] : [$"{path} must be {what}"];

    [GeneratedRegex("^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")]
    private static partial Regex DnsName();

    [GeneratedRegex("^(?=.*[a-z])[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$")]
    private static partial Regex NameOfPort();

    [GeneratedRegex("^[0-9]+(Ki|Mi|Gi|Ti|m|k|M|G)?$")]
    private static partial Regex Amount();

    [GeneratedRegex("^([0-9]{1,5}(h|m|s|ms)){1,4}$")]
    private static partial Regex Duration();

    [GeneratedRegex("^(hf|s3|pvc|oci)://.+")]
    private static partial Regex ModelUri();

    [GeneratedRegex("^[a-z0-9-]+-custom$")]
    private static partial Regex CustomName();
}
