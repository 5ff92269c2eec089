using System.Diagnostics.CodeAnalysis;
using Microsoft.CodeAnalysis;

// The compiler takes these types for the async methods of this assembly, before those of .NET with the same names.
#pragma warning disable CS0436, IDE0130, CA1822 // the pattern wants instance members
namespace Microsoft.CodeAnalysis
{
    /// <summary>Hides a type from other assemblies, those that may see internal types too.</summary>
    [Embedded]
    [AttributeUsage(AttributeTargets.All)]
    internal sealed class EmbeddedAttribute : Attribute;
}

namespace System.Runtime.CompilerServices
{
    /// <summary>
    /// The builder of async methods that return a Task. .NET's own is compiled anew for each of our 400 methods, and again for each kind
    /// of thing that they await: half a megabyte of the native executable. This one puts a method that has to wait into an object, and
    /// .NET's own runs that object, so one compilation serves all.
    /// </summary>
    [Embedded]
    internal struct AsyncTaskMethodBuilder
    {
        private AsyncRun<bool>? _run;
        private Task? _ended;

        /// <summary>Of a method that begins.</summary>
        public static AsyncTaskMethodBuilder Create() => default;

        /// <summary>The task that the caller gets.</summary>
        public readonly Task Task => _run is { } run ? run.Task : _ended!;

        /// <summary>Runs the method up to where it first has to wait.</summary>
        public readonly void Start<TStateMachine>(ref TStateMachine stateMachine)
            where TStateMachine : IAsyncStateMachine
        {
            var context = ExecutionContext.Capture();
            stateMachine.MoveNext();
            AsyncRun.Restore(context);
        }

        /// <summary>Goes on with the method once what it awaits has ended.</summary>
        public void AwaitOnCompleted<TAwaiter, TStateMachine>(ref TAwaiter awaiter, ref TStateMachine stateMachine)
            where TAwaiter : INotifyCompletion
            where TStateMachine : IAsyncStateMachine
        {
            if (_run is null)
                AsyncRun.Begin(ref _run, ref stateMachine);
            _run.AwaitOnCompleted(ref awaiter);
        }

        /// <summary>As <see cref="AwaitOnCompleted"/>, without the context of who ends it.</summary>
        public void AwaitUnsafeOnCompleted<TAwaiter, TStateMachine>(ref TAwaiter awaiter, ref TStateMachine stateMachine)
            where TAwaiter : ICriticalNotifyCompletion
            where TStateMachine : IAsyncStateMachine
        {
            if (_run is null)
                AsyncRun.Begin(ref _run, ref stateMachine);
            _run.Await(ref awaiter);
        }

        /// <summary>The method has returned.</summary>
        [MethodImpl(MethodImplOptions.NoInlining)]
        public void SetResult()
        {
            if (_run is { } run)
                run.SetResult(true);
            else
                _ended = Task.CompletedTask;
        }

        /// <summary>The method has thrown.</summary>
        [MethodImpl(MethodImplOptions.NoInlining)]
        public void SetException(Exception exception)
        {
            if (_run is { } run)
                run.SetException(exception);
            else
                _ended = AsyncRun<bool>.Failed(exception);
        }

        /// <summary>Part of the compiler's pattern, and never called by code that is compiled today.</summary>
        public readonly void SetStateMachine(IAsyncStateMachine stateMachine) => ArgumentNullException.ThrowIfNull(stateMachine);
    }

    /// <summary>As <see cref="AsyncTaskMethodBuilder"/>, of a method with a result.</summary>
    [Embedded]
    internal struct AsyncTaskMethodBuilder<TResult>
    {
        private AsyncRun<TResult>? _run;
        private Task<TResult>? _ended;

        /// <summary>Of a method that begins.</summary>
        public static AsyncTaskMethodBuilder<TResult> Create() => default;

        /// <summary>The task that the caller gets.</summary>
        public readonly Task<TResult> Task => _run is { } run ? run.Task : _ended!;

        /// <summary>Runs the method up to where it first has to wait.</summary>
        public readonly void Start<TStateMachine>(ref TStateMachine stateMachine)
            where TStateMachine : IAsyncStateMachine
        {
            var context = ExecutionContext.Capture();
            stateMachine.MoveNext();
            AsyncRun.Restore(context);
        }

