namespace Shimmy.Jinja.Runtime;

/// <summary>
/// A value of the template language, with the behaviour that Python gives to its type. An operation that
/// a type does not support fails with the message of Python's TypeError. No template reaches .NET objects: the only attributes are
/// those that the value itself lists.
/// </summary>
internal abstract class Value
{
    /// <summary>Python's name of the type, for example <c>str</c>.</summary>
    public abstract string TypeName { get; }

    /// <summary>The words for an object of this type in Jinja's messages about undefined values.</summary>
    public virtual string ObjectName => TypeName + " object";

    /// <summary>Whether the value counts as true.</summary>
    public virtual bool IsTrue => true;

    /// <summary>Whether <c>iter()</c> takes the value.</summary>
    public virtual bool IsIterable => false;

    /// <summary>Whether the value has a length and takes subscripts (<c>is sequence</c>).</summary>
    public virtual bool IsSequence => false;

    /// <summary>Whether the value can be called.</summary>
    public virtual bool IsCallable => false;

    /// <summary>Whether the value can be a key.</summary>
    public virtual bool IsHashable => true;

    /// <summary>Whether <c>len()</c> takes the value.</summary>
    public virtual bool HasLength => false;

    /// <summary><c>len()</c>.</summary>
    public virtual int Length(RenderContext context) =>
        throw TemplateException.Evaluation($"object of type '{TypeName}' has no len()");

    /// <summary><c>iter()</c>.</summary>
    public virtual IEnumerator<Value> Iterate(RenderContext context) =>
        throw TemplateException.Evaluation($"'{TypeName}' object is not iterable");

    /// <summary>
    /// An attribute, or null where the type has none of that name. May be one that <see cref="IsUnsafe"/> forbids. The methods of texts,
    /// lists, tuples and dicts are not among the attributes: Builtins.Lookup finds them in tables, since they need all the rest.
    /// </summary>
    public virtual Value? Attribute(string name, RenderContext context) => null;

    /// <summary>Whether the sandbox forbids an attribute that exists.</summary>
    public virtual bool IsUnsafe(string name) => name.StartsWith('_');

    /// <summary>A subscript, or null where Python raises TypeError, KeyError or IndexError.</summary>
    public virtual Value? Item(Value key, RenderContext context) => null;

    /// <summary>A slice; null bounds are left out.</summary>
    public virtual Value Slice(Value start, Value stop, Value step, RenderContext context) =>
        throw TemplateException.Evaluation($"'{TypeName}' object is not subscriptable");

    /// <summary>The <c>in</c> operator with this value on the right.</summary>
    public virtual bool Contains(Value item, RenderContext context)
    {
        if (!IsIterable)
            throw TemplateException.Evaluation($"argument of type '{TypeName}' is not iterable");
        using var items = Iterate(context);
        while (items.MoveNext())
        {
            context.Step();
            if (ReferenceEquals(items.Current, item) || items.Current.EqualTo(item, context))
                return true;
        }

        return false;
    }

    /// <summary>Calls the value.</summary>
    public virtual Value Call(Arguments arguments, RenderContext context) =>
        throw TemplateException.Evaluation($"'{TypeName}' object is not callable");

    /// <summary>The <c>==</c> operator.</summary>
    public virtual bool EqualTo(Value other, RenderContext context) => ReferenceEquals(this, other);

    /// <summary>A hash that agrees with <see cref="EqualTo"/>.</summary>
    public virtual int Hash(RenderContext context) => IsHashable
        ? System.Runtime.CompilerServices.RuntimeHelpers.GetHashCode(this)
        : throw TemplateException.Evaluation($"unhashable type: '{TypeName}'");

    /// <summary>Appends <c>str()</c> of the value.</summary>
    public virtual void Write(TextBuilder text) => WriteRepr(text);

    /// <summary>Appends <c>repr()</c> of the value.</summary>
    public abstract void WriteRepr(TextBuilder text);

    /// <summary><c>str()</c> as a value.</summary>
    public TextValue ToText(RenderContext context)
    {
        if (this is TextValue text)
            return text;
        var builder = context.Rent();
        Write(builder);
        return context.Finish(builder);
    }

    /// <summary><c>repr()</c> as plain text, for messages.</summary>
    public string Repr(RenderContext context)
    {
        var builder = context.Rent();
        WriteRepr(builder);
        return context.Finish(builder).Text;
    }
}