        /// <summary>Goes on with the method once what it awaits has ended.</summary>
        public void AwaitOnCompleted<TAwaiter, TStateMachine>(ref TAwaiter awaiter, ref TStateMachine stateMachine)
            where TAwaiter : INotifyCompletion
            where TStateMachine : IAsyncStateMachine
        {
            if (_run is null)
                AsyncRun.Begin(ref _run, ref stateMachine);
            _run.AwaitOnCompleted(ref awaiter);
        }

        /// <summary>As <see cref="AwaitOnCompleted"/>, without the context of who ends it.</summary>
        public void AwaitUnsafeOnCompleted<TAwaiter, TStateMachine>(ref TAwaiter awaiter, ref TStateMachine stateMachine)
            where TAwaiter : ICriticalNotifyCompletion
            where TStateMachine : IAsyncStateMachine
        {
            if (_run is null)
                AsyncRun.Begin(ref _run, ref stateMachine);
            _run.Await(ref awaiter);
        }

        /// <summary>The method has returned.</summary>
        [MethodImpl(MethodImplOptions.NoInlining)]
        public void SetResult(TResult result)
        {
            if (_run is { } run)
                run.SetResult(result);
            else
                _ended = Threading.Tasks.Task.FromResult(result);
        }

        /// <summary>The method has thrown.</summary>
        [MethodImpl(MethodImplOptions.NoInlining)]
        public void SetException(Exception exception)
        {
            if (_run is { } run)
                run.SetException(exception);
            else
                _ended = AsyncRun<TResult>.Failed(exception);
        }

        /// <summary>Part of the compiler's pattern, and never called by code that is compiled today.</summary>
        public readonly void SetStateMachine(IAsyncStateMachine stateMachine) => ArgumentNullException.ThrowIfNull(stateMachine);
    }

    /// <summary>The part of <see cref="AsyncRun{TResult}"/> that does not depend on the result.</summary>
    internal static class AsyncRun
    {
        /// <summary>Puts a method that has to wait into an object; the copy has the run in it, which is a part of the machine.</summary>
        [MethodImpl(MethodImplOptions.NoInlining)]
        public static void Begin<TResult, TStateMachine>([NotNull] ref AsyncRun<TResult>? run, ref TStateMachine machine)
            where TStateMachine : IAsyncStateMachine
        {
            var begun = new AsyncRun<TResult>();
            run = begun;
            begun.Machine = machine;
        }

        /// <summary>Restores the caller's context: what a method changed of it up to its first wait stays its own.</summary>
        [MethodImpl(MethodImplOptions.NoInlining)]
        public static void Restore(ExecutionContext? context)
        {
            if (context is not null && !ReferenceEquals(context, ExecutionContext.Capture()))
                ExecutionContext.Restore(context);
        }
    }

    /// <summary>An async method that has waited: its state, and what .NET runs it with.</summary>
    internal sealed class AsyncRun<TResult> : IAsyncStateMachine
    {
        // That of ValueTask is not replaced; its Task is the same as that of the builder that is.
        [SuppressMessage("Style", "IDE0044", Justification = "A struct that changes.")]
        private AsyncValueTaskMethodBuilder<TResult> _builder;

        /// <summary>The method and its variables.</summary>
        public IAsyncStateMachine Machine { private get; set; } = null!;

        public Task<TResult> Task
        {
            [MethodImpl(MethodImplOptions.NoInlining)]
            get => _builder.Task.AsTask();
        }

        public void MoveNext() => Machine.MoveNext();

        public void SetStateMachine(IAsyncStateMachine stateMachine)
        {
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        public void AwaitOnCompleted<TAwaiter>(ref TAwaiter awaiter)
            where TAwaiter : INotifyCompletion
        {
            var self = this;
            _builder.AwaitOnCompleted(ref awaiter, ref self);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        public void Await<TAwaiter>(ref TAwaiter awaiter)
            where TAwaiter : ICriticalNotifyCompletion
        {
            var self = this;
            _builder.AwaitUnsafeOnCompleted(ref awaiter, ref self);
        }

        public void SetResult(TResult result) => _builder.SetResult(result);

        public void SetException(Exception exception) => _builder.SetException(exception);

        /// <summary>The task of a method that threw before it had to wait: cancelled or failed, by the exception.</summary>
        public static Task<TResult> Failed(Exception exception)
        {
            var builder = AsyncValueTaskMethodBuilder<TResult>.Create();
            builder.SetException(exception);
            return builder.Task.AsTask();
        }
    }
}
